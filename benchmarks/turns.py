"""The time of every iteration, round by round: what the paper's claims about time are judged by.

    python -m benchmarks.turns --out results/benchmarks/turns.json

The models of Table I under NOAEL, A and B take turns, each in the straightforward implementation, which stands for the
paper's, and on this library's engine. The JSON: `settings`, `machine`, and `rows`: layers, schedule, implementation,
and `seconds`, (rounds, T), what each iteration takes for one image: processor time of a single thread, which is the
time on an idle machine, whatever else runs. The weights are random: time does not depend on them. After --limit
seconds no further round begins.
"""

from __future__ import annotations

import itertools
import time

import torch
from tqdm import tqdm

from agm.schedule import NAMED, Schedule
from agm.training.evaluate import Iterate, durations
from benchmarks.inference import implementations
from benchmarks.measure import command_line, untrained, write
from study.experiments import TABLE_1


def main() -> None:
    arguments = command_line(__doc__, width=64, size=32, rounds=30, limit=300.0).parse_args()
    torch.set_num_threads(1)
    rounds = tqdm(range(arguments.rounds + 1), unit="round", disable=None)
    with torch.inference_mode():
        x = torch.rand(1, 3, arguments.size, arguments.size)
        found = durations(models(arguments.width), x, rounds, arguments.limit, clock=time.process_time)
    rows = [dict(zip(NAMES, name.split(), strict=True)) | {"seconds": found[name]} for name in found]
    write(arguments, "benchmarks.turns", {"rows": rows})


NAMES = ("layers", "schedule", "implementation")


def models(width: int) -> dict[str, Iterate]:
    """All models under all schedules in both implementations, by `NAMES` with a space between."""
    found: dict[str, Iterate] = {}
    for layers, name in itertools.product(TABLE_1, NAMED):
        made = implementations(untrained(layers, width), Schedule.parse(name))
        found[f"{layers} {name} plain"], found[f"{layers} {name} engine"] = made["straightforward"], made["engine"]
    return found


if __name__ == "__main__":
    main()
