"""Which runs each figure and table needs. Planning only: nothing here trains, and nothing here imports torch."""

from __future__ import annotations

import ast
import contextlib
import difflib
import itertools
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from pathlib import PurePath
from typing import Any

import yaml

from agm.config import ORL_CONFIGURATIONS, RunConfig, field_owners
from agm.errors import AgmError, unknown
from agm.schedule import Schedule
from study.profiles import ROLES, Profile

TABLE_1 = ("nnnr", "nnrr", "rrnr", "rrrr")
"""The models of Table I and of Section III-C: the paper's best with 1, 2 and 3 recurrent layers, and rrrr."""

LAST_RECURRENT = tuple(layers for layers in ORL_CONFIGURATIONS if layers.endswith("r"))
LAST_PLAIN = tuple(layers for layers in ORL_CONFIGURATIONS if layers.endswith("n"))

SELECTING = ("layers", "schedule", "fraction")
"""The fields that experiments vary, besides the data set."""

Variation = dict[str, Any]


def _grid(roles: Sequence[str] = ("cars",), **fields: Sequence[Any]) -> list[Variation]:
    names = ("role", *fields)
    return [dict(zip(names, values, strict=True)) for values in itertools.product(roles, *fields.values())]


def _seeds_of(count: int, **fields: Any) -> list[Variation]:
    return [{"seed": seed, **fields} for seed in range(count)]


def with_recurrent(count: int) -> tuple[str, ...]:
    """The ORL configurations with that many recurrent layers."""
    return tuple(layers for layers in ORL_CONFIGURATIONS if layers.count("r") == count)


EXPERIMENTS: dict[str, list[Variation]] = {
    "table1": _grid(layers=TABLE_1),
    "fig4": _grid(layers=(*with_recurrent(3), *with_recurrent(1), "rrrr", "nnnn")),
    "fig5": _grid(("cars", "faces"), layers=ORL_CONFIGURATIONS),
    "fig6": _grid(layers=TABLE_1, fraction=(1.0, 0.25)),
    "fig7": _grid(("cars", "faces", "geo"), layers=ORL_CONFIGURATIONS),
    "fig8": _grid(layers=TABLE_1, schedule=("NOAEL", "A")),
    "fig9": _grid(layers=TABLE_1, schedule=("NOAEL", "B")),
    "order": _grid(layers=TABLE_1, schedule=("NOAEL", "A", "B")),
    "statistics": _grid(layers=ORL_CONFIGURATIONS),
}
"""What each experiment varies; an experiment bears the name of its notebook's figure or table."""

# All that a claim of the paper may be about.
EXPERIMENTS["claims"] = [variation for name in ("fig7", "fig6", "order") for variation in EXPERIMENTS[name]]

SWEEP: Variation = {
    "dataset": "natural",
    **{"base": "light", "width": 8, "iterations": 5, "image_size": 24, "crops": 3200, "epochs": 10},
    **{"learning_rate": 8e-3, "decay": "cosine", "average": 0.99, "loss": "l1", "adversarial_weight": 0.0},
}
"""The settings that all runs of `converged` share: small networks, trained on photographs to the end."""

