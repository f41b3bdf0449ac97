"""Find runs, group them, and average over seeds. `study.figures` draws the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from agm import runs as store
from agm.config import NATURAL, STATISTICS, RunConfig, Statistics, field_owners
from agm.errors import AgmError, unknown
from agm.paths import results_folder
from agm.runs import Run
from agm.schedule import NAMED, Schedule
from study import experiments
from study.experiments import role_of
from study.paper import PAPER_NAMES
from study.profiles import Profile

BASES = {"paper": "the paper's base", "light": "the lighter base"}
"""The names of the bases in stamps."""

STATISTICS_NAMES: dict[Statistics, str] = {
    "shared": "shared",
    "iteration": "per iteration",
    "batch": "of the batch",
    "precise": "precise",
}
"""The kinds of batch statistics in figures, tables and text."""

STANDING = " standing in for "

Numbers = dict[str, Any]
"""Named results: plain floats, integers and text."""


def recorded_runs(experiment: str, profile: Profile, **fields: Any) -> list[Run]:
    """The recorded runs of an experiment under a profile, with other fields or seeds; AgmError if there are none."""
    planned, folder = experiments.plan(experiment, profile, **fields), results_folder() / profile.name
    found = [run for config in planned if (run := store.find(config, folder)) is not None]
    if not found:
        raise AgmError(f"no runs of {experiment!r} are recorded under profile {profile.name!r} in {results_folder()}")
    return found


def all_finished(profile: Profile) -> list[Run]:
    """The finished runs among all that a profile plans."""
    planned = experiments.plan_all(experiments.EXPERIMENTS, profile)
    return [run for config in planned if (run := store.find(config)) is not None]


def field(config: RunConfig, name: str) -> Any:
    """A field of a configuration by its name, whichever part holds it."""
    owners = field_owners()
    if name not in owners:
        raise unknown("configuration field", name, owners)
    return getattr(getattr(config, owners[name]) if owners[name] else config, name)


def select(runs: Iterable[Run], **fields: Any) -> list[Run]:
    """The runs whose configuration has these values; a schedule may be given by its name."""
    if "schedule" in fields:
        fields["schedule"] = str(Schedule.parse(fields["schedule"]))
    return [run for run in runs if all(field(run.config, name) == wanted for name, wanted in fields.items())]


def by(runs: Iterable[Run], name: str) -> dict[Any, list[Run]]:
    """Runs grouped by a configuration field; the values keep their order of first occurrence."""
    groups: dict[Any, list[Run]] = {}
    for run in runs:
        groups.setdefault(field(run.config, name), []).append(run)
    return groups


def by_role(runs: Iterable[Run], profile: Profile) -> dict[str, list[Run]]:
    """Runs grouped by the role of their data set."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(role_of(run.config, profile), []).append(run)
    return groups


def schedule_name(text: str) -> str:
    """NOAEL, A or B where a schedule is one of these, else the notation itself."""
    return next((name for name, notation in NAMED.items() if str(Schedule.parse(notation)) == text), text)


def words(config: RunConfig) -> str:
    """A configuration in words: "nnnr, width 16, 32 px, cars, NOAEL, 8 epochs"."""
    generator, data, training = config.generator, config.data, config.training
    share = "" if data.fraction == 1 else f" ({data.fraction:g} of the training images)"
    parts = [generator.layers, f"width {generator.width}", f"{data.image_size} px", f"{data.dataset}{share}"]
    return ", ".join([*parts, schedule_name(training.schedule), f"{training.epochs} epochs"])


def diverged(run: Run) -> bool:
    """True if the training loss stopped being finite. The run then holds its last finite state."""
    return bool(run.summary["status"] == "diverged")


def readings(runs: Iterable[Run]) -> tuple[Statistics, ...]:
    """The kinds of batch statistics with which all of these runs were tested."""
    held = [run.readings for run in runs]
    return tuple(kind for kind in STATISTICS if all(kind in tests for tests in held))


def validated(runs: Iterable[Run]) -> tuple[Statistics, ...]:
    """The kinds with which all runs that have a curve were validated. Older runs lack precise validation."""
    held = [(run, set(run.metrics.statistics)) for run in runs if len(run.metrics)]
    return tuple(kind for kind in STATISTICS if all(run.kind(kind) in kinds for run, kinds in held))


def both(runs: Sequence[Run], curves: bool = False) -> tuple[Statistics, Statistics]:
    """The two kinds of statistics shown side by side: the one that counts, and shared.

    The first shows what the networks can do: precise or, where some run lacks it, of the batch, which is about 2 % off,
    or else iteration, whose running averages lag. Shared is what an ordinary implementation shows. `curves`: choose
    for learning curves instead of tests.
    """
    held = (validated if curves else readings)(runs)
    return next((kind for kind in ("precise", "batch", "iteration") if kind in held), "iteration"), "shared"


def shown(runs: Sequence[Run], curves: bool = False) -> tuple[Statistics, ...]:
    """`both`, or the first alone if no network has batch norm, since the two would be the same."""
    kinds = both(runs, curves)
    return kinds if any(len(run.config.generator.readings) > 1 for run in runs) else kinds[:1]


def over_seeds(runs: Sequence[Run], measure: Callable[[Run], float]) -> float:
    """The mean of a number over runs that differ only in their seed; NaN if one diverged or there is none."""
    return float(np.mean([np.nan if diverged(run) else measure(run) for run in runs] or [np.nan]))


def score(runs: Sequence[Run], metric: str = "mse", statistics: Statistics | None = None) -> float:
    """A test metric, averaged over the iterations and the seeds."""
    return over_seeds(runs, lambda run: float(run.test(metric, statistics).mean()))


