"""How cost grows: a training step by width, size, images and iterations; planning and reading by the number of runs."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study import measured, scaling
from study.figures import style
from study.measured import Measured

LOOKS = {"planning": (style.BLUE, "o"), "listing": (style.GREEN, "s"), "judging": (style.VERMILLION, "^")}
"""Colour and marker by what is done with many runs."""


def draw(found: Measured) -> Figure:
    """Marks are measured, lines fitted: power laws for a step, start and slope for many runs."""
    with style.context():
        fig = style.figure(8.2)
        grid = fig.add_gridspec(3, 2)
        for number, (by, label) in enumerate(scaling.VARIED.items()):
            ax = fig.add_subplot(grid[number // 2, number % 2])
            _step(ax, found, by)
            ax.set_xlabel(label)
            style.title(ax, "abcd"[number], f"by {by.replace('_', ' ')}")
        ax = fig.add_subplot(grid[2, :])
        _many(ax, found)
        style.title(ax, "e", "many runs")
        style.write_stamp(fig, measured.stamp(found))
    return fig


def _step(ax: Axes, found: Measured, by: str) -> None:
    for name in scaling.models(found):
        x, seconds = scaling.points(found, "training", layers=name, by=by)
        exponent, factor = scaling.power_law(x, seconds)
        look = style.line(name)
        ax.plot(x, 1000 * seconds, **look | {"linestyle": "", "label": f"{name}, power {exponent:.2f}"})
        ax.plot(x, 1000 * factor * x**exponent, color=look["color"], linewidth=1)
    _logarithmic(ax, x)
    ax.set_ylabel("ms a training step")
    _legend(ax, 8)


def _many(ax: Axes, found: Measured) -> None:
    for what, (colour, marker) in LOOKS.items():
        x, seconds = scaling.points(found, what)
        slope, start = scaling.line(x, seconds)
        label = f"{scaling.MANY[what]}: {start:.1f} s + {1000 * slope:.2f} ms a run"
        ax.plot(x, seconds, color=colour, marker=marker, linestyle="", label=label)
        fine = np.geomspace(x[0], x[-1])
        ax.plot(fine, start + slope * fine, color=colour, linewidth=1)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("runs")
    ax.set_ylabel("seconds of processor time")
    _legend(ax, 20)


def _legend(ax: Axes, room: float) -> None:
    """Above the lines, where the axis is made so many times as long."""
    ax.set_ylim(top=room * ax.get_ylim()[1])
    ax.legend(fontsize=style.SMALL, loc="upper left")


def _logarithmic(ax: Axes, x: np.ndarray) -> None:
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(x, [f"{value:g}" for value in x])
