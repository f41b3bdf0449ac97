"""What runs say together: grouped, averaged over seeds, compared. Numbers only; `study.figures` draws them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.polynomial import Polynomial
from scipy.stats import kendalltau

from agm.config import STATISTICS, Statistics, field_owners
from agm.errors import AgmError, unknown
from agm.runs import Run
from agm.schedule import NAMED, Schedule
from study.experiments import role_of
from study.profiles import Profile

PAPER_NAMES = {"cars": "CARDATA", "faces": "FACEDATA", "geo": "GEODATA"}
"""What the paper calls its data sets, by role."""

BASES = {"paper": "the paper's base", "light": "the light base"}
"""What figures call the network that their runs trained."""

STANDING = " standing in for "

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


def readings(runs: Iterable[Run]) -> tuple[Statistics, ...]:
    """The kinds of batch statistics with which all of these runs were tested."""
    held = [run.readings for run in runs]
    return tuple(kind for kind in STATISTICS if all(kind in tests for tests in held))


def validated(runs: Iterable[Run]) -> tuple[Statistics, ...]:
    """The kinds with which all runs that have a curve were validated: precise tests may have been added later."""
    curves = [run for run in runs if len(run.metrics)]
    return tuple(kind for kind in STATISTICS if all(len(run.curve("mse", kind)) for run in curves))


def both(runs: Sequence[Run], curves: bool = False) -> tuple[Statistics, Statistics]:
    """The two readings that stand side by side: what the networks can do, and what an ordinary implementation shows.

    The first is the one that counts: precise or, where some of the runs lack it, iteration. The second is shared.
    `curves`: those of learning curves.
    """
    precise = [kind for kind in (validated if curves else readings)(runs) if kind in ("iteration", "precise")]
    return precise[-1] if precise else "iteration", "shared"


def shown(runs: Sequence[Run], curves: bool = False) -> tuple[Statistics, ...]:
    """`both`, or the first alone where no network has batch norm: the two would be the same."""
    kinds = both(runs, curves)
    return kinds if any(len(run.config.generator.readings) > 1 for run in runs) else kinds[:1]


def over_seeds(runs: Sequence[Run], measure: Callable[[Run], float]) -> float:
    """A number averaged over runs that differ in their seed; NaN if one of them diverged, or there is none."""
    return float(np.mean([np.nan if diverged(run) else measure(run) for run in runs] or [np.nan]))


def score(runs: Sequence[Run], metric: str = "mse", statistics: Statistics | None = None) -> float:
    """A test metric, averaged over the iterations and the seeds."""
    return over_seeds(runs, lambda run: float(run.test(metric, statistics).mean()))


def last(runs: Sequence[Run], statistics: Statistics | None = None) -> float:
    """Validation MSE after the last epoch, averaged over the iterations and the seeds; NaN without such a reading."""

    def measure(run: Run) -> float:
        curve = run.curve("mse", statistics)
        return float(curve.iloc[-1]) if len(curve) else float("nan")

    return over_seeds(runs, measure)


def bicubic(runs: Sequence[Run], metric: str = "mse", part: str = "test") -> float:
    """The same metric of bicubic upsampling; the runs share their images."""
    return runs[0].bicubic(metric, part)


def curves(runs: Sequence[Run], metric: str = "mse", statistics: Statistics | None = None) -> pd.DataFrame:
    """Validation curves, averaged over the iterations: one row per epoch, one column per run."""
    return pd.DataFrame({run.config.id: run.curve(metric, statistics) for run in runs})


def critic_losses(run: Run) -> np.ndarray:
    """The critic's loss at the end of each epoch; positive where it scores made pictures above real ones."""
    epochs, losses = run.metrics["epoch"], run.metrics["critic_loss"]
    return np.array([losses[epochs == epoch][0] for epoch in np.unique(epochs)])


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
    seeds, base = _listed(runs, "seed"), " and ".join(BASES[name] for name in by(runs, "base"))
    numbers: Numbers = {"profile": profile.name, "data": data_text(runs, profile), "base": base}
    numbers |= {**listed, "seeds": seeds}
    for part in ("train", "validation", "test"):
        counts = dict.fromkeys(str(run.summary["data"]["images"][part]) for run in runs)
        numbers[f"{part}_images"] = ", ".join(counts)
    numbers["device"] = ", ".join(dict.fromkeys(str(run.summary["machine"]["device"]) for run in runs))
    numbers["runs"], numbers["diverged"] = len(runs), sum(map(diverged, runs))
    numbers["minutes"] = sum(float(run.summary["seconds"]) for run in runs) / 60
    recorded = "recorded, " if all(run.recorded for run in runs) else ""
    settings = f"{base} · width {listed['width']} · {listed['image_size']} px · {listed['epochs']} epochs"
    made = f"seed {seeds} · {recorded}{numbers['device']}"
    numbers["stamp"] = f"profile {profile.name} · {numbers['data']} · {settings} · {made}"
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
    dataset, stand_in = run.config.data.dataset, run.summary["data"]["stand_in"]
    if stand_in and dataset not in PAPER_NAMES:
        return f"{dataset}{STANDING}{paper}"
    return f"{stand_in}{STANDING}{paper}" if stand_in else paper


