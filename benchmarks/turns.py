"""The time of every iteration, round by round: what the paper's claims about time are judged by.

    python -m benchmarks.turns --out results/benchmarks/turns.json

The models of Table I under NOAEL, A and B take turns, each in the straightforward implementation, which stands for the
paper's, and on this library's engine. The JSON: `settings`, `machine`, and `rows`: layers, schedule, implementation,
and `seconds`, (rounds, T), what each iteration takes for one image: processor time of a single thread, which is the
time on an idle machine, whatever else runs. The weights are random: time does not depend on them.
"""

from __future__ import annotations

import time
from functools import partial

import torch
from tqdm import tqdm

from agm.anytime.engine.engine import Engine
from agm.anytime.stepper import iterate
from agm.config import GeneratorConfig
from agm.networks.generator import Generator
from agm.schedule import NAMED, Schedule
from agm.training.evaluate import Iterate, durations
from benchmarks.measure import command_line, write
from benchmarks.straightforward import images
from study.experiments import TABLE_1


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--size", type=int, default=32, help="side of the input")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds after which no further round begins")
    arguments = parser.parse_args()
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
    for layers in TABLE_1:
        torch.manual_seed(0)
        generator = Generator(GeneratorConfig(layers=layers, width=width)).eval()
        for name in NAMED:
            schedule = Schedule.parse(name)
            plain = partial(images, generator, schedule=schedule, statistics="iteration")
            found[f"{layers} {name} plain"] = plain
            found[f"{layers} {name} engine"] = partial(iterate, Engine(generator), schedule)
    return found


if __name__ == "__main__":
    main()
