"""The animated picture that README.md and the book show: the network's latest image beside bicubic upsampling.

    python -m study.figures.animation

writes book/_static/race.webp and, for readers who want nothing to move, its last frame, race.png. Both are committed.
The network is the default one of `agm upscale`; its times are measured here, on one core.
"""

from __future__ import annotations

import io
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
SIZE, DOTS = (8.0, 6.6), 100
"""Inches, and dots per inch: large enough letters where a telephone shows it at half its size."""


def main() -> None:
    torch.set_num_threads(1)
    pictures = frames(race(AnytimeUpscaler.load(timed=False)), FRAMES)
    files.write_bytes(OUT / "race.webp", encode(pictures, SECONDS, REST))
    still = io.BytesIO()
    pictures[-1].save(still, "PNG", optimize=True)
    files.write_bytes(OUT / "race.png", still.getvalue())


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


def _picture(ax: Axes, image: Tensor, name: str, caption: str, colour: str, pale: bool = False) -> None:
    ax.set_axis_off()
    pixels = image.permute(1, 2, 0).numpy()  # (3, H, W) -> (H, W, 3)
    ax.imshow(pixels, interpolation="nearest", alpha=0.3 if pale else 1.0)
    ax.set_title(name, loc="left", fontsize=17, color=colour)
    ax.text(0, -0.03, caption, transform=ax.transAxes, va="top", fontsize=17)


def _curve(ax: Axes, row: Row, moment: float, end: float) -> None:
    """PSNR of the images so far. The axes are the same in all frames."""
    film, milliseconds = row
    values = [film.psnr(t) for t in range(len(milliseconds) + 1)]
    margin = 0.12 * (max(values) - min(values))
    ax.set(xlim=(0, end), ylim=(min(values) - margin, max(values) + 2 * margin))
    style.baseline(ax, values[0])
    ax.text(0.85 * end, values[0], "bicubic", ha="right", va="bottom", fontsize=15, color=style.FAINT)
    t = latest(milliseconds, moment)
    ax.plot(milliseconds[:t], values[1 : t + 1], color=style.BLUE, marker="o", markersize=8, linewidth=2.2)
    ax.axvline(moment, color=style.FAINT, linewidth=1.0)
    ax.set_xlabel("ms", fontsize=15, loc="right", labelpad=-2)
    ax.tick_params(labelsize=15)
    ax.locator_params(axis="y", nbins=4)


if __name__ == "__main__":
    main()
