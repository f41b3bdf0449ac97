"""What each figure and table says in numbers, by name: what the book can quote. `study.tables` has tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.stats import f_oneway

from agm import runs
from agm.config import GeneratorConfig, Statistics
from agm.errors import AgmError
from agm.networks.complexity import fewer, parameters
from agm.paths import results_folder
from agm.runs import Run
from study import aggregate, experiments, profiles
from study.aggregate import Numbers, bicubic, by, extremes, last, median, score, select, spikiness_of
from study.profiles import Profile

PAPER_TABLE_1 = {
    "nnnr": (1335683, 0.0068),
    "nnrr": (2220419, 0.0070),
    "rrnr": (3105155, 0.0069),
    "rrrr": (3989891, 0.0075),
}
"""Table I as the paper prints it: parameters and MSE."""


def recorded(experiment: str) -> dict[str, list[Run]]:
    """The recorded runs of an experiment, by the profile under which they were recorded."""
    found = {}
    for name in profiles.names():
        planned = experiments.plan(experiment, profiles.load(name))
        present = [run for config in planned if (run := runs.find(config, results_folder() / name)) is not None]
        if present:
            found[name] = present
    return found


def recorded_runs(experiment: str, profile: Profile) -> list[Run]:
    """The recorded runs of an experiment under a profile. Raises AgmError if there are none."""
    found = recorded(experiment).get(profile.name)
    if found is None:
        raise AgmError(f"no runs of {experiment!r} are recorded under profile {profile.name!r} in {results_folder()}")
    return found


def all_finished(profile: Profile) -> list[Run]:
    """The runs that are there of all that a profile plans."""
    planned = experiments.plan_all(experiments.EXPERIMENTS, profile)
    return [run for config in planned if (run := runs.find(config)) is not None]


Reading = Callable[[Sequence[Run], Statistics], Numbers]
"""Numbers of runs under one kind of batch statistics."""


def twice(finished: Sequence[Run], *measures: Reading, curves: bool = False) -> Numbers:
    """Numbers under both readings, `precise_best` and `shared_best`; `reading`: which kind stands for precise."""
    precise, shared = aggregate.both(finished, curves)
    numbers: Numbers = {"reading": precise}
    for measure in measures:
        numbers |= aggregate.prefixed("precise", measure(finished, precise))
        numbers |= aggregate.prefixed("shared", measure(finished, shared))
    return numbers


def table_1_numbers(finished: Sequence[Run]) -> Numbers:
    """Table I's counts by name, then its errors under both readings."""
    numbers: Numbers = {f"bicubic_{metric}": bicubic(finished, metric) for metric in ("mse", "psnr", "ssim")}
    numbers["bicubic_summed"] = COLOURS * numbers["bicubic_mse"]
    for layers, group in by(finished, "layers").items():
        numbers[f"{layers}_parameters"], numbers[f"{layers}_fewer"] = parameters(GeneratorConfig(layers)), fewer(layers)
        numbers[f"{layers}_run_parameters"] = int(group[0].summary["parameters"])
        numbers[f"{layers}_paper_parameters"], numbers[f"{layers}_paper_mse"] = PAPER_TABLE_1[layers]
    numbers["chance_rrrr_worst"] = aggregate.chance_of_worst(4, 6, 4)  # models with one, two and three r
    return numbers | twice(finished, table_1_errors)


COLOURS = 3
"""The paper's formula of the MSE divides by rows and columns alone: read literally, it sums over the colours."""


def table_1_errors(finished: Sequence[Run], statistics: Statistics) -> Numbers:
    """`nnnr_lowest_mse` and `nnnr_highest_mse` are of single seeds, `nnnr_summed` is summed over the colours.

    `differ_p`: how probably models that do not differ would differ as much over the seeds (analysis of variance).
    """
    numbers: Numbers = {}
    groups = by(finished, "layers")
    for layers, group in groups.items():
        numbers |= {f"{layers}_{metric}": score(group, metric, statistics) for metric in ("mse", "psnr", "ssim")}
        numbers[f"{layers}_summed"] = COLOURS * numbers[f"{layers}_mse"]
        alone = [score([run], "mse", statistics) for run in group]
        numbers |= {f"{layers}_lowest_mse": float(np.min(alone)), f"{layers}_highest_mse": float(np.max(alone))}
    scores = {layers: numbers[f"{layers}_mse"] for layers in groups}
    numbers["best"], numbers["worst"] = extremes(scores)
    numbers["order"] = ", ".join(sorted(scores, key=lambda layers: scores[layers]))
    numbers["beat_bicubic"] = sum(mse < bicubic(finished) for mse in scores.values())
    logs = [[math.log(score([run], "mse", statistics)) for run in group] for group in groups.values()]
    several = min(map(len, logs)) > 1 and np.isfinite(logs).all()
    numbers["differ_p"] = float(f_oneway(*logs).pvalue) if several and len(logs) > 1 else math.nan
    return numbers


