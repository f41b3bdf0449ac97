"""The comparisons that claims are judged by, and their statistical tests.

A test takes one number per seed, since all models of a seed share its images and their order. Ratios are tested as
differences of logarithms. Between networks, what chance adds is pooled over all networks of a profile, since three
seeds alone say little about it (`Part.mean`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from agm.config import ORL_CONFIGURATIONS
from study.claims.evidence import Array, Group, Noise, Quantity, pooled
from study.experiments import LAST_PLAIN, LAST_RECURRENT, with_recurrent
from study.paper import PAPER_TABLE_1

Interval = tuple[float, float]


@dataclass(frozen=True)
class Range:
    """Where a ratio must lie for a claim to hold, ends excluded."""

    low: float = 0.0
    high: float = math.inf

    def slack(self, value: float) -> float:
        """Distance of a number from the nearer end; negative outside the range."""
        return min(value - self.low, self.high - value)


@dataclass(frozen=True)
class Tested:
    """The outcome of a test: two p-values, and the number's 95 % interval if there is one.

    `holds` is small where the claim is shown to hold, `fails` where it is shown not to.
    """

    holds: float
    fails: float
    interval: Interval | None = None


@dataclass(frozen=True)
class Mean:
    """A mean over seeds, its standard error, and the degrees of freedom of that."""

    mean: float
    error: float
    freedom: int

    def test(self, margin: float = 0.0) -> tuple[float, float]:
        """Student's t: the p-values of "it is not above the margin" and "it is not below it".

        Not `scipy.stats.ttest_1samp`, which warns of numbers that are all the same.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.float64(self.mean - margin) / self.error
        above, below = stats.t.sf(t, self.freedom), stats.t.cdf(t, self.freedom)
        return float(np.nan_to_num(above, nan=1.0)), float(np.nan_to_num(below, nan=1.0))

    def interval(self) -> Interval:
        """Student's t interval (95 %)."""
        half = float(stats.t.ppf(0.975, self.freedom)) * self.error
        return self.mean - half, self.mean + half


def mean_of(logs: Array, weights: Sequence[float], noise: Noise | None = None) -> Mean:
    """The mean over seeds of a weighted sum, with its own scatter or pooled noise for its error. logs: (K, S)."""
    x = np.asarray(weights) @ logs
    if noise is None:
        return Mean(float(x.mean()), float(x.std(ddof=1)) / math.sqrt(len(x)), len(x) - 1)
    return Mean(float(x.mean()), noise.spread * float(np.linalg.norm(weights)) / math.sqrt(len(x)), noise.freedom)


@dataclass(frozen=True)
class Part:
    """One comparison of several quantities; subclasses say how they are compared."""

    label: str
    quantities: tuple[Quantity, ...]

    def value(self, values: Array) -> float:
        """The number that is shown: (K, S) -> a ratio."""
        raise NotImplementedError

    def bound(self, values: Array, epochs: float) -> str:
        """The words before a number that the end of training left open, such as "at least "; empty if it is known.

        values: (K, S), in epochs; `epochs`: how many the runs were trained for.
        """
        return ""

    def test(self, values: Array, holds: Range, noise: Noise | None = None) -> Tested:
        """Test at least two seeds; values: (K, S). `noise`: pooled, where it fits."""
        raise NotImplementedError

    def mean(self, values: Array, weights: Sequence[float], noise: Noise | None) -> Mean:
        """The mean of a weighted sum of logarithms.

        Pooled noise is that of comparisons between networks of one schedule and one part of the images, in which the
        weights add up to zero and what a seed does to all of them falls out. Others have their own scatter.
        """
        sums: dict[tuple[str, float], float] = {}
        for quantity, weight in zip(self.quantities, weights, strict=False):
            sums[quantity.group.family] = sums.get(quantity.group.family, 0.0) + weight
        between = all(abs(total) < 1e-9 for total in sums.values())
        return mean_of(np.log(values), weights, noise if between else None)


@dataclass(frozen=True)
class Contrast(Part):
    """A product of powers of quantities, divided by `over`. `weights` of (1, -1) give the ratio of two quantities.

    If the range has two ends, equivalence is tested by two one-sided tests.
    """

    weights: tuple[float, ...]
    over: float = 1.0

    def value(self, values: Array) -> float:
        return float(np.exp((np.array(self.weights) @ np.log(values)).mean())) / self.over

    def test(self, values: Array, holds: Range, noise: Noise | None = None) -> Tested:
        x, shift = self.mean(values, self.weights, noise), math.log(self.over)
        ends = [x.test(math.log(holds.low) + shift)] if holds.low > 0 else []
        ends += [x.test(math.log(holds.high) + shift)[::-1]] if holds.high < math.inf else []
        low, high = (math.exp(end - shift) for end in x.interval())
        inside, outside = max(end[0] for end in ends), min(1.0, len(ends) * min(end[1] for end in ends))
        return Tested(inside, outside, (low, high))


