"""Does the order of the ORL models survive AEL (Section II-D)?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import kendalltau

from agm.config import Statistics
from agm.runs import Run
from study import aggregate
from study.aggregate import Numbers, by, schedule_name
from study.figures import style
from study.figures.style import MONOSPACE
from study.profiles import Profile


def numbers(runs: Sequence[Run]) -> Numbers:
    """Numbers quoted in the book, under both readings."""
    return aggregate.twice(runs, of_reading)


def of_reading(runs: Sequence[Run], statistics: Statistics) -> Numbers:
    """The order of the models under each schedule, and how well any two orders agree."""
    errors = mse(runs, statistics)
    found: Numbers = {f"{name}_order".lower(): ", ".join(errors[name].sort_values().index) for name in errors.columns}
    return found | agreement(errors)


def mse(runs: Sequence[Run], statistics: Statistics) -> pd.DataFrame:
    """Test MSE of each model (rows) under each schedule (columns)."""
    groups = by(runs, "schedule").items()
    return pd.DataFrame({schedule_name(schedule): aggregate.scores(group, statistics) for schedule, group in groups})


def agreement(mse: pd.DataFrame) -> Numbers:
    """Kendall's tau of any two columns' orders and its p-value, such as `noael_a_tau`, `noael_a_p`; NaN if any is."""
    found: Numbers = {}
    for first, second in itertools.combinations(mse.columns, 2):
        tau, p = kendalltau(mse[first], mse[second]) if len(mse) > 1 else (math.nan, math.nan)
        pair = f"{first}_{second}".lower()
        found |= {f"{pair}_tau": float(tau), f"{pair}_p": float(p)}
    return found


def table(runs: Sequence[Run]) -> pd.DataFrame:
    """Rank, 1 is best, and test MSE of each model under each schedule and reading, and bicubic upsampling."""
    return pd.concat({kind: _ranks(mse(runs, kind), runs) for kind in aggregate.shown(runs)}, axis=1)


def _ranks(mse: pd.DataFrame, runs: Sequence[Run]) -> pd.DataFrame:
    found = pd.concat({"rank": mse.rank(), "test MSE": mse}, axis=1)
    found.loc["bicubic"] = pd.Series({("test MSE", column): aggregate.bicubic(runs) for column in mse.columns})
    return found


def draw(runs: Sequence[Run], profile: Profile) -> Figure:
    """Test MSE and rank of each model under each schedule; a row per kind of statistics. Lines cross where the order
    changes."""
    kinds = aggregate.shown(runs)
    with style.context():
        fig = style.figure(0.7 + 3.2 * len(kinds))
        axes = fig.subplots(len(kinds), 2, width_ratios=(1.15, 1.0), squeeze=False)
        letters = iter("abcd")
        for row, kind in zip(axes, kinds, strict=True):
            _row(row, mse(runs, kind), aggregate.bicubic(runs))
            for ax, name in zip(row, ("quality", "order"), strict=True):
                style.title(ax, next(letters), style.titled(name, runs, kind))
        style.legend(fig, axes[0, 0], 3, prop=MONOSPACE)
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
    right.set_ylabel("rank, 1 is best")


def _lines(ax: Axes, table: pd.DataFrame) -> None:
    places = np.arange(len(table.columns))
    for layers, row in table.iterrows():
        ax.plot(places, row.to_numpy(dtype=float), label=str(layers), **style.line(str(layers)))
    ax.set_xticks(places, [str(name) for name in table.columns])
    ax.set_xlim(-0.15, len(places) - 0.85)
