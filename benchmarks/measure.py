"""What is measured of any network: quality, time, operations, parameters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from agm import metrics
from agm.anytime.plain import Stepper
from agm.data import Part, to_tensor
from agm.evaluate import BATCH, Quality
from agm.generator import SCALE
from agm.schedule import Schedule

Iterate = Callable[[Tensor], Iterator[Tensor]]
"""x of (N, 3, H, W) -> the image of each iteration, (N, 3, 2H, 2W)."""

LIMIT = 120.0
"""Seconds for the timing of one size: no further round begins after them."""


def stepped(stepper: Stepper, schedule: Schedule) -> Iterate:
    """A prepared network of ours as a function."""

    def iterate(x: Tensor) -> Iterator[Tensor]:
        progress = stepper.start(x)
        for mask in schedule.masks:
            yield stepper.step(progress, mask)

    return iterate


@torch.inference_mode()
def quality(iterate: Iterate, part: Part) -> dict[str, list[float]]:
    """Each metric of each iteration, averaged over the images."""
    chunks = []
    for start in range(0, len(part), BATCH):
        high = to_tensor(part.high[start : start + BATCH])
        images = torch.stack(list(iterate(to_tensor(part.low[start : start + BATCH]))))  # (T, N, 3, 2H, 2W)
        psnr = metrics.psnr(images, high).clamp(max=100)
        chunks.append((metrics.mse(images, high), psnr, metrics.ssim(images, high)))
    return Quality(*(torch.cat(parts, dim=1) for parts in zip(*chunks, strict=True))).per_iteration()


@torch.inference_mode()
def take_turns(models: Mapping[str, Iterate], size: int, rounds: int) -> tuple[dict[str, list[float]], int]:
    """Seconds until each iteration's image, for one input of size x size, and the number of rounds.

    As `agm.evaluate.time_iterations`: the sums of each iteration's median over the rounds, after one to warm up.
    """
    x = torch.rand(1, 3, size, size)
    taken: dict[str, list[list[float]]] = {name: [] for name in models}
    started = time.perf_counter()
    for round_ in tqdm(range(rounds + 1), desc=f"{size} x {size}", unit="round", disable=None):
        for name, iterate in models.items():
            moments = [time.perf_counter()]
            moments += [time.perf_counter() for _ in iterate(x)]
            if round_ > 0:
                taken[name].append(np.diff(moments).tolist())
        if round_ >= 5 and time.perf_counter() - started > LIMIT:
            break
    return {name: np.median(rows, axis=0).cumsum().tolist() for name, rows in taken.items()}, round_


@torch.inference_mode()
def macs_per_pixel(iterate: Iterate, size: int) -> list[float]:
    """Of the convolutions until each iteration's image, for an input of size x size."""
    found = []
    with FlopCounterMode(display=False) as counter:
        for _ in iterate(torch.rand(1, 3, size, size)):
            found.append(counter.get_total_flops() / 2 / (SCALE * size) ** 2)
    return found


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
