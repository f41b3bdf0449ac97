"""The parts of a network as the engine runs them: weights rearranged once, norms folded, activations fused.

Which class runs a part is decided by the part's own class, so the engine need not know the base. Images in between are
(N, H, W, C).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agm.anytime.engine.filtering import Filtering, Kept, Source
from agm.config import Statistics
from agm.networks.blocks import LEAK, ConvNormAct, IterationNorm
from agm.networks.generator import SCALE, Generator
from agm.networks.layers.conv_lstm import ConvLSTM
from agm.networks.layers.plain import PlainLayer, ResidualLayer
from agm.networks.light import Contrast, ConvAct, SubPixel

State = tuple[Tensor, Kept] | None
"""Hidden state (N, H, W, C), and the cell state; None before its first use."""


@dataclass(frozen=True)
class Means:
    """The settings that all parts of a network are prepared with."""

    filtering: Callable[..., Filtering]  # (weight, bias, gates)
    statistics: Statistics
    steps: range  # the iterations that differ in their batch norm


class Head(Protocol):
    """A or B."""

    def __call__(self, x: Tensor, t: int) -> Tensor:
        """x: (N, C, H, W), an image or features -> (N, h, w, width)."""


class Layer(Protocol):
    """An inner layer."""

    outputs: int
    filtering: Filtering
    """Its first convolution."""

    def first(self, state: State) -> int:
        """The first of that convolution's gates that is needed."""

    def forward(self, source: Source, state: State, t: int) -> tuple[Tensor, State]:
        """The layer's output and new state."""


class Tail(Protocol):
    """D."""

    def __call__(self, z: Tensor) -> Tensor:
        """z: (N, h, w, C) -> a new image, (N, 3, H, W)."""


class ConvHead:
    """A convolution and LeakyReLU, each iteration's norm folded into it."""

    def __init__(self, weights: list[tuple[Tensor, Tensor]], stride: int, continued: int = 0) -> None:
        """`continued`: by how many pixels the image's border goes on; zeros otherwise, one pixel wide."""
        self.weights = [(_channels_last(weight), bias) for weight, bias in weights]
        self.stride, self.continued = stride, continued

    def __call__(self, x: Tensor, t: int) -> Tensor:
        x = F.pad(x, (self.continued,) * 4, mode="replicate") if self.continued else x
        padding = 0 if self.continued else 1
        y = F.conv2d(_channels_last(x), *self.weights[t], stride=self.stride, padding=padding)
        return F.leaky_relu_(y, LEAK).permute(0, 2, 3, 1)


class FeatureHead:
    """B on features."""

    def __init__(self, part: ConvAct, means: Means) -> None:
        self.filtering = means.filtering(part.conv.weight, part.conv.bias)

    def __call__(self, x: Tensor, t: int) -> Tensor:
        return self.filtering.norm(Source([x.permute(0, 2, 3, 1)]), LEAK)


class Recurrent:
    """An r layer. Its gates lie in the order f, i, g, o, so that all but the first are one slice; g is doubled."""

    def __init__(self, layer: ConvLSTM, means: Means) -> None:
        assert layer.gates.bias is not None
        self.outputs = layer.gates.out_channels  # what is kept of them
        self.filtering = means.filtering(_ordered(layer.gates.weight), _ordered(layer.gates.bias), 4)
        self._peephole = None if layer.peephole is None else layer.peephole.detach().flatten(1)  # (3, C)

    def first(self, state: State) -> int:
        """Without a state there is nothing to forget."""
        return 1 if state is None else 0

    def forward(self, source: Source, state: State, t: int) -> tuple[Tensor, State]:
        cell = None if state is None else state[1]
        h, cell = self.filtering.gates(source, cell, self._peephole, self.first(state))
        return h, (h, cell)


class FeedForward:
    """An n layer of the paper's base."""

    def __init__(self, layer: PlainLayer, means: Means) -> None:
        self.outputs = layer.conv1.out_channels
        self.filtering, self._second = means.filtering(layer.conv1.weight), means.filtering(layer.conv2.weight)
        norms = (layer.norm1, layer.norm2)
        self._norms = [[_affine(norm, means.statistics, t) for t in means.steps] for norm in norms]

    def first(self, state: State) -> int:
        return 0

    def forward(self, source: Source, state: State, t: int) -> tuple[Tensor, State]:
        u = self.filtering.norm(source, LEAK, *self._norms[0][t])
        return self._second.norm(Source([u]), 1.0, *self._norms[1][t]), state


