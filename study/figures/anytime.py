"""Speed and deadlines: what the engine saves, and whether pictures come in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study import measured
from study.figures import style
from study.measured import Measured

LOOKS: dict[str, dict[str, Any]] = {
    "straightforward": {"color": style.GREY, "marker": "o"},
    "plain": {"color": style.SKY, "marker": "s"},
    "engine on torch": {"color": style.BLUE, "marker": "^"},
    "engine": {"color": style.VERMILLION, "marker": "D"},
}
"""How an implementation is drawn."""


def speed(found: Measured) -> Figure:
    """Panel a: milliseconds until the first picture, panel b: until all ten, by model, schedule and implementation."""
    with style.context():
        fig = style.figure(0.9 + 0.32 * len(_labels(found)))
        axes = fig.subplots(1, 2, sharey=True)
        for ax, letter, part, text in zip(
            axes, "ab", ("first_ms", "total_ms"), ("first picture", "all ten"), strict=True
        ):
            _times(ax, found, part)
            style.title(ax, letter, text)
        axes[0].set_yticks(range(len(_labels(found))), _labels(found))
        axes[0].invert_yaxis()
        handles, labels = axes[0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=4)
        style.write_stamp(fig, measured.stamp(found))
    return fig


def _labels(found: Measured) -> list[str]:
    return list(dict.fromkeys(f"{row['layers']} {row['schedule']}" for row in found["rows"]))


def _times(ax: Axes, found: Measured, part: str) -> None:
    """One mark per implementation; a line joins those of a model and schedule."""
    labels = _labels(found)
    for name, look in LOOKS.items():
        rows = {
            f"{row['layers']} {row['schedule']}": row[part] for row in found["rows"] if row["implementation"] == name
        }
        ax.plot([rows[label] for label in labels], range(len(labels)), linestyle="", label=name, zorder=3, **look)
    for place, label in enumerate(labels):
        times = [row[part] for row in found["rows"] if f"{row['layers']} {row['schedule']}" == label]
        ax.plot([min(times), max(times)], [place, place], color="#CFCFCF", linewidth=2.5, zorder=1)
    ax.set_xlim(left=0)
    ax.set_xlabel("milliseconds")


def deadlines(found: Measured) -> Figure:
    """For every call the time it took over its deadline, by iterations reached: (a) idle, (b) all cores busy."""
    with style.context():
        fig = style.figure(3.4)
        axes = fig.subplots(1, 2, sharex=True, sharey=True)
        for ax, letter, condition in zip(axes, "ab", ("idle", "busy"), strict=True):
            _calls(ax, found[condition])
            style.title(ax, letter, f"{condition}: {100 * found[condition]['misses']:.1f} % late")
            ax.set_xlabel("deadline, ms")
        axes[0].set_ylabel("done after, ms")
        handles, labels = axes[0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=4)
        style.write_stamp(fig, measured.stamp(found))
    return fig


def _calls(ax: Axes, calls: Measured) -> None:
    deadline, elapsed, iteration = (np.array(calls[name]) for name in ("deadline_ms", "elapsed_ms", "iteration"))
    most = int(iteration.max())
    groups: Sequence[tuple[str, Any, str, str]] = (
        ("bicubic", iteration == 0, style.GREY, "o"),
        ("some iterations", (iteration > 0) & (iteration < most), style.SKY, "s"),
        ("all iterations", (iteration == most) & (most > 0), style.BLUE, "^"),
    )
    for label, chosen, colour, marker in groups:
        ax.plot(deadline[chosen], elapsed[chosen], marker, color=colour, markersize=2.5, alpha=0.6, label=label)
    late = elapsed > deadline
    ax.plot(deadline[late], elapsed[late], "x", color=style.VERMILLION, markersize=6, label="late", zorder=4)
    ends = np.array([deadline.min(), deadline.max()])
    ax.plot(ends, ends, color=style.FAINT, linewidth=1.2)
    ax.set_xscale("log")
    style.log_axis(ax)
