"""Runs that exist in memory only and say what a test wants them to say: worlds in which a verdict is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agm import profiles
from agm.analysis import schedule_name
from agm.claims.evidence import Evidence
from agm.claims.verdicts import SEVERAL
from agm.config import STATISTICS, RunConfig
from agm.experiments import plan
from agm.runs import Run

PAPER = profiles.load("paper")
EPOCHS, IMAGES = 13, 30

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
    training: float = 100.0


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
    spikes = 0.4 if (layers, dataset) == ("rrrr", "geo") else spikes
    first = {"NOAEL": 1.0, "B": 0.9, "A": 0.5 if recurrent > 2 else 0.8}[schedule]
    seconds = np.where(np.arange(10) < 1, first, 1.2) * (1 + recurrent)
    level *= 1.5 if fraction < 1 else 1.0
    return Facts(level, curve(level, pace, spikes), seconds, training=100 * fraction)


def the_other_way_round(config: RunConfig) -> Facts:
    """No claim holds that needs runs."""
    layers, dataset, schedule, fraction = names(config)
    recurrent = layers.count("r")
    level = (0.008 / PRINTED.get(layers, 0.0078 if recurrent == 3 else 0.0079)) ** 0.5
    level = {"NOAEL": level, "A": 3 - level, "B": 2 + recurrent}[schedule]
    level *= 0.3 if schedule == "A" and layers in ("nnrr", "nnnr") else 1.0
    pace = 5 - recurrent if fraction < 1 else (0.5 if layers == "rrrr" else 3)
    spikes = 0.1 * (0.8 if layers.endswith("n") else 1.0) * (0.5 if layers.startswith("n") else 1.0)
    spikes = 0.01 if (layers, dataset) == ("rrrr", "geo") else spikes
    first = {"NOAEL": 1.0, "B": 1.3, "A": 1.5 if recurrent > 2 else 1.2}[schedule]
    seconds = np.where(np.arange(10) < 1, first, 0.5) * (6 - recurrent)
    level *= 0.5 if fraction < 1 else 1.0
    return Facts(level, curve(level, pace, spikes), seconds, False, 1e-4, 100 / fraction)


def by_chance(config: RunConfig) -> Facts:
    """Nothing is there but chance: models, schedules and data sets do not matter, seeds do."""
    draw = np.random.default_rng(int(config.id, 16)).uniform(0.6, 1.6, size=16)
    level, pace, spikes, training = 0.01 * draw[0] ** 0.3, 2 * draw[1], 0.1 * draw[2], 100 * draw[3]
    return Facts(level, curve(0.01 * draw[4], pace, spikes), draw[5:15], bicubic=0.01, training=training)


def runs(world: World, seeds: Iterable[int] = range(SEVERAL), noise: float = 0.0, **fields: Any) -> list[Run]:
    """The runs that profile paper plans for the claims. `noise`: how differently models err on the same image."""
    return [make(config, world(config), noise) for config in plan("claims", PAPER, seeds=list(seeds), **fields)]


def make(config: RunConfig, facts: Facts, noise: float = 0.0) -> Run:
    """A run whose MSE varies from image to image, as that of all others does, and with its own noise."""
    fall = np.linspace(1.4, 0.6, 10) if facts.improves else np.linspace(0.6, 1.4, 10)
    own = np.random.default_rng(int(config.id, 16)).normal(size=IMAGES)
    images = 1 + 0.03 * np.sin(np.arange(IMAGES)) + noise * own + 0.001 * config.seed
    mse = facts.level * np.outer(fall, images)
    tests = {kind: {"mse": mse.mean(axis=1).tolist(), "psnr": [20.0] * 10} for kind in STATISTICS}
    machine = {"device": "a machine", "code": "0"}
    summary: dict[str, Any] = {"id": config.id, "status": "finished", "epochs": EPOCHS, "seconds": facts.training}
    summary |= {"test": tests, "bicubic": {"test": {"mse": facts.bicubic}}, "machine": machine}
    summary |= {"seconds_until_iteration": np.cumsum(facts.seconds).tolist(), "data": {"fingerprint": "0"}}
    rows = [{"epoch": e, "iteration": 1, "mse": x} for e, x in enumerate(np.exp(facts.log_curve), 1)]
    run = Run(config, Path("nowhere"), summary)
    metrics = pd.concat([pd.DataFrame(rows).assign(statistics=kind) for kind in STATISTICS])
    run.__dict__.update(
        metrics=metrics.to_records(index=False), test_images={"shared": mse}
    )  # what would be read from files
    return run


def evidence(listed: Iterable[Run]) -> Evidence:
    return Evidence(listed, PAPER)
