"""Inner layers by their ORL letters.

A layer is a module of this folder with `build(config, inputs, outputs)`, and a row of `KINDS`. What it builds is pure,
(x, state, t, statistics) -> (output, state): t is the iteration from 0, which batch norm may ask for. Tests, counts,
schedules, diagrams and the command line follow; the engine and the export leave kinds that they do not know to plain
torch, or refuse them by name. Nothing here imports torch, so that planning can ask.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor, nn

    from agm.config import GeneratorConfig

State: TypeAlias = "tuple[Tensor, ...] | None"
"""A layer's state, tensors of (N, C, H, W); None is the zero state, or no state at all."""


@dataclass(frozen=True)
class Kind:
    """`states`: how many tensors a layer keeps between iterations, each as large as its output."""

    module: str
    label: str
    states: int

    @property
    def recurrent(self) -> bool:
        return self.states > 0


KINDS = {
    "r": Kind("conv_lstm", "ConvLSTM", states=2),
    "n": Kind("plain", "plain", states=0),
    "g": Kind("conv_gru", "ConvGRU", states=1),
}


def build(config: GeneratorConfig) -> list[nn.Module]:
    """The four layers of a network, from the bottom."""
    channels = 2 * config.width
    # Layers 1 to 3 keep their number of channels, so that AEL can skip them.
    outputs = (channels, channels, channels, config.width)
    return [_layer(config, letter, channels, own) for letter, own in zip(config.layers, outputs, strict=True)]


def _layer(config: GeneratorConfig, letter: str, inputs: int, outputs: int) -> nn.Module:
    kind = KINDS[letter]
    layer: nn.Module = importlib.import_module(f"{__name__}.{kind.module}").build(config, inputs, outputs)
    if config.base == "light" and kind.recurrent:
        layer = importlib.import_module(f"{__name__}.residual").Residual(layer, inputs, outputs)
    return layer