LONG: dict[str, list[Variation]] = {
    "converged": [
        {"role": "cars", **SWEEP, "layers": layers, "schedule": schedule, "seed": seed}
        for seed in range(3)
        for layers in ORL_CONFIGURATIONS
        for schedule in ("xxxx (5)", "---x - x--x - xx-x - xxxx (2)")
    ],
    # Is one learning rate fair to all? That of `converged` gives these two together the best validation PSNR.
    "rates": [
        {"role": "cars", **SWEEP, "layers": layers, "schedule": "xxxx (5)", "learning_rate": rate}
        for layers in ("nnnn", "rrrr")
        for rate in (1e-3, 2e-3, 4e-3, 16e-3, 32e-3)
    ],
    # The bicubic first frame, before any such run was read: shared statistics cost more than a fifth (test MSE, shared
    # over precise, above 1.2) exactly where a plain layer lies above a recurrent one, whose memory is empty at first.
    "first_frame": _grid(layers=ORL_CONFIGURATIONS, feedback=("zeros", "bicubic"), schedule=("NOAEL",)),
    # What the paper leaves open, one choice at a time; a quarter of the images, also with four times the epochs.
    "choices": [
        {"role": "cars", "layers": layers, "schedule": "NOAEL", **choice}
        for layers in ("nnnr", "rrrr")
        for choice in (
            *_seeds_of(6),
            {"adversarial_weight": 0.0},
            {"lipschitz": "penalty"},
            {"signs": "paper"},
            {"critic_output": "sigmoid"},
            {"upsampling": "bilinear"},
            {"peephole": True},
            {"forget_bias": 0.0},
            {"feedback": "bicubic"},
            *_seeds_of(3, fraction=0.25),
            *_seeds_of(2, fraction=0.25, epochs=32),
        )
    ],
    # For a GPU, with profile reduced: a plain last layer at the paper's width, the bicubic first frame there, the same
    # with another seed, one long run, and the lighter base at full width.
    "gpu": [
        *(
            {"role": "cars", "layers": layers, "schedule": "NOAEL", "feedback": feedback, "seed": seed}
            for seed in range(2)
            for feedback, models in (("zeros", ("rrrn", "nnnn")), ("bicubic", ("rrrn", "nnnr", "rrrr")))
            for layers in models
        ),
        {"role": "cars", "layers": "nnnr", "schedule": "NOAEL", "epochs": 40},
        {"role": "cars", **SWEEP, "layers": "nnnn", "schedule": "xxxx (5)", "width": 64, "learning_rate": 1e-3},
    ],
}
"""Experiments that only recorded runs answer: `make book` does not train them."""


def plan(experiment: str, profile: Profile, **fields: Any) -> list[RunConfig]:
    """The runs of an experiment under a profile, every one once.

    `fields` overrides configuration fields (None: as the profile says, which may set some for this experiment). Some
    of them select, and take one value, a list, or text with commas:

    - `layers`, `schedule`, `fraction`: keep only these variations; where the experiment does not vary the field, one
      value is set for all its runs.
    - `dataset`: roles that the experiment varies are the ones to keep; any other data set takes the part of CARDATA.
    - `seeds`: replaces the profile's, which may differ from role to role.

    Raises AgmError for an unknown experiment, field or value.
    """
    known = EXPERIMENTS | LONG
    if experiment not in known:
        raise unknown("experiment", experiment, known)
    for name in profile.experiments:
        if name not in EXPERIMENTS:
            raise unknown(f"experiment of profile {profile.name}", str(name), EXPERIMENTS)
    given = dict(profile.experiments.get(experiment, {}))
    given |= {name: value for name, value in fields.items() if value is not None}
    seeds = _seeds(given)
    variations = [variation for variation in known[experiment] if _compared(variation, profile)]
    if "dataset" in given:
        variations = _on_dataset(variations, given.pop("dataset"), profile)
    for name in SELECTING:
        if name not in given:
            continue
        values = _listed(given.pop(name))
        if all(name in variation for variation in variations):
            variations = _keep(experiment, variations, name, values)
        elif len(values) == 1:
            given[name] = values[0]
        else:
            raise AgmError(f"{experiment} does not vary {name}: give one value, not {len(values)}")
    runs = [
        profile.run(**{"seed": seed, **given, **variation})
        for variation in variations
        for seed in seeds or profile.seeds[variation["role"]]
    ]
    return list(dict.fromkeys(runs))


PARAMETERS: dict[str, type] = {
    **{"profile": str, "recorded": str, "metric": str, "out": str, "folder": str},
    **{"own": bool, "measure": bool, "image": int},
}
"""What notebooks take beside configuration fields."""


def overrides(namespace: MutableMapping[str, Any], known: Iterable[str] = ("profile", "out")) -> dict[str, Any]:
    """The configuration fields among a namespace's variables, for `plan`: what a notebook's parameters set.

    `known` are the other parameters there are; those that papermill brings as text get their type. Raises AgmError for
    a value of another type, for a parameter of papermill's that is not known, and for a variable that looks like a
    misspelt one.
    """
    fields = set(field_owners()) | {"seeds"}
    allowed = fields.union(known)
    given = _given(namespace)
    for name in _plain_names(namespace):
        if name not in allowed and (name in given or difflib.get_close_matches(name, allowed, cutoff=0.75)):
            raise unknown("parameter", name, allowed)
    for name in allowed.intersection(PARAMETERS, namespace):
        namespace[name] = _typed(name, namespace[name])
    return {name: namespace[name] for name in sorted(fields) if namespace.get(name) is not None}


