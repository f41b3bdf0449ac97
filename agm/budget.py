"""A profile's runs, priced: by experiment, in all, and afterwards what they took. `agm plan` prints it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from agm import files
from agm.config import RunConfig
from agm.cost import Cost, checkpoint_bytes, side_by_side
from agm.errors import AgmError
from agm.paths import home
from agm.runs import Run

Row = dict[str, Any]


def row(
    name: str, planned: Sequence[RunConfig], missing: Sequence[RunConfig], costs: Mapping[str, Cost], cores: int
) -> Row:
    """One line of the plan. Minutes, memory and disk are of the missing runs only.

    `costs`: by run id. Memory is one run's, the largest; `memory_side_by_side` that of as many as there are cores.
    """
    found = [costs[config.id] for config in missing]
    largest = sorted((cost.memory for cost in found), reverse=True)
    held = sorted(map(checkpoint_bytes, missing), reverse=True)
    return {
        "experiment": name,
        "planned": len(planned),
        "finished": len(planned) - len(missing),
        "missing": len(missing),
        "one_core_minutes": sum(cost.total for cost in found) / 60,
        "all_cores_minutes": side_by_side((cost.total for cost in found), cores) / 60,
        "memory": max(largest, default=0),
        "memory_side_by_side": sum(largest[:cores]),
        "disk": sum(cost.disk for cost in found) + sum(held[:cores]),
    }


def path(profile: str) -> Path:
    """Where predictions are kept."""
    return home() / "build" / f"plan-{profile}.json"


def remember(profile: str, device: str, threads: int, alone: Mapping[str, Cost], together: Mapping[str, Cost]) -> None:
    """Keep what is predicted for runs that are not finished, so that it can be compared with what they take.

    `alone`: with one thread; `together`: with `threads`. What was predicted for other runs stays as it was.
    """
    runs = recalled(profile)
    for id_ in alone:
        runs[id_] = {"device": device, "threads": {str(threads): together[id_].seconds, "1": alone[id_].seconds}}
    files.write_json(path(profile), {"runs": runs})


def recalled(profile: str) -> dict[str, Any]:
    """The predictions that were kept, by run id. Raises AgmError if the file holds something else."""
    if not path(profile).exists():
        return {}
    stored = files.read_json(path(profile))
    if not isinstance(stored, dict) or not isinstance(stored.get("runs"), dict):
        raise AgmError(f"{path(profile)}: holds no predictions; delete it, and plan again")
    return dict(stored["runs"])


def afterwards(predicted: Mapping[str, Any], finished: Iterable[Run]) -> Row | None:
    """How far off the predictions were, for the runs that were finished here since; None if there are none.

    Only what a summary tells is compared, training with validation, on the same device with as many threads. `error`:
    by which share all together were predicted too long (above 0) or too short; `typical_error`: the median distance of
    a single run.
    """
    pairs = [pair for run in finished if not run.recorded and (pair := _pair(predicted.get(run.config.id), run))]
    if not pairs:
        return None
    expected, taken = (sum(values) for values in zip(*pairs, strict=True))
    return {
        "runs": len(pairs),
        "predicted_minutes": expected / 60,
        "taken_minutes": taken / 60,
        "error": expected / taken - 1,
        "typical_error": median(abs(one / other - 1) for one, other in pairs),
    }


def _pair(predicted: Any, run: Run) -> tuple[float, float] | None:
    """Predicted and actual seconds of a run, if they can be compared."""
    machine, actual = run.summary.get("machine") or {}, float(run.summary.get("seconds") or 0)
    if not predicted or predicted["device"] != machine.get("device") or actual <= 0:
        return None
    seconds = predicted["threads"].get(str(machine.get("threads")))
    return None if seconds is None else (float(seconds), actual)
