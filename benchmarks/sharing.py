"""The error that shared batch-norm statistics cause, by the iterations and the parts that share them.

    AGM_HOME=where/data/lies python -m benchmarks.sharing --runs results/cpu --out results/benchmarks/sharing.json

Nothing is trained. The statistics of each run that has its weights are averaged anew over its training images, so they
neither lag behind the weights nor forget. Then they are shared in part (`PAIRS`), and the network is validated. The
JSON: `settings`, `machine`, and `rows`: id, layers, schedule, feedback, and `mse`, by name in `PAIRS`.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from agm import data, runs
from agm.networks.blocks import IterationNorm
from agm.networks.generator import Generator
from agm.schedule import Schedule
from agm.training.calibrate import precise
from agm.training.evaluate import evaluate
from benchmarks.measure import command_line, write

PAIRS = ("own", "first", "shared", "b", "layers")
"""Ways to share: each iteration has its own pair; iterations 2 and later share one; all iterations share one; all share
one in B only; all share one in the layers only."""


def main() -> None:
    arguments = command_line(__doc__, runs="results/cpu").parse_args()
    torch.set_num_threads(1)
    found = [run for run in runs.all_runs(Path(arguments.runs)) if run.has_weights]
    rows = [measure(run) for run in tqdm(found, unit="run", disable=None)]
    write(arguments, "benchmarks.sharing", {"rows": rows})


def measure(run: runs.Run) -> dict[str, object]:
    parts, schedule = data.splits(run.config.data), Schedule.parse(run.config.training.schedule)
    generator = precise(run.generator(), parts.train.low, schedule)
    mse = {}
    for name in PAIRS:
        quality = evaluate(shared(generator, schedule, name), parts.validation, schedule, "precise")
        mse[name] = float(quality.mse.double().mean())
    config = run.config.generator
    about = {"id": run.config.id, "layers": config.layers, "schedule": run.config.training.schedule}
    return about | {"feedback": config.feedback, "mse": mse}


def shared(generator: Generator, schedule: Schedule, pairs: str) -> Generator:
    """A copy whose precise statistics are averaged over iterations where PAIRS says so, over those that a part runs."""
    result = copy.deepcopy(generator)
    everywhere = list(range(len(schedule.masks)))
    ran = [[t for t in everywhere if schedule.masks[t][i]] for i in range(len(result.layers))]
    modules = [("b", result.b, everywhere), *(("layers", *layer) for layer in zip(result.layers, ran, strict=True))]
    for part, module, iterations in modules:
        if pairs not in ("first", "shared", part):
            continue
        together = [t for t in iterations if t > 0] if pairs == "first" else iterations
        for norm in (norm for norm in module.modules() if isinstance(norm, IterationNorm)):
            norm.precise = _pooled(norm.precise, together)
    return result


def _pooled(precise: Tensor | None, iterations: list[int]) -> Tensor:
    """(2, T, C): the plain mean over these iterations in each of their rows."""
    assert precise is not None
    result = precise.clone()
    if iterations:
        result[:, iterations] = precise[:, iterations].mean(dim=1, keepdim=True)
    return result


if __name__ == "__main__":
    main()
