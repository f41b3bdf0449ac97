"""Does the order of the ORL models survive AEL (Section II-D), and the choice of batch statistics?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agm.config import Statistics
from agm.runs import Run
from study import aggregate
from study.figures import style
from study.figures.curves import MONOSPACE, STATISTICS_NAMES, titled
from study.profiles import Profile


def order(runs: Sequence[Run], profile: Profile) -> Figure:
    """Test MSE and rank of each model under each schedule; a row per reading."""
    return draw({kind: aggregate.mse_by_schedule(runs, kind) for kind in aggregate.shown(runs)}, runs, profile)


def statistics(runs: Sequence[Run], profile: Profile) -> Figure:
    """Test MSE and rank of each model with each kind of batch statistics."""
    names = {kind: name.replace(" ", "\n") for kind, name in STATISTICS_NAMES.items()}
    return draw({None: aggregate.mse_by_statistics(runs).rename(columns=names)}, runs, profile)


def draw(tables: Mapping[Statistics | None, pd.DataFrame], runs: Sequence[Run], profile: Profile) -> Figure:
    """Left test MSE, and bicubic; right the rank, 1 is best. A line per model, crossing where the order changes."""
    few = max(map(len, tables.values())) <= 6
    with style.context():
        fig = style.figure(0.7 + (3.2 if few else 5.7) * len(tables))
        axes = fig.subplots(len(tables), 2, width_ratios=(1.15, 1.0), squeeze=False)
        letters = iter("abcd")
        for row, (kind, mse) in zip(axes, tables.items(), strict=True):
            _row(row, mse, aggregate.bicubic(runs))
            for ax, name in zip(row, ("quality", "order, 1 is best"), strict=True):
                style.title(ax, next(letters), titled(name, runs, kind) if kind else name)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=3 if few else 6, prop=MONOSPACE)
        style.stamp(fig, runs, profile)
    return fig


def _row(row: Sequence[Axes], mse: pd.DataFrame, bicubic: float) -> None:
    left, right = row
    _lines(left, mse)
    style.baseline(left, bicubic)
    style.log_axis(left)
    left.set_ylabel("test MSE")
    _lines(right, mse.rank())
    right.set_yticks(range(1, len(mse) + 1))
    right.set_ylim(len(mse) + 0.3, 0.7)
    right.set_ylabel("rank")


def _lines(ax: Axes, table: pd.DataFrame) -> None:
    places = np.arange(len(table.columns))
    for layers, row in table.iterrows():
        ax.plot(places, row.to_numpy(dtype=float), label=str(layers), **style.line(str(layers)))
    ax.set_xticks(places, [_short(str(name)) for name in table.columns])
    ax.set_xlim(-0.15, len(places) - 0.85)


def _short(schedule: str) -> str:
    """A schedule's name under the axis; a notation of one's own is cut to its first group."""
    return schedule if len(schedule) <= 13 else schedule.split(" ", 1)[0] + " …"
