"""Validation MSE by epoch: Figs. 4 to 7, and the experiment on batch-norm statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from agm.config import Statistics
from agm.runs import Run
from study import aggregate
from study.aggregate import PAPER_NAMES
from study.experiments import LAST_PLAIN, LAST_RECURRENT, with_recurrent
from study.figures import style
from study.profiles import Profile

Y_LABEL = "validation MSE"


def fig4(runs: Sequence[Run], profile: Profile) -> Figure:
    """Left the models with three recurrent layers, and rrrr, right those with one, and nnnn; a row per reading."""
    columns = {"three r": (*with_recurrent(3), "rrrr"), "one r": (*with_recurrent(1), "nnnn")}
    kinds = aggregate.shown(runs, curves=True)
    with style.context():
        fig = style.figure(1.2 + 2.6 * len(kinds))
        axes = fig.subplots(len(kinds), 2, sharey="row", sharex=True, squeeze=False)
        letters = iter("abcd")
        for row, kind in zip(axes, kinds, strict=True):
            for ax, (name, models) in zip(row, columns.items(), strict=True):
                draw(ax, _of(runs, models), kind)
                style.title(ax, next(letters), titled(name, runs, kind))
        _finish(fig, axes, runs, profile)
    return fig


def fig5(runs: Sequence[Run], profile: Profile) -> Figure:
    """Left the eight models whose last layer is r, right those whose last layer is n; rows: readings of data sets."""
    roles = aggregate.by_role(runs, profile)
    rows = [(role, group, kind) for kind in aggregate.shown(runs, curves=True) for role, group in roles.items()]
    with style.context():
        fig = style.figure(0.8 + 2.3 * len(rows))
        axes = fig.subplots(len(rows), 2, sharey="row", sharex=True, squeeze=False)
        letters = iter("abcdefghijkl")
        for row, (role, group, kind) in zip(axes, rows, strict=True):
            for ax, models, last in zip(row, (LAST_RECURRENT, LAST_PLAIN), "rn", strict=True):
                draw(ax, _of(group, models), kind)
                style.title(ax, next(letters), titled(f"{PAPER_NAMES.get(role, role)}, {last}", runs, kind))
        _finish(fig, axes, runs, profile, legends=axes[-1])
    return fig


def fig6(runs: Sequence[Run], profile: Profile) -> Figure:
    """The models of Table I, trained on all of CARDATA and on a quarter of it; a row per reading."""
    fractions, kinds = aggregate.by(runs, "fraction"), aggregate.shown(runs, curves=True)
    with style.context():
        fig = style.figure(0.8 + 2.4 * len(kinds))
        axes = fig.subplots(len(kinds), len(fractions), sharey="row", sharex=True, squeeze=False)
        letters = iter("abcdefgh")
        for row, kind in zip(axes, kinds, strict=True):
            for ax, (fraction, group) in zip(row, fractions.items(), strict=True):
                draw(ax, group, kind)
                name = FRACTION_NAMES.get(fraction, f"{fraction:g} of them")
                style.title(ax, next(letters), titled(name, runs, kind))
        _finish(fig, axes, runs, profile, legends=())
        handles, labels = axes[0, 0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=3, prop=MONOSPACE)
    return fig


def fig7(runs: Sequence[Run], profile: Profile) -> Figure:
    """The best model with one, two and three recurrent layers, and rrrr: a row per data set, a column per reading."""
    roles, kinds = aggregate.by_role(runs, profile), aggregate.shown(runs, curves=True)
    with style.context():
        fig = style.figure(0.5 + 3.2 * len(roles))
        axes = fig.subplots(len(roles), len(kinds), sharex=True, squeeze=False)
        letters = iter("abcdefgh")
        for row, (role, group) in zip(axes, roles.items(), strict=True):
            for ax, kind in zip(row, kinds, strict=True):
                draw(ax, _of(group, best_and_rrrr(group, kind)), kind)
                style.title(ax, next(letters), titled(PAPER_NAMES.get(role, role), runs, kind))
        _finish(fig, axes, runs, profile, legends=axes.flat)
    return fig


def best_and_rrrr(runs: Sequence[Run], statistics: Statistics) -> tuple[str, ...]:
    """The models that Fig. 7 draws for one data set."""
    return (*aggregate.best_by_recurrent(runs, statistics).values(), "rrrr")


def statistics(runs: Sequence[Run], profile: Profile) -> Figure:
    """A row per kind of batch statistics; left the models whose last layer is r, right those whose last layer is n."""
    kinds, sides = aggregate.validated(runs), {"r": _of(runs, LAST_RECURRENT), "n": _of(runs, LAST_PLAIN)}
    sides = {last: group for last, group in sides.items() if group}
    with style.context():
        fig = style.figure(0.8 + 2.8 * len(kinds))
        axes = fig.subplots(len(kinds), len(sides), sharey=True, sharex=True, squeeze=False)
        letters = iter("abcdefgh")
        for row, kind in zip(axes, kinds, strict=True):
            for ax, (last, group) in zip(row, sides.items(), strict=True):
                draw(ax, group, kind)
                style.title(ax, next(letters), f"{STATISTICS_NAMES[kind]}, last layer {last}")
        _finish(fig, axes, runs, profile, legends=axes[-1])
    return fig


def one(runs: Sequence[Run], profile: Profile, statistics: Statistics | None = None) -> Figure:
    """A single panel of any runs, with any kind of batch statistics."""
    with style.context():
        fig = style.figure(3.8)
        ax = fig.subplots()
        draw(ax, runs, statistics)
        style.title(ax, "", STATISTICS_NAMES[statistics] if statistics else "")
        _finish(fig, [[ax]], runs, profile)
    return fig


FRACTION_NAMES = {1.0: "all images", 0.25: "a quarter"}
STATISTICS_NAMES: dict[Statistics, str] = {
    "shared": "shared",
    "iteration": "per iteration",
    "batch": "of the batch",
    "precise": "precise",
}
MONOSPACE: dict[str, Any] = {"family": "DejaVu Sans Mono", "size": style.SMALL}


def titled(text: str, runs: Sequence[Run], kind: Statistics) -> str:
    """A panel's heading with its reading, where there is more than one."""
    return f"{text}, {STATISTICS_NAMES[kind]}" if len(aggregate.shown(runs)) > 1 else text


