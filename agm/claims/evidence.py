"""What is measured in runs: from finished runs to the arrays that intervals are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from agm import analysis
from agm.analysis import PAPER_NAMES, diverged, schedule_name, value
from agm.claims.bootstrap import Array
from agm.config import ORL_CONFIGURATIONS, RunConfig, Statistics
from agm.experiments import role_of
from agm.profiles import Profile
from agm.runs import Run

NEAR = 1.1
"""Within a tenth. Table I's largest error is 1.1 times its smallest: what the paper itself counts as a difference."""


class UndecidableError(Exception):
    """Why something cannot be measured."""


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but their seed. `layers` may be "best 2r" or "worst 2r": see `Evidence.chosen`."""

    layers: str
    role: str = "cars"
    schedule: str = "NOAEL"
    fraction: float = 1.0

    def __str__(self) -> str:
        parts = [self.layers, PAPER_NAMES[self.role] if self.role != "cars" else ""]
        parts += [self.schedule if self.schedule != "NOAEL" else ""]
        return " ".join(filter(None, [*parts, f"{self.fraction:g} of the data" if self.fraction < 1 else ""]))


@dataclass(frozen=True)
class Quantity:
    """A measure (a name in MEASURES) of a group's runs; some compare with a reference's run of the same seed."""

    group: Group
    measure: str = "mse"
    reference: Group | None = None


@dataclass(frozen=True)
class Stack:
    """values: (K quantities, S seeds, N images), N = 1 for what is one number a run."""

    values: Array
    seeds: tuple[int, ...]
    runs: tuple[str, ...]


class Evidence:
    """Finished runs of one profile, found by what they are; `statistics` None: those each run was configured with."""

    def __init__(self, runs: Iterable[Run], profile: Profile, statistics: Statistics | None = None) -> None:
        self.runs = tuple(runs)
        self.statistics = statistics
        self.groups: dict[Group, dict[int, Run]] = {}
        for run in self.runs:
            schedule = schedule_name(run.config.training.schedule)
            role = role_of(run.config, profile)
            group = Group(run.config.generator.layers, role, schedule, run.config.data.fraction)
            self.groups.setdefault(group, {})[run.config.seed] = run

    def find(self, group: Group) -> dict[int, Run]:
        """The runs of a group by seed. Raises UndecidableError if there are none, or one of them diverged."""
        group = self.chosen(group) if " " in group.layers else group
        found = self.groups.get(group)
        if not found:
            raise UndecidableError(f"{group} is missing")
        for seed, run in found.items():
            if diverged(run):
                raise UndecidableError(f"{group} diverged (seed {seed})")
        return found

    def chosen(self, group: Group) -> Group:
        """For "best 2r": of all models with two recurrent layers the one with the lowest last validation MSE.

        For "worst 2r" the one with the highest. Chosen on other images than those it is then judged by.
        """
        which, count = group.layers.startswith("worst"), int(group.layers[-2])
        scores = {}
        for layers in ORL_CONFIGURATIONS:
            if layers.count("r") == count:
                runs = self.find(replace(group, layers=layers))
                scores[layers] = analysis.last(list(runs.values()), self.statistics)
        if not np.isfinite(list(scores.values())).any():
            raise UndecidableError(f"no {self.statistics or 'finite'} validation to choose by")
        return replace(group, layers=analysis.extremes(scores)[which])

    def stack(self, quantities: Iterable[Quantity]) -> Stack:
        """Measure several quantities for the seeds that they share. Raises UndecidableError if that is impossible."""
        listed = [(quantity, self.find(quantity.group)) for quantity in quantities]
        references = [self.find(quantity.reference) if quantity.reference else found for quantity, found in listed]
        seeds = tuple(sorted(set.intersection(*(set(found) for _, found in listed), *map(set, references))))
        if not seeds:
            raise UndecidableError("no seed in common")
        used = {found[seed].config.id: found[seed] for _, found in listed for seed in seeds}
        if len({run.fingerprint for run in used.values()}) > 1:
            raise UndecidableError("made on different images of one name")
        rows = [
            [MEASURES[quantity.measure](found[seed], reference[seed], self.statistics) for seed in seeds]
            for (quantity, found), reference in zip(listed, references, strict=True)
        ]
        counts = {len(row) for seed_rows in rows for row in seed_rows}
        if len(counts) > 1:
            some = "values of each test image are there for some runs only"
            raise UndecidableError(some if 1 in counts else "tested on different images")
        values = np.array(rows, dtype=float)
        if not np.isfinite(values).all():
            raise UndecidableError("too few epochs, or not finite")
        return Stack(values, seeds, tuple(used))

    def below_the_paper(self) -> str:
        """In which of width, picture size and epochs the runs fall short of the paper's; empty if in none."""
        paper = RunConfig()
        wanted = {
            "width": paper.generator.width,
            "image_size": paper.data.image_size,
            "epochs": paper.training.epochs,
        }
        short = []
        for name, number in wanted.items():
            least = min((value(run, name) for run in self.runs), default=0)
            short += [f"{name} {least} of {number}"] if least < number else []
        return ", ".join(short)


