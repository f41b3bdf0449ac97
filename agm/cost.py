"""What runs will cost before they start: time, memory and disk. `agm.probe` measures the machine's part of it.

Recorded runs say how the cost of a model depends on its layers and its schedule, the probe how fast this machine is
with the dearest and the cheapest model; all others lie between them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls
from torch import nn

from agm import data
from agm.config import DataConfig, GeneratorConfig, RunConfig
from agm.counting import macs_per_iteration
from agm.critic import Critic
from agm.data import prepared
from agm.data.splits import SHARE, TEST_IMAGES
from agm.errors import AgmError
from agm.evaluate import BATCH
from agm.generator import SCALE, Generator
from agm.paths import results_folder
from agm.profiles import Profile
from agm.runs import Run, all_runs
from agm.schedule import Mask, Schedule
from agm.train import TIMED_SECONDS

OFFICIAL = {"cars": 16185, "faces": 10205, "geo": 16000}
"""Images of the paper's data sets, for planning before they are there (the cards in `data/`)."""

DEAREST, CHEAPEST = "rrrr", "nnnn"
"""The models that are probed, without AEL."""

TRAINED, EVALUATED = 3, 3
"""Passes of an image through the generator in recorded runs: forward and backward; validation with three kinds of batch
statistics."""

TIMED_ROUNDS = 21 * 4
"""After training a run times its own schedule and three others: so often, or `TIMED_SECONDS` long."""

ROW_BYTES, TEXT_BYTES = 110, 8192
"""A row of metrics.csv; config.json and summary.json together."""


@dataclass(frozen=True)
class Images:
    """How many a run trains on, and is validated and tested with."""

    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class Rates:
    """Seconds on this machine, of `DEAREST` and of `CHEAPEST`.

    `step`: a training step. `image`: evaluating one of many images. `single`: evaluating one image alone.
    """

    step: tuple[float, float]
    image: tuple[float, float]
    single: tuple[float, float]


@dataclass(frozen=True)
class Cost:
    """Of one run. `seconds`: training with validation, as its summary will say; `testing`: what comes after that."""

    seconds: float
    testing: float
    memory: int
    disk: int

    @property
    def total(self) -> float:
        return self.seconds + self.testing


@cache
def images_of(wanted: DataConfig) -> Images:
    """Of the paper's sets by their size alone, which needs no images; of others by splitting them."""
    if wanted.dataset not in data.PAPER_SETS:
        parts = data.splits(wanted)
        return Images(len(parts.train), len(parts.validation), len(parts.test))
    return share_out(_size(wanted.dataset), wanted)


def _size(dataset: str) -> int:
    try:
        folder = data.locate(dataset)
    except AgmError:
        return OFFICIAL[dataset]
    assert folder is not None  # only bundled sets have none
    return len(prepared.read_manifest(folder / prepared.MANIFEST))


def share_out(total: int, wanted: DataConfig) -> Images:
    """How `agm.data.splits` deals so many images out, if no two are equal and no group is in the way."""
    test = min(TEST_IMAGES, round(SHARE * total))
    validation = round((total - test) / 10)
    train = min(total - test - validation, wanted.train_images or total)
    return Images(
        max(1, round(wanted.fraction * train)),
        min(validation, wanted.validation_images or total),
        min(test, wanted.test_images or total),
    )


def features(config: RunConfig) -> np.ndarray:
    """What a model's time is made of, (7,): iterations; active r and n layers at low and high resolution, and last."""
    found = np.zeros(7)
    for mask in Schedule.parse(config.training.schedule):
        found[0] += 1
        for layer, (active, letter) in enumerate(zip(mask, config.generator.layers, strict=True)):
            found[1 + 2 * max(0, layer - 1) + (letter == "n")] += active
    return found


def weights(runs: Sequence[Run]) -> np.ndarray | None:
    """What each of `features` costs in runs of one machine and size, up to a common factor; None if they do not tell.

    Least squares of relative errors, nothing below zero. Seconds are divided by the passes of all images.
    """
    usable = [run for run in runs if run.summary["epochs"] and run.summary["seconds"] > 0]
    if not usable:
        return None
    per_pass = np.array([run.summary["seconds"] / run.summary["epochs"] / _passes(_noted(run)) for run in usable])
    found, _ = nnls(np.stack([features(run.config) for run in usable]) / per_pass[:, None], np.ones(len(usable)))
    base = usable[0].config
    dear, cheap = (features(_whole(base, layers)) @ found for layers in (DEAREST, CHEAPEST))
    return found if dear > cheap > 0 else None


def alike(profile: Profile, device: str) -> list[Run]:
    """The recorded runs to learn from: on the same kind of device, of the profile whose width is nearest."""
    groups: dict[Path, list[Run]] = {}
    for folder in sorted(results_folder().glob("*/")):
        runs = all_runs(folder)
        if any((run.summary.get("machine") or {}).get("device_type") == device for run in runs):
            groups[folder] = runs
    width = profile.base.generator.width
    return min(groups.values(), key=lambda runs: abs(np.log(runs[0].config.generator.width / width)), default=[])


def _noted(run: Run) -> Images:
    return Images(**run.summary["data"]["images"])


def _passes(images: Images) -> int:
    return TRAINED * images.train + EVALUATED * images.validation


