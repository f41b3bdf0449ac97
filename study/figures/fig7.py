"""Fig. 7: the best models with one, two and three recurrent layers, and rrrr, on all data sets."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from agm.config import Statistics
from agm.runs import Run
from study import aggregate
from study.aggregate import Numbers, bicubic, by, extremes, last, score, select
from study.figures import curves, style
from study.paper import PAPER_NAMES
from study.profiles import Profile


def numbers(runs: Sequence[Run], profile: Profile) -> Numbers:
    """Numbers quoted in the book, by role of the data set and under both readings."""
    return curves.numbers_by_role(runs, profile, curves.numbers, of_reading)


def of_reading(runs: Sequence[Run], statistics: Statistics | None = None) -> Numbers:
    """The models compared on one data set, and the rank of rrrr among them (1 is best)."""
    best = best_by_recurrent(runs, statistics)
    found: Numbers = {f"best_{count}": layers for count, layers in best.items()}
    compared = (*best.values(), "rrrr")
    scores = {layers: score(select(runs, layers=layers), "mse", statistics) for layers in compared}
    found |= {f"best_{count}_test_mse": scores[layers] for count, layers in best.items()}
    return found | {"rrrr_rank": float(pd.Series(scores).rank(method="min")["rrrr"])}  # NaN if it diverged


def best_by_recurrent(runs: Sequence[Run], statistics: Statistics | None = None) -> dict[int, str]:
    """Number of recurrent layers (1 to 3) -> the model with the lowest last validation MSE among the runs' models."""
    best = {}
    for count in (1, 2, 3):
        groups = {layers: group for layers, group in by(runs, "layers").items() if layers.count("r") == count}
        if groups:
            best[count] = extremes({layers: last(group, statistics) for layers, group in groups.items()})[0]
    return best


def table(runs: Sequence[Run], profile: Profile) -> pd.DataFrame:
    """A row per data set and reading: rrrr's place, and the models compared with their test MSE."""
    rows = {}
    for role, group in aggregate.by_role(runs, profile).items():
        for kind in aggregate.shown(runs, curves=True):
            found = of_reading(group, kind)
            row = {"rrrr's rank": found["rrrr_rank"], "rrrr": score(select(group, layers="rrrr"), "mse", kind)}
            for count in (1, 2, 3):
                name = found.get(f"best_{count}", "none")
                mse = f" {found[f'best_{count}_test_mse']:.4f}" if name != "none" else ""
                row[f"best with {count} r"] = name + mse
            rows[PAPER_NAMES.get(role, role), kind] = row | {"bicubic": bicubic(group)}
    return pd.DataFrame.from_dict(rows, orient="index")


def draw(runs: Sequence[Run], profile: Profile) -> Figure:
    """rrrr and the best models with one, two and three r: a row per data set, a column per kind of statistics."""
    panels = [
        [
            (style.titled(PAPER_NAMES.get(role, role), runs, kind), _compared(group, kind), kind)
            for kind in aggregate.shown(runs, curves=True)
        ]
        for role, group in aggregate.by_role(runs, profile).items()
    ]
    return curves.figure(panels, 0.5 + 3.2 * len(panels), runs, profile, sharey=False, legends="all")


def _compared(runs: Sequence[Run], statistics: Statistics) -> list[Run]:
    return curves.of_models(runs, (*best_by_recurrent(runs, statistics).values(), "rrrr"))
