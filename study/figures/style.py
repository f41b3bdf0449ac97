"""What all figures have in common: size, type, colours that everyone can tell apart, and the line that stamps them.

A telephone shrinks a figure to its own width: WIDTH and SMALL leave it letters of nine pixels. Series differ in colour,
line and marker, so that they stay apart in grey print.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator, NullFormatter
from pandas.io.formats.style import Styler

from agm import files
from agm.config import Statistics
from agm.networks.layers import KINDS
from agm.runs import Run
from study import aggregate
from study.figures import series
from study.profiles import Profile

WIDTH = 5.4
"""Inches."""

SMALL = 10.2
"""The smallest type, in points."""

STAMP_LETTERS, TITLE_LETTERS = 64, 23
"""Letters of the stamp, and of a panel's heading, on one line."""

# Okabe and Ito's palette; grey takes the place of its yellow, which is too light for lines on white.
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, GREY = "#E69F00", "#56B4E9", "#000000", "#8C8C8C"
FAINT = "#595959"

DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.2, 1.3)), (0, (5, 1.4, 1.2, 1.4)))
"""Solid, dashed, dotted, dashes and dots."""

LOOKS: dict[str, tuple[str, int, str]] = {
    "rrr": (BLACK, 0, "o"),
    "rrn": (ORANGE, 1, "s"),
    "rnr": (SKY, 2, "^"),
    "nrr": (PURPLE, 3, "v"),
    "rnn": (GREY, 0, "X"),
    "nrn": (VERMILLION, 1, "P"),
    "nnr": (GREEN, 2, "D"),
    "nnn": (BLUE, 3, "*"),
}
"""Colour, kind of line, marker by the first three layers; where the fourth is n, the next kind and hollow markers.

nnnn is black.
"""

MONOSPACE: dict[str, Any] = {"family": "DejaVu Sans Mono", "size": SMALL}

NOTHING = float("nan")
"""An empty cell of a table, shown as a dash."""

RC: Any = {
    **sns.axes_style("ticks"),
    "font.family": ["DejaVu Sans"],
    "font.size": 11.0,
    "axes.titlesize": 11.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.9,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.7,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.2,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.5,
    "svg.hashsalt": "agm",
}


def context() -> Any:
    """A context manager: what is drawn inside has the figures' style."""
    return mpl.rc_context(RC)


def figure(height: float) -> Figure:
    """An empty figure that lays itself out. It belongs to no pyplot state; whoever holds it can show or save it."""
    layout = ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.05, hspace=0.04, wspace=0.04)
    return Figure(figsize=(WIDTH, height), layout=layout)


def line(layers: str) -> dict[str, Any]:
    """How a model's series is drawn, everywhere the same: keyword arguments of `Axes.plot`."""
    *first, recurrent = (KINDS[letter].recurrent for letter in layers)
    colour, kind, marker = LOOKS["".join("r" if each else "n" for each in first)]
    dashes = DASHES[(kind + (not recurrent)) % len(DASHES)]
    if not recurrent and not any(first):
        colour = BLACK  # nnnn, which is compared with nnnr
    face = colour if recurrent else "white"
    return {"color": colour, "linestyle": dashes, "marker": marker, "markerfacecolor": face, "markeredgecolor": colour}


