"""Films: what a network makes of a photograph, iteration by iteration, and what of it is there after how long."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage
import torch
from torch import Tensor

from agm import data, metrics, runs
from agm.config import Statistics
from agm.data.images import Pixels, read_image, square
from agm.errors import AgmError, unknown
from agm.networks.generator import Generator
from agm.paths import results_folder
from agm.runs import Run
from agm.schedule import Schedule
from study import experiments, profiles
from study.aggregate import Numbers
from study.measured import Measured

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels, the last two exclusive."""

PHOTOGRAPHS: dict[str, tuple[str, Box]] = {
    "astronaut": ("astronaut.png", (90, 10, 346, 266)),
    "cat": ("chelsea.png", (75, 0, 375, 300)),
    "coffee": ("coffee.png", (100, 0, 500, 400)),
    "motorcycle": ("motorcycle_left.png", (60, 40, 500, 480)),
}
"""Photographs that scikit-image ships, and the square that is taken of each. No recorded run was trained on them."""


@dataclass(frozen=True)
class Film:
    """A photograph, original: (3, H, W); its low and bicubic versions; images: (T, 3, H, W). All in [0, 1]."""

    name: str
    original: Tensor
    low: Tensor
    bicubic: Tensor
    images: Tensor

    def shown(self, iteration: int) -> Tensor:
        """The image of an iteration, counted from 1; 0 is bicubic upsampling, which is there before any."""
        return self.images[iteration - 1] if iteration else self.bicubic

    def psnr(self, iteration: int) -> float:
        """Of `shown`, in dB; at most 100."""
        return min(float(metrics.psnr(self.shown(iteration), self.original)), 100.0)

    def tint(self, iteration: int) -> float:
        """The part of the squared error, 0 to 1, that a constant added to each colour channel would take away."""
        error = self.shown(iteration) - self.original
        return float(error.mean(dim=(1, 2)).square().mean() / error.square().mean())  # over H, W; over colours

    def best(self) -> int:
        """The iteration with the highest PSNR."""
        return max(range(1, len(self.images) + 1), key=self.psnr)


Row = tuple[Film, Sequence[float]]
"""A film, and the milliseconds until each of its images."""


def photograph(name: str, size: int) -> Pixels:
    """One of PHOTOGRAPHS, (size, size, 3). Raises AgmError for another name."""
    if name not in PHOTOGRAPHS:
        raise unknown("photograph", name, PHOTOGRAPHS)
    file, box = PHOTOGRAPHS[name]
    return square(read_image(Path(skimage.__file__).parent / "data" / file, file).crop(box), size)


def film(
    generator: Generator, schedule: Schedule, name: str, size: int = 192, statistics: Statistics = "iteration"
) -> Film:
    """What a generator makes of one of PHOTOGRAPHS at half its size. Raises AgmError for an odd size."""
    if size % 2:
        raise AgmError(f"a photograph of {size} x {size} pixels cannot be halved; give an even size")
    part = data.Part(np.zeros(1, dtype=int), photograph(name, size)[None].copy())
    with torch.no_grad():
        low = data.to_tensor(part.low.copy())
        images = torch.cat(list(generator.iterate(low, schedule, statistics))).clamp(0, 1)
    return Film(name, data.to_tensor(part.high)[0], low[0], data.to_tensor(part.bicubic.copy())[0], images)


def recorded(profile: str, layers: str, schedule: str) -> Run:
    """The first recorded run of a model under a schedule, with its weights. Raises AgmError if they are not there."""
    config = experiments.plan("recorded", profiles.load(profile), layers=layers, schedule=schedule)[0]
    run = runs.find(config, results_folder() / profile)
    if run is None or not run.has_weights:
        raise AgmError(f"the weights of {layers} under {schedule} are not recorded under profile {profile!r}")
    return run


def of_run(run: Run, name: str, size: int = 192) -> Film:
    """`film` with a run's network and schedule."""
    return film(run.generator(), Schedule.parse(run.config.training.schedule), name, size)


def latest(milliseconds: Sequence[float], moment: float) -> int:
    """The last iteration whose image is there at a moment, given when each was; 0 if none is."""
    return bisect_right(milliseconds, moment)


def moments(milliseconds: Sequence[float], until: float, multiples: Sequence[float] = (1, 2, 4, 12)) -> list[float]:
    """Multiples of the moment at which the first image is there, as far as they come before `until`; and that."""
    return [*(m for k in multiples if (m := k * milliseconds[0]) < until), until]


def times(measured: Measured, layers: str, schedule: str) -> list[float]:
    """Milliseconds until each image of the engine, from what `benchmarks/inference.py` wrote.

    Raises AgmError if that was not measured.
    """
    for row in measured["rows"]:
        if (row["layers"], row["schedule"], row["implementation"]) == (layers, schedule, "engine"):
            return list(map(float, row["ms"]))
    raise AgmError(f"the engine was not timed for {layers} under {schedule}; benchmarks/inference.py does it")


def numbers(films: Mapping[str, Film]) -> Numbers:
    """By film, for every iteration N: `KEY_N_psnr`, and `KEY_N_tint` in percent; `KEY_bicubic_psnr`.

    `KEY_best`, `KEY_best_psnr`: the best iteration; `KEY_above_bicubic`: how many have a higher PSNR than bicubic.
    """
    found: Numbers = {}
    for key, made in films.items():
        values = [made.psnr(t) for t in range(len(made.images) + 1)]
        found |= {f"{key}_{t or 'bicubic'}_psnr": value for t, value in enumerate(values)}
        found |= {f"{key}_{t}_tint": 100 * made.tint(t) for t in range(1, len(values))}
        found |= {f"{key}_best": made.best(), f"{key}_best_psnr": max(values[1:])}
        found[f"{key}_above_bicubic"] = sum(value > values[0] for value in values[1:])
    return found


def race_numbers(pairs: Mapping[str, tuple[Row, Row]]) -> Numbers:
    """Of NOAEL's and AEL's row by model: `LAYERS_S_first_ms`, `LAYERS_S_total_ms`; `LAYERS_first_ratio`, AEL's over
    NOAEL's; `LAYERS_overtaken_ms`: from when on NOAEL's image is the better one to the end, `nan` if it never is."""
    found: Numbers = {}
    for layers, (noael, ael) in pairs.items():
        for name, (_, milliseconds) in (("noael", noael), ("ael", ael)):
            found |= {f"{layers}_{name}_first_ms": milliseconds[0], f"{layers}_{name}_total_ms": milliseconds[-1]}
        found[f"{layers}_first_ratio"] = ael[1][0] / noael[1][0]
        found[f"{layers}_overtaken_ms"] = _overtaken(noael, ael)
    return found


def _overtaken(noael: Row, ael: Row) -> float:
    """The moment after which the first row's image stays better than the second's."""
    since = math.nan
    for moment in sorted([*noael[1], *ael[1]]):
        better = _at(noael, moment) > _at(ael, moment)
        since = (moment if math.isnan(since) else since) if better else math.nan
    return since


def _at(row: Row, moment: float) -> float:
    """PSNR of the latest image at a moment; none is worse than any."""
    t = latest(row[1], moment)
    return row[0].psnr(t) if t else -math.inf
