"""How cost grows, as measured by `benchmarks/scaling.py`: a training step with width, image size, batch size and
iterations; planning, listing and judging with the number of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.aggregate import Numbers
from study.figures import style
from study.measured import Measured, stamp

VARIED: Mapping[str, str] = {
    "width": "width",
    "image_size": "side of the image, pixels",
    "batch_size": "images",
    "iterations": "iterations",
}
"""Varied field of a training step -> label of the axis."""

MANY: Mapping[str, str] = {"planning": "snakemake --dry-run", "listing": "agm runs", "judging": "agm claims"}
"""Name of a measurement with many runs -> its command."""

LOOKS = {"planning": (style.BLUE, "o"), "listing": (style.GREEN, "s"), "judging": (style.VERMILLION, "^")}
"""Colour and marker of each measurement with many runs."""


def points(measured: Measured, what: str, **fields: str) -> tuple[np.ndarray, np.ndarray]:
    """The varied values in ascending order, and the seconds of each: (N,), (N,)."""
    wanted = {"what": what, **fields}
    found = sorted((row["value"], row["seconds"]) for row in measured["rows"] if wanted.items() <= row.items())
    values, seconds = np.array(found, dtype=float).T
    return values, seconds


def power_law(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Exponent p and factor c of y = c x^p, fitted by least squares of the logarithms."""
    exponent, logarithm = np.polyfit(np.log(x), np.log(y), 1)
    return float(exponent), float(np.exp(logarithm))


def line(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Slope and start of y = start + slope x, by least squares of relative errors, since points lie decades apart."""
    slope, start = np.polyfit(x, y, 1, w=1 / np.asarray(y))
    return float(slope), float(start)


def models(measured: Measured) -> list[str]:
    """The models whose training steps were measured, in order."""
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
    """A row per command and number of runs: processor time in seconds, and megabytes."""
    rows = pd.DataFrame([row for row in measured["rows"] if row["what"] in MANY])
    rows = rows.assign(command=rows["what"].map(MANY)).rename(columns={"value": "runs", "mb": "memory, MB"})
    return rows.set_index(["command", "runs"])[["seconds", "memory, MB"]]


def numbers(measured: Measured) -> Numbers:
    """`LAYERS_FIELD_exponent`; `WHAT_seconds`, `WHAT_mb` and `WHAT_runs` of the largest measurement."""
    found: Numbers = {}
    for layers, exponents in table(measured).iterrows():
        found |= {f"{layers}_{by}_exponent": float(exponents[label]) for by, label in VARIED.items()}
    for what in MANY:
        rows = [row for row in measured["rows"] if row["what"] == what]
        most = max(rows, key=lambda row: int(row["value"]))
        found |= {f"{what}_seconds": most["seconds"], f"{what}_mb": most["mb"], f"{what}_runs": most["value"]}
    return found


def draw(found: Measured) -> Figure:
    """Measured marks and fitted lines: power laws for a training step, straight lines for many runs."""
    with style.context():
        fig = style.figure(8.2)
        axes = fig.subplot_mosaic("ab;cd;ee")
        for letter, (by, label) in zip("abcd", VARIED.items(), strict=True):
            _step(axes[letter], found, by)
            axes[letter].set_xlabel(label)
            style.title(axes[letter], letter, f"by {by.replace('_', ' ')}")
        _many(axes["e"], found)
        style.title(axes["e"], "e", "many runs")
        style.write_stamp(fig, stamp(found))
    return fig


def _step(ax: Axes, found: Measured, by: str) -> None:
    for name in models(found):
        x, seconds = points(found, "training", layers=name, by=by)
        exponent, factor = power_law(x, seconds)
        look = style.line(name)
        ax.plot(x, 1000 * seconds, **look | {"linestyle": "", "label": f"{name}, power {exponent:.2f}"})
        ax.plot(x, 1000 * factor * x**exponent, color=look["color"], linewidth=1)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(x, [f"{value:g}" for value in x])
    ax.set_ylabel("ms a training step")
    _legend(ax, 8)


def _many(ax: Axes, found: Measured) -> None:
    for what, (colour, marker) in LOOKS.items():
        x, seconds = points(found, what)
        slope, start = line(x, seconds)
        label = f"{MANY[what]}: {start:.1f} s + {1000 * slope:.2f} ms a run"
        ax.plot(x, seconds, color=colour, marker=marker, linestyle="", label=label)
        fine = np.geomspace(x[0], x[-1])
        ax.plot(fine, start + slope * fine, color=colour, linewidth=1)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("runs")
    ax.set_ylabel("seconds of processor time")
    _legend(ax, 20)


def _legend(ax: Axes, room: float) -> None:
    """Put the legend above the lines, after multiplying the axis limit by `room`."""
    ax.set_ylim(top=room * ax.get_ylim()[1])
    ax.legend(fontsize=style.SMALL, loc="upper left")
