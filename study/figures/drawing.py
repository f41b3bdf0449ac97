"""Boxes, arrows and loops for the diagrams. Coordinates are inches from the lower left corner."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from agm.networks.layers import Kind
from study.figures import style

Point = tuple[float, float]

RECURRENT, PLAIN, STATIC, IMAGE = "#BFDDF0", "#FFFFFF", "#EDEDED", "#FBE6C8"
"""Fill of a recurrent layer, of a plain one, of the other parts and of images."""


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure without axes, one unit an inch."""
    fig = Figure(figsize=(width, height))
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    ax.set_xlim(0, width)
    ax.set_ylim(0, height)
    return fig, ax


def box(ax: Axes, centre: Point, size: Point, text: str, face: str = STATIC) -> None:
    """A rounded box with its text in the middle."""
    (x, y), (width, height) = centre, size
    look: dict[str, Any] = {"facecolor": face, "edgecolor": style.BLACK, "linewidth": 1.1, "zorder": 3}
    shape = "round,pad=0,rounding_size=0.07"
    ax.add_patch(FancyBboxPatch((x - width / 2, y - height / 2), width, height, shape, **look))
    ax.text(x, y, text, ha="center", va="center", fontsize=style.SMALL, zorder=4)


def arrow(ax: Axes, start: Point, end: Point, colour: str = style.BLACK) -> None:
    """An arrow from one point to another."""
    look: dict[str, Any] = {"color": colour, "linewidth": 1.3, "mutation_scale": 11, "zorder": 2}
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", shrinkA=0, shrinkB=0, **look))


def loop(ax: Axes, x: float, y: float) -> None:
    """A state that is kept between iterations: a line out of a box's right side and back into it."""
    reach, rise = 0.24, 0.13
    ax.plot([x, x + reach, x + reach], [y + rise, y + rise, y - rise], color=style.BLUE, linewidth=1.3, zorder=2)
    arrow(ax, (x + reach, y - rise), (x, y - rise), style.BLUE)


def note(ax: Axes, x: float, y: float, text: str, ha: str = "left", **look: Any) -> None:
    """Small grey writing."""
    ax.text(x, y, text, **{"ha": ha, "va": "center", "fontsize": style.SMALL, "color": style.FAINT, **look})


def layer_box(ax: Axes, kind: Kind | None, centre: Point, size: Point, text: str) -> None:
    """A box for a part: a recurrent layer is filled, with a loop for its state; a plain one is white, others grey."""
    if kind is None:
        box(ax, centre, size, text)
        return
    box(ax, centre, size, text, RECURRENT if kind.recurrent else PLAIN)
    if kind.recurrent:
        loop(ax, centre[0] + size[0] / 2, centre[1])
