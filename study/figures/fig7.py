"""Fig. 7: the best models with one, two and three recurrent layers, and rrrr, on all data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from agm.config import Statistics
from agm.runs import Run
from study import aggregate
from study.aggregate import bicubic, by, extremes, last, score, select
from study.figures import curves, style
from study.paper import PAPER_NAMES
from study.profiles import Profile


def best_by_recurrent(runs: Sequence[Run], statistics: Statistics) -> dict[int, str]:
    """Number of recurrent layers (1 to 3) -> the model with the lowest last validation MSE, "none" without any."""
    errors = {layers: last(group, statistics) for layers, group in by(runs, "layers").items()}
    return {n: extremes({m: mse for m, mse in errors.items() if m.count("r") == n})[0] for n in (1, 2, 3)}


def table(runs: Sequence[Run], profile: Profile) -> pd.DataFrame:
    """A row per data set and reading: rrrr's place (1 is best), and the models compared with their test MSE."""
    rows = {}
    for role, group in aggregate.by_role(runs, profile).items():
        for kind in aggregate.shown(runs, curves=True):
            best = best_by_recurrent(group, kind)
            scores = {m: score(select(group, layers=m), "mse", kind) for m in (*best.values(), "rrrr")}
            rank = pd.Series(scores).rank(method="min")["rrrr"]  # NaN if it diverged
            row: dict[str, Any] = {"rrrr's rank": rank, "rrrr": scores["rrrr"]}
            for n, model in best.items():
                row[f"best with {n} r"] = model if model == "none" else f"{model} {scores[model]:.4f}"
            rows[PAPER_NAMES.get(role, role), kind] = row | {"bicubic": bicubic(group)}
    return pd.DataFrame.from_dict(rows, orient="index")


def numbers(runs: Sequence[Run], profile: Profile) -> aggregate.Numbers:
    """`precise_worst`, `shared_worst`: on how many data sets rrrr is the worst of the four compared."""
    ranks = table(runs, profile)["rrrr's rank"]
    kinds = zip(("precise", "shared"), aggregate.both(runs, curves=True), strict=True)
    rows = ranks.index.get_level_values(1)
    return {f"{reading}_worst": int((ranks[rows == kind] == 4).sum()) for reading, kind in kinds}


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