class ResidualForward:
    """An n layer of the light base."""

    def __init__(self, layer: ResidualLayer, means: Means) -> None:
        assert layer.conv2.bias is not None
        self.outputs = layer.conv1.out_channels
        self.filtering = means.filtering(layer.conv1.weight, layer.conv1.bias)
        self._skip, bias = None, layer.conv2.bias
        if layer.skip is not None:
            assert layer.skip.bias is not None
            self._skip, bias = layer.skip.weight.detach()[:, :, 0, 0].T, bias + layer.skip.bias  # (inputs, outputs)
        self._second = means.filtering(layer.conv2.weight, bias)

    def first(self, state: State) -> int:
        return 0

    def forward(self, source: Source, state: State, t: int) -> tuple[Tensor, State]:
        u = self.filtering.norm(source, LEAK)
        return self._second.norm(Source([u]), 1.0, shift=self._around(source.whole or source.parts)), state

    def _around(self, parts: list[Tensor]) -> Tensor:
        """The skip connection. Each of the layer's inputs may be a single pixel that stands for a whole image."""
        if self._skip is None:
            size = parts[0].shape[:3]
            return parts[0] if len(parts) == 1 else torch.cat([part.expand(*size, -1) for part in parts], dim=3)
        first, *rest = torch.split(self._skip, [part.shape[3] for part in parts])
        around: Tensor = parts[0] @ first
        for part, weight in zip(parts[1:], rest, strict=True):
            around += part @ weight
        return around


class ConvTail:
    """D of the paper's base."""

    def __init__(self, conv: nn.Conv2d, means: Means) -> None:
        assert conv.bias is not None
        self.weight, self.bias = _channels_last(conv.weight.detach()), conv.bias.detach()

    def __call__(self, z: Tensor) -> Tensor:
        return F.conv2d(z.permute(0, 3, 1, 2), self.weight, self.bias, padding=1)


class SubPixelTail(ConvTail):
    """D of the light base."""

    def __init__(self, part: SubPixel, means: Means) -> None:
        super().__init__(part.conv, means)

    def __call__(self, z: Tensor) -> Tensor:
        return F.pixel_shuffle(super().__call__(z), SCALE)


def _normed(part: ConvNormAct, means: Means) -> Head:
    affine = [_affine(part.norm, means.statistics, t) for t in means.steps]
    weight = part.conv.weight.detach()
    folded = [(weight * scale[:, None, None, None], shift) for scale, shift in affine]
    return ConvHead(folded, part.conv.stride[0])


def _contrast(part: Contrast, means: Means) -> Head:
    assert part.conv.bias is not None
    return ConvHead([(part.kernel().detach(), part.conv.bias.detach())] * len(means.steps), 1, continued=2)


def _activated(part: ConvAct, means: Means) -> Head:
    if part.conv.stride == (1, 1):
        return FeatureHead(part, means)
    assert part.conv.bias is not None
    return ConvHead([(part.conv.weight.detach(), part.conv.bias.detach())] * len(means.steps), part.conv.stride[0])


PREPARED: dict[type[nn.Module], Callable[..., Any]] = {
    **{ConvNormAct: _normed, Contrast: _contrast, ConvAct: _activated},
    **{ConvLSTM: Recurrent, PlainLayer: FeedForward, ResidualLayer: ResidualForward},
    **{nn.Conv2d: ConvTail, SubPixel: SubPixelTail},
}
"""A part's class and the class or function that runs it."""


def known(generator: Generator) -> bool:
    """True if the engine can run all parts of a network."""
    return all(type(part) in PREPARED for part in (generator.a, generator.b, *generator.layers, generator.d))


@torch.no_grad()
def prepare(part: nn.Module, means: Means) -> Any:
    """A Head, Layer or Tail."""
    return PREPARED[type(part)](part, means)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _affine(norm: IterationNorm, statistics: Statistics, t: int) -> tuple[Tensor, Tensor]:
    """Batch norm in evaluation as scale and shift, (C,) each."""
    mean, var = norm.running(t, statistics)
    scale = norm.weight.detach() / torch.sqrt(var + norm.epsilon)
    return scale, norm.bias.detach() - mean * scale


def _ordered(gates: Tensor) -> Tensor:
    """Gates in the order i, f, g, o -> f, i, 2 g, o."""
    i, f, g, o = gates.detach().chunk(4)
    return torch.cat([f, i, 2 * g, o])
