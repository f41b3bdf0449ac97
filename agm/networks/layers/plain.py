"""n layers: plain convolutions, without a state."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agm.config import GeneratorConfig, Statistics
from agm.networks.blocks import LEAK, IterationNorm
from agm.networks.layers import State


def build(config: GeneratorConfig, inputs: int, outputs: int) -> nn.Module:
    """The layer of the configuration's base."""
    return ResidualLayer(inputs, outputs) if config.base == "light" else PlainLayer(inputs, outputs, config.iterations)


class PlainLayer(nn.Module):
    """An n layer of the paper's base: u = BN(LReLU(C1 * x)), output = BN(C2 * u) (Section II-C). It has no state.

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


class ResidualLayer(nn.Module):
    """An n layer of the lighter base: output = x + C2 * LReLU(C1 * x).

    Where the number of channels changes, x goes through a 1x1 convolution.

    C2 starts near zero: a fresh layer and an inactive one are both close to the identity.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None
        with torch.no_grad():
            self.conv2.weight.mul_(0.1)

    def forward(self, x: Tensor, state: State, t: int, statistics: Statistics) -> tuple[Tensor, State]:
        """x: (N, inputs, H, W) -> (N, outputs, H, W), and the state as it came."""
        u = self.conv2(F.leaky_relu(self.conv1(x), LEAK))
        return u + (x if self.skip is None else self.skip(x)), state
