"""g layers: the convolutional GRU. The paper has none, but says that its techniques carry over to other networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agm.config import GeneratorConfig, Statistics
from agm.networks.layers import State


def build(config: GeneratorConfig, inputs: int, outputs: int) -> nn.Module:
    return ConvGRU(inputs, outputs)


class ConvGRU(nn.Module):
    """Ballas et al., Delving Deeper into Convolutional Networks (2016), equations 10 to 13, with 3x3 kernels:

    u, s = sigmoid(W * [x, h]); new = tanh(V * [x, s h]); h' = (1 - u) h + u new.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.gates = nn.Conv2d(inputs + outputs, 2 * outputs, 3, padding=1)  # u, s
        self.candidate = nn.Conv2d(inputs + outputs, outputs, 3, padding=1)

    def forward(self, x: Tensor, state: State, t: int, statistics: Statistics) -> tuple[Tensor, State]:
        """x: (N, inputs, H, W), state: None or (h,) of (N, outputs, H, W) -> the new h, and (h,)."""
        h = x.new_zeros(x.shape[0], self.outputs, *x.shape[2:]) if state is None else state[0]
        u, s = torch.sigmoid(self.gates(torch.cat([x, h], dim=1))).chunk(2, dim=1)  # (N, outputs, H, W) each
        new = torch.tanh(self.candidate(torch.cat([x, s * h], dim=1)))
        h = torch.lerp(h, new, u)
        return h, (h,)
