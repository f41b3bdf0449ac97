"""Runs that exist in memory only and say what a test wants them to say: worlds in which a verdict is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agm.config import STATISTICS, RunConfig
from agm.runs import Run
from study import profiles
from study.aggregate import schedule_name
from study.claims.evidence import Evidence, Turns
from study.experiments import plan

PAPER = profiles.load("paper")
EPOCHS, SEEDS = 13, 6

PRINTED = {"nnnr": 0.0064, "rrnr": 0.0065, "nnrr": 0.0066, "rrrr": 0.0081}
"""Errors within a tenth of Table I's, in its order."""


@dataclass(frozen=True)
class Facts:
    """What a run shows. `log_curve`: of the validation MSE, by epoch. `seconds`: duration of each iteration."""

    level: float
    log_curve: np.ndarray
    seconds: np.ndarray
    improves: bool = True
    bicubic: float = 0.02


World = Callable[[RunConfig], Facts]


def names(config: RunConfig) -> tuple[str, str, str, float]:
    """layers, data set, schedule, fraction"""
    schedule = schedule_name(config.training.schedule)
    return config.generator.layers, config.data.dataset, schedule, config.data.fraction


def curve(end: float, pace: float, spikes: float) -> np.ndarray:
    """Falls to near `end` within about three times `pace` epochs; its spikiness is 4 * spikes, nearly."""
    epochs = np.arange(EPOCHS)
    return np.asarray(np.log(end) + 2 * np.exp(-epochs / pace) + spikes * (-1.0) ** epochs)


def as_the_paper_says(config: RunConfig) -> Facts:
    """Every claim holds, but that nnnr has 74.8 % fewer parameters, and that the order survives Config. A."""
    layers, dataset, schedule, fraction = names(config)
    recurrent = layers.count("r")
    level = PRINTED.get(layers, 0.0078 if recurrent == 3 else 0.0079)
    if schedule == "A":
        level = level * 1.05 if layers in ("rrrr", "rrnr") else 0.0095
    pace = 0.5 * recurrent if fraction < 1 else (4 if layers == "rrrr" else 3)
    spikes = 0.02 if layers.endswith("r") else 0.1 * layers.count("n")
    spikes = 0.04 if (layers, fraction) == ("rrrr", 1) else spikes
    spikes = 0.4 if (layers, dataset) == ("rrrr", "geo") else spikes
    first = {"NOAEL": 1.0, "B": 0.9, "A": 0.5 if recurrent > 2 else 0.8}[schedule]
    seconds = np.where(np.arange(10) < 1, first, 1.2) * (1 + recurrent)
    level *= 1.5 if fraction < 1 else 1.0
    return Facts(level, curve(level, pace, spikes), seconds)


def the_other_way_round(config: RunConfig) -> Facts:
    """No claim holds that needs runs."""
    layers, dataset, schedule, fraction = names(config)
    recurrent = layers.count("r")
    level = (0.008 / PRINTED.get(layers, 0.0078 if recurrent == 3 else 0.0079)) ** 0.5
    level = {"NOAEL": level, "A": 3 - level, "B": 2 + recurrent}[schedule]
    level *= 0.3 if schedule == "A" and layers in ("nnrr", "nnnr") else 1.0
    pace = 5 - recurrent if fraction < 1 else (0.5 if layers == "rrrr" else 3)
    spikes = 0.1 * (0.8 if layers.endswith("n") else 1.0) * (0.5 if layers.startswith("n") else 1.0)
    spikes = 0.06 if layers == "rrrr" else spikes
    spikes = 0.01 if (layers, dataset) == ("rrrr", "geo") else spikes
    first = {"NOAEL": 1.0, "B": 1.3, "A": 1.5 if recurrent > 2 else 1.2}[schedule]
    seconds = np.where(np.arange(10) < 1, first, 0.5) * (6 - recurrent)
    level *= 0.5 if fraction < 1 else 1.0
    return Facts(level, curve(level, pace, spikes), seconds, False, 1e-4)


def by_chance(config: RunConfig) -> Facts:
    """Nothing is there but chance: models, schedules and data sets do not matter, seeds do, as much as recorded."""
    draw = np.random.default_rng(int(config.id, 16)).normal(size=3)
    level = 0.01 * np.exp(0.25 * draw[0])
    log_curve = curve(level, 2 * np.exp(0.3 * draw[1]), 0.1 * np.exp(0.3 * draw[2]))
    return Facts(level, log_curve, np.ones(10), bicubic=0.01)


def runs(world: World, seeds: Iterable[int] = range(SEEDS), **fields: Any) -> list[Run]:
    """The runs that profile paper plans for the claims."""
    return [make(config, world(config)) for config in plan("claims", PAPER, seeds=list(seeds), **fields)]


def make(config: RunConfig, facts: Facts) -> Run:
    """A run whose errors and curves depend on its seed a little, not as those of all others do."""
    own = np.random.default_rng(int(config.id, 16)).normal(size=2)
    fall = np.append(np.linspace(1.6, 0.8, 5), [0.8] * 5)  # levels off; 1 on average
    mse = facts.level * (fall if facts.improves else fall[::-1]) * np.exp(1e-4 * own[0])
    tests = {kind: {"mse": mse.tolist(), "psnr": [20.0] * 10} for kind in STATISTICS}
    machine = {"device": "a machine", "code": "0"}
    summary: dict[str, Any] = {"id": config.id, "status": "finished", "epochs": EPOCHS, "seconds": 1.0}
    summary |= {"test": tests, "bicubic": {"test": {"mse": facts.bicubic}}, "machine": machine}
    summary |= {"seconds_until_iteration": np.cumsum(facts.seconds).tolist(), "data": {"fingerprint": "0"}}
    rows = [{"epoch": e, "iteration": 1, "mse": x} for e, x in enumerate(np.exp(facts.log_curve), 1)]
    run = Run(config, Path("nowhere"), summary)
    metrics = pd.concat([pd.DataFrame(rows).assign(statistics=kind) for kind in STATISTICS])
    run.__dict__["metrics"] = metrics.reset_index(drop=True)  # what would be read from a file
    return run


def timing(world: World, rounds: int = 6, spread: float = 0.01) -> Turns:
    """The times of a world, as rounds of a timing; the engine is twice as fast."""
    found: dict[tuple[str, str, str], np.ndarray] = {}
    rng = np.random.default_rng(0)
    for config in plan("order", PAPER):
        layers, _, schedule, _ = names(config)
        for implementation, factor in (("plain", 1.0), ("engine", 0.5)):
            noise = np.exp(spread * rng.normal(size=(rounds, 10)))
            found[layers, schedule, implementation] = factor * world(config).seconds * noise
    return found


def evidence(listed: Iterable[Run], timed: World | None = None) -> Evidence:
    return Evidence(listed, PAPER, timing=timing(timed) if timed else {})
