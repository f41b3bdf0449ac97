"""The interface between the upscaler and a network: start an image, do one iteration. `Plain` does both in torch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from agm.config import STATISTICS, GeneratorConfig, Statistics
from agm.errors import AgmError, unknown
from agm.networks.generator import SCALE, Context, Generator, Memory
from agm.networks.layers import KINDS
from agm.schedule import Mask, Schedule


class Stepper(Protocol):
    """A trained network that goes through its iterations one by one; what it has reached lies in `progress`."""

    def start(self, x: Tensor) -> Any:
        """x: (N, 3, H, W) in [0, 1] -> progress before the first iteration."""

    def step(self, progress: Any, mask: Mask) -> Tensor:
        """One iteration with the active layers of `mask` -> its image, (N, 3, 2H, 2W), not clamped."""


def iterate(stepper: Stepper, schedule: Schedule, x: Tensor) -> Iterator[Tensor]:
    """Yield the image of each iteration, as `Generator.iterate` does, and of a second look, if the stepper takes one.

    x: (N, 3, H, W) in [0, 1].
    """
    progress = stepper.start(x)
    for mask in masks_of(stepper, schedule):
        yield stepper.step(progress, mask)


@dataclass
class Progress:
    """Inference state between iterations."""

    context: Context
    memory: Memory
    t: int = 0


class Plain:
    """`Generator.iterate`, one iteration at a time: the same bits."""

    def __init__(self, generator: Generator, statistics: Statistics = "iteration") -> None:
        """Raises AgmError for batch statistics: an image, and each of its tiles, would come out in its own colours."""
        check_statistics(statistics)
        self.generator, self.statistics = generator.eval(), statistics

    @torch.inference_mode()
    def start(self, x: Tensor) -> Progress:
        context = self.generator.encode(x, self.statistics)
        return Progress(context, self.generator.first_memory(x, context))

    @torch.inference_mode()
    def step(self, progress: Progress, mask: Mask) -> Tensor:
        memory, t = progress.memory, progress.t
        image, progress.memory = self.generator.step(progress.context, memory, mask, t, self.statistics)
        progress.t += 1
        return image


class Mirrored:
    """A stepper that sees its image continued as in a mirror, so that nothing of the network's zeros outside shows.

    The lighter base does without: its training crops had zeros outside, too, and it only corrects bicubic upsampling.
    """

    MARGIN = 8

    def __init__(self, stepper: Stepper) -> None:
        self.stepper = stepper

    def start(self, x: Tensor) -> Any:
        # "symmetric": the border comes twice, since halving takes pixels in pairs; torch's "reflect" has it once.
        around = ((0, 0), (0, 0), (self.MARGIN, self.MARGIN), (self.MARGIN, self.MARGIN))
        return self.stepper.start(torch.from_numpy(np.pad(x.cpu().numpy(), around, "symmetric")).to(x.device))

    def step(self, progress: Any, mask: Mask) -> Tensor:
        inside = slice(SCALE * self.MARGIN, -SCALE * self.MARGIN)
        return self.stepper.step(progress, mask)[..., inside, inside]


AGAIN: Mask = ()
"""Stands for the second look after the last iteration."""


@dataclass
class Looks:
    """`x`: the input, (N, 3, H, W); `progress`: the network's at the first look; `image`: its last one, at first x."""

    x: Tensor
    progress: Any
    image: Tensor


class Twice:
    """A stepper that can look at its image a second time, upside down: `AGAIN` gives the mean of both last images.

    A network that was trained on turned images errs differently then, and the mean errs less: the self-ensemble of Lim
    et al., Enhanced Deep Residual Networks (2017), with two of its eight views.
    """

    def __init__(self, stepper: Stepper, schedule: Schedule) -> None:
        self.stepper, self.schedule = stepper, schedule

    def start(self, x: Tensor) -> Looks:
        return Looks(x, self.stepper.start(x), x)

    def step(self, progress: Looks, mask: Mask) -> Tensor:
        if mask == AGAIN:
            (turned,) = deque(iterate(self.stepper, self.schedule, progress.x.flip(2, 3)), maxlen=1)
            return (progress.image + turned.flip(2, 3)) / 2
        progress.image = self.stepper.step(progress.progress, mask)
        return progress.image


def masks_of(stepper: Stepper, schedule: Schedule) -> tuple[Mask, ...]:
    """The masks of a schedule, and `AGAIN` where the stepper takes a second look."""
    return (*schedule.masks, AGAIN) if isinstance(stepper, Twice) else schedule.masks


def check_statistics(statistics: str) -> None:
    if statistics == "batch":
        raise AgmError("statistics 'batch' are those of many images at once; choose iteration, precise or shared")
    if statistics not in STATISTICS:
        raise unknown("statistics", statistics, STATISTICS)


def held_bytes(config: GeneratorConfig, schedules: Iterable[Schedule]) -> int:
    """Memory of a stepper's progress and one more image between iterations, in bytes per input pixel, at most.

    Features, states, the last image and the new one, and what the engine keeps for the lowest active layer.
    """
    floats = config.width + 3 * 4 * 2 + (3 * 4 if config.residual or config.feedback == "bicubic" else 0)
    floats += config.width if config.feedback == "features" else 0
    # (channels / width) x (pixels / input pixels) of the layers' outputs
    sizes = (2, 2, 2, 1) if config.base == "light" else (2, 2, 2 * 4, 4)
    states = sum(KINDS[letter].states * sizes[i] for i, letter in enumerate(config.layers))
    lowest = {mask.index(True) for schedule in schedules for mask in schedule}
    share = max(sizes[i] * (4 if config.layers[i] == "r" else 1) for i in lowest)  # 4 gates
    return 4 * (floats + config.width * (states + share))
