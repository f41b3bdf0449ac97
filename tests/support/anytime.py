"""A clock that only goes on when told to, a network whose iterations take as long as told, and tiny trained ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agm import files
from agm.anytime.latency import FINISH, Span, Times, activity
from agm.anytime.upscaler import TILE, AnytimeUpscaler
from agm.config import GeneratorConfig, RunConfig
from agm.networks.generator import Generator
from agm.schedule import Mask, Schedule
from support.modules import shake


class Clock:
    """Seconds that pass only where a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Slow:
    """A network whose image at iteration t is t / 10 everywhere; `seconds` says how long that takes."""

    clock: Clock
    seconds: Callable[[int, int], float]  # iteration from 0, input pixels
    begun: list[tuple[int, int, float]] = field(default_factory=list)  # iteration from 0, input pixels, moment

    def start(self, x: Tensor) -> Any:
        return {"t": 0, "x": x}

    def step(self, progress: Any, mask: Mask) -> Tensor:
        t, x = progress["t"], progress["x"]
        pixels = x.shape[2] * x.shape[3]
        self.begun.append((t, pixels, self.clock.now))
        self.clock.now += self.seconds(t, pixels)
        progress["t"] += 1
        return torch.full((1, 3, 2 * x.shape[2], 2 * x.shape[3]), (t + 1) / 10)


def table(schedule: Schedule, seconds: float, pixels: int, finish: float = 0.0) -> dict[str, dict[int, Span]]:
    """Every iteration has taken `seconds` for so many pixels, always."""
    names = {activity(mask, t) for t, mask in enumerate(schedule)}
    spans = {name: {pixels: Span(seconds, seconds, seconds)} for name in names}
    return spans | {FINISH: {pixels: Span(finish, finish, finish)}}


def slow(
    seconds: Callable[[int, int], float], times: Times, iterations: int = 9, tile: int = TILE
) -> tuple[AnytimeUpscaler, Slow]:
    clock = Clock()
    stepper = Slow(clock, seconds)
    schedule = Schedule.parse(f"xxxx ({iterations})")
    return AnytimeUpscaler(stepper, GeneratorConfig(), schedule, times, tile, clock=clock), stepper


def weights(path: Path, layers: str = "nrnr", **training: Any) -> Path:
    """A weights file of a network with width 4, whose output stays near its input's range."""
    schedule = training.pop("schedule", "x--x (1) - xxxx (2)")
    settings = {"layers": layers, "width": 4, "iterations": 3, "schedule": schedule, "dataset": "photographs"}
    config = RunConfig().replace(**settings, **training)
    generator = shake(Generator(config.generator))
    generator.d.weight.data *= 0.3  # type: ignore[union-attr, operator]
    generator.d.bias.data.fill_(0.5)  # type: ignore[union-attr, operator]
    files.write_tensors(path, generator.state_dict(), {"kind": "generator", "config": config.to_dict()})
    return path
