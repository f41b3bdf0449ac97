"""A run may be stopped at any moment, in any way; it goes on to the very same bytes."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from support.images import made_up
from support.runs import became, one_step_at_a_time, tiny, train_in_child

from agm import RunConfig, data, files
from agm.code_version import code_hash
from agm.errors import AgmError
from agm.training import loop as training
from agm.training import step
from agm.training.loop import train
from agm.training.step import Execution

QUIET = Execution(device="cpu")
RESULTS = ("generator.safetensors", "metrics.csv", "test.safetensors", "config.json")


def results(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images: quicker to load than the bundled photographs, which counts where processes are many."""
    folder = tmp_path_factory.mktemp("pictures")
    for i, pixels in enumerate(made_up(70, 16)):
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    return folder


@pytest.fixture(scope="module")
def long(pictures: Path) -> RunConfig:
    """Eight epochs of ten steps, the last of each with a smaller batch; the penalty draws random numbers."""
    settings = {"layers": "rnrn", "epochs": 8, "train_images": 48, "batch_size": 5, "lipschitz": "penalty"}
    return tiny(dataset=str(pictures), **settings)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, long: RunConfig) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert became(train(long, folder, QUIET)) == "finished"
    return results(folder)


def test_a_time_budget_interrupts_and_the_run_goes_on(
    tmp_path: Path, long: RunConfig, uninterrupted: dict[str, bytes]
) -> None:
    sittings: list[str | None] = []
    while not sittings or sittings[-1] is None:
        assert len(sittings) < 80
        sittings.append(became(train(long, tmp_path, Execution(device="cpu", time_budget=0.15))))
        assert (tmp_path / "checkpoint.safetensors").exists() == (sittings[-1] is None)
        assert (tmp_path / "summary.json").exists() == (sittings[-1] == "finished")
    assert len(sittings) >= 3
    assert results(tmp_path) == uninterrupted


def test_stopping_at_every_single_step(tmp_path: Path) -> None:
    """Within epochs, at their ends, in the last one: each step in a sitting of its own."""
    config = tiny(epochs=2, batch_size=7)
    assert became(train(config, tmp_path / "whole", QUIET)) == "finished"
    sittings = one_step_at_a_time(config, tmp_path / "steps", QUIET)
    assert sittings == 6  # one of them between the last step and the tests
    assert results(tmp_path / "steps") == results(tmp_path / "whole")


def test_time_spent_adds_up_over_sittings(tmp_path: Path) -> None:
    config = tiny(epochs=2)
    assert train(config, tmp_path, Execution(device="cpu", time_budget=0.0)) is None
    tensors, meta = files.read_tensors(tmp_path / "checkpoint.safetensors")
    meta["progress"]["seconds"] = 1000.0
    files.write_tensors(tmp_path / "checkpoint.safetensors", tensors, meta)
    assert became(train(config, tmp_path, QUIET)) == "finished"
    assert 1000 < files.read_json(tmp_path / "summary.json")["seconds"] < 1060


def test_sigterm_to_a_real_process(tmp_path: Path, pictures: Path) -> None:
    """Exit code 75, no traceback; going on gives what a run in peace gives."""
    fields = {"layers": "rnrn", "epochs": 20, "iterations": 2, "schedule": "xxxx (2)", "validation_images": 4}
    config = tiny(dataset=str(pictures), **fields, test_images=8)
    folder = tmp_path / "out" / config.id
    environment = os.environ | {"OMP_NUM_THREADS": "1", "AGM_HOME": str(tmp_path)}
    settings = [word for name, value in fields.items() for word in ("--set", f"{name}={value}")]
    options = ["--profile", "smoke", "--dataset", str(pictures), "--out", str(tmp_path / "out"), "--device", "cpu"]
    command = [sys.executable, "-c", "from study.cli import app; app()", "train", *options, *settings]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: (folder / "checkpoint.safetensors").exists(), process.poll)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 75, errors
    assert f"{config.id} stopped and saved in {folder}; run the same command again" in errors
    assert "Traceback" not in errors
    assert not (folder / "summary.json").exists()
    assert steps_done(folder) >= 2
    assert became(train(config, folder, QUIET)) == "finished"
    assert became(train(config, tmp_path / "peace", QUIET)) == "finished"
    assert results(folder) == results(tmp_path / "peace")


