"""Measurements of speed: those that travel with the project, and this machine's own from `make bench`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pandas as pd

from agm import files
from agm.analysis import Numbers
from agm.errors import AgmError
from agm.paths import home, results_folder

Measured = Mapping[str, Any]
"""What a script in `benchmarks/` writes; its docstring says what is in it."""


def read(name: str, own: bool = False) -> Measured:
    """A measurement by its script's name: the recorded one, or this machine's. Raises AgmError if it is not there."""
    folder = home() / "build" / "benchmarks" if own else results_folder() / "benchmarks"
    path = folder / f"{name}.json"
    if not path.exists():
        raise AgmError(f"{path}: missing; make bench measures it here")
    return dict(files.read_json(path))


def stamp(measured: Measured) -> str:
    """On what it was measured."""
    machine = measured["machine"]
    versions = machine["versions"]
    return f"{machine['device']}, {machine['threads']} threads · torch {versions['torch']} · code {machine['code']}"


def inference_table(measured: Measured) -> pd.DataFrame:
    """A row per model and schedule: milliseconds of the straightforward implementation and of the engine."""
    rows = pd.DataFrame(measured["rows"]).set_index(["layers", "schedule", "implementation"])
    columns = {}
    for part, name in (("first", "first picture"), ("total", "all ten")):
        times = rows[f"{part}_ms"].unstack()
        columns[f"{name}, ms: straightforward"] = times["straightforward"]
        columns[f"{name}, ms: engine"] = times["engine"]
        columns[f"{name}: ratio"] = rows[f"{part}_ratio"].unstack()["engine"]
    return pd.DataFrame(columns)


def inference_numbers(measured: Measured) -> Numbers:
    """`LAYERS_SCHEDULE_first_ratio` and `_total_ratio`, by how much the engine is faster; the extremes; the loss."""
    rows = [row for row in measured["rows"] if row["implementation"] == "engine"]
    numbers: Numbers = {}
    for part in ("first", "total"):
        for row in rows:
            numbers[f"{row['layers']}_{row['schedule'].lower()}_{part}_ratio"] = row[f"{part}_ratio"]
        ratios = [row[f"{part}_ratio"] for row in rows]
        numbers |= {f"least_{part}_ratio": min(ratios), f"most_{part}_ratio": max(ratios)}
    return numbers | {"least_db": min(row["db"] for row in rows), "stamp": stamp(measured)}


def deadline_numbers(measured: Measured) -> Numbers:
    """For `idle` and `busy`: calls, share of late ones in percent, the largest overrun in iterations."""
    numbers: Numbers = {"stamp": stamp(measured), "model": measured["settings"]["model"]}
    for condition in ("idle", "busy"):
        found = measured[condition]
        numbers[f"{condition}_calls"] = len(found["deadline_ms"])
        numbers[f"{condition}_misses"] = 100 * found["misses"]
        numbers[f"{condition}_overrun"] = found["overrun"]
    return numbers


EDGES = (5, 10, 20, 50, 100, 200, 500, 1000)
"""Between these, in milliseconds, deadlines are counted together."""


def deadlines_table(measured: Measured) -> pd.DataFrame:
    """A row per range of deadlines: calls, late ones and the median iteration, idle and busy."""
    labels = [f"{low} to {high} ms" for low, high in itertools.pairwise(EDGES)]
    columns = {}
    for condition in ("idle", "busy"):
        frame = pd.DataFrame({name: measured[condition][name] for name in ("deadline_ms", "elapsed_ms", "iteration")})
        frame["late"] = frame.elapsed_ms > frame.deadline_ms
        groups = frame.groupby(pd.cut(frame.deadline_ms, EDGES, right=False, labels=labels), observed=False)
        columns[condition, "calls"] = groups.size()
        columns[condition, "late"] = groups.late.sum()
        columns[condition, "median iteration"] = groups.iteration.median()
    return pd.DataFrame(columns).rename_axis("deadline")
