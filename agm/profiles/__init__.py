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
    """`datasets` says which data set plays each role; `base` is the run that every planned run is a variation of."""

    name: str
    datasets: Mapping[str, str]
    base: RunConfig
    seeds: tuple[int, ...]
    runs_per_job: int

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
    known = ("datasets", "generator", "data", "training", "seeds", "runs_per_job")
    for key in values:
        if key not in known:
            raise AgmError(f"{path}: {unknown('key', key, known)}")
    base = RunConfig(
        from_dict(GeneratorConfig, values.get("generator", {})),
        from_dict(DataConfig, values.get("data", {})),
        from_dict(TrainingConfig, values.get("training", {})),
    )
    return Profile(name, values["datasets"], base, tuple(values["seeds"]), values["runs_per_job"])