def wait_for(condition: Callable[[], bool], ended: Callable[[], int | None], seconds: float = 90) -> None:
    """Until the condition holds or the process has ended."""
    deadline = time.monotonic() + seconds
    while not condition() and ended() is None:
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.002)


def steps_done(folder: Path) -> int:
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return -1
    progress = files.read_tensors(path)[1]["progress"]
    return int(progress["epoch"] * 10 + progress["step"])


def test_kill_9_of_real_processes_at_random_moments(
    tmp_path: Path, long: RunConfig, uninterrupted: dict[str, bytes]
) -> None:
    """A checkpoint at every step, so that many kills strike while one is being written."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["agm.training.loop"])
    moments, kills, done = random.Random(1), 0, -1
    while kills < 5:
        child = context.Process(target=train_in_child, args=(long, tmp_path, 0.0))
        child.start()
        wait_for(lambda before=done: steps_done(tmp_path) > before, lambda child=child: child.exitcode)  # type: ignore[misc]
        time.sleep(moments.uniform(0, 0.15))
        child.kill()
        child.join()
        if (tmp_path / "summary.json").exists():
            break
        assert child.exitcode == -signal.SIGKILL
        kills, before, done = kills + 1, done, steps_done(tmp_path)  # what is there can be read
        assert done > before
    assert kills >= 3
    assert became(train(long, tmp_path, QUIET)) == "finished"
    assert results(tmp_path) == uninterrupted


def test_a_part_of_a_file_that_a_kill_left_behind_does_no_harm(
    tmp_path: Path, long: RunConfig, uninterrupted: dict[str, bytes]
) -> None:
    assert train(long, tmp_path, Execution(device="cpu", time_budget=0.2)) is None
    for name in ("checkpoint.safetensors", "metrics.csv", "summary.json"):
        (tmp_path / f".{name}.abc.partial").write_bytes(b"half a fi")
    assert became(train(long, tmp_path, QUIET)) == "finished"
    assert {path.name for path in tmp_path.iterdir()} == {*RESULTS, "summary.json"}
    assert results(tmp_path) == uninterrupted


def test_a_kill_between_metrics_and_checkpoint_does_no_harm(
    tmp_path: Path, long: RunConfig, uninterrupted: dict[str, bytes]
) -> None:
    """metrics.csv is then one epoch ahead of the checkpoint."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.checkpoint, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            train(long, tmp_path, QUIET)
    assert (tmp_path / "metrics.csv").exists()
    assert not (tmp_path / "checkpoint.safetensors").exists()
    assert became(train(long, tmp_path, QUIET)) == "finished"
    assert results(tmp_path) == uninterrupted


def test_a_kill_right_after_the_summary_leaves_nothing_behind(tmp_path: Path) -> None:
    folder, lock = tmp_path / "run", tmp_path / ".run.lock"
    assert became(train(tiny(), folder, QUIET)) == "finished"
    before = {path.name for path in folder.iterdir()}
    for path in (folder / "checkpoint.safetensors", lock):
        path.write_bytes(b"left")
    assert became(train(tiny(), folder, QUIET)) == "finished"
    assert {path.name for path in folder.iterdir()} == before
    assert not lock.exists()


