"""How cost grows: processor time of a training step with one thing varied, and of planning and listing many runs.

    python -m benchmarks.scaling --out build/benchmarks/scaling.json

Training: a step of `LAYERS` on one thread, at `BASE` but for one field; the fastest of --rounds. Planning:
`snakemake --dry-run` of --planned runs, a job each. Listing: `agm runs` of --listed finished runs; judging: `agm
claims`. Processor time says what it takes where nothing else is at work; `mb` is the largest memory of the process.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml

from agm.config import ORL_CONFIGURATIONS, RunConfig
from agm.runs import Run
from benchmarks import measure
from study import budget, profiles
from study.aggregate import recorded_runs
from study.profiles import FOLDER, ROLES

ROOT = Path(__file__).parents[1]
BASE = {"width": 16, "image_size": 32, "batch_size": 4, "iterations": 4}
VARIED = {
    "width": (8, 16, 32, 64),
    "image_size": (16, 32, 64, 128),
    "batch_size": (1, 2, 4, 8, 16),
    "iterations": (1, 2, 4, 8, 16),
}
LAYERS = ("nnnr", "rrrr")
PLANNED = (60, 300, 1200, 3000)
LISTED = (100, 1000, 10000)

Row = dict[str, Any]


def main() -> None:
    arguments = measure.command_line(__doc__, rounds=5, planned=PLANNED, listed=LISTED).parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()
    rows = [*training(arguments.rounds), *planning(arguments.planned), *listing(arguments.listed)]
    measure.write(arguments, "benchmarks.scaling", {"rows": rows, "seconds": time.monotonic() - started})


def training(rounds: int) -> Iterator[Row]:
    """Seconds of one training step, by what is varied."""
    for layers, (field, values) in itertools.product(LAYERS, VARIED.items()):
        for value in values:
            steps = budget.step_seconds(configured(layers, **{field: value}), "cpu", time.process_time)
            seconds = min(itertools.islice(steps, rounds))
            yield {"what": "training", "layers": layers, "by": field, "value": value, "seconds": seconds}


def configured(layers: str, **fields: int) -> RunConfig:
    sizes = BASE | fields
    schedule = f"xxxx ({sizes['iterations']})"
    return profiles.load("smoke").run("cars", layers=layers, schedule=schedule, critic_width=sizes["width"], **sizes)


def planning(counts: list[int]) -> Iterator[Row]:
    """A dry run of the whole workflow in a folder where nothing is made yet."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        subprocess.run(["cp", "-r", str(ROOT / "agm"), str(ROOT / "study"), folder], check=True)
        for name in ("workflow", "notebooks", "book", "results", "data", "_config.yml"):
            (project / name).symlink_to(ROOT / name)
        for count in counts:
            (project / "study" / "profiles" / "many.yml").write_text(yaml.safe_dump(many(count)))
            command = ["snakemake", "--snakefile", "workflow/Snakefile", "--cores", "1", "--dry-run", "--quiet"]
            yield {"what": "planning", "value": count, **measured([*command, "--config", "profile=many"], project)}


def many(count: int) -> dict[str, Any]:
    """Profile smoke with so many seeds that there are `count` runs: 16 configurations on three sets, and 12 more."""
    values = yaml.safe_load((FOLDER / "smoke.yml").read_text())
    del values["layers"]
    seeds = list(range(max(1, count // (3 * len(ORL_CONFIGURATIONS) + 12))))
    return dict(values) | {"seeds": {role: list(seeds) for role in ROLES}, "runs_per_job": 1}


def listing(counts: list[int]) -> Iterator[Row]:
    """Copies of a recorded run of profile cpu."""
    like = recorded_runs("table1", profiles.load("cpu"))[0]
    with tempfile.TemporaryDirectory() as folder:
        for number, config in enumerate(made_up(max(counts, default=0)), 1):
            copy(like, Path(folder) / "build" / "runs" / config.id, config)
            if number in counts:
                for what, command in (("listing", "runs"), ("judging", "claims")):
                    words = ["agm", command, "--profile", "cpu"]
                    yield {"what": what, "value": number, **measured(words, Path(folder))}


def made_up(count: int) -> Iterator[RunConfig]:
    """Configurations that a profile might have: what the paper varies, under seed after seed."""
    base = profiles.load("cpu")
    varied = itertools.product(range(count), ROLES, (1.0, 0.25), ("NOAEL", "A", "B"), ORL_CONFIGURATIONS)
    for seed, role, fraction, schedule, layers in itertools.islice(varied, count):
        yield replace(base.run(role, fraction=fraction, schedule=schedule, layers=layers), seed=seed)


def copy(like: Run, folder: Path, config: RunConfig) -> None:
    """The run under another configuration, without weights. Plain writing: atomic writing waits for the disk."""
    folder.mkdir(parents=True)
    shutil.copy(like.folder / "metrics.csv", folder)
    summary = {name: value for name, value in like.summary.items() if name not in ("files", "sha256")}
    for name, value in (("config", config.to_dict()), ("summary", summary | {"id": config.id})):
        (folder / f"{name}.json").write_text(json.dumps(value, indent=1))


def measured(command: list[str], folder: Path) -> dict[str, float]:
    """Processor time and largest memory of a command that is to succeed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"AGM_HOME": str(folder), "PYTHONPATH": str(ROOT), "PATH": path, "OMP_NUM_THREADS": "1"}
    _, seconds, gigabytes = measure.command(command, cwd=folder, env=environment)
    return {"seconds": seconds, "mb": 1000 * gigabytes}


if __name__ == "__main__":
    main()
