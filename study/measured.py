"""Read the measurements of the scripts in `benchmarks/`: recorded ones, and this machine's from `make bench`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agm import files
from agm.errors import AgmError
from agm.paths import home, results_folder

Measured = Mapping[str, Any]
"""The JSON of a script in `benchmarks/`; the script's docstring describes it."""


def read(name: str, own: bool = False) -> Measured:
    """A measurement by its script's name: the recorded one, or this machine's. Raises AgmError if it is not there."""
    path = (home() / "build" if own else results_folder()) / "benchmarks" / f"{name}.json"
    if not path.exists():
        raise AgmError(f"{path}: missing; make bench measures it here")
    measured: Measured = files.read_json(path)
    return measured


def stamp(measured: Measured) -> str:
    """The hardware, torch version and code of a measurement."""
    machine = measured["machine"]
    return f"{device(machine)} · torch {machine['versions']['torch']} · code {machine['code']}"


def device(machine: Mapping[str, Any]) -> str:
    """Device and threads in a note of `agm.machine.describe`."""
    return f"{machine['device']}, {machine['threads']} thread{'s' * (machine['threads'] != 1)}"
