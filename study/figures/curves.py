"""Panels of the validation MSE by epoch: Figs. 4 to 7, and the experiment on batch-norm statistics."""

from __future__ import annotations

import itertools
import string
from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from agm.config import Statistics
from agm.runs import Run
from study import aggregate
from study.aggregate import bicubic, by, select
from study.figures import style
from study.figures.style import MONOSPACE
from study.profiles import Profile

Panel = tuple[str, Sequence[Run], Statistics]
"""Its title, the runs whose curves it shows, and with which batch statistics."""


def figure(
    rows: Sequence[Sequence[Panel]],
    height: float,
    runs: Sequence[Run],
    profile: Profile,
    sharey: bool | Literal["row"] = "row",
    legends: Literal["last row", "all", "figure"] = "last row",
) -> Figure:
    """Panels in rows, `height` inches high, stamped with `runs`. `legends`: below which panels, or below them all."""
    panels = list(itertools.chain(*rows))
    with style.context():
        fig = style.figure(height)
        axes = fig.subplots(len(rows), len(rows[0]), sharey=sharey, sharex=True, squeeze=False)
        for ax, letter, (title, shown, statistics) in zip(axes.flat, string.ascii_lowercase, panels, strict=False):
            draw(ax, shown, statistics)
            style.title(ax, letter if len(panels) > 1 else "", title)
        style.label(fig, axes, "epoch", "validation MSE")
        for ax in {"last row": axes[-1], "all": axes.flat, "figure": ()}[legends]:
            if ax.axison:
                # Below the axis' own labels, however high the panel is: the distance counts in letters.
                place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "borderaxespad": 4.0}
                ax.legend(ncols=2, prop=MONOSPACE, **place)
        if legends == "figure":
            style.legend(fig, axes[0, 0], 3, prop=MONOSPACE)
        style.stamp(fig, runs, profile)
    return fig


def draw(ax: Axes, runs: Sequence[Run], statistics: Statistics) -> None:
    """One panel: a line per model, averaged over seeds with a band from the lowest to the highest, and bicubic."""
    if not runs:  # a selection of models may leave none for this panel
        ax.set_axis_off()
        return
    groups = by(runs, "layers")
    for number, (layers, group) in enumerate(groups.items()):
        _series(ax, layers, group, number, statistics)
    style.baseline(ax, bicubic(runs, "mse", "validation"))
    style.log_axis(ax)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    style.note_diverged(ax, [layers for layers, group in groups.items() if any(map(aggregate.diverged, group))])


def _series(ax: Axes, layers: str, runs: Sequence[Run], number: int, statistics: Statistics) -> None:
    curves = pd.DataFrame({run.config.id: run.curve("mse", statistics) for run in runs})  # by epoch
    epochs, mean = curves.index.to_numpy(), curves.mean(axis=1, skipna=False).to_numpy()
    look: dict[str, Any] = style.line(layers)
    look |= {"markevery": style.every(len(epochs), number), "linewidth": 1.1 if len(epochs) > 20 else 1.6}
    ax.plot(epochs, mean, label=layers, zorder=3, **look)
    if curves.shape[1] > 1:
        band: dict[str, Any] = {"color": look["color"], "alpha": 0.15, "linewidth": 0, "label": f"_{layers}"}
        ax.fill_between(epochs, curves.min(axis=1), curves.max(axis=1), **band)


def of_models(runs: Sequence[Run], models: Sequence[str]) -> list[Run]:
    """The runs of these models, in their order."""
    return [run for layers in models for run in select(runs, layers=layers)]
