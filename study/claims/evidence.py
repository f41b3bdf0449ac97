"""Measure finished runs and timings: one number per quantity and seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from agm.config import ORL_CONFIGURATIONS, RunConfig, Statistics
from agm.paths import results_folder
from agm.runs import Run
from study import aggregate, measured
from study.aggregate import diverged, field, schedule_name
from study.experiments import role_of
from study.paper import PAPER_NAMES
from study.profiles import Profile

Array = np.ndarray

NEAR = 1.1
"""Ratio of two errors that count as close: Table I's largest error is 1.1 times its smallest."""

SEVERAL = 3
"""The fewest seeds that a verdict needs."""


class UndecidableError(Exception):
    """Raised with the reason why something cannot be measured."""


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but their seed. `layers` may be "best 2r": see `Evidence.chosen`."""

    layers: str
    role: str = "cars"
    schedule: str = "NOAEL"
    fraction: float = 1.0

    @property
    def family(self) -> tuple[str, float]:
        """What its runs share with others that a seed changes in the same way."""
        return self.schedule, self.fraction

    def __str__(self) -> str:
        parts = [self.layers, PAPER_NAMES[self.role] if self.role != "cars" else ""]
        parts += [self.schedule if self.schedule != "NOAEL" else ""]
        return " ".join(filter(None, [*parts, f"{self.fraction:g} of the data" if self.fraction < 1 else ""]))


@dataclass(frozen=True)
class Quantity:
    """A measure (a name in MEASURES or TIMES) of a group."""

    group: Group
    measure: str = "mse"

    @property
    def reference(self) -> Group:
        """The group whose run of the same seed the measure refers to."""
        return replace(self.group, layers="rrrr") if self.measure == "epochs to rrrr" else self.group


@dataclass(frozen=True)
class Noise:
    """What chance adds to the logarithm of a measure: its standard deviation, and the degrees of freedom of that."""

    spread: float
    freedom: int


def pooled(logs: Mapping[Any, Mapping[Any, float]]) -> Noise | None:
    """Pool the noise over all groups that have several seeds; None if too few have.

    By least squares: a number is an effect of its group plus one of its seed. `logs`: the logarithm of a measure by
    group, then by seed.
    """
    several = {group: found for group, found in logs.items() if len(found) > 1}
    y = np.array([value for found in several.values() for value in found.values()])
    if not len(y):
        return None
    groups = [[one == group for one in several] for group, found in several.items() for _ in found]
    listed = [seed for found in several.values() for seed in found]
    seeds = [[one == seed for one in dict.fromkeys(listed)] for seed in listed]
    design = np.column_stack([groups, seeds]).astype(float)
    fitted, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    freedom = len(y) - int(rank)
    return Noise(math.sqrt(float(((y - design @ fitted) ** 2).sum()) / freedom), freedom) if freedom else None


@dataclass(frozen=True)
class Stack:
    """Measured numbers. `values`: (K quantities, S seeds); for times the columns are rounds.

    `epochs`: how many the runs were trained for; what takes more was never reached. `noise`: see `Evidence.noise`.
    """

    values: Array
    seeds: tuple[int, ...]
    epochs: float = math.inf
    noise: Noise | None = None

    @property
    def short(self) -> str:
        """Why the seeds are too few for a verdict; empty if they suffice."""
        count = len(self.seeds)
        if count == 1:
            return "one seed: these networks only"
        return f"{count} of {SEVERAL} seeds" if count < SEVERAL else ""


Turns = Mapping[tuple[str, str, str], Array]
"""layers, schedule, implementation -> seconds of each iteration in each round: (rounds, T)."""


def turns() -> Turns:
    """The recorded timing (`benchmarks.turns`); empty in a project folder without recorded measurements."""
    there = (results_folder() / "benchmarks" / "turns.json").exists()
    rows = measured.read("turns")["rows"] if there else []
    return {(r["layers"], r["schedule"], r["implementation"]): np.array(r["seconds"]) for r in rows}


class Evidence:
    """Finished runs of one profile by group, and a timing.

    `statistics`: of the tests; by default the kind that counts (`aggregate.both`). Learning curves use iteration if
    the runs were not validated with that kind. `timing`: by default the recorded one.
    """

    def __init__(
        self, runs: Iterable[Run], profile: Profile, statistics: Statistics | None = None, timing: Turns | None = None
    ) -> None:
        self.runs = tuple(runs)
        self.statistics = statistics or aggregate.both(self.runs)[0]
        validated = self.statistics in aggregate.validated(self.runs)
        self.curves = self.statistics if validated else aggregate.both(self.runs, curves=True)[0]
        self.timing = turns() if timing is None else timing
        self.noise = cache(self._noise)
        self.groups: dict[Group, dict[int, Run]] = {}
        for run in self.runs:
            schedule = schedule_name(run.config.training.schedule)
            role = role_of(run.config, profile)
            group = Group(run.config.generator.layers, role, schedule, run.config.data.fraction)
            self.groups.setdefault(group, {})[run.config.seed] = run

    def find(self, group: Group) -> dict[int, Run]:
        """The runs of a group by seed. Raises UndecidableError if there are none, or one of them diverged."""
        if " " in group.layers:
            return self.chosen(group)
        found = self.groups.get(group)
        if not found:
            raise UndecidableError(f"{group} is missing")
        for seed, run in found.items():
            if diverged(run):
                raise UndecidableError(f"{group} diverged (seed {seed})")
        return found

    def chosen(self, group: Group) -> dict[int, Run]:
        """The runs of "best 2r": of all models with two r, the one with the lowest last validation MSE.

        For each seed the model is chosen by the other seeds, if there are any. Else chance would favour the choice.
        """
        models = [layers for layers in ORL_CONFIGURATIONS if layers.count("r") == int(group.layers[-2])]
        runs = {layers: self.find(replace(group, layers=layers)) for layers in models}
        seeds = set.intersection(*map(set, runs.values()))
        found = {}
        for seed in seeds:
            by = (seeds - {seed}) or seeds
            scores = {m: aggregate.last([runs[m][other] for other in sorted(by)], self.curves) for m in models}
            best = aggregate.extremes(scores)[0]
            if best not in runs:
                raise UndecidableError("no validation to choose by")
            found[seed] = runs[best][seed]
        return found

    def stack(self, quantities: Iterable[Quantity], implementation: str = "plain") -> Stack:
        """Measure several quantities for the seeds that they share. Raises UndecidableError if that is impossible."""
        listed = list(quantities)
        if all(quantity.measure in TIMES for quantity in listed):
            return self._timed(listed, implementation)
        found = [self.find(quantity.group) for quantity in listed]
        references = [self.find(quantity.reference) for quantity in listed]
        seeds = tuple(sorted(set.intersection(*map(set, found), *map(set, references))))
        if not seeds:
            raise UndecidableError("no seed in common")
        used = {own[seed].config.id: own[seed] for own in found for seed in seeds}
        if len({run.fingerprint for run in used.values()}) > 1:
            raise UndecidableError("made on different images of one name")
        if stand_in := next((str(run.summary["data"].get("stand_in") or "") for run in used.values()), ""):
            raise UndecidableError(f"made on {stand_in}, which only stand in: not counted")
        values = np.array(
            [
                [self._measure(quantity.measure, own[seed], reference[seed]) for seed in seeds]
                for quantity, own, reference in zip(listed, found, references, strict=True)
            ]
        )
        if not np.isfinite(values).all():
            raise UndecidableError("too few epochs, or not finite")
        epochs = min(run.summary["epochs"] for run in used.values())
        return Stack(values, seeds, epochs, self.noise(listed[0].measure, listed[0].group.role))

    def _noise(self, measure: str, role: str) -> Noise | None:
        """The noise of a measure, pooled over all groups of a data set; None for epochs: ranks compare these.

        A seed does something else to networks with another schedule, or trained on another part of the images.
        """
        if "epochs" in measure:
            return None
        logs: dict[Group, dict[Any, float]] = {}
        for group, found in self.groups.items():
            if group.role == role:
                values = {seed: self._measure(measure, run, run) for seed, run in found.items() if not diverged(run)}
                logs[group] = {
                    (*group.family, seed): math.log(value) for seed, value in values.items() if 0 < value < math.inf
                }
        return pooled(logs)

    def _measure(self, measure: str, run: Run, reference: Run) -> float:
        return MEASURES[measure](run, reference, self.curves if measure in OF_CURVES else self.statistics)

    def _timed(self, quantities: list[Quantity], implementation: str) -> Stack:
        rows = []
        for quantity in quantities:
            group = quantity.group
            found = self.timing.get((group.layers, group.schedule, implementation))
            if found is None:
                raise UndecidableError(f"{group} has not been timed; benchmarks.turns times it")
            rows.append(TIMES[quantity.measure](found))
        return Stack(np.array(rows), tuple(range(len(rows[0]))))

    def below_the_paper(self) -> str:
        """The settings (width, image size, epochs) in which the runs fall short of the paper's; empty if none."""
        short = []
        for name in ("width", "image_size", "epochs"):
            number, least = field(RunConfig(), name), min((field(run.config, name) for run in self.runs), default=0)
            short += [f"{name} {least} of {number}"] if least < number else []
        return ", ".join(short)


