"""Measurements of speed: those that travel with the project, and this machine's own from `make bench`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pandas as pd

from agm import files
from agm.errors import AgmError, unknown
from agm.paths import home, results_folder
from study.aggregate import Numbers

Measured = Mapping[str, Any]
"""What a script in `benchmarks/` writes; its docstring says what is in it."""


def read(name: str, own: bool = False) -> Measured:
    """A measurement by its script's name: the recorded one, or this machine's. Raises AgmError if it is not there."""
    folder = home() / "build" / "benchmarks" if own else results_folder() / "benchmarks"
    path = folder / f"{name}.json"
    if not path.exists():
        raise AgmError(f"{path}: missing; make bench measures it here")
    measured = files.read_json(path)
    if not isinstance(measured, dict):
        raise AgmError(f"{path}: holds no measurement; make bench measures it here")
    return measured


def find(name: str) -> Measured | None:
    """The recorded measurement, or None if there is none. Raises AgmError if it is damaged."""
    return read(name) if (results_folder() / "benchmarks" / f"{name}.json").exists() else None


def stamp(measured: Measured) -> str:
    """On what it was measured."""
    machine = measured["machine"]
    versions = machine["versions"]
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] != 1)}"
    return f"{machine['device']}, {threads} · torch {versions['torch']} · code {machine['code']}"


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
    """`LAYERS_SCHEDULE_first_ratio` and `_total_ratio`, by how much the engine is faster; the extremes; the loss.

    `a_least_first_ratio` and the like: under Config. A alone. `torch_`: without a compiler.
    """
    rows = [row for row in measured["rows"] if row["implementation"] == "engine"]
    under_a = [row for row in rows if row["schedule"] == "A"]
    on_torch = [row for row in measured["rows"] if row["implementation"] == "engine on torch"]
    numbers: Numbers = {}
    for part in ("first", "total"):
        for row in rows:
            numbers[f"{row['layers']}_{row['schedule'].lower()}_{part}_ratio"] = row[f"{part}_ratio"]
        for name, some in (("", rows), ("a_", under_a), ("torch_", on_torch)):
            ratios = [row[f"{part}_ratio"] for row in some]
            numbers |= {f"{name}least_{part}_ratio": min(ratios), f"{name}most_{part}_ratio": max(ratios)}
    return numbers | {"least_db": min(row["db"] for row in rows), "stamp": stamp(measured)}


def runtimes_table(measured: Measured) -> pd.DataFrame:
    """A row per model and runtime: milliseconds to the first and the last image, beside the plain implementation."""
    rows = []
    for row in measured["rows"]:
        plain = next(r for r in measured["rows"] if (r["model"], r["runtime"]) == (row["model"], "plain"))
        found = {
            "model": row["model"],
            "runtime": row["runtime"],
            "first, ms": row["ms"][0],
            "all ten, ms": row["ms"][-1],
        }
        found |= {"first: ratio": plain["ms"][0] / row["ms"][0], "all ten: ratio": plain["ms"][-1] / row["ms"][-1]}
        rows.append(found | {"PSNR to plain": row["psnr"]})
    return pd.DataFrame(rows).set_index(["model", "runtime"])


def runtimes_numbers(measured: Measured) -> Numbers:
    """By model, what is fastest to the first image and to all of them: `rrrr_first`, `rrrr_total`."""
    table = runtimes_table(measured)
    numbers: Numbers = {"stamp": stamp(measured)}
    for model, group in table.groupby(level="model"):
        fastest = group.droplevel("model")
        numbers |= {
            f"{model}_first": str(fastest["first, ms"].idxmin()),
            f"{model}_total": str(fastest["all ten, ms"].idxmin()),
        }
    return numbers


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


def near(measured: Measured, condition: str, milliseconds: float) -> pd.Series[Any]:
    """The calls under a condition, `idle` or `busy`, whose deadline was within a quarter of so many milliseconds.

    How many there were and how many came late; by how many milliseconds the latest; the least, median and greatest
    iteration they got.
    """
    if condition not in ("idle", "busy"):
        raise unknown("condition", condition, ("idle", "busy"))
    frame = pd.DataFrame({name: measured[condition][name] for name in ("deadline_ms", "elapsed_ms", "iteration")})
    frame = frame[frame.deadline_ms.between(0.75 * milliseconds, 1.25 * milliseconds)]
    late = (frame.elapsed_ms - frame.deadline_ms).clip(lower=0)
    found = {"calls": len(frame), "late": int((late > 0).sum()), "latest, ms": late.max()}
    found |= {f"{name} iteration": getattr(frame.iteration, name)() for name in ("min", "median", "max")}
    return pd.Series(found).round(1)


def fault_numbers(counted: Measured) -> Numbers:
    """What `tests/faults.py` counted, over all kinds: kills and what became of them, damaged files and who noticed, odd
    pictures and how many came out right.
    """
    kills, damage = counted["kills"].values(), counted["damage"].values()
    numbers: Numbers = {name: sum(row[name] for row in kills) for name in ("kills", "in_a_write", "equal")}
    numbers["lost"] = sum(row["lost"] + row["left_behind"] for row in kills)
    numbers |= {f"{kind}_kills": row["kills"] for kind, row in counted["kills"].items()}
    numbers |= {name: sum(row[name] for row in damage) for name in ("tried", "named", "harmless")}
    odd = counted["pictures"].values()
    numbers |= {"pictures": sum(row["tried"] for row in odd), "pictures_kept": sum(row["kept"] for row in odd)}
    return numbers | {"unnoticed": sum(row["unnoticed"] + row["crashed"] for row in damage), "files": len(damage)}


def fuzz_numbers(counted: Measured) -> Numbers:
    """What `tests/fuzz.py` counted, over all targets, and the minutes that each of them had."""
    rows = counted["targets"].values()
    numbers: Numbers = {name: sum(row[name] for row in rows) for name in ("taken", "refused", "found")}
    numbers["tried"] = sum(row["taken"] + row["refused"] for row in rows)
    return numbers | {"targets": len(rows), "minutes": counted["settings"]["minutes"]}
