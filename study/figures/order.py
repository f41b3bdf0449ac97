"""Does the order of the ORL models survive AEL (Section II-D)?"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from agm.config import Statistics
from agm.runs import Run
from study import aggregate
from study.aggregate import Numbers, bicubic, by, schedule_name, score
from study.figures import ranks
from study.profiles import Profile


def numbers(runs: Sequence[Run]) -> Numbers:
    """Numbers quoted in the book, under both readings."""
    return aggregate.twice(runs, of_reading)


def of_reading(runs: Sequence[Run], statistics: Statistics | None = None) -> Numbers:
    """The order of the models under each schedule, their MSE and rank, and how well any two orders agree."""
    errors = mse(runs, statistics)
    found: Numbers = {"bicubic_mse": bicubic(runs)}
    for name in errors.columns:
        short = str(name).lower()
        found[f"{short}_order"] = ", ".join(errors[name].sort_values().index)
        for layers in errors.index:
            found[f"{layers}_{short}_mse"] = float(errors.loc[layers, name])
            found[f"{layers}_{short}_rank"] = float(errors[name].rank()[layers])
    return found | ranks.agreement(errors)


def mse(runs: Sequence[Run], statistics: Statistics | None = None) -> pd.DataFrame:
    """Test MSE of each model (rows) under each schedule (columns)."""
    columns = {}
    for schedule, group in by(runs, "schedule").items():
        scores = {layers: score(same, "mse", statistics) for layers, same in by(group, "layers").items()}
        columns[schedule_name(schedule)] = scores
    return pd.DataFrame(columns)


def table(runs: Sequence[Run]) -> pd.DataFrame:
    """Rank, 1 is best, and test MSE of each model under each schedule and reading, and bicubic upsampling."""
    return pd.concat({kind: ranks.table(mse(runs, kind), runs) for kind in aggregate.shown(runs)}, axis=1)


def draw(runs: Sequence[Run], profile: Profile) -> Figure:
    """Test MSE and rank of each model under each schedule; a row per kind of statistics."""
    return ranks.draw({kind: mse(runs, kind) for kind in aggregate.shown(runs)}, runs, profile)