@dataclass(frozen=True)
class Agreement(Part):
    """Tests that two contrasts have the same sign. The number is the smaller ratio; it is below 1 if they disagree."""

    first: tuple[float, ...]
    second: tuple[float, ...]

    def value(self, values: Array) -> float:
        a, b = ((np.array(weights) @ np.log(values)).mean() for weights in (self.first, self.second))
        return math.exp(np.sign(a * b) * min(abs(a), abs(b)))

    def test(self, values: Array, holds: Range, noise: Noise | None = None) -> Tested:
        means = (self.mean(values, weights, noise) for weights in (self.first, self.second))
        (a_above, a_below), (b_above, b_below) = (mean.test() for mean in means)
        same = min(1.0, 2 * min(max(a_above, b_above), max(a_below, b_below)))
        apart = min(1.0, 2 * min(max(a_above, b_below), max(a_below, b_above)))
        return Tested(same, apart)


@dataclass(frozen=True)
class Spread(Part):
    """The worst of several quantities over the best, compared with what chance alone would give beyond the margin.

    The largest always exceeds the smallest. So the distance beyond the margin is tested by Tukey's studentized range.
    A t test for each pair shows whether all lie within the margin of each other.
    """

    def value(self, values: Array) -> float:
        return float(np.exp(np.ptp(np.log(values).mean(axis=1))))

    def test(self, values: Array, holds: Range, noise: Noise | None = None) -> Tested:
        logs, margin = np.log(values), math.log(holds.low)
        noise = noise or pooled({network: dict(enumerate(row)) for network, row in enumerate(logs)})
        assert noise, "two seeds and two networks at least"
        error = noise.spread / math.sqrt(logs.shape[1])
        beyond = float(np.ptp(logs.mean(axis=1))) - margin
        apart = stats.studentized_range.sf(beyond / error, len(logs), noise.freedom) if error else float(beyond <= 0)
        pairs = [mean_of(np.array(pair), (1, -1), noise) for pair in itertools.combinations(logs, 2)]
        alike = max(max(pair.test(-margin)[0], pair.test(margin)[1]) for pair in pairs)
        return Tested(float(apart), alike)


@dataclass(frozen=True)
class Sooner(Part):
    """Median epochs of the first quantity over those of the others.

    A run that never got there has a censored time and ranks last. The test uses ranks (Mann and Whitney, all
    permutations); censored times are ties.
    """

    def value(self, values: Array) -> float:
        return float(np.median(values[0]) / np.median(values[1:]))

    def bound(self, values: Array, epochs: float) -> str:
        first, others = (bool(np.median(some) > epochs) for some in (values[0], values[1:]))
        if first and others:
            return "not known, counted as "
        return "at least " if first else "at most " if others else ""

    def test(self, values: Array, holds: Range, noise: Noise | None = None) -> Tested:
        first, second = values[0], values[1:].ravel()
        method = stats.PermutationMethod(rng=np.random.default_rng(0))
        if np.ptp(values) == 0:
            return Tested(1.0, 1.0)
        less, greater = (
            float(stats.mannwhitneyu(first, second, alternative=way, method=method).pvalue)
            for way in ("less", "greater")
        )
        return Tested(less, greater) if holds.high < math.inf else Tested(greater, less)


@dataclass(frozen=True)
class Counted:
    """A number that follows from the model alone, without runs or an interval. `unit`: the words behind it."""

    count: Callable[[], float]
    unit: str


@dataclass(frozen=True)
class Measured:
    """Comparisons that are tested one by one. The claim holds if all of them hold or, with `any`, if one does."""

    parts: tuple[Part, ...]
    any: bool = False


Predicate = Counted | Measured


def ratio(label: str, first: Quantity, second: Quantity) -> Part:
    return Contrast(label, (first, second), (1, -1))


def versus(
    models: Iterable[str],
    others: Iterable[str],
    measure: str = "mse",
    any: bool = False,  # as in the dataclass
    **where: object,
) -> Measured:
    """The ratio of each of `models` to each of `others` in a measure. `where`: data set role, schedule, fraction."""

    def quantity(layers: str) -> Quantity:
        return Quantity(replace(Group(layers), **where), measure)  # type: ignore[arg-type]

    pairs = [(a, b) for a in models for b in others if a != b]
    return Measured(tuple(ratio(f"{quantity(a).group} / {b}", quantity(a), quantity(b)) for a, b in pairs), any)


def sooner(models: Sequence[str], others: Sequence[str], fraction: float = 1.0) -> Measured:
    """Epochs that each model needs to reach rrrr's final error, over the epochs of all others."""
    epochs = {m: Quantity(Group(m, fraction=fraction), "epochs to rrrr") for m in (*models, *others)}
    rest = tuple(epochs[other] for other in others)
    return Measured(tuple(Sooner(f"{m} / {', '.join(others)}", (epochs[m], *rest)) for m in models))


