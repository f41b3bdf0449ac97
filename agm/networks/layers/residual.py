"""The skip connection around each recurrent layer of the lighter base."""

from __future__ import annotations

from torch import Tensor, nn

from agm.config import Statistics
from agm.networks.layers import State


class Residual(nn.Module):
    """A layer that adds to its input: output = x + cell(x).

    Where the number of channels changes, x goes through a 1x1 convolution. The output of a fresh ConvLSTM is a tenth
    of its input. Behind four of them, without batch norm, nothing would be left to learn from.
    """

    def __init__(self, cell: nn.Module, inputs: int, outputs: int) -> None:
        super().__init__()
        self.cell = cell
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor, state: State, t: int, statistics: Statistics) -> tuple[Tensor, State]:
        """x: (N, inputs, H, W) -> (N, outputs, H, W), and the cell's new state."""
        y, state = self.cell(x, state, t, statistics)
        return y + (x if self.skip is None else self.skip(x)), state


def cell_of(layer: nn.Module) -> nn.Module:
    """The layer inside a skip connection, or the layer itself if it has none."""
    return layer.cell if isinstance(layer, Residual) else layer
