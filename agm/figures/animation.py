"""Films side by side as time passes: an animated picture of what each of them has to show at every moment."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from agm.figures import style
from agm.films import Row, latest

SIZE, DOTS = (8.0, 6.6), 100
"""Inches, and dots per inch: large enough letters where a telephone shows it at half its size."""

LOOKS = ((style.BLUE, "-", "o"), (style.VERMILLION, "-", "X"))
"""Of the curve on the left and on the right, as in the figures of the book."""


def frames(rows: Mapping[str, Row], count: int) -> list[Image.Image]:
    """So many pictures at equal distances of time, from 0 to the last image of all. Two rows, by name."""
    end = max(milliseconds[-1] for _, milliseconds in rows.values())
    return [frame(rows, moment, end) for moment in np.linspace(0, end, count)]


def frame(rows: Mapping[str, Row], moment: float, end: float) -> Image.Image:
    """What there is at a moment: the two latest images, and how good all were until then.

    What changes from frame to frame is close together, which keeps the file small.
    """
    with style.context():
        fig = Figure(figsize=SIZE, dpi=DOTS)
        fig.text(0.97, 0.245, f"{moment:.0f} ms", ha="right", fontsize=22)
        fig.text(0.02, 0.25, "PSNR, dB", fontsize=15)
        curves = fig.add_axes((0.07, 0.1, 0.9, 0.13))
        for left, (name, row), look in zip((0.02, 0.51), rows.items(), LOOKS, strict=True):
            _picture(fig.add_axes((left, 0.365, 0.47, 0.47 * SIZE[0] / SIZE[1])), name, row, moment, look[0])
            _curve(curves, row, moment, look)
        _finish(curves, rows, moment, end)
        buffer = io.BytesIO()
        fig.savefig(buffer, format="png", dpi=DOTS)
    return Image.open(buffer).convert("RGB")


def encode(pictures: Sequence[Image.Image], seconds: float, rest: float, quality: int = 75) -> bytes:
    """An animated WebP that lasts so many seconds, rests on its last picture, and begins again."""
    each = round(1000 * seconds / len(pictures))
    lengths = [each] * (len(pictures) - 1) + [round(1000 * rest)]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, "WEBP", save_all=True, append_images=pictures[1:], duration=lengths, loop=0, quality=quality, method=6
    )
    return buffer.getvalue()


def _picture(ax: Axes, name: str, row: Row, moment: float, colour: str) -> None:
    film, milliseconds = row
    t = latest(milliseconds, moment)
    ax.set_axis_off()
    pixels = film.shown(t).permute(1, 2, 0).numpy()  # (3, H, W) -> (H, W, 3)
    ax.imshow(pixels, interpolation="bilinear", alpha=1.0 if t else 0.3)
    ax.set_title(name, loc="left", fontsize=17, color=colour)
    words = f"iteration {t} of {len(milliseconds)}, {film.psnr(t):.1f} dB" if t else "nothing yet (bicubic, pale)"
    ax.text(0, -0.03, words, transform=ax.transAxes, va="top", fontsize=17)


def _curve(ax: Axes, row: Row, moment: float, look: tuple[str, str, str]) -> None:
    film, milliseconds = row
    t = latest(milliseconds, moment)
    colour, line, marker = look
    quality = [film.psnr(i) for i in range(1, t + 1)]
    ax.plot(milliseconds[:t], quality, color=colour, linestyle=line, marker=marker, markersize=8, linewidth=2.2)


def _finish(ax: Axes, rows: Mapping[str, Row], moment: float, end: float) -> None:
    """Axes that stay the same from the first picture to the last."""
    films = [film for film, _ in rows.values()]
    values = [film.psnr(t) for film in films for t in range(len(film.images) + 1)]
    margin = 0.12 * (max(values) - min(values))
    ax.set(xlim=(0, 1.02 * end), ylim=(min(values) - margin, max(values) + 2 * margin))
    style.baseline(ax, films[0].psnr(0))
    ax.text(0.85 * end, films[0].psnr(0), "bicubic", ha="right", va="bottom", fontsize=15, color=style.FAINT)
    ax.axvline(moment, color=style.FAINT, linewidth=1.0)
    ax.set_xlabel("ms", fontsize=15, loc="right", labelpad=-2)
    ax.tick_params(labelsize=15)
    ax.locator_params(axis="y", nbins=4)