def within(name: str, value: int, count: int) -> int:
    """A parameter that is one of so many numbers from 0. Raises AgmError if it is none."""
    if not 0 <= value < count:
        raise AgmError(f"{name}={value}: must be from 0 to {count - 1}")
    return value


def _given(namespace: Mapping[str, Any]) -> set[str]:
    """The names that papermill sets, in a cell that it adds."""
    names: set[str] = set()
    for cell in namespace.get("In") or ():
        if cell.startswith("# Parameters"):
            nodes = ast.walk(ast.parse(cell))
            names |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return names


def _typed(name: str, value: Any) -> Any:
    """A parameter's value; text from a command line as what it stands for. Raises AgmError if it is of another type."""
    wanted = PARAMETERS[name]
    if value is None and wanted is str:
        return None
    if isinstance(value, str) and wanted is not str:
        with contextlib.suppress(yaml.YAMLError, ValueError):
            value = yaml.safe_load(value)
    if type(value) is wanted or (wanted is str and isinstance(value, PurePath)):
        return value
    says = {bool: "True or False", int: "a whole number", str: "text"}[wanted]
    raise AgmError(f"{name}={value!r}: expected {says}")


def _plain_names(namespace: Mapping[str, Any]) -> list[str]:
    """The variables that could be parameters: their values are plain and they are not private."""
    plain = (str, int, float, list, tuple, type(None))
    return [name for name, value in namespace.items() if isinstance(value, plain) and not name.startswith("_")]


def _compared(variation: Variation, profile: Profile) -> bool:
    """Whether the profile compares this model on this role's data."""
    role = variation["role"]
    return role not in profile.layers or variation["layers"] in profile.layers[role]


def _seeds(given: dict[str, Any]) -> list[Any]:
    """Takes the seeds out of the given fields."""
    seed = given.pop("seed", None)
    seeds = _listed(given.pop("seeds", [] if seed is None else seed))
    try:
        return [int(value) if isinstance(value, str) else value for value in seeds]
    except ValueError:
        raise AgmError(f"seeds={seeds}: expected whole numbers") from None


def _listed(value: Any) -> list[Any]:
    """One value, several, or text with commas -> a list."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value) if isinstance(value, list | tuple) else [value]


def _on_dataset(variations: list[Variation], dataset: Any, profile: Profile) -> list[Variation]:
    varied = {variation["role"] for variation in variations}
    names = {profile.datasets[role]: role for role in ROLES}
    wanted = [names.get(name, name) for name in map(str, _listed(dataset))]
    if varied.issuperset(wanted):
        return [variation for variation in variations if variation["role"] in wanted]
    if not isinstance(dataset, str):
        raise unknown("data set role of this experiment", next(n for n in wanted if n not in varied), varied)
    stand_in = profile.datasets.get(dataset, dataset)
    if stand_in == dataset:
        from agm.data import locate  # torch takes seconds to import; planning without this override does not need it

        locate(dataset)
    return [{**variation, "dataset": stand_in} for variation in variations if variation["role"] == "cars"]


def _keep(experiment: str, variations: list[Variation], name: str, values: list[Any]) -> list[Variation]:
    """The variations whose field has one of the values. Raises AgmError for a value that none of them has."""

    def canonical(value: Any) -> Any:
        if name == "schedule":
            return str(Schedule.parse(str(value)))
        return float(value) if name == "fraction" else str(value)

    known = {canonical(variation[name]): variation[name] for variation in variations}
    try:
        wanted = [canonical(value) for value in values]
    except (TypeError, ValueError):
        raise AgmError(f"{name}={values}: expected numbers") from None
    for value, text in zip(wanted, values, strict=True):
        if value not in known:
            raise unknown(f"{name} of {experiment}", str(text), map(str, known.values()))
    return [variation for variation in variations if canonical(variation[name]) in wanted]


def plan_all(experiments: Iterable[str], profile: Profile) -> list[RunConfig]:
    """The runs of several experiments, every one once, in the order in which they are first needed."""
    return list(dict.fromkeys(run for experiment in experiments for run in plan(experiment, profile)))


def role_of(run: RunConfig, profile: Profile) -> str:
    """The role that a run's data set plays under a profile."""
    return next((role for role in ROLES if profile.datasets[role] == run.data.dataset), run.data.dataset)