def draw(ax: Axes, runs: Sequence[Run], statistics: Statistics | None = None) -> None:
    """One panel: a line per model, averaged over seeds with a band from the lowest to the highest, and bicubic."""
    if not runs:  # a selection of models may leave none for this panel
        ax.set_axis_off()
        return
    groups = aggregate.by(runs, "layers")
    for number, (layers, group) in enumerate(groups.items()):
        _series(ax, layers, group, number, statistics)
    style.baseline(ax, aggregate.bicubic(runs, "mse", "validation"))
    style.log_axis(ax)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    style.note_diverged(ax, [layers for layers, group in groups.items() if any(map(aggregate.diverged, group))])


def _series(ax: Axes, layers: str, runs: Sequence[Run], number: int, statistics: Statistics | None) -> None:
    table = aggregate.curves(runs, statistics=statistics)
    epochs, mean = table.index.to_numpy(), table.mean(axis=1, skipna=False).to_numpy()
    broken = any(map(aggregate.diverged, runs))
    look = style.line(layers)
    ax.plot(
        epochs,
        mean,
        label=layers,
        markevery=style.every(len(epochs), number),
        linewidth=1.1 if len(epochs) > 20 else 1.6,
        zorder=3,
        **look,
    )
    if table.shape[1] > 1:
        ax.fill_between(epochs, table.min(axis=1), table.max(axis=1), color=look["color"], alpha=0.15, linewidth=0)
    ends = _ends(mean, broken)
    ax.plot(epochs[ends], mean[ends], "x", color=look["color"], markersize=10, markeredgewidth=2, zorder=4)


def _ends(mean: np.ndarray, broken: bool) -> list[int]:
    """Where a curve stops being finite: the last point before each gap, and the end of a run that diverged."""
    finite = np.isfinite(mean)
    ends = [i for i in range(len(mean) - 1) if finite[i] and not finite[i + 1]]
    return [*ends, len(mean) - 1] if broken and len(mean) and finite[-1] else ends


def _of(runs: Sequence[Run], models: Sequence[str]) -> list[Run]:
    """The runs of these models, in their order."""
    return [run for layers in models for run in aggregate.select(runs, layers=layers)]


def _finish(fig: Figure, axes: Any, runs: Sequence[Run], profile: Profile, legends: Any = None) -> None:
    """Labels at the outer edges, a legend below each panel of the last row, the stamp."""
    for row in axes:
        row[0].set_ylabel(Y_LABEL)
    fig.align_ylabels([row[0] for row in axes])
    for ax in axes[-1]:
        ax.set_xlabel("epoch")
    for ax in axes[-1] if legends is None else legends:
        if ax.axison:
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2, prop=MONOSPACE)
    style.stamp(fig, runs, profile)
