"""Quality of each iteration's image over a set of images, and the time each iteration takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from agm import metrics
from agm.config import Statistics
from agm.data import Part, to_tensor
from agm.machine import synchronize
from agm.networks.generator import Generator
from agm.schedule import Schedule

BATCH = 50
"""Images at a time. With batch statistics the result depends on it, so it is fixed."""

METRICS = ("mse", "psnr", "ssim")

Iterate = Callable[[Tensor], Iterable[Tensor]]
"""x of (N, 3, H, W) -> the image of each iteration, (N, 3, 2H, 2W), as soon as it is computed."""


@dataclass(frozen=True)
class Quality:
    """Metrics of every iteration and image, each of shape (T, N)."""

    mse: Tensor
    psnr: Tensor
    ssim: Tensor

    def per_iteration(self) -> dict[str, list[float]]:
        """Each metric averaged over the images: T numbers."""
        return {name: getattr(self, name).double().mean(dim=1).tolist() for name in METRICS}


@torch.no_grad()
def evaluate(
    generator: Generator, part: Part, schedule: Schedule, statistics: Statistics | None = None, precision: str = "32"
) -> Quality:
    """Run a generator over all images of a part, on the generator's own device."""
    device = next(generator.parameters()).device
    was_training = generator.training
    generator.eval()

    def images(cut: slice) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            return torch.stack(list(generator.iterate(to_tensor(part.low[cut]).to(device), schedule, statistics)))

    found = quality(images, part)
    generator.train(was_training)
    return found


def bicubic_baseline(part: Part) -> dict[str, float]:
    """Each metric of bicubic upsampling (Pillow, 8 bits), averaged over the images."""
    found = quality(lambda cut: to_tensor(part.bicubic[cut])[None], part).per_iteration()
    return {name: values[0] for name, values in found.items()}


def quality(made: Callable[[slice], Tensor], part: Part) -> Quality:
    """Metrics of images (T, N, 3, H, W) that a function makes of one slice of the part after the other."""
    chunks = []
    for start in range(0, len(part), BATCH):
        cut = slice(start, start + BATCH)
        images = made(cut).float()
        high = to_tensor(part.high[cut]).to(images.device)
        psnr = metrics.psnr(images, high).clamp(max=metrics.MOST_PSNR)  # else one perfect image makes a mean infinite
        # SSIM's convolutions subtract nearly equal numbers: on a GPU, TF32 would leave them too few digits.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            chunks.append((metrics.mse(images, high), psnr, metrics.ssim(images, high)))
    return Quality(*(torch.cat(values, dim=1).cpu() for values in zip(*chunks, strict=True)))


@torch.no_grad()
def time_iterations(
    models: Mapping[str, tuple[Generator, Schedule]], image_size: int, repeats: int = 20, limit: float = 30.0
) -> dict[str, list[float]]:
    """Seconds until each iteration's image is there, for one image: `until_each` of generators on one device."""
    device = next(next(iter(models.values()))[0].parameters()).device
    x = to_tensor(np.full((1, image_size // 2, image_size // 2, 3), 128, dtype=np.uint8)).to(device)
    iterates = {name: partial(generator.eval().iterate, schedule=plan) for name, (generator, plan) in models.items()}
    return until_each(durations(iterates, x, range(repeats + 1), limit))


def until_each(taken: Mapping[str, list[list[float]]]) -> dict[str, list[float]]:
    """`durations`, (rounds, T) by name -> seconds until each iteration's image, T numbers by name.

    Every iteration's duration is its median over the rounds, and these are summed up: where other programs want
    the processor, too, a pause then touches one iteration of one round, not all that follow.
    """
    return {name: np.median(rows, axis=0).cumsum().tolist() for name, rows in taken.items()}


def durations(
    models: Mapping[str, Iterate],
    x: Tensor,
    rounds: Iterable[int],
    limit: float,
    least: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[list[float]]]:
    """Seconds that each iteration takes for x, in each round, by a clock: (rounds, T) by name.

    The models take turns, so that a change in the machine's speed touches all of them alike. Round 0 is for warming
    up; it stops early, but not before so many rounds at `least`, when `limit` seconds are over.
    """
    taken: dict[str, list[list[float]]] = {name: [] for name in models}
    started = time.perf_counter()
    for round_ in rounds:
        for name, iterate in models.items():
            found = _durations(iterate, x, clock)
            if round_ > 0:
                taken[name].append(found)
        if round_ >= least and time.perf_counter() - started > limit:
            break
    return taken


def _durations(iterate: Iterate, x: Tensor, clock: Callable[[], float]) -> list[float]:
    synchronize(x.device)
    moments = [clock()]
    for _ in iterate(x):
        synchronize(x.device)
        moments.append(clock())
    return np.diff(moments).tolist()
