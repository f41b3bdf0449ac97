"""Precise batch-norm statistics: averages over training images, made after training for one schedule."""

from __future__ import annotations

import copy

import torch

from agm import data
from agm.config import RunConfig
from agm.data import to_tensor
from agm.data.images import Pixels
from agm.networks.blocks import IterationNorm
from agm.networks.generator import Generator
from agm.schedule import Schedule
from agm.training.evaluate import BATCH


@torch.no_grad()
def precise(generator: Generator, low: Pixels, schedule: Schedule, precision: str = "32") -> Generator:
    """A copy in evaluation mode with the precise statistics of this schedule: at each iteration the plain mean over
    batches of their means and variances, as in Yu and Huang, Universally Slimmable Networks (2019). What the schedule
    leaves out gets the running statistics of its iteration.

    low: (N, H, W, 3) uint8, best the training images. Running statistics lag behind the weights, these do not.
    """
    result = copy.deepcopy(generator).eval()
    device = next(result.parameters()).device
    norms = [module for module in result.modules() if isinstance(module, IterationNorm)]
    for start in range(0, len(low) if norms else 0, BATCH):
        batch = to_tensor(low[start : start + BATCH]).to(device)
        for norm in norms:
            norm.average(len(batch) / (start + len(batch)))  # turns the moving average into the plain one
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            for _ in result.iterate(batch, schedule, "batch"):
                pass
    for norm in norms:
        norm.average(0.0)
    return result


def fitting(generator: Generator, config: RunConfig, schedule: Schedule) -> Generator:
    """A trained network with precise statistics of a schedule: those that it holds, if they are of this one, or else
    new ones, of its training images. `config`: of its run.
    """
    norms = [module for module in generator.modules() if isinstance(module, IterationNorm)]
    own = schedule == config.schedule and all(norm.precise is not None for norm in norms)
    if own or not norms:
        return generator
    return precise(generator, data.splits(config.data).train.low, schedule, config.training.precision)
