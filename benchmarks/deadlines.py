"""Are deadlines kept? A thousand calls on an idle machine, and a thousand while every core is busy with something else.

    python -m benchmarks.deadlines --out results/benchmarks/deadlines.json

The deadlines are drawn log-uniformly, from --shortest to --longest ms. Two figures each: misses, the share of calls
that came back late, and the largest overrun in iterations: how late, over how long that call's longest iteration took
(below 1: no iteration was begun that did not have to be). The JSON: `settings`, `machine`, and by condition (`idle`,
`busy`) the lists `deadline_ms`, `elapsed_ms`, `iteration` (0 is bicubic) and `longest_ms`, one entry per call, with
`misses` and `overrun`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from skimage import data as photographs
from tqdm import tqdm

from agm.anytime.upscaler import AnytimeUpscaler
from agm.paths import weights
from benchmarks.measure import command_line, write


def main() -> None:
    parser = command_line(__doc__, model=None, schedule=None, size=32, calls=1000, shortest=5.0, longest=1000.0)
    arguments = parser.parse_args()
    upscaler = AnytimeUpscaler.load(arguments.model, schedule=arguments.schedule)
    arguments.model = weights(arguments.model).parent.name
    result: dict[str, Any] = {}
    for condition, burners in (("idle", 0), ("busy", os.cpu_count() or 1)):
        with busy(burners):
            found = result[condition] = measure(upscaler, arguments, condition)
        print(f"{condition}: {found['misses']:.2%} late, by at most {found['overrun']:.2f} of an iteration")
    write(arguments, "benchmarks.deadlines", result)


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that count and count."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def measure(upscaler: AnytimeUpscaler, arguments: argparse.Namespace, label: str) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    deadlines = np.exp(rng.uniform(np.log(arguments.shortest), np.log(arguments.longest), arguments.calls)) / 1000
    photograph, side = photographs.astronaut(), arguments.size  # type: ignore[no-untyped-call]
    columns: dict[str, list[float]] = {"deadline_ms": [], "elapsed_ms": [], "iteration": [], "longest_ms": []}
    for deadline in tqdm(deadlines, desc=label, unit="call", disable=None):
        row, column = rng.integers(0, 512 - side, 2)
        result = upscaler.upscale(photograph[row : row + side, column : column + side], deadline=float(deadline))
        values = (1000 * deadline, 1000 * result.elapsed, result.iteration, 1000 * max(result.durations, default=0))
        for name, value in zip(columns, values, strict=True):
            columns[name].append(round(float(value), 3))
    return {**columns, **figures(columns)}


def figures(columns: dict[str, list[float]]) -> dict[str, float]:
    """Share of late calls, and the largest lateness in iterations (of that call, or of the mean one if it had none)."""
    deadline, elapsed, longest = (np.array(columns[key]) for key in ("deadline_ms", "elapsed_ms", "longest_ms"))
    usual = longest[longest > 0].mean() if (longest > 0).any() else np.inf
    late = np.clip(elapsed - deadline, 0, None) / np.where(longest > 0, longest, usual)
    return {"misses": float((elapsed > deadline).mean()), "overrun": float(late.max())}


if __name__ == "__main__":
    main()
