"""Estimate how long runs will take on this machine: time a few training steps and scale them by `study.cost`."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch

from agm import data, machine
from agm.config import DataConfig, RunConfig
from agm.data.official import SETS
from agm.data.splits import SHARE, TEST_IMAGES
from agm.networks.complexity import macs_per_iteration
from agm.training.loop import trained
from agm.training.step import Execution, GraphedStep, Networks, Update, build, stepper
from study import cost

TRAINED = 3
"""Passes through the generator of an image: forward and backward."""

SECONDS = 0.5
"""How long training steps are timed, in seconds."""

AFFORDABLE = {"cpu": 1e11, "cuda": 1e13, "mps": 1e12}
"""Most floating-point operations of a timed step; if a step has more, fewer images or iterations are timed."""


@dataclass(frozen=True)
class Images:
    """Number of images that a run trains on, and is validated and tested with."""

    train: int
    validation: int
    test: int


@cache
def images_of(wanted: DataConfig) -> Images:
    """Image counts of a run. A set of the paper is as large as in the paper, whatever is there; others are split."""
    if wanted.dataset in SETS:
        return share_out(SETS[wanted.dataset], wanted)
    parts = data.splits(wanted)
    return Images(parts.train.per_epoch, len(parts.validation), len(parts.test))


def share_out(total: int, wanted: DataConfig) -> Images:
    """Image counts as `agm.data.splits` deals them out if no two images are equal and groups do not interfere."""
    test = min(TEST_IMAGES, round(SHARE * total))
    validation = round((total - test) / 10)
    train = min(total - test - validation, wanted.train_images or total)
    return Images(
        max(1, round(wanted.fraction * train)),
        min(validation, wanted.validation_images or total),
        min(test, wanted.test_images or total),
    )


def seconds(run: RunConfig, images: Images, unit: float) -> float:
    """Duration of a run with validation and test. `unit`: seconds per pass of one image, per `cost.per_image`."""
    evaluated = len(run.generator.readings)
    passes = run.training.epochs * (TRAINED * images.train + evaluated * images.validation) + evaluated * images.test
    return unit * cost.per_image(run) * passes


def measured_unit(run: RunConfig, device: str) -> float:
    """Measure the `unit` of `seconds` with training steps of one run; a CPU uses one core."""
    torch.set_num_threads(1)
    short = affordable(run, device)
    taken = list[float]()
    for one in step_seconds(short, device):
        taken.append(one)
        if sum(taken) >= SECONDS:
            break
    return sum(taken) / len(taken) / (TRAINED * short.training.batch_size * cost.per_image(short))


def affordable(run: RunConfig, device: str) -> RunConfig:
    """The run whose steps are timed: without AEL, with fewer images or iterations if a step is too costly."""
    operations = 2.0 * TRAINED * macs_per_iteration(run.generator, run.data.image_size)
    most = AFFORDABLE[device] / operations  # images times iterations
    count = min(run.training.batch_size, max(1, int(most / run.generator.iterations)))
    iterations = min(run.generator.iterations, max(2, int(most / count)))  # the first one costs less than others
    return run.replace(batch_size=count, iterations=iterations, schedule=f"xxxx ({iterations})", sampling="fixed")


def step_seconds(
    run: RunConfig,
    device: str,
    clock: Callable[[], float] = time.perf_counter,
    make: Callable[[Networks], Update] = stepper,
) -> Iterator[float]:
    """Seconds of a run's training steps on random images, without end; the first ones warm up unseen."""
    networks = build(run, Execution(device=device))
    update, place = make(networks), networks.device
    size, batch = run.data.image_size, run.training.batch_size
    low, high = (torch.rand(batch, 3, side, side, device=place) for side in (size // 2, size))
    networks.generator.train()
    for step in itertools.count():
        machine.synchronize(place)
        begun = clock()
        update(low, high, torch.zeros(batch, device=place), trained(run, 0, step))
        machine.synchronize(place)
        if step > (GraphedStep.WARM_UP if device == "cuda" else 0):
            yield clock() - begun


def line(name: str, planned: Sequence[RunConfig], times: Mapping[str, float], cores: int) -> tuple[str, ...]:
    """One line of the plan as text: name, number of runs planned, finished and missing, minutes, memory.

    `times`: seconds of the missing runs by id. All cores together need as long as the longest run, or their share of
    all. Memory is that of one run, the largest.
    """
    missing = [run for run in planned if run.id in times]
    found = [times[run.id] for run in missing]
    counts = (len(planned), len(planned) - len(missing), len(missing))
    both = sum(found), max([sum(found) / cores, *found])
    memory = max(map(cost.memory_mb, missing), default=0)
    return name, *map(str, counts), *map(minutes, both), f"{memory / 1000:.1f} GB"


def minutes(seconds: float) -> str:
    """A duration as text, in the unit that suits it."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 3600:.1f} h" if seconds >= 7200 else f"{seconds / 60:.1f} min"
