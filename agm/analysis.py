"""What runs say together: grouped, averaged over seeds, compared. Numbers only; `agm.figures` draws them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from agm.config import STATISTICS, Statistics, field_owners
from agm.errors import AgmError, unknown
from agm.experiments import role_of
from agm.profiles import Profile
from agm.runs import Run
from agm.schedule import NAMED, Schedule

PAPER_NAMES = {"cars": "CARDATA", "faces": "FACEDATA", "geo": "GEODATA"}
"""What the paper calls its data sets, by role."""

SUBSTITUTES = {
    "f5f2cd5b74d02dcb28a55ad85b946ac95e72a8c0cf9400eb679a9a33befe65df": "Labeled Faces in the Wild",
    "319ba9c662bb34bc207f3dd995ea07d01add7cde0a56f00d7cd0a4e2d3448587": "NAIP aerial tiles",
}
"""Prepared sets that are not the paper's own either, by the fingerprint that every run keeps."""

STANDING = " standing in for "

PAPER_TABLE_1 = {
    "nnnr": (1335683, 0.0068),
    "nnrr": (2220419, 0.0070),
    "rrnr": (3105155, 0.0069),
    "rrrr": (3989891, 0.0075),
}
"""Table I as the paper prints it: parameters and MSE."""

Numbers = dict[str, Any]
"""Named results: plain floats, integers and text."""


def value(run: Run, name: str) -> Any:
    """A field of a run's configuration by its name, whichever part holds it."""
    owners = field_owners()
    if name not in owners:
        raise unknown("configuration field", name, owners)
    return getattr(getattr(run.config, owners[name]) if owners[name] else run.config, name)


def select(runs: Iterable[Run], **fields: Any) -> list[Run]:
    """The runs whose configuration has these values; a schedule may be given by its name."""
    if "schedule" in fields:
        fields["schedule"] = str(Schedule.parse(fields["schedule"]))
    return [run for run in runs if all(value(run, name) == wanted for name, wanted in fields.items())]


def by(runs: Iterable[Run], name: str) -> dict[Any, list[Run]]:
    """Runs grouped by a configuration field, in the order in which its values first occur."""
    groups: dict[Any, list[Run]] = {}
    for run in runs:
        groups.setdefault(value(run, name), []).append(run)
    return groups


def by_role(runs: Iterable[Run], profile: Profile) -> dict[str, list[Run]]:
    """Runs grouped by the part their data set plays."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(role_of(run.config, profile), []).append(run)
    return groups


def schedule_name(text: str) -> str:
    """NOAEL, A or B where a schedule is one of these, else the notation itself."""
    return next((name for name, notation in NAMED.items() if str(Schedule.parse(notation)) == text), text)


def diverged(run: Run) -> bool:
    """Whether training stopped being finite; what is left of such a run is its last finite state."""
    return bool(run.summary["status"] == "diverged")


def over_seeds(runs: Sequence[Run], measure: Callable[[Run], float]) -> float:
    """A number averaged over runs that differ in their seed; NaN if one of them diverged."""
    return float(np.mean([np.nan if diverged(run) else measure(run) for run in runs]))


def score(runs: Sequence[Run], metric: str = "mse", statistics: Statistics | None = None) -> float:
    """A test metric, averaged over the iterations and the seeds."""
    return over_seeds(runs, lambda run: float(run.test(metric, statistics).mean()))


def last(runs: Sequence[Run], statistics: Statistics | None = None) -> float:
    """Validation MSE after the last epoch, averaged over the iterations and the seeds."""
    return over_seeds(runs, lambda run: float(run.curve("mse", statistics).iloc[-1]))


def bicubic(runs: Sequence[Run], metric: str = "mse", part: str = "test") -> float:
    """The same metric of bicubic upsampling; the runs share their images."""
    return runs[0].bicubic(metric, part)


def curves(runs: Sequence[Run], metric: str = "mse", statistics: Statistics | None = None) -> pd.DataFrame:
    """Validation curves, averaged over the iterations: one row per epoch, one column per run."""
    return pd.DataFrame({run.config.id: run.curve(metric, statistics) for run in runs})


def spikiness(curve: Iterable[float]) -> float:
    """How jagged a validation curve is: the mean absolute second difference of its logarithm.

    0 for a straight line on a logarithmic axis, however steep. NaN for fewer than three epochs or values not finite.
    """
    values = np.asarray(list(curve), dtype=float)
    if len(values) < 3 or not np.all(np.isfinite(values)) or np.any(values <= 0):
        return float("nan")
    return float(np.abs(np.diff(np.log(values), 2)).mean())


def spikiness_of(runs: Sequence[Run], statistics: Statistics | None = None) -> float:
    """Spikiness of the validation MSE, averaged over the seeds."""
    return over_seeds(runs, lambda run: spikiness(run.curve("mse", statistics)))


def median(values: Iterable[float]) -> float:
    """The median of the finite values; NaN if there are none."""
    finite = [value for value in values if np.isfinite(value)]
    return float(np.median(finite)) if finite else float("nan")


def extremes(scores: Mapping[str, float]) -> tuple[str, str]:
    """The names with the lowest and the highest finite score; "none" if there are none."""
    ranked = sorted((name for name in scores if np.isfinite(scores[name])), key=lambda name: scores[name])
    return (ranked[0], ranked[-1]) if ranked else ("none", "none")


def describe(runs: Sequence[Run], profile: Profile) -> Numbers:
    """What runs were made with, for a figure's stamp and the text around it."""
    if not runs:
        raise AgmError("no runs to describe: nothing is left of the experiment")
    listed = {name: _listed(runs, name) for name in ("width", "image_size", "epochs", "learning_rate", "batch_size")}
    seeds = _listed(runs, "seed")
    numbers: Numbers = {"profile": profile.name, "data": data_text(runs, profile), **listed, "seeds": seeds}
    for part in ("train", "validation", "test"):
        counts = dict.fromkeys(str(run.summary["data"]["images"][part]) for run in runs)
        numbers[f"{part}_images"] = ", ".join(counts)
    numbers["device"] = ", ".join(dict.fromkeys(str(run.summary["machine"]["device"]) for run in runs))
    numbers["runs"], numbers["diverged"] = len(runs), sum(map(diverged, runs))
    numbers["minutes"] = sum(float(run.summary["seconds"]) for run in runs) / 60
    recorded = "recorded, " if all(run.recorded for run in runs) else ""
    settings = f"width {listed['width']} · {listed['image_size']} px · {listed['epochs']} epochs · seed {seeds}"
    numbers["stamp"] = f"profile {profile.name} · {numbers['data']} · {settings} · {recorded}{numbers['device']}"
    return numbers


