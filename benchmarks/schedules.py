"""One network for every schedule? Training that samples schedules against training with one of them.

At profile cpu's settings, each trained network is run under every candidate schedule on the test images, with the
batch-norm statistics that training left behind (mixed) and with those of the schedule (calibrated). Training goes on
where it was stopped; runs lie in build/runs.
    python -m benchmarks.schedules --layers nnnr rrnr --out schedules.json
"""

from __future__ import annotations

import itertools
from typing import Any

from agm import data
from agm.config import RunConfig, Statistics
from agm.networks.generator import Generator
from agm.paths import runs_folder
from agm.runs import Run, ensure, find
from agm.schedule import Schedule, candidates
from agm.training.calibrate import precise
from agm.training.evaluate import METRICS, evaluate
from agm.training.step import Execution
from benchmarks.measure import command_line, write
from study import profiles

TRAININGS: tuple[dict[str, Any], ...] = (
    {"sampling": "any"},
    {"schedule": "NOAEL"},
    {"schedule": "A"},
    {"sampling": "any", "epochs": 4},  # a step with three schedules takes about twice as long
)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--profile", default="cpu")
    parser.add_argument("--layers", nargs="+", default=["nnnr", "rrnr"], help="ORL configurations")
    arguments = parser.parse_args()
    found: list[dict[str, Any]] = []
    profile = profiles.load(arguments.profile)
    for layers, training in itertools.product(arguments.layers, TRAININGS):
        run = with_weights(profile.run("cars", layers=layers, **training))
        about = describe(run.config)
        found += [about | row for row in rows(run)]
        write(arguments, "", {"rows": found})
        print(*about.values(), flush=True)


def with_weights(config: RunConfig) -> Run:
    """A finished run, recorded or made here; few recorded runs have their weights."""
    run = find(config)
    return run if run and run.has_weights else ensure([config], runs_folder(), Execution(device="cpu"))[0]


def describe(config: RunConfig) -> dict[str, Any]:
    trained = config.training.schedule if config.training.sampling == "fixed" else "any"
    sampling = {"sampling": config.training.sampling, "trained_schedule": trained}
    return {"layers": config.generator.layers} | sampling | {"epochs": config.training.epochs}


def rows(run: Run) -> list[dict[str, Any]]:
    """One per schedule, origin of the statistics and iteration."""
    parts, generator = data.splits(run.config.data), run.generator()
    found = []
    for schedule in candidates(run.config.generator.iterations):
        found += measured(generator, parts.test, schedule, "mixed", "iteration")
        found += measured(precise(generator, parts.train.low, schedule), parts.test, schedule, "calibrated", "precise")
    return found


def measured(
    network: Generator, part: data.Part, schedule: Schedule, origin: str, kind: Statistics
) -> list[dict[str, Any]]:
    quality = evaluate(network, part, schedule, kind).per_iteration()
    about = {"schedule": str(schedule), "statistics": origin}
    return [about | {"iteration": t + 1} | {name: quality[name][t] for name in METRICS} for t in range(len(schedule))]


if __name__ == "__main__":
    main()
