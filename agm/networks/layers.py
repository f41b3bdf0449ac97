"""The building blocks of the generator (Section II-C). Cells are pure: (input, state, t) -> (output, state).

Every layer takes `t`, the iteration from 0, and `statistics`, because batch norm may keep statistics per iteration.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agm.config import Statistics
from agm.errors import AgmError
from agm.machine import hide_broken_amx

hide_broken_amx()  # here, since oneDNN asks once, at a process's first convolution

LEAK = 0.2  # slope of LeakyReLU, as in DCGAN, the base structure the paper names [20]

State = tuple[Tensor, Tensor] | None
"""Hidden and cell state (h, c) of a ConvLSTM, each (N, C, H, W); None is the zero state, or no state at all."""

Norm = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, bool, float, float], Tensor]
"""What `torch.nn.functional.batch_norm` is; training may use that of `agm.training.parallel`."""


class IterationNorm(nn.Module):
    """Batch norm whose running statistics can be told apart by iteration.

    While training it normalises with the batch's own statistics, like any batch norm, and updates two sets of running
    statistics: those of iteration t (row t) and those shared by all iterations (last row, exactly what
    `torch.nn.BatchNorm2d` would hold). `statistics` chooses among them in evaluation; training does not depend on it.

    `precise`: mean and variance per iteration as `agm.training.calibrate` makes them, (2, T, C); None where it did not.
    `share`: of the batch at hand in `precise`, where evaluation with the batch's own statistics is to average them.
    """

    momentum = 0.1
    epsilon = 1e-5
    share = 0.0
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
        self.training_norm: Norm = F.batch_norm

    def forward(self, x: Tensor, t: int, statistics: Statistics) -> Tensor:
        """x: (N, C, H, W) -> (N, C, H, W). Past the last iteration, the last iteration's statistics are used."""
        if self.training:
            shared = self.running_mean.shape[0] - 1
            mean, var = torch.zeros_like(self.running_mean[:2])
            # With momentum 1 the "running" statistics are the batch's own, at no extra pass over x.
            y = self.training_norm(x, mean, var, self.weight, self.bias, True, 1.0, self.epsilon)
            with torch.no_grad():
                for i in (min(t, shared - 1), shared):
                    self.running_mean[i].lerp_(mean, self.momentum)
                    self.running_var[i].lerp_(var, self.momentum)
            return y
        if statistics == "batch":
            averaged = self.share and self.precise is not None and t < self.precise.shape[1]
            mean, var = self.running(t, "precise") if averaged else (None, None)
            return F.batch_norm(x, mean, var, self.weight, self.bias, True, self.share, self.epsilon)
        mean, var = self.running(t, statistics)
        return F.batch_norm(x, mean, var, self.weight, self.bias, False, 0.0, self.epsilon)

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


class PlainLayer(nn.Module):
    """An n layer: u = BN(LReLU(C1 * x)), output = BN(C2 * u) (Section II-C). It has no state.

    The biases a1, a2 of the equations are left to the two batch norms, as the parameter counts of Table I require.
    """

    def __init__(self, inputs: int, outputs: int, iterations: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm1 = IterationNorm(outputs, iterations)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = IterationNorm(outputs, iterations)

    def forward(self, x: Tensor, state: State, t: int, statistics: Statistics) -> tuple[Tensor, State]:
        """x: (N, inputs, H, W) -> (N, outputs, H, W), and the state as it came."""
        u = self.norm1(F.leaky_relu(self.conv1(x), LEAK), t, statistics)
        return self.norm2(self.conv2(u), t, statistics), state


class ConvLSTM(nn.Module):
    """An r layer: the convolutional LSTM of Section II-C, one convolution over [x, h] for all four gates.

    Gates lie in the order i, f, g, o. The peephole terms W_c of the equations are optional; with them there is one
    weight per channel, so that images of any size can be used.
    """

    def __init__(self, inputs: int, outputs: int, peephole: bool = False) -> None:
        super().__init__()
        self.inputs = inputs
        self.gates = nn.Conv2d(inputs + outputs, 4 * outputs, 3, padding=1)
        self.peephole = nn.Parameter(torch.zeros(3, outputs, 1, 1)) if peephole else None
        with torch.no_grad():
            assert self.gates.bias is not None
            # Remember by default: the usual start of an LSTM; the paper does not say.
            self.gates.bias[outputs : 2 * outputs] += 1.0

    def forward(self, x: Tensor, state: State, t: int, statistics: Statistics) -> tuple[Tensor, State]:
        """x: (N, inputs, H, W), state: None or (h, c) of (N, outputs, H, W) each -> h and (h, c)."""
        if state is None:
            # The hidden half of the convolution would only multiply zeros.
            gates = F.conv2d(x, self.gates.weight[:, : self.inputs], self.gates.bias, padding=1)
            h, c = lstm_update(gates, None, self.peephole)
        else:
            gates = self.gates(torch.cat([x, state[0]], dim=1))  # (N, inputs + outputs, ...) -> (N, 4 outputs, ...)
            h, c = lstm_update(gates, state[1], self.peephole)
        return h, (h, c)


def lstm_update(gates: Tensor, cell: Tensor | None, peephole: Tensor | None) -> tuple[Tensor, Tensor]:
    """The gate and state equations of Section II-C, after the convolutions.

    gates: (N, 4 C, H, W) pre-activations of i, f, g, o; cell: c_{t-1}, None for zeros; peephole: W_ci, W_cf, W_co.
    Returns h_t and c_t, each (N, C, H, W).
    """
    i, f, g, o = gates.chunk(4, dim=1)
    if peephole is not None and cell is not None:
        i, f = i + peephole[0] * cell, f + peephole[1] * cell
    new = torch.sigmoid(i) * torch.tanh(g)
    if cell is not None:
        new = torch.sigmoid(f) * cell + new
    if peephole is not None:
        o = o + peephole[2] * new
    return torch.sigmoid(o) * torch.tanh(new), new
