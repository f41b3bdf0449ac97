"""The inner layers as the engine runs them: weights rearranged once, norms folded, activations fused.

Which class runs a layer is decided by the layer's own class. Images in between are (N, H, W, C).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from agm.anytime.engine.filtering import Filtering, Source
from agm.config import Statistics
from agm.networks.blocks import LEAK, IterationNorm
from agm.networks.generator import Generator
from agm.networks.layers import KINDS
from agm.networks.layers.conv_lstm import ConvLSTM
from agm.networks.layers.plain import PlainLayer, ResidualLayer
from agm.networks.layers.residual import Residual, cell_of

State = tuple[Tensor, Tensor] | None
"""Hidden state and cell state, (N, H, W, C) each; None before its first use."""
Make = Callable[..., Filtering]
"""From weight, bias and number of gates."""


class Recurrent:
    """An r layer, of either base. Its first gate, which forgets, is left out while there is no state."""

    def __init__(self, layer: ConvLSTM | Residual, make: Make, statistics: Statistics) -> None:
        lstm = cell_of(layer)
        assert isinstance(lstm, ConvLSTM)
        self.filtering = make(forget_first(lstm.gates.weight), forget_first(lstm.gates.bias), 4)
        self._skip = Skip(layer.skip) if isinstance(layer, Residual) else None

    def forward(self, source: Source, state: State, t: int) -> tuple[Tensor, State]:
        cell = None if state is None else state[1]
        h, cell = self.filtering.gates(source, cell)
        return (h if self._skip is None else h + self._skip(source)), (h, cell)


class Skip:
    """The skip connection of a layer that adds to its input."""

    def __init__(self, conv: nn.Conv2d | None) -> None:
        self._weight = None
        if conv is not None:
            assert conv.bias is not None
            self._weight, self._bias = conv.weight.detach()[:, :, 0, 0].T, conv.bias.detach()  # (inputs, outputs)

    def __call__(self, source: Source) -> Tensor:
        """Each of the layer's inputs may be a single pixel that stands for a whole image."""
        parts = source.whole or source.parts[:1]  # the others are the hidden state
        if self._weight is None:
            size = parts[0].shape[:3]
            return parts[0] if len(parts) == 1 else torch.cat([part.expand(*size, -1) for part in parts], dim=3)
        first, *rest = torch.split(self._weight, [part.shape[3] for part in parts])
        around = torch.addmm(self._bias, parts[0].flatten(0, 2), first).view(*parts[0].shape[:3], -1)
        for part, weight in zip(parts[1:], rest, strict=True):
            around += part @ weight
        return around


class FeedForward:
    """An n layer of the paper's base."""

    def __init__(self, layer: PlainLayer, make: Make, statistics: Statistics) -> None:
        self.filtering, self._second = make(layer.conv1.weight), make(layer.conv2.weight)
        self._norms = [_affine(norm, statistics) for norm in (layer.norm1, layer.norm2)]

    def forward(self, source: Source, state: State, t: int) -> tuple[Tensor, State]:
        u = self.filtering.norm(source, LEAK, *self._norms[0][t])
        return self._second.norm(Source([u]), 1.0, *self._norms[1][t]), state


class ResidualForward:
    """An n layer of the lighter base."""

    def __init__(self, layer: ResidualLayer, make: Make, statistics: Statistics) -> None:
        self.filtering = make(layer.conv1.weight, layer.conv1.bias)
        self._second = make(layer.conv2.weight, layer.conv2.bias)
        self._skip = Skip(layer.skip)

    def forward(self, source: Source, state: State, t: int) -> tuple[Tensor, State]:
        u = self.filtering.norm(source, LEAK)
        return self._second.norm(Source([u]), 1.0, shift=self._skip(source)), state


Layer = Recurrent | FeedForward | ResidualForward
"""`filtering` is its first convolution; `forward` gives its output and new state."""
PREPARED: dict[type[nn.Module], Callable[..., Layer]] = {
    ConvLSTM: Recurrent,
    PlainLayer: FeedForward,
    ResidualLayer: ResidualForward,
}
"""A layer's class, inside a skip connection, and the class that runs it."""


def missing(generator: Generator) -> str:
    """Names of what the engine lacks for a network, such as "peepholes"; empty if the engine can run it."""
    config, layers = generator.config, zip(generator.config.layers, generator.layers, strict=True)
    found = [f"{KINDS[letter].label} layers" for letter, layer in layers if type(cell_of(layer)) not in PREPARED]
    found += ["peepholes"] * config.peephole
    found += [f"{config.upsampling} upsampling"] * (config.upsampling != "nearest")
    return ", ".join(dict.fromkeys(found))


def _affine(norm: IterationNorm, statistics: Statistics) -> list[tuple[Tensor, Tensor]]:
    """Batch norm in evaluation as scale and shift, (C,) each, at every iteration."""
    folded = []
    for t in range(len(norm.running_mean) - 1):
        mean, var = norm.running(t, statistics)
        scale = norm.weight.detach() / torch.sqrt(var + norm.epsilon)
        folded.append((scale, norm.bias.detach() - mean * scale))
    return folded


def forget_first(gates: Tensor | None) -> Tensor:
    """Gates in the order i, f, g, o -> f, i, g, o, so that those that are needed without a state are one slice."""
    assert gates is not None
    i, f, g, o = gates.detach().chunk(4)
    return torch.cat([f, i, g, o])
