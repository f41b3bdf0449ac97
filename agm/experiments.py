"""Which runs each figure and table needs. Planning only: nothing here trains, and nothing here imports torch."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from agm.config import ORL_CONFIGURATIONS, RunConfig
from agm.errors import unknown
from agm.profiles import ROLES, Profile

TABLE_1 = ("nnnr", "nnrr", "rrnr", "rrrr")
"""The models of Table I and of Section III-C: the paper's best with 1, 2 and 3 recurrent layers, and rrrr."""

LAST_RECURRENT = tuple(layers for layers in ORL_CONFIGURATIONS if layers.endswith("r"))
LAST_PLAIN = tuple(layers for layers in ORL_CONFIGURATIONS if layers.endswith("n"))

Variation = dict[str, Any]


def _grid(roles: Sequence[str] = ("cars",), **fields: Sequence[Any]) -> list[Variation]:
    names = ("role", *fields)
    return [dict(zip(names, values, strict=True)) for values in itertools.product(roles, *fields.values())]


def with_recurrent(count: int) -> tuple[str, ...]:
    """The ORL configurations with that many recurrent layers."""
    return tuple(layers for layers in ORL_CONFIGURATIONS if layers.count("r") == count)


EXPERIMENTS: dict[str, list[Variation]] = {
    "table1": _grid(layers=TABLE_1),
    "fig4": _grid(layers=(*with_recurrent(3), *with_recurrent(1), "rrrr", "nnnn")),
    "fig5": _grid(("cars", "faces"), layers=ORL_CONFIGURATIONS),
    "fig6": _grid(layers=TABLE_1, fraction=(1.0, 0.25)),
    "fig7": _grid(("cars", "faces"), layers=ORL_CONFIGURATIONS) + _grid(("geo",), layers=TABLE_1),
    "fig8": _grid(layers=TABLE_1, schedule=("NOAEL", "A")),
    "fig9": _grid(layers=TABLE_1, schedule=("NOAEL", "B")),
    "order": _grid(layers=TABLE_1, schedule=("NOAEL", "A", "B")),
    "statistics": _grid(layers=ORL_CONFIGURATIONS),
}
"""What each experiment varies; an experiment bears the name of its notebook's figure or table."""


def plan(experiment: str, profile: Profile, **fields: Any) -> list[RunConfig]:
    """The runs of an experiment under a profile, every one once.

    `fields` overrides configuration fields (None: as the profile says). `dataset` is the role or roles to keep;
    `layers`, `schedule` and `fraction`, given as lists, keep only those variations. `seeds` replaces the profile's.
    Raises AgmError for an unknown experiment or field.
    """
    if experiment not in EXPERIMENTS:
        raise unknown("experiment", experiment, EXPERIMENTS)
    seeds = fields.pop("seeds", None) or profile.seeds
    runs = [
        profile.run(**{**fields, **variation}, seed=seed) for variation in EXPERIMENTS[experiment] for seed in seeds
    ]
    return list(dict.fromkeys(runs))


def plan_all(experiments: Iterable[str], profile: Profile) -> list[RunConfig]:
    """The runs of several experiments, every one once, in the order in which they are first needed."""
    return list(dict.fromkeys(run for experiment in experiments for run in plan(experiment, profile)))


def role_of(run: RunConfig, profile: Profile) -> str:
    """The role that a run's data set plays under a profile."""
    return next((role for role in ROLES if profile.datasets[role] == run.data.dataset), run.data.dataset)