def _whole(config: RunConfig, layers: str) -> RunConfig:
    """Another model, with all layers at all iterations."""
    return config.replace(layers=layers, schedule=f"xxxx ({config.generator.iterations})")


_macs = cache(macs_per_iteration)


def position(config: RunConfig, found: np.ndarray | None) -> float:
    """Where a run's cost lies between that of `CHEAPEST`, 0, and that of `DEAREST`, 1; with AEL it may be below 0.

    `found`: `weights`, or None to go by multiply-accumulate operations.
    """

    def relative(one: RunConfig) -> float:
        if found is not None:
            return float(features(one) @ found)
        size, masks = one.data.image_size, Schedule.parse(one.training.schedule)
        return float(sum(_macs(one.generator, size, mask) for mask in masks))

    dear, cheap = relative(_whole(config, DEAREST)), relative(_whole(config, CHEAPEST))
    return (relative(config) - cheap) / (dear - cheap)


def cost(config: RunConfig, images: Images, rates: Rates, found: np.ndarray | None, resident: int = 0) -> Cost:
    """Of one run; `resident`: bytes that the program holds before it has begun."""
    at = position(config, found)

    def between(ends: tuple[float, float]) -> float:
        return max(ends[1] + at * (ends[0] - ends[1]), 0.1 * ends[1])

    image, single, steps = between(rates.image), between(rates.single), -(-images.train // config.training.batch_size)

    def passing(count: int) -> float:
        """Every batch takes as long as one image alone at least, whatever there is in it."""
        return -(-count // BATCH) * single + count * max(0.0, image - single / BATCH)

    def evaluating(count: int, averaged: int) -> float:
        """With each kind of batch statistics, the precise ones over so many training images."""
        kinds = len(config.generator.readings)
        return kinds * passing(count) + (passing(averaged) if kinds > 1 else 0.0)

    validating = evaluating(images.validation, min(images.train, BATCH))
    seconds = config.training.epochs * (steps * between(rates.step) + validating)
    timing = min(TIMED_ROUNDS * single, TIMED_SECONDS + 4 * single)
    memory = resident + working_bytes(config, images)
    return Cost(seconds, evaluating(images.test, images.train) + timing, memory, stored_bytes(config, images.test))


def side_by_side(seconds: Iterable[float], cores: int) -> float:
    """How long so many runs take, a core for each, the longest first."""
    ends = [0.0] * cores
    for one in sorted(seconds, reverse=True):
        heapq.heapreplace(ends, ends[0] + one)
    return max(ends)


def networks(config: RunConfig) -> tuple[Generator, Critic]:
    """Both networks without their numbers."""
    with torch.device("meta"):
        return Generator(config.generator), Critic(config.training, config.data.image_size)


def bytes_of(*modules: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for module in modules for tensor in module.state_dict().values())


def stored_bytes(config: RunConfig, test_images: int) -> int:
    """What a finished run's folder holds: weights in half precision, MSE of every test image, metrics, texts."""
    kinds, generator = len(config.generator.readings), networks(config)[0]
    rows = config.training.epochs * kinds * config.generator.iterations
    errors = 4 * test_images * kinds * config.generator.iterations
    halved = sum(2 * parameter.numel() for parameter in generator.parameters() if parameter.dim() == 4)
    averages = bytes_of(generator) - sum(4 * parameter.numel() for parameter in generator.parameters())
    return bytes_of(generator) - halved + averages + errors + ROW_BYTES * rows + TEXT_BYTES


def checkpoint_bytes(config: RunConfig) -> int:
    """What a run holds on disk besides while it trains: both networks with two moments each, and a snapshot."""
    generator, critic = networks(config)
    return 3 * bytes_of(generator, critic) + bytes_of(generator)


def working_bytes(config: RunConfig, images: Images) -> int:
    """Weights, gradients and moments of both networks, what one step keeps for its backward pass, and the images."""
    generator, critic = networks(config)
    pixels = 3 * config.data.image_size**2
    held = 5 * pixels // 4 * (images.train + images.validation + images.test)  # with their quarter-size inputs
    return 4 * bytes_of(generator, critic) + bytes_of(generator) + kept_bytes(config) + held


def kept_bytes(config: RunConfig) -> int:
    """What a training step's generator keeps for the backward pass, all iterations taken for equal to later ones."""
    masks = Schedule.parse(config.training.schedule).masks
    size, batch = config.data.image_size, config.training.batch_size
    return sum(kept_per_iteration(config.generator, size, batch, mask) for mask in masks)


@cache
def kept_per_iteration(config: GeneratorConfig, image_size: int, batch: int, mask: Mask) -> int:
    """The same of one iteration, every tensor once. Counted without computing anything."""
    with torch.device("meta"):
        generator = Generator(config)
        x = torch.empty(batch, 3, image_size // SCALE, image_size // SCALE)
        context = generator.encode(x)
        _, memory = generator.step(context, generator.first_memory(x, context), mask, 0)
        known = [*generator.parameters(), context.features]
        own = {tensor.untyped_storage()._cdata for tensor in known}
        kept: dict[int, Any] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            generator.step(context, memory, mask, 1)
    return sum(storage.nbytes() for key, storage in kept.items() if key not in own)
