"""Quality of each iteration's image over a set of images, and the time each iteration takes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agm import metrics
from agm.config import Statistics
from agm.data import Part, to_tensor
from agm.generator import Generator
from agm.machine import synchronize
from agm.schedule import Schedule

BATCH = 50
"""Images at a time. With batch statistics the result depends on it, so it is fixed."""

METRICS = ("mse", "psnr", "ssim")


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
    chunks: list[Quality] = []
    for start in range(0, len(part), BATCH):
        low = to_tensor(part.low[start : start + BATCH]).to(device)
        high = to_tensor(part.high[start : start + BATCH]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            images = torch.stack(list(generator.iterate(low, schedule, statistics)))  # (T, N, 3, H, W)
        chunks.append(_measure(images.float(), high))
    generator.train(was_training)
    return Quality(*(torch.cat([getattr(c, name) for c in chunks], dim=1).cpu() for name in METRICS))


def bicubic_baseline(part: Part) -> dict[str, float]:
    """Each metric of bicubic upsampling (Pillow, 8 bits), averaged over the images."""
    quality = _measure(to_tensor(part.bicubic), to_tensor(part.high))
    return {name: float(getattr(quality, name).double().mean()) for name in METRICS}


def _measure(images: Tensor, high: Tensor) -> Quality:
    # At most 100 dB (a mean error of a 400th of an 8-bit step): one perfect image must not make a mean infinite.
    # SSIM's convolutions subtract nearly equal numbers: on a GPU, TF32 would leave them too few digits.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        ssim = metrics.ssim(images, high)
    return Quality(metrics.mse(images, high), metrics.psnr(images, high).clamp(max=100), ssim)


@torch.no_grad()
def time_iterations(
    models: Mapping[str, tuple[Generator, Schedule]], image_size: int, repeats: int = 20, limit: float = 30.0
) -> dict[str, list[float]]:
    """Seconds until each iteration's image is there, for one image: T numbers by name.

    Every iteration's duration is its median over `repeats` rounds, and these are summed up: where other programs want
    the processor, too, a pause then touches one iteration of one round, not all that follow. The models take turns, so
    that a change in the machine's speed touches all of them alike. One round of warm-up; stops early, but not before
    three rounds, when `limit` seconds are over.
    """
    taken: dict[str, list[list[float]]] = {name: [] for name in models}
    started = time.perf_counter()
    for round_ in range(repeats + 1):
        for name, (generator, schedule) in models.items():
            durations = _durations(generator, schedule, image_size)
            if round_ > 0:
                taken[name].append(durations)
        if round_ >= 3 and time.perf_counter() - started > limit:
            break
    return {name: np.median(rounds, axis=0).cumsum().tolist() for name, rounds in taken.items()}


def _durations(generator: Generator, schedule: Schedule, image_size: int) -> list[float]:
    device = next(generator.parameters()).device
    x = to_tensor(np.full((1, image_size // 2, image_size // 2, 3), 128, dtype=np.uint8)).to(device)
    generator.eval()
    synchronize(device)
    moments = [time.perf_counter()]
    for _ in generator.iterate(x, schedule):
        synchronize(device)
        moments.append(time.perf_counter())
    return np.diff(moments).tolist()