def data_text(runs: Sequence[Run], profile: Profile) -> str:
    """The data sets of runs, and the paper's for which they stand in.

    "photographs standing in for CARDATA, closeups for FACEDATA"
    """
    groups = by_role(runs, profile)
    texts = [_data_name(group[0], role) for role, group in groups.items()]
    first = next((i for i, text in enumerate(texts) if STANDING in text), len(texts))
    return ", ".join(text.replace(STANDING, " for ") if i > first else text for i, text in enumerate(texts))


def _data_name(run: Run, role: str) -> str:
    paper = PAPER_NAMES.get(role)
    if paper is None:
        return run.config.data.dataset
    if run.summary["data"]["stand_in"]:
        return f"{run.config.data.dataset}{STANDING}{paper}"
    substitute = SUBSTITUTES.get(run.summary["data"]["fingerprint"])
    return f"{substitute}{STANDING}{paper}" if substitute else paper


def _listed(runs: Iterable[Run], name: str) -> str:
    return ", ".join(str(value) for value in by(runs, name))


def curve_numbers(runs: Sequence[Run]) -> Numbers:
    """The results of one panel of curves, runs of one data set: `nnnr_test_mse`, `bicubic_test_mse`, `best`."""
    numbers: Numbers = {f"bicubic_{part}_mse": bicubic(runs, "mse", part) for part in ("validation", "test")}
    groups = by(runs, "layers")
    for layers, group in groups.items():
        numbers[f"{layers}_validation_mse"] = last(group)
        numbers[f"{layers}_test_mse"] = score(group)
        numbers[f"{layers}_spikiness"] = spikiness_of(group)
    numbers["best"], numbers["worst"] = extremes({layers: score(group) for layers, group in groups.items()})
    return numbers


def fig4_numbers(runs: Sequence[Run]) -> Numbers:
    """What Section III-B1 says of Fig. 4: one n against none, the best single r, the spikiest with at most one n."""
    groups = by(runs, "layers")
    single_n = {layers: score(group) for layers, group in groups.items() if layers.count("n") == 1}
    single_r = {layers: score(group) for layers, group in groups.items() if layers.count("r") == 1}
    whole = score(groups["rrrr"]) if "rrrr" in groups else float("nan")
    spiky = {layers: spikiness_of(group) for layers, group in groups.items() if layers.count("n") <= 1}
    return {
        "single_n_better": sum(mse < whole for mse in single_n.values()),
        "single_r_best": extremes(single_r)[0],
        "a_spikiest": extremes(spiky)[1],
    }


def fig6_numbers(runs: Sequence[Run]) -> Numbers:
    """What less data costs: test MSE with the smallest share over that with the largest, by model."""
    fractions = sorted(by(runs, "fraction"))
    ratios = {}
    for layers, group in by(runs, "layers").items():
        less, more = (score(select(group, fraction=share)) for share in (fractions[0], fractions[-1]))
        ratios[layers] = less / more
    numbers: Numbers = {f"{layers}_ratio": ratio for layers, ratio in ratios.items()}
    return numbers | {"worse_with_less": sum(ratio > 1 for ratio in ratios.values())}


