"""What fails in one of two processes; apart from `together`, since it starts faster without training."""

from __future__ import annotations

import os
import signal

import torch

from agm import distributed
from agm.errors import AgmError


def fail(how: str) -> str:
    """The second process fails while the first one waits for it."""
    world = distributed.join("cpu")
    if world.rank == 1 and how == "mistake":
        raise AgmError("images are upside down")
    if world.rank == 1 and how == "bug":
        raise ZeroDivisionError("deep inside")
    if world.rank == 1 and how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    world.mean(torch.zeros(2))
    raise AssertionError("the first process got an answer")
