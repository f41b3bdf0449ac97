"""Runs small enough to be trained by the dozen, and processes that can be killed while they train."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from agm import RunConfig, profiles


def tiny(**fields: Any) -> RunConfig:
    """The smoke profile with two iterations, one epoch, few images."""
    small = {"iterations": 2, "schedule": "xxxx (2)", "epochs": 1, "validation_images": 4, "test_images": 4}
    return profiles.load("smoke").run("cars", **{"layers": "rnnr", **small, **fields})


def train_in_child(config: RunConfig, folder: Path, interval: float) -> None:
    """What a child process does: train on one thread, until it is done or killed."""
    with Path(os.devnull).open("w") as silent:
        sys.stderr = silent
        import torch

        from agm.step import Execution
        from agm.train import train

        torch.set_num_threads(1)
        train(config, folder, Execution(device="cpu", progress=False, checkpoint_interval=interval))
