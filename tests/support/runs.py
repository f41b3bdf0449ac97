"""Runs small enough to be trained by the dozen, and processes that can be killed while they train."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agm import RunConfig, files
from agm.runs import Run
from agm.training import loop as training
from agm.training.step import Execution
from study import profiles

RESULTS = ("generator.safetensors", "metrics.csv", "test.safetensors", "config.json")
"""What must be the same, byte for byte, whenever a run is made again; summary.json tells times."""


def tiny(**fields: Any) -> RunConfig:
    """The smoke profile with two iterations, one epoch, few images."""
    small = {"iterations": 2, "schedule": "xxxx (2)", "epochs": 1, "validation_images": 4, "test_images": 4}
    return profiles.load("smoke").run("cars", **{"layers": "rnnr", **small, **fields})


def became(run: Run | None) -> str | None:
    """The status of what `train` returned; None if it was interrupted."""
    return run and str(run.summary["status"])


def seal_anew(folder: Path) -> None:
    """Let a run's summary believe what a test has written into the run's files."""
    summary = files.read_json(folder / "summary.json")
    summary["files"] = {name: files.sha256((folder / name).read_bytes()) for name in RESULTS}
    files.write_json(folder / "summary.json", files.seal(summary))


def train_in_child(config: RunConfig, folder: Path, interval: float) -> None:
    """What a child process does: train on one thread, until it is done or killed."""
    with Path(os.devnull).open("w") as silent:
        sys.stderr = silent
        import torch

        torch.set_num_threads(1)
        training.train(config, folder, Execution(device="cpu", checkpoint_interval=interval))


def one_step_at_a_time(config: RunConfig, folder: Path, execution: Execution) -> int:
    """Train with a stop after every single step; returns how often it was interrupted."""

    @contextlib.contextmanager
    def after_one_step(_: float) -> Iterator[Callable[[], bool]]:
        asked = itertools.count()
        yield lambda: next(asked) > 0

    sittings = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "stopping", after_one_step)
        while training.train(config, folder, execution) is None:
            sittings += 1
    return sittings
