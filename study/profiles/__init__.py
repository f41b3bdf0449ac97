"""Profiles: how much computing is spent. Each is a YAML file beside this one; defaults are the paper's settings."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agm import files
from agm.config import NATURAL, PARTS, RunConfig
from agm.errors import AgmError, unknown
from study.paper import PAPER_NAMES

FOLDER = Path(__file__).parent
KEYS = ("datasets", *PARTS, "seeds", "runs_per_job", "layers", "experiments")
ROLES = tuple(PAPER_NAMES)
"""The roles of data sets: one for each data set of the paper."""
UNFINISHED = 75
"""Exit code of a run that was stopped and can be resumed by the same command (EX_TEMPFAIL)."""


@dataclass(frozen=True)
class Profile:
    """The content of a profile file.

    `datasets`: which data set plays each role. `base`: the run that every planned run is a variation of. `seeds`: by
    role. `layers`: the ORL configurations compared on a role's data, where comparing all would take too long.
    `experiments`: what the runs of an experiment have instead, fields as `study.experiments.plan` takes them.
    """

    name: str
    datasets: Mapping[str, str]
    base: RunConfig
    seeds: Mapping[str, tuple[int, ...]]
    runs_per_job: int
    layers: Mapping[str, tuple[str, ...]]
    experiments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def run(self, role: str, **fields: Any) -> RunConfig:
        """The run with a role's data set and the given configuration fields; fields that are None are ignored."""
        if role not in ROLES:
            raise unknown("data set role", role, ROLES)
        given = {name: value for name, value in fields.items() if value is not None}
        if isinstance(given.get("dataset"), str):
            given["dataset"] = _one_name(given["dataset"])
        return self.base.replace(**{"dataset": self.datasets[role], **given})


def _one_name(dataset: str) -> str:
    """A data set's name unchanged; a folder as an absolute path, so that it is one data set however it is given."""
    if dataset in (*ROLES, NATURAL):
        return dataset
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # no path at all
        folder = Path(dataset).expanduser()
        if dataset and folder.is_dir():
            from agm.data.bundled import STAND_INS  # which takes seconds

            return dataset if dataset in STAND_INS else str(folder.resolve())
    return dataset


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yml"))


def load(name: str) -> Profile:
    """Load a profile by name. Raises AgmError for an unknown name, field or value."""
    if name not in names():
        raise unknown("profile", name, names())
    path = FOLDER / f"{name}.yml"
    values = files.read_yaml(path)
    try:
        return _profile(name, values)
    except AgmError as error:
        raise AgmError(f"{path}: {error}") from None


def _profile(name: str, values: Any) -> Profile:
    """Check and build a profile. Raises AgmError, without the file's name."""
    if not isinstance(values, dict):
        raise AgmError(f"not a profile; expected {', '.join(KEYS)}")
    for key in values:
        if key not in KEYS:
            raise unknown("key", str(key), KEYS)
    base = RunConfig.from_dict({part: values[part] for part in PARTS if part in values})
    datasets, runs_per_job = values.get("datasets"), values.get("runs_per_job")
    if not isinstance(datasets, dict) or not all(isinstance(datasets.get(role), str) for role in ROLES):
        raise AgmError(f"datasets: expected a name for each of {', '.join(ROLES)}, got {datasets!r}")
    if type(runs_per_job) is not int or runs_per_job < 1:
        raise AgmError(f"runs_per_job: expected a whole number from 1, got {runs_per_job!r}")
    seeds, layers = (_by_role(values.get(key), key) for key in ("seeds", "layers"))
    if not all(seeds.get(role) for role in ROLES):
        raise AgmError(f"seeds: expected some for each of {', '.join(ROLES)}")
    for seed in itertools.chain(*seeds.values()):
        base.replace(seed=seed)
    for listed in itertools.chain(*layers.values()):
        base.replace(layers=listed)
    own = values.get("experiments", {})
    if not isinstance(own, dict) or not all(isinstance(fields, dict) for fields in own.values()):
        raise AgmError(f"experiments: expected fields by experiment, such as {{table1: {{base: paper}}}}, got {own!r}")
    return Profile(name, datasets, base, seeds, runs_per_job, layers, own)


def _by_role(values: Any, key: str) -> dict[str, tuple[Any, ...]]:
    """Check lists by role. Raises AgmError."""
    values = {} if values is None else values
    if not isinstance(values, dict) or not all(isinstance(listed, list) for listed in values.values()):
        raise AgmError(f"{key}: expected lists by role, such as {{cars: [...]}}, got {values!r}")
    for role in values:
        if role not in ROLES:
            raise AgmError(f"{key}: {unknown('role', str(role), ROLES)}")
    return {role: tuple(listed) for role, listed in values.items()}
