"""The animated picture that README.md and the book show: the network's latest image beside bicubic upsampling.

    python -m study.figures.animation

writes book/_static/race.webp and, for readers who want nothing to move, race.png: a part of bicubic upsampling, of the
first image and of the last one. Both are committed.
The network is the default one of `agm upscale`; its times are measured here, on one core.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from agm import data, files
from agm.anytime.upscaler import AnytimeUpscaler
from agm.data.images import halved
from study.figures import style
from study.figures.film import Film, Row, latest, photograph, versions

OUT = Path(__file__).parents[2] / "book" / "_static"
PHOTOGRAPH, SIDE, ROUNDS = "coffee", 192, 20
FRAMES, SECONDS, REST = 49, 9.0, 3.0
SIZE, STILL, DOTS = (8.0, 6.6), (8.0, 5.8), 100
"""Inches of a frame and of the still, dots per inch: letters are large enough on a telephone, at half the size."""
PART = (130, 29, 174, 73)
"""The part of the photograph that the still enlarges: left, top, right, bottom, in pixels. Images differ there."""


def main() -> None:
    torch.set_num_threads(1)
    row = race(AnytimeUpscaler.load(timed=False))
    files.write_bytes(OUT / "race.webp", encode(frames(row, FRAMES), SECONDS, REST))
    buffer = io.BytesIO()
    still(row).save(buffer, "PNG", optimize=True)
    files.write_bytes(OUT / "race.png", buffer.getvalue())


def race(upscaler: AnytimeUpscaler) -> Row:
    """The upscaler's film of the photograph, halved first, and the milliseconds until each image.

    That is the shortest of some rounds, since whatever else runs here only adds to it.
    """
    pixels = photograph(PHOTOGRAPH, SIDE)
    rounds = [list(upscaler.stream(halved(pixels)))[1:] for _ in range(ROUNDS)]
    images = data.to_tensor(np.stack([np.asarray(made.image) for made in rounds[0]]))
    low, bicubic, original = versions(pixels)
    milliseconds = np.min([[1000 * made.elapsed for made in streamed] for streamed in rounds], axis=0)
    return Film(original, low, bicubic, images), milliseconds.tolist()


def frames(row: Row, count: int) -> list[Image.Image]:
    """`count` frames at equal time steps, from 0 to a little after the last image."""
    end = 1.05 * row[1][-1]
    return [frame(row, moment, end) for moment in np.linspace(0, end, count)]


def frame(row: Row, moment: float, end: float) -> Image.Image:
    """One frame: bicubic upsampling, the latest image, and the curve of PSNR so far.

    All that changes between frames lies close together, which keeps the file small.
    """
    film, milliseconds = row
    t = latest(milliseconds, moment)
    caption = f"picture {t} of {len(milliseconds)}, {film.psnr(t):.2f} dB" if t else "nothing yet"
    with style.context():
        fig = Figure(figsize=SIZE, dpi=DOTS)
        fig.text(0.97, 0.245, f"{moment:.0f} ms", ha="right", fontsize=22)
        fig.text(0.02, 0.25, "PSNR, dB", fontsize=15)
        places = [fig.add_axes((left, 0.365, 0.47, 0.47 * SIZE[0] / SIZE[1])) for left in (0.02, 0.51)]
        _picture(places[0], film.bicubic, "bicubic upsampling", f"{film.psnr(0):.2f} dB", style.FAINT)
        _picture(places[1], film.shown(t), "the network", caption, style.BLUE, pale=not t)
        _curve(fig.add_axes((0.07, 0.1, 0.88, 0.13)), row, moment, end)
        return _drawn(fig)


def still(row: Row) -> Image.Image:
    """A part of bicubic upsampling, of the first image and of the last one; below them the curve of PSNR."""
    film, milliseconds = row
    left, top, right, bottom = PART
    last = len(milliseconds)
    shown = {"bicubic upsampling": 0, f"first picture, {milliseconds[0]:.0f} ms": 1}
    shown[f"last picture, {milliseconds[-1]:.0f} ms"] = last
    with style.context():
        fig = Figure(figsize=STILL, dpi=DOTS)
        for place, (name, t) in enumerate(shown.items()):
            ax = fig.add_axes((0.02 + 0.325 * place, 0.49, 0.31, 0.31 * STILL[0] / STILL[1]))
            colour = style.BLUE if t else style.FAINT
            _picture(ax, film.shown(t)[:, top:bottom, left:right], name, f"{film.psnr(t):.1f} dB", colour, size=15)
        fig.text(0.02, 0.385, "PSNR, dB", fontsize=15)
        _curve(fig.add_axes((0.07, 0.1, 0.9, 0.27)), row, math.inf, 1.05 * milliseconds[-1])
        return _drawn(fig)


def _drawn(fig: Figure) -> Image.Image:
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=DOTS)
    return Image.open(buffer).convert("RGB")


def encode(pictures: Sequence[Image.Image], seconds: float, rest: float) -> bytes:
    """An animated WebP of `seconds`, which shows its last frame for `rest` seconds and repeats."""
    each = round(1000 * seconds / len(pictures))
    lengths = [each] * (len(pictures) - 1) + [round(1000 * rest)]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "WEBP", save_all=True, append_images=pictures[1:], duration=lengths, quality=75, method=6)
    return buffer.getvalue()


def _picture(ax: Axes, image: Tensor, name: str, caption: str, colour: str, pale: bool = False, size: int = 17) -> None:
    ax.set_axis_off()
    pixels = image.permute(1, 2, 0).numpy()  # (3, H, W) -> (H, W, 3)
    ax.imshow(pixels, interpolation="nearest", alpha=0.3 if pale else 1.0)
    ax.set_title(name, loc="left", fontsize=size, color=colour)
    ax.text(0, -0.03, caption, transform=ax.transAxes, va="top", fontsize=size)


def _curve(ax: Axes, row: Row, moment: float, end: float) -> None:
    """PSNR of the images so far. The axes are the same in all frames."""
    film, milliseconds = row
    values = [film.psnr(t) for t in range(len(milliseconds) + 1)]
    margin = 0.12 * (max(values) - min(values))
    ax.set(xlim=(0, end), ylim=(min(values) - margin, max(values) + margin))
    style.baseline(ax, values[0])
    ax.text(0.85 * end, values[0], "bicubic", ha="right", va="bottom", fontsize=15, color=style.FAINT)
    t = latest(milliseconds, moment)
    ax.plot(milliseconds[:t], values[1 : t + 1], color=style.BLUE, marker="o", markersize=8, linewidth=2.2)
    if moment < end:
        ax.axvline(moment, color=style.FAINT, linewidth=1.0)
    ax.set_xlabel("ms", fontsize=15, loc="right", labelpad=-2)
    ax.tick_params(labelsize=15)
    ax.locator_params(axis="y", nbins=4)


if __name__ == "__main__":
    main()