def _listed(runs: Iterable[Run], name: str) -> str:
    return ", ".join(str(value) for value in by(runs, name))


def best_by_recurrent(runs: Sequence[Run], statistics: Statistics | None = None) -> dict[int, str]:
    """Number of recurrent layers (1 to 3) -> the model with the lowest last validation MSE among the runs' models."""
    best = {}
    for count in (1, 2, 3):
        scores = {
            layers: last(group, statistics)
            for layers, group in by(runs, "layers").items()
            if layers.count("r") == count
        }
        if scores:
            best[count] = extremes(scores)[0]
    return best


def chance_of_worst(*counts: int) -> float:
    """The probability that a model is worse than the best of each of several groups, if all models are equally good.

    `counts`: how many models each group has. It is the integral of the product of 1 - v^k over [0, 1].
    """
    product = math.prod((1 - Polynomial.basis(count) for count in counts), start=Polynomial([1.0]))
    return float(product.integ()(1))


def mse_by_schedule(runs: Sequence[Run], statistics: Statistics | None = None) -> pd.DataFrame:
    """Test MSE of each model (rows) under each schedule (columns); `rank()` of it gives the orders of II-D."""
    columns = {}
    for schedule, group in by(runs, "schedule").items():
        columns[schedule_name(schedule)] = {
            layers: score(same, "mse", statistics) for layers, same in by(group, "layers").items()
        }
    return pd.DataFrame(columns)


def mse_by_statistics(runs: Sequence[Run]) -> pd.DataFrame:
    """Test MSE of each model (rows), evaluated with each kind of batch statistics (columns)."""
    groups = by(runs, "layers")
    return pd.DataFrame(
        {kind: {layers: score(group, "mse", kind) for layers, group in groups.items()} for kind in readings(runs)}
    )


def kendall(mse: pd.DataFrame) -> pd.DataFrame:
    """Kendall's tau and its p-value for the orders in every two columns; NaN where a column is not all finite."""
    rows = []
    for first, second in itertools.combinations(mse.columns, 2):
        x, y = mse[first], mse[second]
        whole = len(x) > 1 and bool(np.isfinite(x).all() and np.isfinite(y).all())
        result = kendalltau(x, y) if whole else (float("nan"), float("nan"))
        rows.append({"first": first, "second": second, "tau": float(result[0]), "p": float(result[1])})
    return pd.DataFrame(rows, columns=["first", "second", "tau", "p"])


def statistics_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Per model and kind of batch statistics (rows): last validation MSE, test MSE, spikiness."""
    rows = {}
    for layers, group in by(runs, "layers").items():
        for kind in readings(runs):
            measures = {"validation_mse": last(group, kind), "test_mse": score(group, "mse", kind)}
            rows[layers, kind] = measures | {"spikiness": spikiness_of(group, kind)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["layers", "statistics"])


def prefixed(prefix: str, numbers: Mapping[str, Any]) -> Numbers:
    """Every name with a prefix and an underscore: `fig4_best`."""
    return {f"{prefix}_{name}": value for name, value in numbers.items()}
