"""Fig. 4: the number of recurrent layers, by validation MSE on CARDATA."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from agm.config import Statistics
from agm.runs import Run
from study import aggregate
from study.aggregate import Numbers, bicubic, by, extremes, last, score, spikiness_of
from study.experiments import with_recurrent
from study.figures import curves, style
from study.profiles import Profile


def numbers(runs: Sequence[Run]) -> Numbers:
    """Numbers quoted in the book, under both readings."""
    return aggregate.twice(runs, of_reading, curves=True)


def of_reading(runs: Sequence[Run], statistics: Statistics) -> Numbers:
    """By test MSE: `best`, `worst`, `single_n_better` (how many with one n are better than rrrr), `single_r_best`."""
    scores = aggregate.scores(runs, statistics)
    whole = scores.get("rrrr", math.nan)
    better = sum(mse < whole for layers, mse in scores.items() if layers.count("n") == 1)
    single_r = {layers: mse for layers, mse in scores.items() if layers.count("r") == 1}
    best, worst = extremes(scores)
    found = {"best": best, "worst": worst, "single_r_best": extremes(single_r)[0]}
    return found | {"single_n_better": better if math.isfinite(whole) else math.nan}


def table(runs: Sequence[Run]) -> pd.DataFrame:
    """A row per model and kind of statistics: test MSE, last validation MSE, spikiness."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for layers, group in by(runs, "layers").items():
        for kind in aggregate.shown(runs, curves=True):
            rows[layers, kind] = {
                "test MSE": score(group, "mse", kind),
                "last validation MSE": last(group, kind),
                "spikiness": spikiness_of(group, kind),
            }
    level = bicubic(runs, "mse", "validation")
    rows["bicubic", ""] = {"test MSE": bicubic(runs), "last validation MSE": level}
    return pd.DataFrame.from_dict(rows, orient="index")


def draw(runs: Sequence[Run], profile: Profile) -> Figure:
    """Left: rrrr and the models with three r. Right: nnnn and those with one r. A row per kind of statistics."""
    columns = {"three r": (*with_recurrent(3), "rrrr"), "one r": (*with_recurrent(1), "nnnn")}
    panels = [
        [(style.titled(name, runs, kind), curves.of_models(runs, models), kind) for name, models in columns.items()]
        for kind in aggregate.shown(runs, curves=True)
    ]
    return curves.figure(panels, 1.2 + 2.6 * len(panels), runs, profile)
