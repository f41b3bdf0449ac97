"""Quality by iteration: what each iteration's image is worth, with two kinds of batch statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from agm.runs import Run
from study import aggregate
from study.figures import style
from study.figures.curves import STATISTICS_NAMES
from study.profiles import Profile

COLOURS = {"NOAEL": (style.BLUE, "o"), "A": (style.VERMILLION, "X"), "B": (style.GREEN, "D")}
"""Colour and marker by AEL configuration."""

LINES: tuple[Any, Any] = ("-", (0, (1.2, 1.3)))
"""Solid for the reading that counts, dotted for shared statistics."""


def draw(runs: Sequence[Run], profile: Profile, printed: Mapping[str, float]) -> Figure:
    """A panel per model: test MSE of each iteration's image under each schedule, bicubic, and the `printed` MSE."""
    models = sorted(aggregate.by(runs, "layers").items(), reverse=True)
    rows = (len(models) + 1) // 2
    with style.context():
        fig = style.figure(1.2 + 2.4 * rows)
        axes = fig.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
        for ax, letter, (layers, group) in zip(axes.flat, "abcdefgh", models, strict=False):
            _panel(ax, group, printed.get(layers))
            style.title(ax, letter, layers)
        for ax in axes.flat[len(models) :]:
            ax.set_visible(False)
        for row in axes:
            row[0].set_ylabel("test MSE")
        for ax in axes[-1]:
            ax.set_xlabel("iteration")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=2)
        style.stamp(fig, runs, profile)
    return fig


def _panel(ax: Axes, runs: Sequence[Run], printed: float | None) -> None:
    for text, group in aggregate.by(runs, "schedule").items():
        name = aggregate.schedule_name(text)
        colour, marker = COLOURS.get(name, (style.PURPLE, "s"))
        for kind, dashes in zip(aggregate.both(runs), LINES, strict=True):
            mse = np.mean([run.test("mse", kind) for run in group], axis=0)
            label = f"{name}, {STATISTICS_NAMES[kind]}"
            ax.plot(range(1, len(mse) + 1), mse, color=colour, marker=marker, linestyle=dashes, label=label)
    style.baseline(ax, aggregate.bicubic(runs))
    if printed is not None:
        ax.axhline(printed, color=style.PURPLE, linestyle="-", linewidth=1.0, label="Table I of the paper", zorder=1.4)
    style.log_axis(ax)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
