"""The workflow on a real Slurm of one node: what jobs ask for, and that one that is stopped goes on where it was."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from support.checkout import BIN, copy
from support.runs import RESULTS, became
from support.slurm import MISSING, Slurm, slurm

from agm import RunConfig, files
from agm.training.loop import train
from agm.training.step import Execution
from study import cost, profiles
from workflow import jobs

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"no {', '.join(MISSING)} (Debian: apt install slurm-wlm munge)")

EPOCHS = 24
LONG_AGO = 1e6
"""Seconds that are added to a stopped run's time, to tell going on from beginning anew."""
PROFILE = f"""\
datasets: {{cars: photographs, faces: closeups, geo: instruments}}
generator: {{width: 2}}
data: {{image_size: 16, train_images: 16, validation_images: 8, test_images: 8}}
training: {{epochs: {EPOCHS}, batch_size: 8, learning_rate: 2.0e-3, critic_width: 2}}
seeds: {{cars: [0], faces: [0], geo: [0]}}
runs_per_job: 1
"""


REQUEUE = ["scontrol", "requeue"]
STOPS = (["scancel"], REQUEUE)
"""What is done to the job of the first run and to that of the second, in mid-training."""


@dataclass(frozen=True)
class Outcome:
    """How one call of Snakemake that made two runs went, and what Slurm tells of its jobs.

    `epochs`: how many were done when a job was stopped.
    """

    folders: list[Path]
    code: int
    output: str
    jobs: list[list[dict[str, str]]]
    epochs: list[int]


@pytest.fixture(scope="module")
def configs() -> list[RunConfig]:
    """The first two runs of the profile that `outcome` writes."""
    return [profiles.load("smoke").run("cars", layers=layers, epochs=EPOCHS) for layers in ("nnnr", "nnrr")]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory, configs: list[RunConfig]) -> Outcome:
    root = tmp_path_factory.mktemp("cluster")
    copy(root)
    (root / "study" / "profiles" / "long.yml").write_text(PROFILE)
    folders = [root / "build" / "runs" / config.id for config in configs]
    command = [str(BIN / "snakemake"), "--workflow-profile", "workflow/profiles/slurm"]
    command += ["--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "2"]
    command += ["--slurm-status-command", "squeue", "--slurm-no-account"]  # there is no accounting here
    command += ["--latency-wait", "5", *(f"{folder.relative_to(root)}/.trained" for folder in folders)]
    command += ["--config", "profile=long", "threads=1", "minutes=30"]
    with tempfile.TemporaryDirectory(prefix="slurm") as short, slurm(Path(short)) as cluster:
        with (root / "output").open("w") as out, started(command, root, cluster, out) as process:
            epochs = [stop(cluster, process, n, root, folders[n]) for n in range(2)]
            process.wait(1200)
        jobs = [of_rule(cluster, n) for n in range(2)]
    return Outcome(folders, process.returncode, (root / "output").read_text(), jobs, epochs)


@contextmanager
def started(command: list[str], root: Path, cluster: Slurm, out: IO[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Snakemake in the background; it is ended if it has not ended itself."""
    environment = {name: value for name, value in cluster.environment.items() if name not in ("AGM_HOME", "PYTHONPATH")}
    process = subprocess.Popen(command, cwd=root, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def stop(cluster: Slurm, process: subprocess.Popen[bytes], number: int, root: Path, folder: Path) -> int:
    """Wait until a run has done some epochs, stop its job, mark what it saved, and say how many epochs that were."""
    wait_for(lambda: epochs_done(folder) >= 3 or process.poll() is not None)
    assert process.poll() is None, "Snakemake has ended already"
    (job,) = of_rule(cluster, number)
    assert job["JobState"] == "RUNNING"
    cluster.call(*STOPS[number], job["JobId"])
    log = root / "build" / "logs" / f"train_{number + 1}.log"
    wait_for(lambda: "stopped and saved in" in log.read_text())
    tensors, meta = files.read_tensors(folder / "checkpoint.safetensors")
    meta["progress"]["seconds"] += LONG_AGO
    files.write_tensors(folder / "checkpoint.safetensors", tensors, meta)
    if STOPS[number] == REQUEUE:
        wait_for(lambda: of_rule(cluster, number)[0]["JobState"] == "PENDING")
        cluster.call("scontrol", "update", f"JobId={job['JobId']}", "StartTime=now")  # Slurm would wait two minutes
    return int(meta["progress"]["epoch"])


def of_rule(cluster: Slurm, number: int) -> list[dict[str, str]]:
    """The jobs of a training rule in the order in which they were submitted."""
    jobs = [job for job in cluster.jobs() if job["Comment"] == f"rule_train_{number + 1}"]
    return sorted(jobs, key=lambda job: int(job["JobId"]))


def wait_for(condition: Callable[[], bool], seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.1)


def epochs_done(folder: Path) -> int:
    """As its checkpoint says; 0 if there is none."""
    path = folder / "checkpoint.safetensors"
    return int(files.read_tensors(path)[1]["progress"]["epoch"]) if path.exists() else 0


def test_snakemake_brings_it_to_an_end_by_itself(outcome: Outcome) -> None:
    assert outcome.code == 0, outcome.output
    assert "2 of 2 steps (100%) done" in outcome.output


def test_a_cancelled_job_is_submitted_again(outcome: Outcome) -> None:
    assert [job["JobState"] for job in outcome.jobs[0]] == ["CANCELLED", "COMPLETED"]


def test_a_job_that_is_put_back_runs_again(outcome: Outcome) -> None:
    """As a preempted one does."""
    assert [(job["JobState"], job["Restarts"]) for job in outcome.jobs[1]] == [("COMPLETED", "1")]


@pytest.mark.parametrize("number", [0, 1])
def test_training_goes_on_where_it_was(outcome: Outcome, number: int, configs: list[RunConfig], tmp_path: Path) -> None:
    """To the bytes of a run in peace; the time that its checkpoint was said to have taken counts."""
    assert 3 <= outcome.epochs[number] < EPOCHS
    folder = outcome.folders[number]
    assert files.read_json(folder / "summary.json")["seconds"] > LONG_AGO
    assert became(train(configs[number], tmp_path / "peace", Execution(device="cpu"))) == "finished"
    for name in RESULTS:
        assert (folder / name).read_bytes() == (tmp_path / "peace" / name).read_bytes(), name


def test_jobs_ask_for_what_training_needs(outcome: Outcome, configs: list[RunConfig]) -> None:
    """The longest, rrrr, might take 30 minutes."""
    dearest = configs[0].replace(layers="rrrr")
    for number, limit in enumerate(jobs.minutes([*([config] for config in configs), [dearest]], 30)[:2]):
        for job in outcome.jobs[number]:
            assert job["TresPerJob"] == "gres:gpu:1"
            assert job["CPUs/Task"] == "1"
            assert job["MinMemoryNode"] == f"{cost.memory_mb(configs[number])}M"
            assert job["TimeLimit"] == f"00:{limit:02d}:00"
