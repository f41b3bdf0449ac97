"""Speed of the engine and of other runtimes, and how well deadlines are kept."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study import aggregate
from study.aggregate import Numbers
from study.figures import style
from study.measured import Measured, stamp

LOOKS: dict[str, dict[str, Any]] = {
    "straightforward": {"color": style.GREY, "marker": "o"},
    "plain": {"color": style.SKY, "marker": "s"},
    "engine on torch": {"color": style.BLUE, "marker": "^"},
    "engine": {"color": style.VERMILLION, "marker": "D"},
}
"""Colour and marker of an implementation."""

EDGES = (5, 10, 20, 50, 100, 200, 500, 1000)
"""Edges of the ranges in which deadlines are counted, in milliseconds."""


def numbers(inference: Measured, calls: Measured, runtimes: Measured) -> Numbers:
    """Numbers quoted in the book, of the three measurements."""
    found = aggregate.prefixed("speed", speed_numbers(inference))
    found |= aggregate.prefixed("deadlines", deadline_numbers(calls))
    return found | aggregate.prefixed("runtimes", runtimes_numbers(runtimes))


def speed_numbers(measured: Measured) -> Numbers:
    """`least_first_ratio`, `most_total_ratio` and so on: how many times faster the engine is, over all rows.

    With `a_` under Config. A alone, with `torch_` without a compiler. `least_db`: the lowest PSNR against the
    straightforward implementation.
    """
    rows = pd.DataFrame(measured["rows"])
    engine, on_torch = (rows[rows.implementation == name] for name in ("engine", "engine on torch"))
    numbers: Numbers = {"least_db": float(engine.db.min())}
    for name, some in (("", engine), ("a_", engine[engine.schedule == "A"]), ("torch_", on_torch)):
        for ratio in ("first_ratio", "total_ratio"):
            numbers[f"{name}least_{ratio}"] = float(some[ratio].min())
            numbers[f"{name}most_{ratio}"] = float(some[ratio].max())
    return numbers


def files_table(measured: Measured) -> pd.DataFrame:
    """A row per size of a photograph: seconds and memory of one call of `agm upscale`."""
    rows = pd.DataFrame(measured["rows"]).set_index("megapixels").rename_axis("input, megapixels")
    return rows[["seconds", "gigabytes"]].rename(columns={"seconds": "time, s", "gigabytes": "memory, GB"})


def speed_table(measured: Measured) -> pd.DataFrame:
    """A row per model and schedule: how much faster the engine is than the straightforward implementation, and both."""
    rows = pd.DataFrame(measured["rows"]).set_index(["layers", "schedule", "implementation"])
    parts = {"first": "first picture", "total": "all ten"}
    columns = {f"{name}: ratio": rows[f"{part}_ratio"].unstack()["engine"] for part, name in parts.items()}
    for part, name in parts.items():
        times = rows[f"{part}_ms"].unstack()
        columns |= {f"{name}, ms: {who}": times[who] for who in ("engine", "straightforward")}
    return pd.DataFrame(columns)


def speed(found: Measured) -> Figure:
    """Panel a: milliseconds until the first picture, panel b: until all ten, by model, schedule and implementation."""
    rows = pd.DataFrame(found["rows"])
    rows["label"] = rows.layers + " " + rows.schedule
    labels = rows.label.unique()
    with style.context():
        fig = style.figure(1.2 + 0.32 * len(labels))
        left, right = axes = fig.subplots(1, 2, sharey=True)
        for ax, part in ((left, "first_ms"), (right, "total_ms")):
            _times(ax, rows.pivot(index="label", columns="implementation", values=part).loc[labels])
        style.title(left, "a", "first picture")
        style.title(right, "b", "all ten")
        left.set_yticks(range(len(labels)), labels)
        left.invert_yaxis()
        style.legend(fig, axes[0], 2)
        style.write_stamp(fig, stamp(found))
    return fig


def _times(ax: Axes, times: pd.DataFrame) -> None:
    """One mark per implementation (column); a line joins those of a model and schedule (row)."""
    places = range(len(times))
    for name, look in LOOKS.items():
        ax.plot(times[name], places, linestyle="", label=name, zorder=3, **look)
    ax.hlines(places, times.min(axis=1), times.max(axis=1), color="#CFCFCF", linewidth=2.5, zorder=1)
    ax.set_xlim(left=0)
    ax.set_xlabel("milliseconds")


def runtimes_numbers(measured: Measured) -> Numbers:
    """`verdict`: a sentence that names the runtimes that are faster than the engine."""
    table = runtimes_table(measured)
    faster = []
    for model in table.index.unique("model"):
        for column, words in (("first, ms", "first picture"), ("all ten, ms", "ten pictures")):
            times = table.loc[model, column]
            best = times.idxmin()
            if best != "engine":
                faster.append(f"{best} to the {words} of {model} ({times['engine'] / times[best]:.1f} times as fast)")
    rest = f", but for {', '.join(faster)}" if faster else ""
    return {"verdict": f"The engine is the fastest of them on this processor{rest}."}


def runtimes_table(measured: Measured) -> pd.DataFrame:
    """A row per model and runtime: how much faster than the plain implementation, and milliseconds to both images."""
    rows = pd.DataFrame(measured["rows"]).set_index(["model", "runtime"])
    times = pd.DataFrame({"first": rows.ms.str[0], "all ten": rows.ms.str[-1]})
    plain = times.xs("plain", level="runtime").reindex(rows.index, level="model")
    found = (plain / times).add_suffix(": ratio").join(times.add_suffix(", ms"))
    return found.assign(**{"PSNR to plain": rows.psnr})


def deadline_numbers(measured: Measured) -> Numbers:
    """For `idle` and `busy`: number of calls, late calls in percent, and the largest overrun in iterations."""
    numbers: Numbers = {"model": measured["settings"]["model"]}
    for condition in ("idle", "busy"):
        found = measured[condition]
        numbers |= {f"{condition}_calls": len(found["deadline_ms"]), f"{condition}_overrun": found["overrun"]}
        numbers[f"{condition}_misses"] = 100 * found["misses"]
    return numbers


def deadlines_table(measured: Measured) -> pd.DataFrame:
    """A row per range of deadlines: late calls, all of them and the median iteration, idle and busy."""
    labels = [f"{low} to {high} ms" for low, high in itertools.pairwise(EDGES)]
    columns = {}
    for condition in ("idle", "busy"):
        frame = pd.DataFrame(measured[condition])
        frame["late"] = frame.elapsed_ms > frame.deadline_ms
        groups = frame.groupby(pd.cut(frame.deadline_ms, EDGES, right=False, labels=labels), observed=False)
        columns[condition, "late"] = groups.late.sum()
        columns[condition, "calls"] = groups.size()
        columns[condition, "median iteration"] = groups.iteration.median()
    return pd.DataFrame(columns).rename_axis("deadline")


def deadlines(found: Measured) -> Figure:
    """Time of every call against its deadline, marked by the iterations reached: (a) idle, (b) all cores busy."""
    with style.context():
        fig = style.figure(3.4)
        axes = fig.subplots(1, 2, sharex=True, sharey=True)
        for ax, letter, condition in zip(axes, "ab", ("idle", "busy"), strict=True):
            _calls(ax, found[condition])
            style.title(ax, letter, f"{condition}: {100 * found[condition]['misses']:.1f} % late")
            ax.set_xlabel("deadline, ms")
        axes[0].set_ylabel("done after, ms")
        style.legend(fig, axes[0], 4)
        style.write_stamp(fig, stamp(found))
    return fig


def _calls(ax: Axes, calls: Measured) -> None:
    deadline, elapsed, iteration = (np.array(calls[name]) for name in ("deadline_ms", "elapsed_ms", "iteration"))
    most = int(iteration.max())
    groups: Sequence[tuple[str, Any, str, str]] = (
        ("bicubic", iteration == 0, style.GREY, "o"),
        ("some iterations", (iteration > 0) & (iteration < most), style.SKY, "s"),
        ("all iterations", (iteration == most) & (most > 0), style.BLUE, "^"),
    )
    for label, chosen, colour, marker in groups:
        ax.plot(deadline[chosen], elapsed[chosen], marker, color=colour, markersize=2.5, alpha=0.6, label=label)
    late = elapsed > deadline
    ax.plot(deadline[late], elapsed[late], "x", color=style.VERMILLION, markersize=6, label="late", zorder=4)
    ends = np.array([deadline.min(), deadline.max()])
    ax.plot(ends, ends, color=style.FAINT, linewidth=1.2)
    ax.set_xscale("log")
    style.log_axis(ax)