def test_a_clock_that_jumps_changes_nothing(
    tmp_path: Path, long: RunConfig, uninterrupted: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of day goes forth and back by years, and a checkpoint is from the future: budgets do not ask for it."""
    jumps = random.Random(3)
    monkeypatch.setattr(time, "time", lambda: jumps.uniform(0, 4e9))
    assert train(long, tmp_path, replace(QUIET, time_budget=0.0)) is None
    os.utime(tmp_path / "checkpoint.safetensors", (4e9, 4e9))
    assert became(train(long, tmp_path, replace(QUIET, time_budget=600.0))) == "finished"
    assert files.read_json(tmp_path / "summary.json")["seconds"] < 600
    assert results(tmp_path) == uninterrupted


def test_signals_are_handed_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    train(tiny(), tmp_path, Execution(device="cpu", time_budget=0.0))
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_signals_stop_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    original = step.train_step
    monkeypatch.setattr(step, "train_step", lambda *a, **k: signal.raise_signal(number) or original(*a, **k))
    assert train(tiny(), tmp_path, QUIET) is None
    assert files.read_tensors(tmp_path / "checkpoint.safetensors")[1]["progress"]["step"] == 1


def test_a_finished_run_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert became(train(tiny(), tmp_path, QUIET)) == "finished"
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()}
    monkeypatch.setattr(training, "build", lambda *_: pytest.fail("built networks for a finished run"))
    assert became(train(tiny(), tmp_path, QUIET)) == "finished"
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("content", ["{}", "[]", '{"status": "fini'])
def test_a_damaged_summary_is_said(tmp_path: Path, content: str) -> None:
    files.write_json(tmp_path / "config.json", tiny().to_dict())
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(AgmError, match=r"summary\.json"):
        train(tiny(), tmp_path, QUIET)


def interrupted(folder: Path, config: RunConfig) -> Path:
    assert train(config, folder, Execution(device="cpu", time_budget=0.0)) is None
    return folder / "checkpoint.safetensors"


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = interrupted(tmp_path, tiny())
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], content[:-1] + bytes([content[-1] ^ 1]), b""):
        path.write_bytes(damaged)
        with pytest.raises(AgmError, match=r"checkpoint\.safetensors: .*damaged"):
            train(tiny(), tmp_path, QUIET)
        assert path.read_bytes() == damaged
    assert not (tmp_path / "summary.json").exists()


def test_a_run_that_was_begun_on_other_images_is_not_gone_on_with(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, pixels in enumerate(made_up(30, 16)):
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    config = tiny(dataset=str(folder))
    interrupted(tmp_path / "run", config)
    Image.fromarray(made_up(31, 16)[30]).save(folder / "30.png")
    data.load.cache_clear()
    data.splits.cache_clear()
    with pytest.raises(AgmError, match="was begun on other images of this name; bring them back, or delete it"):
        train(config, tmp_path / "run", QUIET)
    (folder / "30.png").unlink()
    data.load.cache_clear()
    data.splits.cache_clear()
    assert became(train(config, tmp_path / "run", QUIET)) == "finished"


def test_a_run_that_other_code_began_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "code_hash", lambda: "older")
    interrupted(tmp_path, tiny())
    monkeypatch.undo()
    assert became(train(tiny(), tmp_path, QUIET)) == "finished"
    assert files.read_json(tmp_path / "summary.json")["machine"]["code"] == f"older+{code_hash()}"


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    interrupted(tmp_path, tiny(seed=1))
    with pytest.raises(AgmError, match=f"is no checkpoint of run {tiny().id}; move it away"):
        train(tiny(), tmp_path, QUIET)


def test_weights_are_no_checkpoint(tmp_path: Path) -> None:
    assert became(train(tiny(), tmp_path / "done", QUIET)) == "finished"
    (tmp_path / "run").mkdir()
    (tmp_path / "done" / "generator.safetensors").rename(tmp_path / "run" / "checkpoint.safetensors")
    with pytest.raises(AgmError, match="is no checkpoint of run"):
        train(tiny(), tmp_path / "run", QUIET)


def test_a_checkpoint_of_other_code_is_refused(tmp_path: Path) -> None:
    path = interrupted(tmp_path, tiny())
    tensors, meta = files.read_tensors(path)
    files.write_tensors(path, {name: t for name, t in tensors.items() if name != "generator.d.bias"}, meta)
    with pytest.raises(AgmError, match=r"checkpoint\.safetensors"):
        train(tiny(), tmp_path, QUIET)


def test_metrics_that_are_infinite_survive_a_checkpoint(tmp_path: Path) -> None:
    """A validation error can overflow while the training loss stays finite: statistics that have not settled."""
    from agm.training import checkpoint
    from agm.training.checkpoint import Standing

    networks = training.build(tiny(), QUIET)
    losses = torch.zeros(2)
    rows = [{"epoch": 1, "statistics": "shared", "iteration": 1, "mse": value} for value in (float("inf"), 0.25)]
    checkpoint.save(tmp_path / "c", tiny(), networks, losses, {}, Standing(epoch=1, rows=rows))
    progress = checkpoint.resume(tmp_path / "c", tiny(), networks, losses, {})
    training._write_metrics(tmp_path, Standing(rows=rows))
    whole = (tmp_path / "metrics.csv").read_bytes()
    training._write_metrics(tmp_path, progress)
    assert (tmp_path / "metrics.csv").read_bytes() == whole