def scores(runs: Sequence[Run], statistics: Statistics, metric: str = "mse") -> dict[str, float]:
    """A test metric of each model, averaged over the iterations and the seeds."""
    return {layers: score(group, metric, statistics) for layers, group in by(runs, "layers").items()}


def of_image(runs: Sequence[Run], statistics: Statistics, iteration: int, metric: str = "mse") -> float:
    """A test metric of one iteration's image (from 0; -1: the last one), averaged over the seeds."""
    return over_seeds(runs, lambda run: float(run.test(metric, statistics)[iteration]))


def of_last_image(runs: Sequence[Run], statistics: Statistics, metric: str = "mse") -> float:
    """A test metric of the last iteration's image, averaged over the seeds."""
    return of_image(runs, statistics, -1, metric)


def off_precise(runs: Sequence[Run], kind: Statistics) -> float:
    """How far a kind's test MSE lies from the precise one: the root mean square of the logarithm of their ratio.

    NaN without runs that were tested both ways.
    """
    held = [run for run in runs if {kind, "precise"} <= set(run.readings)]
    logs = [np.log(score([run], "mse", kind) / score([run], "mse", "precise")) for run in held]
    return float(np.sqrt(np.mean(np.square(logs)))) if logs else float("nan")


def last(runs: Sequence[Run], statistics: Statistics | None = None) -> float:
    """Validation MSE after the last epoch, averaged over iterations and seeds; NaN without that kind of statistics."""

    def measure(run: Run) -> float:
        curve = run.curve("mse", statistics)
        return float(curve.iloc[-1]) if len(curve) else float("nan")

    return over_seeds(runs, measure)


def bicubic(runs: Sequence[Run], metric: str = "mse", part: str = "test") -> float:
    """The same metric of bicubic upsampling; the runs share their images."""
    return runs[0].bicubic(metric, part)


def spikiness(curve: Iterable[float]) -> float:
    """The mean absolute second difference of a curve's logarithm: how jagged the curve is.

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
    """The settings, data and hardware of runs, for a figure's stamp and the text around it."""
    if not runs:
        raise AgmError("no runs to describe: nothing is left of the experiment")
    found: Numbers = {"profile": profile.name, "data": data_text(runs, profile)}
    for name in ("width", "image_size", "epochs", "learning_rate", "batch_size", "precision"):
        found[name] = listed(by(runs, name))
    for part in ("train", "test"):
        found[f"{part}_images"] = listed(f"{run.summary['data']['images'][part]:,}" for run in runs)
    seeds = sorted(by(runs, "seed"))
    first, final = seeds[0], seeds[-1]
    between = len(seeds) > 2 and final - first == len(seeds) - 1  # as in "0 to 5"
    found |= {"seeds": f"{first} to {final}" if between else listed(seeds), "runs": len(runs)}
    device = listed(run.summary["machine"]["device"] for run in runs)
    base = " and ".join(BASES[name] for name in by(runs, "base"))
    recorded = "recorded, " if all(run.recorded for run in runs) else ""
    epochs = f"{found['epochs']} epochs"
    if any(crops := by(runs, "crops")):
        epochs += f" of {listed(f'{count:,}' for count in crops)} crops"
    settings = f"{base} · width {found['width']} · {found['image_size']} px · {epochs}"
    made = f"seed{'s' * (len(seeds) > 1)} {found['seeds']} · {recorded}{device}"
    own = set(by(runs, "dataset")) == {NATURAL}  # no profile has these photographs: the experiment brings its settings
    chosen = "settings of our own" if own else f"profile {profile.name}"
    return found | {"stamp": f"{chosen} · {found['data']} · {settings} · {made}"}


def data_text(runs: Sequence[Run], profile: Profile) -> str:
    """The names of the runs' data sets, and of the paper's sets that they stand in for.

    "photographs standing in for CARDATA, closeups for FACEDATA"
    """
    groups = by_role(runs, profile)
    texts = [_data_name(group[0], role) for role, group in groups.items()]
    first = next((i for i, text in enumerate(texts) if STANDING in text), len(texts))
    return ", ".join(text.replace(STANDING, " for ") if i > first else text for i, text in enumerate(texts))


def _data_name(run: Run, role: str) -> str:
    paper = PAPER_NAMES.get(role)
    if paper is None:
        return "photographs of all kinds" if run.config.data.dataset == NATURAL else run.config.data.dataset
    dataset, stand_in = run.config.data.dataset, run.summary["data"]["stand_in"]
    if stand_in and dataset not in PAPER_NAMES:
        return f"{dataset}{STANDING}{paper}"
    return f"{stand_in}{STANDING}{paper}" if stand_in else paper


def listed(values: Iterable[Any], between: str = ", ") -> str:
    """The different ones among values, as text."""
    return between.join(dict.fromkeys(map(str, values)))


Reading = Callable[[Sequence[Run], Statistics], Numbers]
"""Numbers of runs under one kind of batch statistics."""


def twice(finished: Sequence[Run], measure: Reading, curves: bool = False) -> Numbers:
    """Numbers under `both` kinds, such as `precise_best` and `shared_best`. `precise_reading` names the first kind."""
    first, shared = both(finished, curves)
    named: Numbers = {"precise_reading": STATISTICS_NAMES[first]}
    return named | prefixed("precise", measure(finished, first)) | prefixed("shared", measure(finished, shared))


def prefixed(prefix: str, numbers: Mapping[str, Any]) -> Numbers:
    """Every name with a prefix and an underscore: `fig4_best`."""
    return {f"{prefix}_{name}": value for name, value in numbers.items()}
