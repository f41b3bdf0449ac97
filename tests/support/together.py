"""What two processes do together in tests/process/test_parallel.py; here, so that they can import it."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn

from agm import RunConfig, files
from agm.networks.blocks import IterationNorm
from agm.training import loop as training
from agm.training import parallel, step
from agm.training.parallel import World
from agm.training.step import Execution

QUIET = Execution(device="cpu", progress=False)


def in_two_processes(function: Callable[..., None], *arguments: Any) -> None:
    """Call it in each of two processes that have met, as torchrun would."""
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_work, (f"file://{folder}/store", function, arguments), nprocs=2)  # type: ignore[no-untyped-call]


def _work(rank: int, store: str, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    function(*arguments)
    parallel.leave()


def train_all(root: Path, runs: dict[str, RunConfig], stopped: dict[str, RunConfig]) -> None:
    """Train runs until they end as their names say, others until the second process gets a signal in its third step.

    `normalise` as well.
    """
    world = parallel.join("cpu")
    for name, config in runs.items():
        assert training.train(config, root / name, QUIET) == ("diverged" if name == "diverged" else "finished")
    for name, config in stopped.items():
        with pytest.MonkeyPatch.context() as patch:
            if world.rank == 1:
                _signal_in_step(3, patch)
            assert training.train(config, root / name, QUIET) == "interrupted"
    normalise(root, world)


def _signal_in_step(number: int, patch: pytest.MonkeyPatch) -> None:
    original, steps = step.train_step, []

    def counted(*arguments: object) -> torch.Tensor:
        steps.append(1)
        if len(steps) == number:
            signal.raise_signal(signal.SIGTERM)
        return original(*arguments)  # type: ignore[arg-type]

    patch.setattr(step, "train_step", counted)


def batch() -> tuple[np.ndarray, np.ndarray]:
    """Eight images of three channels, each brighter than the one before, and a loss's slope along their batch norm."""
    random = np.random.default_rng(1)
    x = random.normal(size=(8, 3, 5, 5)) + np.arange(8)[:, None, None, None]
    return x.astype(np.float32), random.normal(size=x.shape).astype(np.float32)


def normalise(root: Path, world: World) -> None:
    """Both kinds of batch norm, forwards and backwards, on this process's share of 8 images, and of 5."""
    found: dict[str, torch.Tensor] = {}
    for images in (8, 5):
        network = nn.ModuleList([IterationNorm(3, 2), nn.BatchNorm2d(3)])
        world.share_moments(network)
        for name, norm, more in (("own", network[0], (0, "shared")), ("torch", network[1], ())):
            values = _normalise(norm, more, images, world)
            found |= {f"{name}.{images}.{key}": value.detach() for key, value in values.items()}
    files.write_tensors(root / f"norm-{world.rank}", found, {})


def _normalise(norm: Any, more: tuple[Any, ...], images: int, world: World) -> dict[str, torch.Tensor]:
    x, slope = (torch.from_numpy(array[:images]) for array in batch())
    share = world.share(images)
    part = x[share].clone().requires_grad_(True)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, -3.0]))
        norm.bias.copy_(torch.tensor([0.0, 1.0, 2.0]))
    y = norm(part, *more)
    processes = world.size if world.divided else 1
    (y * slope[share]).sum().mul(processes).backward()  # the mean over the processes is then the sum over the batch
    world.average_gradients(norm.parameters())
    assert part.grad is not None
    values = {"y": y, "x": part.grad / processes, "weight": norm.weight.grad, "bias": norm.bias.grad}
    return values | {"mean": norm.running_mean, "var": norm.running_var}
