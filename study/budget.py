"""Estimate how long runs will take on this machine: time a few training steps and scale them by `study.cost`."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from agm import data, machine
from agm.config import DataConfig, RunConfig
from agm.data import prepared
from agm.data.official import SETS
from agm.data.splits import SHARE, TEST_IMAGES
from agm.errors import AgmError
from agm.networks.complexity import macs_per_iteration
from agm.training.step import Execution, GraphedStep, build, stepper
from study import cost

TRAINED = 3
"""Passes through the generator of an image: forward and backward."""

SECONDS = 0.5
"""How long training steps are timed, in seconds."""

AFFORDABLE = {"cpu": 1e11, "cuda": 1e13}
"""Most floating-point operations of a timed step; if a step has more, fewer images or iterations are timed."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Images:
    """Number of images that a run trains on, and is validated and tested with."""

    train: int
    validation: int
    test: int


@cache
def images_of(wanted: DataConfig) -> Images:
    """Image counts of a run. A set of the paper is counted by its size, without its images; others are split."""
    if wanted.dataset not in SETS:
        parts = data.splits(wanted)
        return Images(parts.train.per_epoch, len(parts.validation), len(parts.test))
    return share_out(_size(wanted.dataset), wanted)


def _size(dataset: str) -> int:
    try:
        folder = data.locate(dataset)
    except AgmError:
        return SETS[dataset]
    assert folder is not None  # only bundled sets have none
    return len(prepared.read_manifest(folder / prepared.MANIFEST))


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
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        count, short = affordable(run, device)
        return _step_seconds(short, count, device) / (TRAINED * count * cost.per_image(short))
    finally:
        torch.set_num_threads(threads)


def affordable(run: RunConfig, device: str) -> tuple[int, RunConfig]:
    """The batch size and the run to time: without AEL, with fewer images or iterations if a step is too costly."""
    operations = 2.0 * TRAINED * macs_per_iteration(run.generator, run.data.image_size)
    most = AFFORDABLE[device] / operations  # images times iterations
    count = min(run.training.batch_size, max(1, int(most / run.generator.iterations)))
    iterations = min(run.generator.iterations, max(2, int(most / count)))  # the first one costs less than others
    return count, run.replace(iterations=iterations, schedule=f"xxxx ({iterations})", sampling="fixed")


def _step_seconds(run: RunConfig, images: int, device: str) -> float:
    networks = build(run, Execution(device=device, progress=False))
    update, place, size = stepper(networks), networks.device, run.data.image_size
    low, high = (torch.rand(images, 3, side, side, device=place) for side in (size // 2, size))
    mix = torch.zeros(images, device=place)
    networks.generator.train()
    for _ in range(GraphedStep.WARM_UP + 1 if place.type == "cuda" else 1):
        update(low, high, mix)
    return _seconds(lambda: update(low, high, mix), place)


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    """Mean duration of a call, including pauses caused by other programs."""
    machine.synchronize(device)
    started, calls = time.perf_counter(), 0
    while not calls or time.perf_counter() - started < SECONDS:
        call()
        machine.synchronize(device)
        calls += 1
    return (time.perf_counter() - started) / calls


def side_by_side(seconds: Iterable[float], cores: int) -> float:
    """Total duration of runs that share some cores, one run a core, the longest first."""
    ends = [0.0] * cores
    for one in sorted(seconds, reverse=True):
        heapq.heapreplace(ends, ends[0] + one)
    return max(ends)


def row(
    name: str, planned: Sequence[RunConfig], missing: Sequence[RunConfig], times: Mapping[str, float], cores: int
) -> Row:
    """One line of the plan. Minutes and memory (of one run, the largest) are of the missing runs only.

    `times`: seconds by run id.
    """
    found = [times[run.id] for run in missing]
    return {
        "experiment": name,
        "planned": len(planned),
        "finished": len(planned) - len(missing),
        "missing": len(missing),
        "one_core_minutes": sum(found) / 60,
        "all_cores_minutes": side_by_side(found, cores) / 60,
        "memory_mb": max(map(cost.memory_mb, missing), default=0),
    }