def curve_numbers(finished: Sequence[Run], statistics: Statistics | None = None) -> Numbers:
    """The results of one panel of curves, runs of one data set: `nnnr_test_mse`, `bicubic_test_mse`, `best`."""
    numbers: Numbers = {f"bicubic_{part}_mse": bicubic(finished, "mse", part) for part in ("validation", "test")}
    groups = by(finished, "layers")
    for layers, group in groups.items():
        numbers[f"{layers}_validation_mse"] = last(group, statistics)
        numbers[f"{layers}_test_mse"] = score(group, "mse", statistics)
        numbers[f"{layers}_spikiness"] = spikiness_of(group, statistics)
    numbers["best"], numbers["worst"] = extremes({layers: numbers[f"{layers}_test_mse"] for layers in groups})
    return numbers


def fig4_numbers(finished: Sequence[Run], statistics: Statistics | None = None) -> Numbers:
    """What Section III-B1 says of Fig. 4: one n against none, the best single r, the spikiest with at most one n."""
    groups = by(finished, "layers")
    scores = {layers: score(group, "mse", statistics) for layers, group in groups.items()}
    single_n = {layers: mse for layers, mse in scores.items() if layers.count("n") == 1}
    single_r = {layers: mse for layers, mse in scores.items() if layers.count("r") == 1}
    whole = scores.get("rrrr", math.nan)
    spiky = {layers: spikiness_of(group, statistics) for layers, group in groups.items() if layers.count("n") <= 1}
    return {
        "single_n_better": sum(mse < whole for mse in single_n.values()) if math.isfinite(whole) else math.nan,
        "single_r_best": extremes(single_r)[0],
        "a_spikiest": extremes(spiky)[1],
    }


def by_role_numbers(finished: Sequence[Run], profile: Profile, *measures: Reading) -> Numbers:
    """`twice`, for each data set's runs, named by its role: `cars_precise_best`."""
    numbers: Numbers = {}
    for role, group in aggregate.by_role(finished, profile).items():
        numbers |= aggregate.prefixed(role, twice(group, *measures, curves=True))
    return numbers


def fig5_numbers(finished: Sequence[Run], statistics: Statistics | None = None) -> Numbers:
    """How spiky the models are whose last layer is r, and those whose last layer is n: medians."""
    spiky = {layers: spikiness_of(group, statistics) for layers, group in by(finished, "layers").items()}
    return {f"{end}_spikiness": median(spiky[layers] for layers in spiky if layers.endswith(end)) for end in "rn"}


def fig6_numbers(finished: Sequence[Run], statistics: Statistics | None = None) -> Numbers:
    """The numbers of both panels, and what less data costs."""
    numbers: Numbers = {}
    for share, name in ((1.0, "full"), (0.25, "quarter")):
        if group := select(finished, fraction=share):
            numbers |= aggregate.prefixed(name, curve_numbers(group, statistics))
    return numbers | _cost_of_less(finished, statistics)


def _cost_of_less(finished: Sequence[Run], statistics: Statistics | None = None) -> Numbers:
    """Test MSE with the smallest share of the data over that with the largest, and for how many models it is worse."""
    fractions = sorted(by(finished, "fraction"))
    ratios = {}
    for layers, group in by(finished, "layers").items():
        less, more = (score(select(group, fraction=f), statistics=statistics) for f in (fractions[0], fractions[-1]))
        ratios[f"{layers}_ratio"] = less / more
    return {**ratios, "worse_with_less": sum(ratio > 1 for ratio in ratios.values())}


def fig7_numbers(finished: Sequence[Run], statistics: Statistics | None = None) -> Numbers:
    """The models that Fig. 7 compares on one data set, and the place of rrrr among them, 1 is best."""
    best = aggregate.best_by_recurrent(finished, statistics)
    numbers: Numbers = {f"best_{count}": layers for count, layers in best.items()}
    compared = (*best.values(), "rrrr")
    scores = {layers: score(select(finished, layers=layers), "mse", statistics) for layers in compared}
    for count, layers in best.items():
        numbers[f"best_{count}_test_mse"] = scores[layers]
    numbers["rrrr_rank"] = float(pd.Series(scores).rank(method="min")["rrrr"])  # NaN if it diverged
    return numbers


