"""r layers: the convolutional LSTM."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agm.config import GeneratorConfig, Statistics
from agm.networks.layers import State


def build(config: GeneratorConfig, inputs: int, outputs: int) -> nn.Module:
    return ConvLSTM(inputs, outputs, config.peephole, config.forget_bias)


class ConvLSTM(nn.Module):
    """An r layer: the convolutional LSTM of Section II-C, one convolution over [x, h] for all four gates.

    Gates lie in the order i, f, g, o. The peephole terms W_c of the equations are optional; with them there is one
    weight per channel, so that images of any size can be used. `forget_bias` is added to the initial bias of f.
    """

    def __init__(self, inputs: int, outputs: int, peephole: bool = False, forget_bias: float = 1.0) -> None:
        super().__init__()
        self.inputs = inputs
        self.gates = nn.Conv2d(inputs + outputs, 4 * outputs, 3, padding=1)
        self.peephole = nn.Parameter(torch.zeros(3, outputs, 1, 1)) if peephole else None
        with torch.no_grad():
            assert self.gates.bias is not None
            self.gates.bias[outputs : 2 * outputs] += forget_bias

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
