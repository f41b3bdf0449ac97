"""Quality against time: Figs. 8 and 9, NOAEL and AEL+ORL for each model of Table I."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from agm.config import Statistics
from agm.errors import unknown
from agm.runs import Run
from agm.schedule import NAMED, Schedule
from study import aggregate
from study.figures import style
from study.figures.style import NOTHING
from study.profiles import Profile

ROUNDS, LIMIT = 40, 30.0
"""Limits of the timing: rounds, and seconds."""

NOAEL = str(Schedule.parse(NAMED["NOAEL"]))

LABELS = {"mse": "test MSE", "psnr": "test PSNR in dB"}

Seconds = Mapping[str, Sequence[float]]
"""Run id -> seconds from the start until each iteration's image is there."""

LOOKS: dict[bool, dict[str, Any]] = {
    False: {"label": "NOAEL", "color": style.BLUE, "linestyle": "-", "marker": "o"},
    True: {"label": "AEL+ORL", "color": style.VERMILLION, "linestyle": (0, (4, 1.6)), "marker": "X"},
}
"""Look of a series, by whether it uses AEL; crosses mark AEL, as in the paper."""


def seconds(runs: Sequence[Run], measure: bool = True) -> Seconds:
    """Time of each iteration by run: measured here, all networks taking turns, or as the runs recorded it.

    Time does not depend on the weights, so new networks are built; recorded runs mostly have no weights.
    """
    if not measure:
        return noted(runs)
    from agm.networks.generator import Generator
    from agm.training.evaluate import time_iterations

    models = {run.config.id: (Generator(run.config.generator), run.config.schedule) for run in runs}
    return time_iterations(models, runs[0].config.data.image_size, repeats=ROUNDS, limit=LIMIT)


def noted(runs: Sequence[Run]) -> Seconds:
    """The times that runs recorded, scaled to one speed, since each was timed alone on a more or less busy machine.

    With all layers active, a model's last iteration is the same under every schedule. All runs are scaled so that it
    takes as long as in the fastest.
    """
    times = {run.config.id: np.array(run.summary["seconds_until_iteration"], dtype=float) for run in runs}
    for group in aggregate.by(runs, "layers").values():
        whole = [run.config.id for run in group if all(run.config.schedule.masks[-1])]
        last = {name: own for name in whole if (own := np.diff(times[name], prepend=0.0)[-1]) > 0}
        for name, own in last.items():
            times[name] = times[name] * (min(last.values()) / own)
    return {name: series.tolist() for name, series in times.items()}


def draw(runs: Sequence[Run], profile: Profile, times: Seconds, metric: str = "mse") -> Figure:
    """Test MSE, or PSNR, of each iteration's image over the time at which it is ready, and of bicubic upsampling.

    A row per model, a column per kind of statistics. Raises AgmError for another metric.
    """
    if metric not in LABELS:
        raise unknown("metric", metric, LABELS)
    models = sorted(aggregate.by(runs, "layers").items(), key=lambda item: item[0], reverse=True)
    kinds = aggregate.shown(runs)
    with style.context():
        fig = style.figure(0.9 + 2.0 * len(models))
        axes = fig.subplots(len(models), len(kinds), sharex=True, sharey="col", squeeze=False)
        letters = iter("abcdefgh")
        for row, (layers, group) in zip(axes, models, strict=True):
            for ax, kind in zip(row, kinds, strict=True):
                _panel(ax, group, times, kind, metric)
                style.title(ax, next(letters), style.titled(layers, runs, kind))
        axes[0, 0].set_xlim(left=0)  # the others share it; not before all have been drawn
        style.label(fig, axes, "milliseconds", LABELS[metric])
        style.legend(fig, axes[0, 0], 3)
        style.stamp(fig, runs, profile)
    return fig


def _panel(ax: Axes, runs: Sequence[Run], times: Seconds, statistics: Statistics, metric: str) -> None:
    """Draw one model: a series per schedule, the mean over seeds, all T iterations."""
    broken = []
    for text, group in aggregate.by(runs, "schedule").items():
        x = 1000 * np.mean([times[run.config.id] for run in group], axis=0)
        y = np.mean([run.test(metric, statistics) for run in group], axis=0)
        look = LOOKS[text != NOAEL]
        ax.plot(x, y, markerfacecolor=look["color"], markeredgecolor="white", markeredgewidth=0.6, **look)
        broken += [look["label"]] if any(map(aggregate.diverged, group)) else []
    style.baseline(ax, aggregate.bicubic(runs, metric))
    if metric == "mse":
        style.log_axis(ax)
    style.note_diverged(ax, broken)
    ax.xaxis.set_major_locator(MaxNLocator(5))


