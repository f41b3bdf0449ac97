"""Building blocks of the paper's base: batch norm with statistics per iteration, and the convolutions A and B."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agm.config import Statistics
from agm.errors import AgmError

LEAK = 0.2  # slope of LeakyReLU, as in DCGAN, the base structure the paper names [20]


class IterationNorm(nn.Module):
    """Batch norm whose running statistics can be told apart by iteration.

    While training it normalises with the batch's own statistics, like any batch norm, and updates two sets of running
    statistics: those of iteration t (row t) and those shared by all iterations (last row, exactly what
    `torch.nn.BatchNorm2d` would hold). `statistics` chooses among them in evaluation; training does not depend on it.

    `precise`: mean and variance per iteration as `agm.training.calibrate` makes them, (2, T, C); None where it did not.
    """

    momentum = 0.1
    epsilon = 1e-5
    _share = 0.0
    precise: Tensor | None
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, iterations: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(iterations + 1, channels))  # (T + 1, C)
        self.register_buffer("running_var", torch.ones(iterations + 1, channels))
        self.register_buffer("precise", None)

    def forward(self, x: Tensor, t: int, statistics: Statistics) -> Tensor:
        """x: (N, C, H, W) -> (N, C, H, W). Past the last iteration, the last iteration's statistics are used."""
        if self.training:
            shared = self.running_mean.shape[0] - 1
            mean, var = torch.zeros_like(self.running_mean[:2])
            # With momentum 1 the "running" statistics are the batch's own, at no extra pass over x.
            y = F.batch_norm(x, mean, var, self.weight, self.bias, True, 1.0, self.epsilon)
            with torch.no_grad():
                for i in (min(t, shared - 1), shared):
                    self.running_mean[i].lerp_(mean, self.momentum)
                    self.running_var[i].lerp_(var, self.momentum)
            return y
        if statistics == "batch":
            averaged = self._share and t < self.running_mean.shape[0] - 1
            mean, var = self.running(t, "precise") if averaged else (None, None)
            return F.batch_norm(x, mean, var, self.weight, self.bias, True, self._share, self.epsilon)
        mean, var = self.running(t, statistics)
        return F.batch_norm(x, mean, var, self.weight, self.bias, False, 0.0, self.epsilon)

    def average(self, share: float) -> None:
        """While batches are evaluated with their own statistics, keep a moving average of these in `precise`.

        The next batch counts with this share. With share 1 the average begins anew, from the running statistics; with 0
        it ends.
        """
        if share == 1:
            self.precise = torch.stack([self.running_mean[:-1], self.running_var[:-1]])
        self._share = share

    def running(self, t: int, statistics: Statistics) -> tuple[Tensor, Tensor]:
        """Mean and variance, (C,) each, that evaluation uses at iteration t. Raises AgmError if there are none."""
        shared = self.running_mean.shape[0] - 1
        row = shared if statistics == "shared" else min(t, shared - 1)
        if statistics == "precise":
            if self.precise is None:
                raise AgmError(
                    "the weights are older than precise statistics, and hold none; choose iteration or shared"
                )
            return self.precise[0, row], self.precise[1, row]
        return self.running_mean[row], self.running_var[row]

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        """torch's, for weights with and without precise statistics."""
        held = f"{prefix}precise" in state_dict
        self.precise = self.running_mean.new_empty(2, *self.running_mean[1:].shape) if held else None
        super()._load_from_state_dict(state_dict, prefix, *arguments)


class ConvNormAct(nn.Module):
    """Convolution, batch norm, LeakyReLU: the parts A and B of Fig. 1."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, iterations: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=1, bias=False)
        self.norm = IterationNorm(outputs, iterations)

    def forward(self, x: Tensor, t: int, statistics: Statistics) -> Tensor:
        return F.leaky_relu(self.norm(self.conv(x), t, statistics), LEAK)
