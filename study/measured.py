"""Read the measurements of the scripts in `benchmarks/`: recorded ones, and this machine's from `make bench`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agm import files
from agm.errors import AgmError
from agm.paths import home, results_folder

Measured = Mapping[str, Any]
"""The JSON of a script in `benchmarks/`; the script's docstring describes it."""


def read(name: str, own: bool = False) -> Measured:
    """A measurement by its script's name: the recorded one, or this machine's. Raises AgmError if it is not there."""
    path = _path(name, own)
    if not path.exists():
        raise AgmError(f"{path}: missing; make bench measures it here")
    measured = files.read_json(path)
    if not isinstance(measured, dict):
        raise AgmError(f"{path}: holds no measurement; make bench measures it here")
    return measured


def find(name: str, own: bool = False) -> Measured | None:
    """As `read`, but None if it is not there. Raises AgmError if it is damaged."""
    return read(name, own) if _path(name, own).exists() else None


def _path(name: str, own: bool) -> Path:
    return (home() / "build" if own else results_folder()) / "benchmarks" / f"{name}.json"


def stamp(measured: Measured) -> str:
    """The hardware, torch version and code of a measurement."""
    machine = measured["machine"]
    versions = machine["versions"]
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] != 1)}"
    return f"{machine['device']}, {threads} · torch {versions['torch']} · code {machine['code']}"