def numbers(runs: Sequence[Run], times: Seconds) -> aggregate.Numbers:
    """The results of Fig. 8 or 9.

    `LAYERS_first_ratio`: AEL+ORL's time to its first image over NOAEL's; `LAYERS_unscaled_ratio`: the same as the runs
    noted it, each timed by itself; `earlier`: how many ratios are below 1. `precise_beat_bicubic`: how many last images
    are better; `precise_first_worse`: of how many models the first image is worse without AEL;
    `LAYERS_precise_change`: what AEL changes in the last image, in dB, with its extremes `precise_least_change` and
    `precise_most_change`; and all of these as `shared`.
    """
    found: aggregate.Numbers = {}
    alone = {run.config.id: run.summary["seconds_until_iteration"] for run in runs}
    for layers, group in aggregate.by(runs, "layers").items():
        noael, ael = _first_ms(group, times)
        found[f"{layers}_first_ratio"] = ael / noael
    found["earlier"] = sum(ratio < 1 for ratio in found.values())
    for layers, group in aggregate.by(runs, "layers").items():
        noael, ael = _first_ms(group, alone)
        found[f"{layers}_unscaled_ratio"] = ael / noael
    pairs = [_pair(group) for group in aggregate.by(runs, "layers").values()]
    networks = [same for pair in pairs for same in pair if same]
    for reading, kind in zip(("precise", "shared"), aggregate.both(runs), strict=True):
        better = [aggregate.of_last_image(same, kind) < aggregate.bicubic(runs) for same in networks]
        found[f"{reading}_beat_bicubic"] = sum(better)
        firsts = [[aggregate.of_image(same, kind, 0) for same in pair] for pair in pairs]
        found[f"{reading}_first_worse"] = sum(noael > ael for noael, ael in firsts)
        changes = {}
        for layers, pair in zip(aggregate.by(runs, "layers"), pairs, strict=True):
            without, with_ael = (aggregate.of_last_image(same, kind, "psnr") for same in pair)
            changes[layers] = with_ael - without
        found |= {f"{layers}_{reading}_change": change for layers, change in changes.items()}
        found |= {f"{reading}_least_change": min(changes.values()), f"{reading}_most_change": max(changes.values())}
    return found


def _pair(runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """The runs without AEL, and those with it."""
    noael = aggregate.select(runs, schedule=NOAEL)
    return noael, [run for run in runs if run.config.training.schedule != NOAEL]


def _first_ms(runs: Sequence[Run], times: Seconds) -> list[float]:
    """Milliseconds until the first image without AEL and with it; NaN without runs."""
    return [1000 * float(np.mean([times[run.config.id][0] for run in same] or [NOTHING])) for same in _pair(runs)]


def table(runs: Sequence[Run], times: Seconds) -> pd.DataFrame:
    """AEL's share of the time, how good each model becomes, and the times; a row per model and kind of statistics.

    A model's times, which no statistics change, stand in its first row.
    """
    rows: dict[tuple[str, str], list[float]] = {}
    for layers, group in aggregate.by(runs, "layers").items():
        noael, ael = first = _first_ms(group, times)
        share = ael / noael
        for kind in aggregate.shown(runs):
            mse = [aggregate.score(same, "mse", kind) for same in _pair(group)]
            last = [aggregate.of_last_image(same, kind) for same in _pair(group)]
            rows[layers, kind] = [share, *mse, *last, *first]
            share, first = NOTHING, [NOTHING, NOTHING]
    rows["bicubic", ""] = [NOTHING, *4 * [aggregate.bicubic(runs)], NOTHING, NOTHING]
    names = ("mean MSE", "last MSE", "first picture, ms")
    columns = [f"{name}, {series}" for name in names for series in ("NOAEL", "AEL")]
    return pd.DataFrame(rows.values(), index=pd.MultiIndex.from_tuples(rows), columns=["AEL's share", *columns])
