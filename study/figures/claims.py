"""The paper's claims at a glance: a mark per verdict, and the intervals against their margins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from study.claims.tables import Columns, Ledger, title
from study.claims.verdicts import VERDICTS, Finding, Verdict
from study.figures import style
from study.figures.curves import MONOSPACE

LOOKS: dict[Verdict, dict[str, Any]] = {
    "supported": {"marker": "o", "color": style.BLUE, "markersize": 8},
    "contradicted": {"marker": "X", "color": style.VERMILLION, "markersize": 8.5},
    "inconclusive": {"marker": "D", "color": style.FAINT, "markersize": 5.5, "markerfacecolor": "white"},
    "untested": {"marker": "_", "color": style.FAINT, "markersize": 8},
}
"""How a verdict is drawn: they differ in shape as well as in colour."""

SERIES: tuple[dict[str, Any], ...] = (
    {"marker": "o", "color": style.BLUE},
    {"marker": "s", "color": style.VERMILLION},
    {"marker": "D", "color": style.BLACK},
    {"marker": "^", "color": style.GREEN},
    {"marker": "v", "color": style.PURPLE},
)
"""How a column of the ledger is drawn."""

ROW = 0.235
"""Inches per claim."""


def verdicts(columns: Columns, stamp: str) -> Figure:
    """A row per claim, a column per set of runs."""
    rows = Ledger(columns).rows()
    with style.context():
        fig = style.figure(1.3 + ROW * len(rows))
        ax = fig.subplots()
        for y, row in enumerate(rows):
            for x, finding in enumerate(row):
                ax.plot(x, y, linestyle="none", **LOOKS[finding.verdict])
        _claims(ax, rows)
        ax.set_xticks(
            range(len(columns)), [title(name).replace("recorded, ", "").replace(": ", "\n") for name in columns]
        )
        ax.set_xlim(-0.5, len(columns) - 0.5)
        ax.xaxis.tick_top()
        handles = [Line2D([], [], linestyle="none", label=name, **LOOKS[name]) for name in VERDICTS]
        fig.legend(handles=handles, loc="outside lower center", ncols=2)
        style.write_stamp(fig, stamp)
    return fig


def intervals(columns: Columns, stamp: str) -> Figure:
    """The ratio that decides each claim with its interval, and the range, shaded, in which the claim holds."""
    rows = [row for row in Ledger(columns).rows() if row[0].claim.basis != "count" and any(map(_measured, row))]
    with style.context():
        fig = style.figure(1.5 + 1.35 * ROW * len(rows))
        ax = fig.subplots()
        ax.set_xscale("log")
        for y, row in enumerate(rows):
            several = row if row[0].claim.basis == "runs" else row[:1]  # times are the same whatever the runs
            for finding, offset, look in zip(several, _offsets(len(several)), SERIES, strict=False):
                _interval(ax, finding, y + offset, look)
        low, high = ax.get_xlim()
        ax.set_xlim(min(low, 0.5), max(high, 2))
        for y, row in enumerate(rows):
            _holds(ax, row[0], y)
        _claims(ax, rows)
        ax.axvline(1, color=style.FAINT, linewidth=0.9)
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlabel("ratio, and its 95 % interval; open: no verdict rests on it")
        handles: list[Any] = [Line2D([], [], label=title(n), **look) for n, look in zip(columns, SERIES, strict=False)]
        fig.legend(handles=[*handles, Patch(color=SHADE, label="the claim holds")], loc="outside lower center", ncols=2)
        style.write_stamp(fig, stamp)
    return fig


SHADE = "#DCEBF5"


def _measured(finding: Finding) -> bool:
    value = finding.outcome.value
    return value is not None and math.isfinite(value) and value > 0


def _offsets(count: int) -> np.ndarray:
    """Where within its row each column stands."""
    return np.linspace(-0.26, 0.26, count) if count > 1 else np.zeros(1)


def _interval(ax: Axes, finding: Finding, y: float, look: dict[str, Any]) -> None:
    if not _measured(finding):
        return
    outcome = finding.outcome
    face = look["color"] if finding.verdict in ("supported", "contradicted") else "white"
    if outcome.interval is not None:
        ax.plot(outcome.interval, [y, y], color=look["color"], linewidth=1.6)
    ax.plot([outcome.value or math.nan], [y], markersize=4.5, markerfacecolor=face, **look)


def _holds(ax: Axes, finding: Finding, y: int) -> None:
    """Shade the range in which a claim holds; it may be open to either side."""
    low, high = ax.get_xlim()
    holds = finding.claim.holds
    left, right = max(holds.low, low), min(holds.high, high)
    ax.fill_betweenx([y - 0.42, y + 0.42], left, right, color=SHADE, linewidth=0, zorder=0.5)


def _claims(ax: Axes, rows: Sequence[Sequence[Finding]]) -> None:
    """The claims' keys down the side, the first at the top, with a line between one figure's and the next's."""
    ax.set_yticks(range(len(rows)), [row[0].claim.key for row in rows], font=MONOSPACE)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    for y in range(1, len(rows)):
        if rows[y][0].claim.where != rows[y - 1][0].claim.where:
            ax.axhline(y - 0.5, color=style.GREY, linewidth=0.7)
