"""Rough relative cost of runs, for the workflow. Nothing here imports torch."""

from __future__ import annotations

import itertools
import math

from agm.config import RunConfig
from agm.networks.layers import KINDS

COSTS = {"paper": ((0.25, 0.25, 1.0, 0.375), 0.5), "light": ((0.25, 0.25, 0.25, 0.1), 0.05)}
"""By base: relative cost of plain layers 1 to 4, and of all other parts with the critic.

Layers 1 and 2, on the lighter base all layers, have a quarter of the pixels; layer 4 has fewer channels.
"""

PROGRAM_MB = 3000
"""Megabytes of Python, torch and, on a GPU, CUDA."""
KEPT_BYTES = 200
"""Bytes kept for the backward pass per pixel, channel and iteration: 140 for rrrr, plus a reserve."""


def per_image(run: RunConfig) -> float:
    """Relative cost of all iterations for one image, among models of one width. A ConvLSTM costs four plain layers."""
    layers, others = COSTS[run.generator.base]
    costs = [
        part * (4 if KINDS[letter].recurrent else 1) for part, letter in zip(layers, run.generator.layers, strict=True)
    ]
    return sum(others + sum(itertools.compress(costs, mask)) for mask in run.schedule)


def cost(run: RunConfig) -> float:
    """Relative duration of a run among runs of its profile on the same data set."""
    return per_image(run) * run.data.fraction * run.training.epochs


def memory_mb(run: RunConfig) -> int:
    """Megabytes to request from a scheduler for training a run, Python and torch included."""
    pixels = run.training.batch_size * run.data.image_size**2
    return PROGRAM_MB + math.ceil(KEPT_BYTES * pixels * run.generator.width * run.generator.iterations / 1e6)
