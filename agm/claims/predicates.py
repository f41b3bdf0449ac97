"""The kinds of predicate: what is compared with what. Whether the outcome supports a claim is `verdicts`' matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agm.claims import bootstrap
from agm.claims.bootstrap import Array, Statistic
from agm.claims.evidence import Group, Quantity
from agm.config import ORL_CONFIGURATIONS
from agm.experiments import LAST_PLAIN, LAST_RECURRENT
from agm.findings import PAPER_TABLE_1


@dataclass(frozen=True)
class Counted:
    """A number that follows from the model alone: no runs, no interval."""

    count: Callable[[], float]


@dataclass(frozen=True)
class Part:
    """One comparison: a statistic of the means of some quantities."""

    label: str
    quantities: tuple[Quantity, ...]
    statistic: Statistic


@dataclass(frozen=True)
class Measured:
    """Comparisons that are judged one by one; the claim holds if all do, or if any does."""

    parts: tuple[Part, ...]
    unit: str = "ratio"
    any: bool = False


Predicate = Counted | Measured


def _ratio(label: str, first: Quantity, second: Quantity) -> Part:
    return Part(label, (first, second), bootstrap.ratio)


def versus(
    models: Iterable[str],
    others: Iterable[str],
    measure: str = "mse",
    reference: str | None = None,
    any: bool = False,  # as in the dataclass
    **where: object,
) -> Measured:
    """Each of some models over each of others, in a measure. `where`: data set role, schedule, fraction."""

    def quantity(layers: str) -> Quantity:
        group = replace(Group(layers), **where)  # type: ignore[arg-type]
        return Quantity(group, measure, replace(group, layers=reference) if reference else None)

    pairs = [(a, b) for a in models for b in others if a != b]
    parts = tuple(_ratio(f"{quantity(a).group} / {b}", quantity(a), quantity(b)) for a, b in pairs)
    return Measured(parts, any=any)


def over_noael(models: Iterable[str], schedule: str, measure: str = "mse") -> Measured:
    """Each model under a schedule over itself without AEL."""
    parts = []
    for layers in models:
        ael = Group(layers, schedule=schedule)
        parts.append(_ratio(f"{ael} / NOAEL", Quantity(ael, measure), Quantity(Group(layers), measure)))
    return Measured(tuple(parts))


def saving(models: Iterable[str], others: Iterable[str], schedule: str) -> Measured:
    """A schedule's share of the time to the first image: of each model over that of each other."""

    def quantities(layers: str) -> tuple[Quantity, ...]:
        groups = Group(layers, schedule=schedule), Group(layers)
        return tuple(Quantity(group, "first image") for group in groups)

    pairs = [(a, b) for a in models for b in others]
    statistic = bootstrap.ratio_of_ratios
    return Measured(tuple(Part(f"{a} / {b}", quantities(a) + quantities(b), statistic) for a, b in pairs))


def less_data(models: Iterable[str], measure: str = "mse") -> Measured:
    """Each model trained on a quarter of the data over itself trained on all."""
    parts = []
    for layers in models:
        quarter = Group(layers, fraction=0.25)
        parts.append(_ratio(f"{quarter} / all", Quantity(quarter, measure), Quantity(Group(layers), measure)))
    return Measured(tuple(parts))


def within(models: Iterable[str], schedules: Iterable[str], first: str, second: str) -> Measured:
    """One measure over another of the same runs."""
    groups = [Group(layers, schedule=name) for name in schedules for layers in models]
    return Measured(tuple(_ratio(str(g), Quantity(g, first), Quantity(g, second)) for g in groups))


def last_layers(role: str) -> Measured:
    """Spikiness of the eight models with a plain last layer over that of their twins: geometric means."""
    models = (*LAST_PLAIN, *LAST_RECURRENT)
    quantities = tuple(Quantity(Group(layers, role), "spikiness") for layers in models)
    return Measured((Part("last n / last r", quantities, bootstrap.halves),))


def impact_of_last(role: str) -> Measured:
    """How much layer 4's kind changes the spikiness, over how much that of layers 1, 2 and 3 does.

    A layer's change: by which factor the geometric mean over the eight models with n there differs from that with r.
    """
    quantities = tuple(Quantity(Group(layers, role), "spikiness") for layers in ORL_CONFIGURATIONS)
    return Measured(tuple(Part(f"layer 4 / layer {other + 1}", quantities, _impact(other)) for other in range(3)))


def _impact(other: int) -> Statistic:
    def change(logs: Array, layer: int) -> Array:
        plain = np.array([layers[layer] == "n" for layers in ORL_CONFIGURATIONS])
        return np.asarray(np.abs(logs[plain].mean(axis=0) - logs[~plain].mean(axis=0)))

    return lambda means: np.asarray(np.exp(change(np.log(means), 3) - change(np.log(means), other)))


def placements(role: str = "cars") -> Measured:
    """Of all models with one, two and three recurrent layers: the worst over the best.

    Both as validation has them: the largest of several test MSE over the smallest would be above 1 by chance alone.
    """
    groups = [(Group(f"worst {count}r", role), Group(f"best {count}r", role)) for count in (1, 2, 3)]
    return Measured(tuple(_ratio(f"{worst} / {best}", Quantity(worst), Quantity(best)) for worst, best in groups))


def same_order(models: Sequence[str], schedule: str) -> Measured:
    """Kendall's tau between the orders by MSE without AEL and under a schedule: 1 if no two change places."""
    groups = [Group(layers, schedule=name) for name in ("NOAEL", schedule) for layers in models]
    part = Part(f"NOAEL, {schedule}", tuple(map(Quantity, groups)), bootstrap.tau)
    return Measured((part,), "tau")


def trend(quantities: dict[Quantity, int], label: str) -> Measured:
    """Kendall's tau between a count given with each quantity and the quantity."""
    counts = np.array(list(quantities.values()), dtype=float)

    def statistic(means: Array) -> Array:
        rank = np.broadcast_to(counts.reshape(-1, *[1] * (means.ndim - 1)), means.shape)
        return bootstrap.tau(np.concatenate([rank, means]))

    return Measured((Part(label, tuple(quantities), statistic),), "tau")


def printed_errors() -> Measured:
    """Each model's test MSE over the one that Table I prints."""

    def over(printed: float) -> Statistic:
        return lambda means: np.asarray(means[0] / printed)

    return Measured(
        tuple(
            Part(f"{layers} / {mse}", (Quantity(Group(layers)),), over(mse))
            for layers, (_, mse) in PAPER_TABLE_1.items()
        )
    )