Measure = Callable[[Run, Run, Statistics], float]
"""A run, a reference of the same seed, the kind of batch statistics -> a number."""


def error(run: Run, statistics: Statistics, iteration: int | None = None) -> float:
    """Test MSE of one iteration, or averaged over all."""
    found = run.test("mse", statistics)
    return float(found.mean() if iteration is None else found[iteration])


def over(first: float, second: float) -> float:
    """A ratio; NaN if the second is 0."""
    return first / second if second else math.nan


def spikes(run: Run, _: Run, statistics: Statistics) -> float:
    """Spikiness of the validation curve; at least 1e-9, since logarithms are taken."""
    return float(np.maximum(aggregate.spikiness(run.curve("mse", statistics)), 1e-9))


def epochs_until(curve: Iterable[float], level: float) -> int:
    """The first epoch, from 1, after which a curve is at or below a level; if none, the number of epochs plus 1."""
    values = list(curve)
    return next((epoch for epoch, mse in enumerate(values, 1) if mse <= level), len(values) + 1)


def epochs(run: Run, reference: Run, statistics: Statistics, within: float = 1) -> float:
    """Epochs until the validation MSE is at most `within` times the reference's last one.

    A censored time is the number of epochs plus 1.
    """
    own, ended = run.curve("mse", statistics), reference.curve("mse", statistics)
    return epochs_until(own, within * float(ended.iloc[-1])) if len(own) and len(ended) else float("nan")


MEASURES: dict[str, Measure] = {
    "mse": lambda run, _, statistics: error(run, statistics),
    "mse over bicubic": lambda run, _, statistics: over(error(run, statistics), run.bicubic()),
    "last mse over first": lambda run, _, statistics: over(error(run, statistics, -1), error(run, statistics, 0)),
    "last mse over fifth": lambda run, _, statistics: over(error(run, statistics, -1), error(run, statistics, 4)),
    "spikiness": spikes,
    "epochs to rrrr": epochs,
    "epochs to own": partial(epochs, within=NEAR),
}
"""Measures of a run: test MSE (averaged over the iterations unless one is named) and learning curves."""

OF_CURVES = ("spikiness", "epochs to rrrr", "epochs to own")
"""The measures of a learning curve."""

TIMES: dict[str, Callable[[Array], Array]] = {
    "first image": lambda seconds: seconds[:, 0],
    "third image": lambda seconds: seconds[:, :3].sum(axis=1),
    "all images": lambda seconds: seconds.sum(axis=1),
    "first iteration over last": lambda seconds: seconds[:, 0] / seconds[:, -1],
}
"""Seconds for one image in each round of a timing, (rounds, T) -> (rounds,)."""