def order_numbers(finished: Sequence[Run], statistics: Statistics | None = None) -> Numbers:
    """The results of II-D: each schedule's order, MSE and rank by model, and the agreement of every two orders."""
    mse = aggregate.mse_by_schedule(finished, statistics)
    numbers: Numbers = {"bicubic_mse": bicubic(finished)}
    for name in mse.columns:
        short = str(name).lower()
        numbers[f"{short}_order"] = ", ".join(mse[name].sort_values().index)
        for layers in mse.index:
            numbers[f"{layers}_{short}_mse"] = float(mse.loc[layers, name])
            numbers[f"{layers}_{short}_rank"] = float(mse[name].rank()[layers])
    return numbers | _agreement(mse)


def _agreement(mse: pd.DataFrame) -> Numbers:
    """Kendall's tau and its p-value for the orders of the models in every two columns."""
    numbers: Numbers = {}
    for row in aggregate.kendall(mse).to_dict("records"):
        pair = f"{row['first']}_{row['second']}".lower()
        numbers |= {f"{pair}_tau": float(row["tau"]), f"{pair}_p": float(row["p"])}
    return numbers


def statistics_numbers(finished: Sequence[Run]) -> Numbers:
    """Medians over the models whose last layer is r or n, and the numbers of every single model."""
    table = aggregate.statistics_table(finished)
    numbers: Numbers = {"bicubic_validation_mse": bicubic(finished, "mse", "validation")}
    for kind in aggregate.readings(finished):
        rows = table.xs(kind, level="statistics")
        for end in "rn":
            for measure in table.columns:
                numbers[f"{kind}_{end}_{measure}"] = median(
                    rows.loc[[layers.endswith(end) for layers in rows.index], measure]
                )
        for layers in rows.index:
            numbers |= {f"{layers}_{kind}_{measure}": float(rows.loc[layers, measure]) for measure in table.columns}
    return numbers | ranking_numbers(finished)


def ranking_numbers(finished: Sequence[Run]) -> Numbers:
    """Who is best by test MSE under each kind of batch statistics, and how far two of these orders agree.

    `shared_last_r_mse`: the median over the models whose last layer is r.
    """
    mse = aggregate.mse_by_statistics(finished)
    numbers: Numbers = {"models": len(mse)}
    for kind in aggregate.readings(finished):
        scores = {str(layers): float(value) for layers, value in mse[kind].items()}
        numbers[f"{kind}_best"], numbers[f"{kind}_worst"] = extremes(scores)
        numbers[f"{kind}_beat_bicubic"] = int((mse[kind] < bicubic(finished)).sum())
        numbers |= {f"{layers}_{kind}_rank": float(rank) for layers, rank in mse[kind].rank().items()}
        for end in "rn":
            numbers[f"{kind}_last_{end}_mse"] = median(scores[layers] for layers in scores if layers.endswith(end))
    return numbers | _agreement(mse)


def last_psnr(group: Sequence[Run], statistics: Statistics) -> float:
    """PSNR of the last iteration's image in dB, averaged over the seeds."""
    return aggregate.over_seeds(group, lambda run: float(run.test("psnr", statistics)[-1]))


def recorded_numbers(finished: Sequence[Run]) -> Numbers:
    """`recorded_table` by name, and which models beat bicubic and the paper's Table I in which reading."""
    kinds = dict(zip(("precise", "shared"), aggregate.both(finished), strict=True))
    numbers: Numbers = {"bicubic_mse": bicubic(finished), "bicubic_psnr": bicubic(finished, "psnr")}
    for layers, group in by(finished, "layers").items():
        for text, same in by(group, "schedule").items():
            name = f"{layers}_{aggregate.schedule_name(text).lower()}"
            for reading, kind in kinds.items():
                numbers[f"{name}_{reading}_mse"] = score(same, "mse", kind)
                numbers[f"{name}_{reading}_last_psnr"] = last_psnr(same, kind)
            numbers[f"{name}_first_ms"] = 1000 * same[0].summary["seconds_until_iteration"][0]
    critic = [aggregate.critic_losses(run) for run in finished]
    numbers["critic_epochs"] = sum(map(len, critic))
    numbers["critic_positive"] = sum(int((losses > 0).sum()) for losses in critic)
    whole = select(finished, schedule="NOAEL")
    for reading, kind in kinds.items():
        scores = {layers: score(group, "mse", kind) for layers, group in by(whole, "layers").items()}
        numbers[f"{reading}_beat_bicubic"] = sum(mse < numbers["bicubic_mse"] for mse in scores.values())
        numbers[f"{reading}_beat_paper"] = sum(mse < PAPER_TABLE_1[layers][1] for layers, mse in scores.items())
        numbers[f"{reading}_order"] = ", ".join(sorted(scores, key=lambda layers: scores[layers]))
    return numbers