def fig7_numbers(runs: Sequence[Run]) -> Numbers:
    """The models that Fig. 7 compares on one data set, and the place of rrrr among them, 1 is best."""
    best = best_by_recurrent(runs)
    numbers: Numbers = {f"best_{count}": layers for count, layers in best.items()}
    scores = {layers: score(select(runs, layers=layers)) for layers in (*best.values(), "rrrr")}
    for count, layers in best.items():
        numbers[f"best_{count}_test_mse"] = scores[layers]
    numbers["rrrr_rank"] = 1 + sum(mse < scores["rrrr"] for mse in scores.values())
    return numbers


def best_by_recurrent(runs: Sequence[Run]) -> dict[int, str]:
    """Number of recurrent layers (1 to 3) -> the model with the lowest last validation MSE among the runs' models."""
    best = {}
    for count in (1, 2, 3):
        scores = {layers: last(group) for layers, group in by(runs, "layers").items() if layers.count("r") == count}
        if scores:
            best[count] = extremes(scores)[0]
    return best


def table_1(runs: Sequence[Run]) -> pd.DataFrame:
    """Test metrics by model, averaged over iterations and seeds, and bicubic upsampling in the last row."""
    rows = {
        layers: {m: score(group, m) for m in ("mse", "psnr", "ssim")} for layers, group in by(runs, "layers").items()
    }
    rows["bicubic"] = {metric: bicubic(runs, metric) for metric in ("mse", "psnr", "ssim")}
    return pd.DataFrame.from_dict(rows, orient="index")


def mse_by_schedule(runs: Sequence[Run]) -> pd.DataFrame:
    """Test MSE of each model (rows) under each schedule (columns); `rank()` of it gives the orders of II-D."""
    columns = {}
    for schedule, group in by(runs, "schedule").items():
        columns[schedule_name(schedule)] = {layers: score(same) for layers, same in by(group, "layers").items()}
    return pd.DataFrame(columns)


def kendall(mse: pd.DataFrame) -> pd.DataFrame:
    """Kendall's tau and its p-value for the orders in every two columns; NaN where a column is not all finite."""
    rows = []
    for first, second in itertools.combinations(mse.columns, 2):
        x, y = mse[first], mse[second]
        whole = len(x) > 1 and bool(np.isfinite(x).all() and np.isfinite(y).all())
        result = kendalltau(x, y) if whole else (float("nan"), float("nan"))
        rows.append({"first": first, "second": second, "tau": float(result[0]), "p": float(result[1])})
    return pd.DataFrame(rows, columns=["first", "second", "tau", "p"])


def order_numbers(runs: Sequence[Run]) -> Numbers:
    """The results of II-D: each schedule's order, MSE and rank by model, and the agreement of every two orders."""
    mse = mse_by_schedule(runs)
    numbers: Numbers = {"bicubic_mse": bicubic(runs)}
    for name in mse.columns:
        short = str(name).lower()
        numbers[f"{short}_order"] = ", ".join(mse[name].sort_values().index)
        for layers in mse.index:
            numbers[f"{layers}_{short}_mse"] = float(mse.loc[layers, name])
            numbers[f"{layers}_{short}_rank"] = float(mse[name].rank()[layers])
    for row in kendall(mse).to_dict("records"):
        pair = f"{row['first']}_{row['second']}".lower()
        numbers |= {f"{pair}_tau": float(row["tau"]), f"{pair}_p": float(row["p"])}
    return numbers


def statistics_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Per model and kind of batch statistics (rows): last validation MSE, test MSE, spikiness."""
    rows = {}
    for layers, group in by(runs, "layers").items():
        for kind in STATISTICS:
            measures = {"validation_mse": last(group, kind), "test_mse": score(group, "mse", kind)}
            rows[layers, kind] = measures | {"spikiness": spikiness_of(group, kind)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["layers", "statistics"])


def statistics_numbers(runs: Sequence[Run]) -> Numbers:
    """Medians over the models whose last layer is r or n, and the numbers of every single model."""
    table = statistics_table(runs)
    numbers: Numbers = {"bicubic_validation_mse": bicubic(runs, "mse", "validation")}
    for kind in STATISTICS:
        rows = table.xs(kind, level="statistics")
        for end in "rn":
            for measure in table.columns:
                numbers[f"{kind}_{end}_{measure}"] = median(
                    rows.loc[[layers.endswith(end) for layers in rows.index], measure]
                )
        for layers in rows.index:
            numbers |= {f"{layers}_{kind}_{measure}": float(rows.loc[layers, measure]) for measure in table.columns}
    return numbers


def prefixed(prefix: str, numbers: Mapping[str, Any]) -> Numbers:
    """Every name with a prefix and an underscore: `fig4_best`."""
    return {f"{prefix}_{name}": value for name, value in numbers.items()}
