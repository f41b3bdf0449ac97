"""Does the order of the ORL models survive AEL (Section II-D)?"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from agm.config import Statistics
from agm.runs import Run
from study import aggregate
from study.aggregate import Numbers, by, schedule_name
from study.figures import ranks
from study.profiles import Profile


def numbers(runs: Sequence[Run]) -> Numbers:
    """Numbers quoted in the book, under both readings."""
    return aggregate.twice(runs, of_reading)


def of_reading(runs: Sequence[Run], statistics: Statistics) -> Numbers:
    """The order of the models under each schedule, and how well any two orders agree."""
    errors = mse(runs, statistics)
    found: Numbers = {f"{name}_order".lower(): ", ".join(errors[name].sort_values().index) for name in errors.columns}
    return found | ranks.agreement(errors)


def mse(runs: Sequence[Run], statistics: Statistics) -> pd.DataFrame:
    """Test MSE of each model (rows) under each schedule (columns)."""
    groups = by(runs, "schedule").items()
    return pd.DataFrame({schedule_name(schedule): aggregate.scores(group, statistics) for schedule, group in groups})


def table(runs: Sequence[Run]) -> pd.DataFrame:
    """Rank, 1 is best, and test MSE of each model under each schedule and reading, and bicubic upsampling."""
    return pd.concat({kind: ranks.table(mse(runs, kind), runs) for kind in aggregate.shown(runs)}, axis=1)


def draw(runs: Sequence[Run], profile: Profile) -> Figure:
    """Test MSE and rank of each model under each schedule; a row per kind of statistics."""
    return ranks.draw({kind: mse(runs, kind) for kind in aggregate.shown(runs)}, runs, profile)
