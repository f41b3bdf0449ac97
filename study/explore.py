"""Trying a trained network: which one, on which picture, and what it has to show as time goes by."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agm import data, metrics, runs
from agm.config import DataConfig, Statistics
from agm.data import Part
from agm.data.images import Pixels, read_image, square
from agm.networks.generator import SCALE, Generator
from agm.runs import Run
from agm.schedule import Schedule
from study.profiles import Profile

SIDE, OWN_SIDE = 64, 128
"""Pixels of the sides of bundled photographs and of one's own pictures; the network sees half as many."""


@dataclass(frozen=True)
class Step:
    """One iteration: when its image, (3, H, W), is there, in seconds since the start, and how good it is, in dB."""

    iteration: int
    seconds: float
    psnr: float
    image: Tensor


def network(layers: str, schedule: str, profile: Profile) -> Run:
    """The run to try a model with: of those with weights, the widest that was trained with this schedule.

    Else the widest that was trained without AEL, or with another schedule; where there is none, one is trained under
    the profile. A model that no profile compares is refused with an AgmError.
    """
    wanted, whole = str(Schedule.parse(schedule)), str(Schedule.parse("NOAEL"))
    found = [run for run in runs.all_runs() if run.has_weights and run.config.generator.layers == layers]
    if not found:
        return runs.ensure([profile.run("cars", layers=layers)])[0]

    def rank(run: Run) -> tuple[bool, bool, int]:
        trained = run.config.training.schedule
        return trained == wanted, trained == whole, run.config.generator.width

    return max(found, key=rank)


def photographs(count: int = 12) -> list[Pixels]:
    """Bundled test photographs, (SIDE, SIDE, 3); no network here was trained on them."""
    wanted = DataConfig(dataset="photographs", image_size=SIDE, test_images=count)
    return list(data.splits(wanted).test.high)


def photograph(content: bytes, name: str, side: int = OWN_SIDE) -> Pixels:
    """One's own picture: its centred square, (side, side, 3). Raises AgmError if it cannot be read."""
    return square(read_image(io.BytesIO(content), name), side).copy()  # PIL lends its own memory, to be read only


def versions(pixels: Pixels) -> tuple[Tensor, Tensor, Tensor]:
    """What the network sees, bicubic upsampling of it, and the original: (3, H, W) each."""
    part = Part(np.zeros(1, dtype=int), pixels[None])
    low, enlarged, high = (data.to_tensor(images)[0] for images in (part.low, part.bicubic, part.high))
    return low, enlarged, high


@torch.no_grad()
def steps(
    generator: Generator, pixels: Pixels, schedule: Schedule, statistics: Statistics = "iteration"
) -> Iterator[Step]:
    """Every iteration as soon as it is computed; only computing counts, not what is done with the image."""
    low, _, high = versions(pixels)
    images = generator.eval().iterate(low[None], schedule, statistics)
    seconds = 0.0
    for iteration in range(1, len(schedule) + 1):
        started = time.perf_counter()
        image = next(images)[0]
        seconds += time.perf_counter() - started
        yield Step(iteration, seconds, quality(image, high), image)


def quality(image: Tensor, original: Tensor) -> float:
    """PSNR in dB; at most 100, so that it can be drawn."""
    return min(100.0, float(metrics.psnr(image, original)))


def in_time(found: Sequence[Step], deadline: float) -> Step | None:
    """The last image that is there after so many seconds, if any is."""
    return next((step for step in reversed(found) if step.seconds <= deadline), None)


def parse(text: str, layers: str) -> Schedule:
    """A schedule for a network with these layers. Raises AgmError if it does not fit."""
    schedule = Schedule.parse(text)
    schedule.check(layers)
    return schedule


def sides(pixels: Pixels) -> str:
    """The sizes in words."""
    side = len(pixels)
    return f"{side // SCALE} x {side // SCALE} to {side} x {side} pixels"
