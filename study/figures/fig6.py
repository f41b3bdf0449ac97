"""Fig. 6: training on all images of CARDATA and on a quarter of them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from agm.config import Statistics
from agm.runs import Run
from study import aggregate
from study.aggregate import Numbers, bicubic, by, extremes, score, select
from study.figures import curves, style
from study.profiles import Profile

FRACTION_NAMES = {1.0: "all images", 0.25: "a quarter"}


def numbers(runs: Sequence[Run]) -> Numbers:
    """Numbers quoted in the book, under both readings."""
    return aggregate.twice(runs, of_reading, curves=True)


def of_reading(runs: Sequence[Run], statistics: Statistics) -> Numbers:
    """`full_best`, `quarter_best`: the best models with all data and with less; `worse_with_less`: how many lose."""
    full, quarter = (aggregate.scores(select(runs, fraction=share), statistics) for share in (1.0, 0.25))
    ratios = [_ratio(_scores(group, statistics)) for group in by(runs, "layers").values()]
    found = {"full_best": extremes(full)[0], "quarter_best": extremes(quarter)[0]}
    return found | {"worse_with_less": sum(ratio > 1 for ratio in ratios)}


def _scores(runs: Sequence[Run], statistics: Statistics) -> dict[float, float]:
    """Test MSE by the share of the training images."""
    return {share: score(group, "mse", statistics) for share, group in by(runs, "fraction").items()}


def _ratio(scores: dict[float, float]) -> float:
    """The MSE with the smallest share over that with the largest."""
    return scores[min(scores)] / scores[max(scores)]


def table(runs: Sequence[Run]) -> pd.DataFrame:
    """The smallest share's test MSE over the largest's, and the test MSE by the share of the training images."""
    names = {share: "MSE, all" if share == 1 else f"MSE, {share:g} of them" for share in by(runs, "fraction")}
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for layers, group in by(runs, "layers").items():
        for kind in aggregate.shown(runs, curves=True):
            scores = _scores(group, kind)
            rows[layers, kind] = {"ratio": _ratio(scores)} | {names[share]: mse for share, mse in scores.items()}
    rows["bicubic", ""] = {names[share]: bicubic(group) for share, group in by(runs, "fraction").items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def draw(runs: Sequence[Run], profile: Profile) -> Figure:
    """The models of Table I, trained on all of CARDATA and on a quarter of it; a row per kind of statistics."""
    panels = [
        [
            (style.titled(FRACTION_NAMES.get(fraction, f"{fraction:g} of them"), runs, kind), group, kind)
            for fraction, group in by(runs, "fraction").items()
        ]
        for kind in aggregate.shown(runs, curves=True)
    ]
    return curves.figure(panels, 0.8 + 2.4 * len(panels), runs, profile, legends="figure")
