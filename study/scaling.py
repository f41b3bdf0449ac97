"""How cost grows, from what `benchmarks.scaling` measured: power laws, and numbers for the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from study.aggregate import Numbers
from study.measured import Measured, stamp

VARIED: Mapping[str, str] = {
    "width": "width",
    "image_size": "side of the image, pixels",
    "batch_size": "images",
    "iterations": "iterations",
}
"""What a training step's cost is measured by -> the axis' label."""

MANY: Mapping[str, str] = {"planning": "snakemake --dry-run", "listing": "agm runs", "judging": "agm claims"}
"""What is done with many runs -> the command."""


def points(measured: Measured, what: str, **fields: str) -> tuple[np.ndarray, np.ndarray]:
    """Values, in order, and the seconds they took: (N,), (N,)."""
    wanted = {"what": what, **fields}
    rows = [row for row in measured["rows"] if wanted.items() <= row.items()]
    rows.sort(key=lambda row: row["value"])
    return np.array([row["value"] for row in rows], dtype=float), np.array([row["seconds"] for row in rows])


def power_law(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Exponent p and factor c of y = c x^p, by least squares of the logarithms."""
    exponent, logarithm = np.polyfit(np.log(x), np.log(y), 1)
    return float(exponent), float(np.exp(logarithm))


def line(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Slope and start of y = start + slope x, by least squares of relative errors: points lie decades apart."""
    slope, start = np.polyfit(x, y, 1, w=1 / np.asarray(y))
    return float(slope), float(start)


def models(measured: Measured) -> list[str]:
    """Whose training steps were measured, in order."""
    return list(dict.fromkeys(row["layers"] for row in measured["rows"] if row["what"] == "training"))


def table(measured: Measured) -> pd.DataFrame:
    """A row per model: the exponent by which a training step's time grows with each quantity."""
    names = models(measured)
    columns = {
        label: [power_law(*points(measured, "training", layers=layers, by=by))[0] for layers in names]
        for by, label in VARIED.items()
    }
    return pd.DataFrame(columns, index=pd.Index(names, name="layers"))


def many_table(measured: Measured) -> pd.DataFrame:
    """A row per command and number of runs: seconds of processor time and megabytes."""
    rows = [row for row in measured["rows"] if row["what"] in MANY]
    return pd.DataFrame(
        {
            "seconds": [row["seconds"] for row in rows],
            "memory, MB": [row["mb"] for row in rows],
        },
        index=pd.MultiIndex.from_tuples([(MANY[row["what"]], row["value"]) for row in rows], names=["command", "runs"]),
    )


def numbers(measured: Measured) -> Numbers:
    """`LAYERS_FIELD_exponent`; `WHAT_seconds`, `WHAT_mb` and `WHAT_runs` of the most runs; the stamp."""
    found: Numbers = {"stamp": stamp(measured)}
    for layers, exponents in table(measured).iterrows():
        found |= {f"{layers}_{by}_exponent": float(exponents[label]) for by, label in VARIED.items()}
    for what in MANY:
        most: Mapping[str, Any] = max(
            (row for row in measured["rows"] if row["what"] == what), key=lambda row: int(row["value"])
        )
        found |= {f"{what}_{key}": float(most[key]) for key in ("seconds", "mb")} | {f"{what}_runs": int(most["value"])}
        slope, _ = line(*points(measured, what))
        found[f"{what}_ms_per_run"] = 1000 * slope
    return found
