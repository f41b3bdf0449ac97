"""How fast this machine trains and evaluates: a few steps of the dearest and of the cheapest model of a profile."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from agm import machine
from agm.config import RunConfig
from agm.cost import CHEAPEST, DEAREST, TRAINED, Rates
from agm.counting import macs_per_iteration
from agm.data import Part
from agm.evaluate import BATCH, evaluate
from agm.schedule import Schedule
from agm.step import Execution, build, stepper

SECONDS = 0.2
"""How long each of the measurements goes on."""

AFFORDABLE = {"cpu": 1e10, "cuda": 1e13}
"""Floating-point operations of one measurement; where a step has more, fewer images or iterations are probed."""


def measure(base: RunConfig, device: str, threads: int | None = None) -> Rates:
    """Time the two models at the sizes of a run, with so many threads, for two seconds or so."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        found = [_model(base.replace(layers=layers), device) for layers in (DEAREST, CHEAPEST)]
    finally:
        torch.set_num_threads(before)
    step, image, single = ((dear, cheap) for dear, cheap in zip(*found, strict=True))
    return Rates(step, image, single)


def _model(config: RunConfig, device: str) -> tuple[float, float, float]:
    """Seconds of a training step, of an evaluated image among many, of all iterations of one image alone."""
    batch = config.training.batch_size
    return _step(config, batch, device), _image(config, BATCH, device), _image(config, 1, device)


def _step(config: RunConfig, batch: int, device: str) -> float:
    images, probed, scale = affordable(config, batch, TRAINED, device)
    execution = Execution(device=device, progress=False)
    networks = build(probed, execution)
    update, place = stepper(networks, probed.training), networks.fabric.device
    size = config.data.image_size
    low, high = (torch.rand(images, 3, side, side, device=place) for side in (size // 2, size))
    mix = torch.zeros(images, device=place)
    networks.generator.train()
    return scale * _seconds(lambda: update(low, high, mix), place)


def _image(config: RunConfig, count: int, device: str) -> float:
    images, probed, scale = affordable(config, count, 1, device)
    networks = build(probed, Execution(device=device, progress=False))
    size = config.data.image_size
    high = np.random.default_rng(0).integers(0, 256, (images, size, size, 3), dtype=np.uint8)
    part, schedule = Part(np.arange(images), high), Schedule.parse(probed.training.schedule)
    precision = probed.training.precision
    place = networks.fabric.device
    return scale * _seconds(lambda: evaluate(networks.generator, part, schedule, None, precision), place) / count


def affordable(config: RunConfig, images: int, passes: int, device: str) -> tuple[int, RunConfig, float]:
    """How many images and iterations to probe, and by how much the result is to be multiplied. At least one of each."""
    iterations = config.generator.iterations
    flop = 2.0 * passes * macs_per_iteration(config.generator, config.data.image_size)
    most = AFFORDABLE[device] / flop  # images times iterations
    count = min(images, max(1, int(most / iterations)))
    shorter = min(iterations, max(1, int(most))) if count == 1 else iterations
    probed = config.replace(iterations=shorter, schedule=f"xxxx ({shorter})", sampling="fixed")
    return count, probed, images * iterations / (count * shorter)


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    """The mean duration, pauses that others cause included, after a call that warms up."""
    call()
    machine.synchronize(device)
    started, calls = time.perf_counter(), 0
    while not calls or time.perf_counter() - started < SECONDS:
        call()
        machine.synchronize(device)
        calls += 1
    return (time.perf_counter() - started) / calls


def resident() -> int:
    """Bytes that this process holds in memory now; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError):
        return 0
    import resource

    return pages * resource.getpagesize()
