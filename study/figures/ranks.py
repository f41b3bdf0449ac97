"""Models ranked by test MSE under several conditions: ranks, agreement of the orders, and a figure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import kendalltau

from agm.config import Statistics
from agm.runs import Run
from study import aggregate
from study.aggregate import Numbers
from study.figures import style
from study.figures.style import MONOSPACE
from study.profiles import Profile


def agreement(mse: pd.DataFrame) -> Numbers:
    """Kendall's tau of any two columns' orders and its p-value, such as `noael_a_tau`, `noael_a_p`; NaN if any is."""
    found: Numbers = {}
    for first, second in itertools.combinations(mse.columns, 2):
        tau, p = kendalltau(mse[first], mse[second]) if len(mse) > 1 else (math.nan, math.nan)
        pair = f"{first}_{second}".lower()
        found |= {f"{pair}_tau": float(tau), f"{pair}_p": float(p)}
    return found


def table(mse: pd.DataFrame, runs: Sequence[Run]) -> pd.DataFrame:
    """The ranks of models (rows) and, beside them, the test MSE; bicubic upsampling below."""
    found = pd.concat({"rank": mse.rank(), "test MSE": mse}, axis=1)
    found.loc["bicubic"] = pd.Series({("test MSE", column): aggregate.bicubic(runs) for column in mse.columns})
    return found


def draw(tables: Mapping[Statistics | None, pd.DataFrame], runs: Sequence[Run], profile: Profile) -> Figure:
    """Left: test MSE, and bicubic upsampling. Right: rank (1 is best). Lines cross where the order changes."""
    few = max(map(len, tables.values())) <= 6
    with style.context():
        fig = style.figure(0.7 + (3.2 if few else 5.7) * len(tables))
        axes = fig.subplots(len(tables), 2, width_ratios=(1.15, 1.0), squeeze=False)
        letters = iter("abcd")
        for row, (kind, mse) in zip(axes, tables.items(), strict=True):
            _row(row, mse, aggregate.bicubic(runs))
            for ax, name in zip(row, ("quality", "order"), strict=True):
                style.title(ax, next(letters), style.titled(name, runs, kind) if kind else name)
        style.legend(fig, axes[0, 0], 3 if few else 5, prop=MONOSPACE)
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
    names = [_short(str(name)) for name in table.columns]
    ax.set_xticks(places, names, rotation=90 if max(map(len, names)) > 9 else 0)
    ax.set_xlim(-0.15, len(places) - 0.85)


def _short(schedule: str) -> str:
    """A schedule's tick label: its name, or the first group of a long notation."""
    return schedule if len(schedule) <= 13 else schedule.split(" ", 1)[0] + " …"
