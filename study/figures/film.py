"""Iteration sequences, called films: the images that a network makes of a photograph; images side by side."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor

from agm import data, metrics
from agm.data.bundled import shipped
from agm.data.images import Pixels, square
from agm.errors import unknown
from agm.networks.generator import Generator
from agm.runs import Run
from agm.schedule import Schedule
from study.figures import style

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels, the last two exclusive."""

PHOTOGRAPHS: dict[str, tuple[str, Box]] = {
    "astronaut": ("astronaut.png", (90, 10, 346, 266)),
    "cat": ("chelsea.png", (75, 0, 375, 300)),
    "coffee": ("coffee.png", (100, 0, 500, 400)),
    "motorcycle": ("motorcycle_left.png", (60, 40, 500, 480)),
}
"""Photographs that scikit-image ships, and the square that is taken of each. No recorded run was trained on them."""


def versions(pixels: Pixels) -> tuple[Tensor, Tensor, Tensor]:
    """A photograph at half its size, as a network sees it; bicubic upsampling of that; the original. (3, H, W) each."""
    part = data.Part(pixels[None])
    low, enlarged, high = (data.to_tensor(images.copy())[0] for images in (part.low, part.bicubic, part.high))
    return low, enlarged, high


@dataclass(frozen=True)
class Film:
    """A photograph, original: (3, H, W); its low and bicubic versions; images: (T, 3, H, W). All in [0, 1]."""

    original: Tensor
    low: Tensor
    bicubic: Tensor
    images: Tensor

    def shown(self, iteration: int) -> Tensor:
        """The image of an iteration, counted from 1; 0 is bicubic upsampling."""
        return self.images[iteration - 1] if iteration else self.bicubic

    def psnr(self, iteration: int) -> float:
        """PSNR of `shown` in dB; at most `MOST_PSNR`, so that it can be drawn."""
        return min(metrics.MOST_PSNR, float(metrics.psnr(self.shown(iteration), self.original)))

    def tint(self, iteration: int) -> float:
        """The share (0 to 1) of the squared error that one constant per colour channel would remove."""
        error = self.shown(iteration) - self.original
        return float(error.mean(dim=(1, 2)).square().mean() / error.square().mean())  # over H, W; over colours


Row = tuple[Film, Sequence[float]]
"""A film, and the milliseconds until each of its images."""


def photograph(name: str, size: int) -> Pixels:
    """One of PHOTOGRAPHS, (size, size, 3). Raises AgmError for another name."""
    if name not in PHOTOGRAPHS:
        raise unknown("photograph", name, PHOTOGRAPHS)
    file, box = PHOTOGRAPHS[name]
    return square(shipped(file).crop(box), size)


@torch.no_grad()
def timed(generator: Generator, schedule: Schedule, pixels: Pixels) -> Row:
    """The film that a generator makes of a picture, halved first, and the milliseconds until each image."""
    low, bicubic, original = versions(pixels)
    images, milliseconds = [], []
    started = time.perf_counter()
    for image in generator.eval().iterate(low[None], schedule, "iteration"):
        milliseconds.append(1000 * (time.perf_counter() - started))
        images.append(image[0])
    return Film(original, low, bicubic, torch.stack(images).clamp(0, 1)), milliseconds


def of_run(run: Run, name: str, size: int = 192) -> Film:
    """The film that a run's network makes of one of PHOTOGRAPHS under the run's schedule; `size` is even."""
    return timed(run.generator(), run.config.schedule, photograph(name, size))[0]


def latest(milliseconds: Sequence[float], moment: float) -> int:
    """The last iteration that is finished at a moment, from when each one finishes; 0 if none is."""
    return bisect_right(milliseconds, moment)


def strip(pictures: Sequence[Tensor], captions: Sequence[str], columns: int = 4) -> Figure:
    """Images of (3, H, W) in [0, 1], clamped, row by row, with a caption under each."""
    lines = 1 + max(caption.count("\n") for caption in captions)
    rows = (len(pictures) + columns - 1) // columns
    with style.context():
        fig = style.figure(0.5 + rows * (lines * 0.19 + style.WIDTH / columns))
        axes = fig.subplots(rows, columns, squeeze=False)
        for ax in axes.flat:
            ax.set_axis_off()
        for ax, picture, caption in zip(axes.flat, pictures, captions, strict=False):
            pixels = picture.detach().clamp(0, 1).permute(1, 2, 0)  # (3, H, W) -> (H, W, 3)
            ax.imshow(pixels.numpy(), interpolation="none")
            ax.text(0.5, -0.06, caption, transform=ax.transAxes, ha="center", va="top", fontsize=style.SMALL)
    return fig
