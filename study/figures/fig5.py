"""Fig. 5: where a recurrent layer stands, by validation MSE on CARDATA and FACEDATA."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from agm.config import Statistics
from agm.runs import Run
from study import aggregate
from study.aggregate import Numbers, bicubic, by, extremes, median, spikiness_of
from study.experiments import LAST_PLAIN, LAST_RECURRENT
from study.figures import curves, style
from study.figures.style import NOTHING
from study.paper import PAPER_NAMES
from study.profiles import Profile


def numbers(runs: Sequence[Run], profile: Profile) -> Numbers:
    """Numbers quoted in the book, by role of the data set and under both readings: `cars_precise_r_spikiness`."""
    found: Numbers = {}
    for role, group in aggregate.by_role(runs, profile).items():
        found |= aggregate.prefixed(role, aggregate.twice(group, of_reading, curves=True))
    return found


def of_reading(runs: Sequence[Run], statistics: Statistics) -> Numbers:
    """`r_spikiness`, `n_spikiness`: the medians of the models whose last layer is r, and n."""
    spiky = {layers: spikiness_of(group, statistics) for layers, group in by(runs, "layers").items()}
    return {f"{end}_spikiness": median(spiky[layers] for layers in spiky if layers.endswith(end)) for end in "rn"}


def table(runs: Sequence[Run], profile: Profile) -> pd.DataFrame:
    """A row per data set and kind of statistics: median spikiness by last layer, the best and the worst model."""
    rows = {}
    for role, group in aggregate.by_role(runs, profile).items():
        for kind in aggregate.shown(runs, curves=True):
            spiky = of_reading(group, kind)
            scores = aggregate.scores(group, kind)
            best, worst = extremes(scores)
            rows[PAPER_NAMES.get(role, role), kind] = {
                "spikiness, last layer r": spiky["r_spikiness"],
                "spikiness, last layer n": spiky["n_spikiness"],
                "best": best,
                "its test MSE": scores.get(best, NOTHING),
                "worst": worst,
                "bicubic, test MSE": bicubic(group),
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def draw(runs: Sequence[Run], profile: Profile) -> Figure:
    """Left: the eight models with a last r. Right: those with a last n. A row per data set and kind of statistics."""
    panels = [
        [
            (style.titled(f"{PAPER_NAMES.get(role, role)}, {end}", runs, kind), curves.of_models(group, models), kind)
            for end, models in (("r", LAST_RECURRENT), ("n", LAST_PLAIN))
        ]
        for kind in aggregate.shown(runs, curves=True)
        for role, group in aggregate.by_role(runs, profile).items()
    ]
    return curves.figure(panels, 0.8 + 2.3 * len(panels), runs, profile)
