"""Inference: the straightforward implementation, the library's plain one, and its engine, on the same weights.

The engine comes twice: on torch alone, and with its kernels compiled, where there is a C++ compiler.

    python -m benchmarks.inference --out results/benchmarks/inference.json

They take turns, once with the whole schedule and once with its first iteration alone. The JSON: `settings`, `machine`,
and `rows`, one per ORL configuration, schedule and implementation:
- layers, schedule, implementation
- first_ms: milliseconds until the first image, where nothing else is asked for
- total_ms: until the last image; ms: until each
- first_ratio, total_ratio: how many times faster than the straightforward implementation
- db: PSNR of the last image against the straightforward one's, for the weights at hand (random ones if none are given)
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from agm.anytime.engine.engine import Engine
from agm.anytime.stepper import Plain, iterate
from agm.metrics import psnr
from agm.networks.generator import Generator
from agm.schedule import NAMED, Schedule
from agm.training.evaluate import Iterate
from benchmarks.measure import command_line, take_turns, untrained, write
from benchmarks.straightforward import images
from study.experiments import TABLE_1


def main() -> None:
    options: dict[str, Any] = {"layers": TABLE_1, "schedules": tuple(NAMED)}
    arguments = command_line(__doc__, **options, width=64, size=32, rounds=9, threads=2).parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{'layers':8}{'schedule':10}{'':18}{'first/ms':>10}{'all/ms':>10}{'first':>9}{'all':>9}{'dB':>8}")
    rows: list[dict[str, Any]] = []
    for layers in arguments.layers:
        for name in arguments.schedules:
            rows += compare(untrained(layers, arguments.width), name, arguments.size, arguments.rounds)
    write(arguments, "benchmarks.inference", {"rows": rows})


def implementations(generator: Generator, schedule: Schedule) -> dict[str, Iterate]:
    """The straightforward one first."""
    return {
        "straightforward": partial(images, generator, schedule=schedule, statistics="iteration"),
        "plain": partial(iterate, Plain(generator), schedule),
        "engine on torch": partial(iterate, Engine(generator, compiled=False), schedule),
        "engine": partial(iterate, Engine(generator), schedule),
    }


def compare(generator: Generator, name: str, size: int, rounds: int) -> list[dict[str, Any]]:
    """One row per implementation."""
    schedule = Schedule.parse(name)
    models = implementations(generator, schedule)
    x = torch.rand(1, 3, size, size)
    whole = take_turns(models, x, rounds)
    alone = take_turns(implementations(generator, schedule.take(1)), x, 3 * rounds)
    last = {key: list(model(x))[-1].clamp(0, 1) for key, model in models.items()}
    rows = []
    for key, seconds in whole.items():
        first, total = 1000 * alone[key][0], 1000 * seconds[-1]
        row: dict[str, Any] = {"layers": generator.config.layers, "schedule": name, "implementation": key}
        row |= {"first_ms": first, "total_ms": total, "ms": [1000 * s for s in seconds]}
        row |= {"first_ratio": 1000 * alone["straightforward"][0] / first}
        row |= {"total_ratio": 1000 * whole["straightforward"][-1] / total}
        row["db"] = min(float(psnr(last[key], last["straightforward"]).mean()), 200.0)
        rows.append(row)
        ratios = f"{row['first_ratio']:8.2f}x{row['total_ratio']:8.2f}x"
        print(f"{row['layers']:8}{name:10}{key:18}{first:10.1f}{total:10.1f}{ratios}{row['db']:8.0f}", flush=True)
    return rows


if __name__ == "__main__":
    main()
