"""Batch-norm statistics for a schedule the network was not trained with, or not alone."""

from __future__ import annotations

import copy

import torch

from agm.data import to_tensor
from agm.data.images import Pixels
from agm.evaluate import BATCH
from agm.generator import Generator
from agm.layers import IterationNorm
from agm.schedule import Schedule


@torch.no_grad()
def calibrated(generator: Generator, low: Pixels, schedule: Schedule) -> Generator:
    """A copy whose running statistics are those of this schedule: exact averages over these images, as in Yu and
    Huang, Universally Slimmable Networks (2019). What the schedule leaves out keeps its statistics.

    low: (N, H, W, 3) uint8, best the training images; the schedule is at most as long as the network's own.
    """
    result = copy.deepcopy(generator).train()
    device = next(result.parameters()).device
    norms = [module for module in result.modules() if isinstance(module, IterationNorm)]
    for norm in norms:
        norm.running_var.fill_(-1.0)  # until the first batch: zero is a variance, that of the first feedback's zeros
    for start in range(0, len(low), BATCH):
        batch = to_tensor(low[start : start + BATCH]).to(device)
        for norm in norms:
            norm.momentum = len(batch) / (start + len(batch))  # turns the moving average into the plain one
        for _ in result.iterate(batch, schedule):
            pass
    old = [module for module in generator.modules() if isinstance(module, IterationNorm)]
    for norm, before in zip(norms, old, strict=True):
        _fill(norm, before)
    return result.eval()


def _fill(norm: IterationNorm, before: IterationNorm) -> None:
    """Shared statistics from those of the iterations that ran; the others as they were."""
    del norm.momentum
    ran = norm.running_var[:-1].amin(dim=1) >= 0
    for now, then in ((norm.running_mean, before.running_mean), (norm.running_var, before.running_var)):
        now[-1] = now[:-1][ran].mean(dim=0) if ran.any() else then[-1]
        now[:-1][~ran] = then[:-1][~ran]
