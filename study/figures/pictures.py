"""Images that networks make of photographs: all iterations, and crops with error maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import transforms
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from agm import runs
from agm.errors import AgmError
from agm.paths import results_folder
from agm.runs import Run
from agm.schedule import Schedule
from study import experiments, profiles
from study.aggregate import Numbers
from study.figures import style
from study.figures.film import Box, Film

WORST = 0.15
"""Top of the error scale, which all maps share; larger errors get its last colour."""

COLOURS = "magma"
"""A colour map that is perceptually uniform and keeps its order in grey print."""

GAP, LINE, STAMP_LINE = 0.07, 0.17, 0.16
"""Inches: between cells; a line of a caption; a line of the stamp."""


def recorded(profile: str, layers: str, schedule: str) -> Run:
    """The first recorded run of a model under a schedule, with its weights. Raises AgmError if they are not there."""
    config = experiments.plan("order", profiles.load(profile), layers=layers, schedule=schedule)[0]
    run = runs.find(config, results_folder() / profile)
    if run is None or not run.has_weights:
        raise AgmError(f"the weights of {layers} under {schedule} are not recorded under profile {profile!r}")
    return run


def numbers(films: Mapping[str, Film]) -> Numbers:
    """For each film `KEY_bicubic_psnr`, `KEY_best_psnr`, and for iteration N `KEY_N_tint` in percent.

    `KEY_above_bicubic`: how many iterations have a higher PSNR than bicubic.
    """
    found: Numbers = {}
    for key, made in films.items():
        bicubic, *values = (made.psnr(t) for t in range(len(made.images) + 1))
        found |= {f"{key}_{t}_tint": 100 * made.tint(t) for t in range(1, len(values) + 1)}
        found |= {f"{key}_bicubic_psnr": bicubic, f"{key}_best_psnr": max(values)}
        found[f"{key}_above_bicubic"] = sum(value > bicubic for value in values)
    return found


def sheet(films: Mapping[str, Film], schedule: Schedule, box: Box, stamp: str) -> Figure:
    """A column per film of one photograph, a row per iteration; above them input, bicubic upsampling and original.

    `box`: the part of the photograph that is shown, in pixels; even, since the input is cropped too.
    """
    first = next(iter(films.values()))
    with style.context():
        lines = [2] + [1] * len(first.images)
        fig, axes = _grid(lines, len(films), stamp, left=0.45, box=box, between=0.4)
        _show(axes[0][0], _crop(first.low, _half(box)), "input")
        _show(axes[0][1], _crop(first.bicubic, box), f"bicubic\n{_db(first, 0)}")
        _show(axes[0][2], _crop(first.original, box), "original")
        for t, (row, pattern) in enumerate(zip(axes[1:], schedule.patterns, strict=True), 1):
            for ax, film in zip(row, films.values(), strict=True):
                _show(ax, _crop(film.shown(t), box), _db(film, t))
            _write(row[0], -0.06, 0.5, f"{t}\n{pattern}", ha="right", va="center")
        for ax, name in zip(axes[1], films, strict=True):
            ax.set_title(name, loc="center", pad=4)
    return fig


def zoom(film: Film, box: Box, stamp: str, shown: Sequence[int] = (1, 3, 10)) -> Figure:
    """The photograph with a crop; the crop by bicubic upsampling and by some iterations, and their error maps.

    `box`: the crop, in pixels of the photograph; even, since the input is cropped too.
    """
    with style.context():
        fig, axes = _grid([1, 2, 1], max(4, 1 + len(shown)), stamp)
        _show(axes[0][0], film.original, "photograph")
        _frame(axes[0][0], box)
        _show(axes[0][1], _crop(film.original, box), "original")
        _show(axes[0][2], _crop(film.low, _half(box)), "input")
        for upper, lower, t in zip(axes[1], axes[2], (0, *shown), strict=False):
            _show(upper, _crop(film.shown(t), box), f"{_name(t)}\n{_db(film, t)}")
            _show_error(lower, _crop((film.shown(t) - film.original).abs().mean(dim=0), box))  # (3, H, W) -> (H, W)
        _colour_bar(fig, axes[0][3])
    return fig


def _grid(
    lines: Sequence[int],
    columns: int,
    stamp: str,
    left: float = 0.0,
    box: Box = (0, 0, 1, 1),
    between: float = 0.0,
) -> tuple[Figure, list[list[Axes]]]:
    """A figure with cells in the proportions of `box`, as large as they need.

    `lines`: lines of caption below each row. Space in inches: `left` for labels, `between` above the second row.
    """
    width = (style.WIDTH - left - GAP * (columns + 1)) / columns
    height = width * (box[3] - box[1]) / (box[2] - box[0])
    top = 0.1 + STAMP_LINE * len(style.wrapped(stamp).splitlines()) + 0.08
    tops = [top + sum(lines[:i]) * LINE + i * (height + GAP) + between * (i > 0) for i in range(len(lines))]
    total = tops[-1] + height + lines[-1] * LINE + GAP
    fig = Figure(figsize=(style.WIDTH, total))
    style.write_stamp(fig, stamp, 1 - 0.1 / total)
    inches = style.WIDTH, total, style.WIDTH, total
    cells = []
    for y in tops:
        places = [(left + GAP + column * (width + GAP), total - y - height, width, height) for column in range(columns)]
        cells.append([fig.add_axes(tuple(np.divide(place, inches))) for place in places])
    for ax in fig.axes:
        ax.set_axis_off()
    return fig, cells


def _show(ax: Axes, picture: Tensor, caption: str) -> None:
    """Show a picture of (3, H, W) with a caption."""
    ax.imshow(picture.permute(1, 2, 0).numpy(), interpolation="none", aspect="auto")  # (3, H, W) -> (H, W, 3)
    _write(ax, 0.5, 0.0, caption, ha="center", va="top")


def _show_error(ax: Axes, error: Tensor) -> None:
    """Show an error map of (H, W) on the common scale, with its mean as caption."""
    ax.imshow(error.numpy(), cmap=COLOURS, norm=Normalize(0, WORST), interpolation="none", aspect="auto")
    _write(ax, 0.5, 0.0, f"mean {float(error.mean()):.3f}", ha="center", va="top")


def _frame(ax: Axes, box: Box) -> None:
    """Outline the crop on the whole photograph."""
    left, top, right, bottom = box
    for colour, width in (("black", 2.6), ("white", 1.3)):  # to be seen on light and on dark
        corner = left - 0.5, top - 0.5
        ax.add_patch(Rectangle(corner, right - left, bottom - top, fill=False, edgecolor=colour, linewidth=width))


def _colour_bar(fig: Figure, ax: Axes) -> None:
    """Draw the scale of errors in an empty cell."""
    scale = ScalarMappable(Normalize(0, WORST), COLOURS)
    bar = fig.colorbar(scale, cax=ax.inset_axes((0.2, 0.0, 0.14, 1.0)), extend="max")
    bar.set_ticks([0, WORST / 3, 2 * WORST / 3, WORST])
    bar.set_label("absolute error")


def _write(ax: Axes, x: float, y: float, text: str, **where: Any) -> None:
    """Write text at a place in the panel's coordinates; text below the panel keeps a small distance."""
    down = transforms.ScaledTranslation(0, -2.5 / 72 * (where["va"] == "top"), ax.figure.dpi_scale_trans)
    ax.text(x, y, text, transform=ax.transAxes + down, fontsize=style.SMALL, linespacing=1.1, **where)


def _half(box: Box) -> Box:
    left, top, right, bottom = box
    return left // 2, top // 2, right // 2, bottom // 2


def _crop(picture: Tensor, box: Box) -> Tensor:
    """(..., H, W) -> (..., bottom - top, right - left)."""
    left, top, right, bottom = box
    return picture[..., top:bottom, left:right]


def _name(iteration: int) -> str:
    return f"iteration {iteration}" if iteration else "bicubic"


def _db(film: Film, iteration: int) -> str:
    return f"{film.psnr(iteration):.1f} dB"
