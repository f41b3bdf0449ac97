"""What runs cost next to each other, roughly: for `agm plan` and the workflow. Nothing here imports torch."""

from __future__ import annotations

import itertools
import math

from agm.config import RunConfig
from agm.networks.layers import KINDS
from agm.schedule import Schedule

LAYER_COSTS = (0.25, 0.25, 1.0, 0.375)
"""Layers 1 and 2 work at a quarter of the pixels, layer 4 has fewer channels."""
OTHER_COST = 0.5
"""Parts A, B and D and the critic, on the same scale."""

PROGRAM_MB = 3000
"""Python, torch and, on a GPU, CUDA."""
KEPT_BYTES = 200
"""Kept for the backward pass by pixel, channel and iteration: 140 for rrrr, and some to spare."""


def per_image(run: RunConfig) -> float:
    """All iterations of one image, for models of one width; a ConvLSTM costs four times its plain twin."""
    costs = [
        part * (4 if KINDS[letter].recurrent else 1)
        for part, letter in zip(LAYER_COSTS, run.generator.layers, strict=True)
    ]
    masks = Schedule.parse(run.training.schedule).masks
    return sum(OTHER_COST + sum(itertools.compress(costs, mask)) for mask in masks)


def cost(run: RunConfig) -> float:
    """Roughly how long a run takes next to others of its profile on as many images."""
    return per_image(run) * run.data.fraction * run.training.epochs


def memory_mb(run: RunConfig) -> int:
    """Megabytes that training it takes, with Python and torch and some to spare: what a scheduler is asked for."""
    pixels = run.training.batch_size * run.data.image_size**2
    return PROGRAM_MB + math.ceil(KEPT_BYTES * pixels * run.generator.width * run.generator.iterations / 1e6)
