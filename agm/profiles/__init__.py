"""Profiles: how much is spent. Each is a YAML file beside this one; what it leaves out is the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agm.config import DataConfig, GeneratorConfig, RunConfig, TrainingConfig, from_dict
from agm.errors import AgmError, unknown

FOLDER = Path(__file__).parent
ROLES = ("cars", "faces", "geo")
"""The parts that data sets play in the paper: CARDATA, FACEDATA, GEODATA."""


@dataclass(frozen=True)
class Profile:
    """What a profile file says.

    `datasets`: which data set plays each role. `base`: the run that every planned run is a variation of. `seeds`: by
    role. `layers`: the ORL configurations compared on a role's data, where comparing all would take too long.
    """

    name: str
    datasets: Mapping[str, str]
    base: RunConfig
    seeds: Mapping[str, tuple[int, ...]]
    runs_per_job: int
    layers: Mapping[str, tuple[str, ...]]

    def run(self, role: str, **fields: Any) -> RunConfig:
        """The run with the data set of that role and the given configuration fields; fields that are None count not."""
        if role not in ROLES:
            raise unknown("data set role", role, ROLES)
        given = {name: value for name, value in fields.items() if value is not None}
        return self.base.replace(**{"dataset": self.datasets[role], **given})


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yml"))


def load(name: str) -> Profile:
    """A profile by name. Raises AgmError for a name, a field or a value that is not known."""
    if name not in names():
        raise unknown("profile", name, names())
    path = FOLDER / f"{name}.yml"
    values = yaml.safe_load(path.read_text())
    known = ("datasets", "generator", "data", "training", "seeds", "runs_per_job", "layers")
    for key in values:
        if key not in known:
            raise AgmError(f"{path}: {unknown('key', key, known)}")
    base = RunConfig(
        from_dict(GeneratorConfig, values.get("generator", {})),
        from_dict(DataConfig, values.get("data", {})),
        from_dict(TrainingConfig, values.get("training", {})),
    )
    seeds, layers = (_by_role(values.get(key), key, path) for key in ("seeds", "layers"))
    if set(seeds) != set(ROLES):
        raise AgmError(f"{path}: seeds: expected some for each of {', '.join(ROLES)}")
    return Profile(name, values["datasets"], base, seeds, values["runs_per_job"], layers)


def _by_role(values: Any, key: str, path: Path) -> dict[str, tuple[Any, ...]]:
    """Lists by role. Raises AgmError if they are not."""
    values = {} if values is None else values
    if not isinstance(values, dict) or not all(isinstance(listed, list) for listed in values.values()):
        raise AgmError(f"{path}: {key}: expected lists by role, such as {{cars: [...]}}, got {values!r}")
    for role in values:
        if role not in ROLES:
            raise AgmError(f"{path}: {key}: {unknown('role', str(role), ROLES)}")
    return {role: tuple(listed) for role, listed in values.items()}
