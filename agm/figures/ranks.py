"""Does the order of the ORL models survive AEL (Section II-D), and the choice of batch statistics?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agm import analysis
from agm.figures import style
from agm.figures.curves import MONOSPACE, STATISTICS_NAMES
from agm.profiles import Profile
from agm.runs import Run


def order(runs: Sequence[Run], profile: Profile) -> Figure:
    """Test MSE and rank of each model under each schedule."""
    return draw(analysis.mse_by_schedule(runs), runs, profile)


def statistics(runs: Sequence[Run], profile: Profile) -> Figure:
    """Test MSE and rank of each model with each kind of batch statistics."""
    names = {kind: name.replace(" ", "\n") for kind, name in STATISTICS_NAMES.items()}
    return draw(analysis.mse_by_statistics(runs).rename(columns=names), runs, profile)


def draw(mse: pd.DataFrame, runs: Sequence[Run], profile: Profile) -> Figure:
    """(a) test MSE, and bicubic; (b) the rank, 1 is best. A line per model, crossing where the order changes."""
    with style.context():
        fig = style.figure(3.9 if len(mse) <= 6 else 6.4)
        left, right = fig.subplots(1, 2, width_ratios=(1.15, 1.0))
        _lines(left, mse)
        style.baseline(left, analysis.bicubic(runs))
        style.log_axis(left)
        left.set_ylabel("test MSE")
        style.title(left, "a", "quality")
        _lines(right, mse.rank())
        right.set_yticks(range(1, len(mse) + 1))
        right.set_ylim(len(mse) + 0.3, 0.7)
        right.set_ylabel("rank")
        style.title(right, "b", "order, 1 is best")
        handles, labels = left.get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=3 if len(mse) <= 6 else 6, prop=MONOSPACE)
        style.stamp(fig, runs, profile)
    return fig


def _lines(ax: Axes, table: pd.DataFrame) -> None:
    places = np.arange(len(table.columns))
    for layers, row in table.iterrows():
        ax.plot(places, row.to_numpy(dtype=float), label=str(layers), **style.line(str(layers)))
    ax.set_xticks(places, [_short(str(name)) for name in table.columns])
    ax.set_xlim(-0.15, len(places) - 0.85)


def _short(schedule: str) -> str:
    """A schedule's name under the axis; a notation of one's own is cut to its first group."""
    return schedule if len(schedule) <= 13 else schedule.split(" ", 1)[0] + " …"