def over_noael(models: Iterable[str], schedule: str, measure: str = "mse") -> Measured:
    """The ratio of each model under a schedule to itself without AEL."""
    groups = [(Group(layers, schedule=schedule), Group(layers)) for layers in models]
    return Measured(tuple(ratio(f"{a} / NOAEL", Quantity(a, measure), Quantity(b, measure)) for a, b in groups))


def saving(models: Iterable[str], others: Iterable[str], schedule: str) -> Measured:
    """How much a schedule shortens the time to the first image: the ratio for each model over that for each other."""

    def quantities(layers: str) -> tuple[Quantity, ...]:
        return tuple(Quantity(group, "first image") for group in (Group(layers, schedule=schedule), Group(layers)))

    pairs = [(a, b) for a in models for b in others]
    return Measured(tuple(Contrast(f"{a} / {b}", quantities(a) + quantities(b), (1, -1, -1, 1)) for a, b in pairs))


def less_data(models: Iterable[str]) -> Measured:
    """The ratio of each model trained on a quarter of the data to itself trained on all."""
    groups = [(Group(layers, fraction=0.25), Group(layers)) for layers in models]
    return Measured(tuple(ratio(f"{a} / all", Quantity(a), Quantity(b)) for a, b in groups))


def levels_sooner(models: Iterable[str]) -> Measured:
    """Epochs until a model is within a tenth of its final error: with a quarter of the data over with all of it."""
    groups = [(Group(layers, fraction=0.25), Group(layers)) for layers in models]
    pairs = [(Quantity(a, "epochs to own"), Quantity(b, "epochs to own")) for a, b in groups]
    return Measured(tuple(Sooner(f"{a.group} / all", (a, b)) for a, b in pairs))


def within(models: Iterable[str], schedules: Iterable[str], measure: str) -> Measured:
    """A measure that is a ratio within a run."""
    groups = [Group(layers, schedule=name) for name in schedules for layers in models]
    return Measured(tuple(Contrast(str(group), (Quantity(group, measure),), (1,)) for group in groups))


def last_layers(role: str) -> Measured:
    """Geometric mean spikiness of the eight models with a plain last layer over that of their recurrent twins."""
    quantities = tuple(Quantity(Group(layers, role), "spikiness") for layers in (*LAST_PLAIN, *LAST_RECURRENT))
    return Measured((Contrast("last n / last r", quantities, (1 / 8,) * 8 + (-1 / 8,) * 8),))


def more_n_spikier() -> Measured:
    """The factor by which spikiness grows per plain layer, among models with a plain last layer."""
    counts = np.array([layers.count("n") for layers in LAST_PLAIN], dtype=float)
    slope = (counts - counts.mean()) / ((counts - counts.mean()) ** 2).sum()
    quantities = tuple(Quantity(Group(layers), "spikiness") for layers in LAST_PLAIN)
    return Measured((Contrast("per plain layer", quantities, tuple(slope)),))


def impact_of_last(role: str) -> Measured:
    """The effect of layer 4's kind on spikiness, compared with the effects of layers 1, 2 and 3.

    |a| > |b| exactly if a + b and a - b have the same sign.
    """
    quantities = tuple(Quantity(Group(layers, role), "spikiness") for layers in ORL_CONFIGURATIONS)

    def effect(layer: int) -> Array:
        return np.array([1 / 8 if layers[layer] == "n" else -1 / 8 for layers in ORL_CONFIGURATIONS])

    parts = []
    for other in range(3):
        both, apart = effect(3) + effect(other), effect(3) - effect(other)
        parts.append(Agreement(f"layer 4, layer {other + 1}", quantities, tuple(both), tuple(apart)))
    return Measured(tuple(parts))


def placements() -> Measured:
    """The worst model over the best, among models with one, two and three recurrent layers."""
    models = {count: tuple(Quantity(Group(layers)) for layers in with_recurrent(count)) for count in (1, 2, 3)}
    return Measured(tuple(Spread(f"worst {count}r / best {count}r", found) for count, found in models.items()))


def same_order(models: Sequence[str], schedule: str) -> Measured:
    """Tests that any two models differ in the same direction without AEL and under a schedule."""
    parts = []
    for a, b in itertools.combinations(models, 2):
        groups = [Group(layers, schedule=name) for name in ("NOAEL", schedule) for layers in (a, b)]
        parts.append(Agreement(f"{a}, {b}", tuple(map(Quantity, groups)), (1, -1, 0, 0), (0, 0, 1, -1)))
    return Measured(tuple(parts))


def printed_errors(colours: int) -> Measured:
    """Each model's test MSE over the one in Table I. `colours`: 3 if that is a sum over colours, 1 if a mean."""
    printed = {layers: mse / colours for layers, (_, mse) in PAPER_TABLE_1.items()}
    parts = [Contrast(f"{m} / {mse}", (Quantity(Group(m)),), (1,), printed[m]) for m, (_, mse) in PAPER_TABLE_1.items()]
    return Measured(tuple(parts))