def every(points: int, number: int) -> tuple[int, int]:
    """`markevery` for a series of that many points: about six markers, shifted from series to series."""
    step = max(1, points // 6)
    return (number * step // 8 if points > 12 else 0, step)


def log_axis(ax: Axes) -> None:
    """A logarithmic y axis with plain numbers, the more of them the fewer decades it covers."""
    ax.set_yscale("log")
    low, high = np.log10(ax.get_ylim())
    steps: tuple[float, ...] = (1.0,) if high - low > 3 else (1.0, 2.0, 5.0)
    if high - low < 1:
        steps = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
    ax.yaxis.set_major_locator(LogLocator(subs=steps, numticks=12))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())


def baseline(ax: Axes, level: float) -> None:
    """The horizontal line of bicubic upsampling."""
    ax.axhline(level, color=FAINT, linestyle=(0, (7, 3)), linewidth=1.3, label="bicubic", zorder=1.5)


def note_diverged(ax: Axes, names: Sequence[str]) -> None:
    """Says above the curves of a logarithmic panel whose training stopped being finite."""
    if names:
        low, high = np.log10(ax.get_ylim())
        ax.set_ylim(top=10 ** (high + 0.13 * (high - low)))
        ax.text(
            0.99, 0.99, f"diverged: {', '.join(names)}", transform=ax.transAxes, ha="right", va="top", fontsize=SMALL
        )


def title(ax: Axes, letter: str, text: str) -> None:
    """The heading of a panel: (a) and what it shows."""
    ax.set_title(f"({letter}) {text}" if letter else text)


def titled(text: str, runs: Sequence[Run], kind: Statistics) -> str:
    """A panel's heading with its reading, where there is more than one; on two lines if it is long."""
    if len(aggregate.shown(runs)) == 1:
        return text
    name = aggregate.STATISTICS_NAMES[kind]
    return text + (", " if len(text + name) < TITLE_LETTERS else ",\n") + name


def label(fig: Figure, axes: Any, x: str, y: str) -> None:
    """Names the axes at the outer edges of a grid of panels, (rows, columns)."""
    for ax in axes[:, 0]:
        ax.set_ylabel(y)
    fig.align_ylabels(axes[:, 0])
    for ax in axes[-1]:
        ax.set_xlabel(x)


def legend(fig: Figure, ax: Axes, columns: int, **look: Any) -> None:
    """One legend for all panels, below them, of the series in one of these."""
    handles, labels = ax.get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=columns, **look)


def stamp(fig: Figure, runs: Sequence[Run], profile: Profile) -> None:
    """One small line on the figure's face: what its numbers were made with."""
    write_stamp(fig, str(aggregate.describe(runs, profile)["stamp"]))


def write_stamp(fig: Figure, text: str, y: float | None = None) -> None:
    """The stamp itself, at the top; `y` puts it elsewhere where a figure does not lay itself out."""
    fig.suptitle(wrapped(text), x=0.01, y=y, ha="left", fontsize=SMALL, color=FAINT, linespacing=1.25)


def wrapped(text: str) -> str:
    """A stamp in lines, broken between its parts where it does not fit on one."""
    held = text.replace(" · ", " ·\n").replace(", ", ",\n").replace(" ", "\N{NO-BREAK SPACE}").replace("\n", " ")
    return textwrap.fill(held, STAMP_LETTERS, break_long_words=False, break_on_hyphens=False)


FORMATS = {
    "^parameters|^multiply-adds|minutes$|^pictures$": "{:,.0f}",
    "rank|^fraction$": "{:g}",
    r"(?i)PSNR|, ms\b|^milliseconds$|ratio$": "{:.2f}",
    "^ahead| ahead ": "{:+.2f}",
    "share$": "{:.0%}",
    "spikiness": "{:.3f}",
    "^seconds$": "{:.0f}",
    "^operations$": "{:.1f}",
}
"""Pattern in a column's name -> how its numbers are shown."""


def styled(table: pd.DataFrame) -> Styler:
    """A table as a page shows it: errors with four decimals, decibels and milliseconds with two, counts whole."""
    formats: dict[Any, Any] = {}
    for column in table.columns:
        name = " ".join(column) if isinstance(column, tuple) else str(column)
        for pattern, form in FORMATS.items():
            if re.search(pattern, name):
                formats[column] = form
    return table.style.format(formats, precision=4, na_rep="–")


def render(fig: Figure) -> bytes:
    """A figure as SVG that holds the numbers of its series; the same figure gives the same bytes."""
    buffer = io.StringIO()
    fig.set_dpi(72)  # in which an SVG is drawn: places are the same afterwards
    series.mark(fig)
    with context():
        fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": "agm"})
    return series.describe(fig, buffer.getvalue()).encode()


def save(fig: Figure, name: str, out: str | Path | None) -> None:
    """Write OUT/NAME.svg, whole or not at all; without `out`, nothing."""
    if out is not None:
        files.write_bytes(Path(out) / f"{name}.svg", render(fig))