Measure = Callable[[Run, Run, Statistics | None], Array]
"""A run, a reference of the same seed, the kind of batch statistics -> (N,), per image; or (1,)."""


def errors(run: Run, statistics: Statistics | None) -> Array:
    """MSE by iteration and test image, (T, N); only the means, (T, 1), where the values of each image were not kept."""
    if run.kind(statistics) not in run.readings:
        raise UndecidableError(f"run {run.config.id} has no {statistics} reading")
    images = run.errors(statistics)
    return run.test("mse", statistics)[:, None] if images is None else images


def curve(run: Run, statistics: Statistics | None) -> pd.Series[float]:
    """Validation MSE by epoch. Raises UndecidableError if there is none."""
    found = run.curve("mse", statistics)
    if not len(found):
        raise UndecidableError(f"run {run.config.id} has no {run.kind(statistics)} validation")
    return found


def spikes(run: Run, _: Run, statistics: Statistics | None) -> Array:
    """Spikiness of the validation curve; a curve with no spike at all counts as 1e-9."""
    return np.maximum([analysis.spikiness(curve(run, statistics))], 1e-9)


def epochs_until(curve: Iterable[float], level: float) -> int:
    """The first epoch, from 1, at whose end a curve is at most at a level; one more than there are if none is."""
    values = list(curve)
    return next((epoch for epoch, mse in enumerate(values, 1) if mse <= level), len(values) + 1)


def epochs_to_reference(run: Run, reference: Run, statistics: Statistics | None) -> Array:
    """Epochs until the validation MSE is where the reference ended."""
    ended = float(curve(reference, statistics).iloc[-1])
    return np.array([epochs_until(curve(run, statistics), ended)])


def epochs_to_own(run: Run, _: Run, statistics: Statistics | None) -> Array:
    """Epochs until the validation MSE is within a tenth of where the run itself ended."""
    own = curve(run, statistics)
    return np.array([epochs_until(own, NEAR * float(own.iloc[-1]))])


def seconds(run: Run) -> Array:
    """Duration of each iteration for one image: (T,)."""
    return np.diff(np.array(run.summary["seconds_until_iteration"], dtype=float), prepend=0.0)


def until(run: Run, image: int) -> Array:
    """Seconds until an image is there over those of the run's last iteration: (1,).

    Under the paper's schedules all layers work in the last one, so this does not depend on how fast the machine was
    when the run was timed, and runs that were timed at different hours can be compared.
    """
    own = seconds(run)
    with np.errstate(divide="ignore", invalid="ignore"):  # a clock that stood still: not finite, which is told
        return np.asarray(own[:image].sum(keepdims=True) / own[-1:])


MEASURES: dict[str, Measure] = {
    "mse": lambda run, _, kind: errors(run, kind).mean(axis=0),
    "first mse": lambda run, _, kind: errors(run, kind)[0],
    "last mse": lambda run, _, kind: errors(run, kind)[-1],
    # The same for all images, since only its mean is kept; the models' errors still vary from image to image.
    "bicubic": lambda run, _, kind: np.full(errors(run, kind).shape[1], run.bicubic()),
    "spikiness": spikes,
    "epochs to reference": epochs_to_reference,
    "epochs to own": epochs_to_own,
    "first seconds": lambda run, _, __: seconds(run)[:1],
    "last seconds": lambda run, _, __: seconds(run)[-1:],
    "total seconds": lambda run, _, __: seconds(run).sum(keepdims=True),
    "first image": lambda run, _, __: until(run, 1),
    "third image": lambda run, _, __: until(run, 3),
    "training seconds": lambda run, _, __: np.array([run.summary["seconds"]]),
}
"""Test MSE, averaged over the iterations unless said otherwise; what bicubic upsampling has; curves; times."""
