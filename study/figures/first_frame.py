"""What shared batch-norm statistics cost when the first iteration sees bicubic upsampling, not a black picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from agm.runs import Run
from agm.schedule import NAMED
from study import aggregate
from study.aggregate import Numbers, by, median, score, spikiness_of
from study.figures import style
from study.measured import Measured
from study.profiles import Profile

FRAMES = {"zeros": "black", "bicubic": "bicubic"}
"""`feedback` -> what the first iteration sees."""

LOOKS: dict[str, dict[str, Any]] = {
    "black": {"color": style.VERMILLION, "marker": "o", "markerfacecolor": "white"},
    "bicubic": {"color": style.BLUE, "marker": "D"},
}

MEASURES = ("cost", "mse", "spikiness", "own spikiness")

EXPECTED = 1.2
"""The cost above which a network counts as spoilt. Fixed before the runs with the bicubic frame were read."""


def measured(runs: Sequence[Run]) -> pd.DataFrame:
    """A row per model: `spoilt`, then MEASURES per frame: `mse` with statistics of each iteration, `cost`: MSE with
    shared ones over it, `spikiness` with shared ones, `own spikiness` with those of each iteration.

    The kind of statistics of each iteration is the same for all runs of a frame. `spoilt`: a plain layer lies above a
    recurrent one, whose memory is empty at iteration 1. The others come first. NaN where a run is not there.
    """
    rows = {}
    tests = {feedback: aggregate.both(same) for feedback, same in by(runs, "feedback").items()}
    validations = {feedback: aggregate.both(same, curves=True) for feedback, same in by(runs, "feedback").items()}
    for layers, group in by(runs, "layers").items():
        row: dict[str, Any] = {"spoilt": "n" in layers.partition("r")[2]}
        for feedback, same in by(group, "feedback").items():
            frame = FRAMES[feedback]
            own, shared = tests[feedback]
            mse = score(same, "mse", own)
            row |= {f"cost {frame}": score(same, "mse", shared) / mse, f"mse {frame}": mse}
            own, shared = validations[feedback]
            row |= {f"spikiness {frame}": spikiness_of(same, shared), f"own spikiness {frame}": spikiness_of(same, own)}
        rows[layers] = row
    columns = ["spoilt", *(f"{name} {frame}" for name in MEASURES for frame in LOOKS)]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).sort_values("spoilt", kind="stable")


def numbers(runs: Sequence[Run]) -> Numbers:
    """The numbers of the chapter: `as_expected` counts the models that meet the expectation, `models` counts all.

    `p`: of a one-sided Mann-Whitney test that sharing costs more where a plain layer lies above a recurrent one;
    `spikier_p`: that curves with statistics of each iteration are spikier with a plain last layer. `black_reading`:
    the kind that stands for each iteration. `black_nnnr_over_rrrr`: of test MSE with shared statistics.
    `bicubic_nnnr_cost`: what sharing costs nnnr; `bicubic_most_cost`: the most that it costs a model.
    """
    rows = measured(runs).dropna(subset=["cost black", "cost bicubic"])
    cost_bicubic, spoilt = rows["cost bicubic"], rows["spoilt"].astype(bool)
    above = cost_bicubic > EXPECTED
    found: Numbers = {"models": len(rows), "as_expected": int((above == spoilt).sum())}
    found["rule"] = "holds" if found["as_expected"] == len(rows) else "does not hold"
    found["above"] = ", ".join(rows.index[spoilt & above]) or "none"
    found["exceptions"] = ", ".join(rows.index[above != spoilt]) or "none"
    found["p"] = float(stats.mannwhitneyu(cost_bicubic[spoilt], cost_bicubic[~spoilt], alternative="greater").pvalue)
    found |= {"black_least_cost": float(rows["cost black"].min()), "bicubic_most_cost": float(cost_bicubic.max())}
    found["bicubic_nnnr_cost"] = float(cost_bicubic.get("nnnr", np.nan))
    for group, some in (("spoilt", rows[spoilt]), ("clean", rows[~spoilt])):
        found |= {f"{group}_{frame}_cost": median(some[f"cost {frame}"]) for frame in LOOKS}
        found[f"{group}_bicubic_most"] = float(some["cost bicubic"].max())
    for end in "rn":
        some = rows[rows.index.str.endswith(end)]
        found[f"last_{end}_bicubic_spikiness"] = median(some["spikiness bicubic"])
        found[f"last_{end}_bicubic_own_spikiness"] = median(some["own spikiness bicubic"])
    plain = rows.index.str.endswith("n")
    own = rows["own spikiness bicubic"]
    found["spikier_p"] = float(stats.mannwhitneyu(own[plain], own[~plain], alternative="greater").pvalue)
    for feedback, same in by(runs, "feedback").items():
        frame, (kind, shared) = FRAMES[feedback], aggregate.both(same)
        scores = aggregate.scores(same, shared) | {"bicubic": aggregate.bicubic(same)}
        found[f"{frame}_reading"] = aggregate.STATISTICS_NAMES[kind]
        found |= {f"{frame}_nnnr_over_{other}": scores["nnnr"] / scores[other] for other in ("rrrr", "bicubic")}
    return found


PAIRS = {
    "first": "a pair for iteration 1, one for the rest",
    "b": "shared in B only",
    "layers": "shared in the layers only",
    "shared": "shared everywhere",
}
"""How `benchmarks.sharing` shares exact averages."""


def shared_in_part(measured: Measured) -> pd.DataFrame:
    """A row per schedule, first frame and network: validation MSE with PAIRS, over that with a pair per iteration."""
    rows = {}
    for row in measured["rows"]:
        name = aggregate.schedule_name(row["schedule"]), FRAMES[row["feedback"]], row["layers"]
        rows[name] = {title: row["mse"][pairs] / row["mse"]["own"] for pairs, title in PAIRS.items()}
    found = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["schedule", "first frame", "network"])
    return found.sort_index().reindex(list(NAMED), level="schedule")


def sharing_numbers(measured: Measured) -> Numbers:
    """The medians of `shared_in_part` with a black first frame and without AEL, such as `sharing_black_first`.

    `sharing_models`: the models that they are of.
    """
    rows = shared_in_part(measured).xs(("black", "NOAEL"), level=("first frame", "schedule"))
    found: Numbers = {"sharing_models": ", ".join(rows.index.unique())}
    return found | {f"sharing_black_{pairs}": median(rows[title]) for pairs, title in PAIRS.items()}


def table(runs: Sequence[Run]) -> pd.DataFrame:
    """`measured` as a page shows it: what shared statistics cost first."""
    rows = measured(runs)
    rows["spoilt"] = rows["spoilt"].map({True: "yes", False: "no"})
    names = {"spoilt": "plain above recurrent"}
    for frame in LOOKS:
        names |= {f"cost {frame}": f"{frame} frame, cost of sharing, ratio"}
        names |= {f"mse {frame}": f"{frame} frame, MSE per iteration"}
        names |= {f"spikiness {frame}": f"{frame} frame, spikiness, shared"}
        names |= {f"own spikiness {frame}": f"{frame} frame, spikiness, per iteration"}
    return rows.rename(columns=names)


def draw(runs: Sequence[Run], profile: Profile) -> Figure:
    """A row per model: the cost of shared statistics with either first frame."""
    rows = measured(runs)
    places = np.arange(len(rows))[::-1]
    with style.context():
        fig = style.figure(1.3 + 0.27 * len(rows))
        ax = fig.subplots()
        for frame, look in LOOKS.items():
            ax.plot(rows[f"cost {frame}"], places, linestyle="none", label=f"{frame} first frame", **look)
        ax.axvline(1.0, color=style.FAINT, linewidth=1.0)
        ax.axvline(EXPECTED, color=style.FAINT, linestyle=":", label=f"{EXPECTED:g}, the limit that was expected")
        ax.axhline(places[int((~rows["spoilt"].astype(bool)).sum())] + 0.5, color=style.BLACK, linewidth=0.8)
        ax.set_xscale("log")
        ax.set_xticks([1, 2, 5, 10], ["1", "2", "5", "10"])
        ax.set_yticks(places, rows.index, **style.MONOSPACE)
        ax.set_xlabel("test MSE, shared statistics over those of each iteration")
        style.legend(fig, ax, 2)
        style.stamp(fig, runs, profile)
    return fig
