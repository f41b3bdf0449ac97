"""The generator as it is used, not trained: the same images from less work.

Exact up to rounding. The hidden half and the forget gate of a ConvLSTM are left out where its state is still zero;
part A's share of the first active layer is computed once per image; what the empty image before the first iteration
gives is remembered; and the 3x3 convolutions are Winograd's. Images are (N, H, W, C) inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from agm.anytime import native
from agm.anytime.filtering import Added, Filtering, Kept, Source, TorchFiltering
from agm.anytime.plain import check_statistics, held_bytes
from agm.config import Statistics
from agm.errors import AgmError
from agm.generator import UPSAMPLED, Context, Generator
from agm.layers import LEAK, ConvLSTM, IterationNorm, PlainLayer
from agm.schedule import LAYERS, Mask, Schedule
from agm.winograd import Scratch

State = tuple[Tensor, Kept] | None
"""Hidden state (N, H, W, C), and the cell state; None before its first use."""


@dataclass
class Progress:
    """Where one batch of images stands: what stays the same, the last output, and the states of the layers."""

    context: Context
    previous: Tensor  # the last output, (N, 3, 2H, 2W)
    states: list[State] = field(default_factory=lambda: [None] * LAYERS)
    share: tuple[Any, Kept] | None = None
    """A's share of the lowest layer's first convolution; and of which layer and gates it is."""
    t: int = 0


class Engine:
    """A trained generator prepared for inference. Its images are those of `Generator.iterate`, up to rounding."""

    def __init__(self, generator: Generator, statistics: Statistics = "iteration", compiled: bool = True) -> None:
        """`compiled`: use machine code where a C++ compiler is there and the network is wide enough for it.

        Raises AgmError for batch statistics, which are known only when the batch is there.
        """
        check_statistics(statistics)
        if generator.config.base == "light":
            raise AgmError("the engine runs the paper's base only; run base='light' as it is")
        self.generator, self.config = generator, generator.config
        scratch = Scratch()

        def filtering(weight: Tensor, gates: int = 1) -> Filtering:
            if compiled and native.fits(weight, gates, self.config.width):
                return native.NativeFiltering(weight, gates)
            return TorchFiltering(weight, gates, scratch)

        steps = range(1 if statistics == "shared" else generator.config.iterations)
        with torch.no_grad():
            self.a = _folded(generator.a.conv.weight, generator.a.norm, statistics, 0)
            self.b = [_folded(generator.b.conv.weight, generator.b.norm, statistics, t) for t in steps]
            self.layers: list[Recurrent | Plain] = [
                Recurrent(layer, filtering)
                if isinstance(layer, ConvLSTM)
                else Plain(layer, statistics, steps, filtering)  # type: ignore[arg-type]
                for layer in generator.layers
            ]
        assert generator.d.bias is not None
        weight = generator.d.weight.detach().to(memory_format=torch.channels_last)
        self.d = weight, generator.d.bias.detach()
        self._blanks: dict[int, tuple[Any, Kept]] = {}  # layer -> input size, share
        native_too = any(isinstance(layer.filtering, native.NativeFiltering) for layer in self.layers)
        self.name = "engine, compiled" if native_too else "engine"

    @torch.inference_mode()
    def start(self, x: Tensor) -> Progress:
        """x: (N, 3, H, W) in [0, 1] -> everything that the iterations share."""
        features = F.leaky_relu_(F.conv2d(_channels_last(x), *self.a, padding=1), LEAK)
        context = Context(features.permute(0, 2, 3, 1), self.generator.base(x))
        return Progress(context, self.generator.first_memory(x, context).previous)

    @torch.inference_mode()
    def step(self, progress: Progress, mask: Mask) -> Tensor:
        """One iteration with the active layers of `mask` -> its image, (N, 3, 2H, 2W), not clamped."""
        t = min(progress.t, len(self.b) - 1)
        z: Tensor | None = None  # None until a layer has seen [A(x), B(previous)]
        for i, layer in enumerate(self.layers):
            if mask[i]:
                up = i >= UPSAMPLED and not any(mask[UPSAMPLED:i])  # C.2 comes right before this layer
                state = progress.states[i]
                if z is None:
                    source, added = self._lowest(progress, i, t, up)
                else:
                    source, added = self._source(z, up, state), layer.bias(state)
                z, progress.states[i] = layer.leave(source, added, state, t)
        assert z is not None  # layer 4 is active in every schedule
        image = F.conv2d(z.permute(0, 3, 1, 2), *self.d, padding=1)
        if self.config.residual:
            assert progress.context.base is not None
            image += progress.context.base
        progress.previous, progress.t = image, progress.t + 1
        return image

    def held_bytes(self, schedules: Iterable[Schedule]) -> int:
        """What `Progress` and one more image hold between iterations, in bytes per input pixel."""
        lowest = {mask.index(True) for schedule in schedules for mask in schedule}
        sizes = [self.layers[i].outputs * (4 if i >= UPSAMPLED else 1) for i in lowest]
        return held_bytes(self.config) + 4 * max(sizes)

    def _lowest(self, progress: Progress, i: int, t: int, up: bool) -> tuple[Source, Added]:
        """What layer i, the lowest active one, still has to see of [A(x), B(previous)], and what there is already.

        `up`: its input is still to be upsampled.
        """
        state = progress.states[i]
        if progress.t == 0 and self.config.feedback == "zeros":
            kept = None
            if self.layers[i].first(None) == 0:  # the next iteration will ask for the same gates
                kept = list[Tensor]()
                progress.share = (i, up, 0), kept
            return self._source(progress.context.features, up, kept=kept), self._blank(progress, i, up)
        share = self._share(progress, i, up)
        return self._source(self._b(progress.previous, t), up, state, self.config.width), share

    def _source(self, z: Tensor, up: bool, state: State = None, skipped: int = 0, kept: Kept | None = None) -> Source:
        """z, with C.2 before it where the convolution cannot do it in passing, and the hidden state."""
        if up and self.config.upsampling != "nearest":
            z, up = self.generator.upsample(z.permute(0, 3, 1, 2)).permute(0, 2, 3, 1), False
        return Source([z] if state is None else [z, state[0]], skipped, up, kept)

    def _b(self, previous: Tensor, t: int) -> Tensor:
        """Part B: (N, 3, 2H, 2W) -> (N, H, W, width)."""
        b = F.conv2d(_channels_last(previous), *self.b[t], stride=2, padding=1)
        return F.leaky_relu_(b, LEAK).permute(0, 2, 3, 1)

    def _share(self, progress: Progress, i: int, up: bool) -> Kept:
        """A's part of what layer i's first convolution gives, and its bias: the same at every iteration."""
        layer, state = self.layers[i], progress.states[i]
        key = i, up, layer.first(state)
        if progress.share is None or progress.share[0] != key:
            source = self._source(progress.context.features, up)
            progress.share = key, layer.filtering.raw(source, layer.bias(state), layer.first(state))
        return progress.share[1]

    def _blank(self, progress: Progress, i: int, up: bool) -> Kept:
        """B's part at the first iteration, and the bias: what B sees is black, the same for all images of a size."""
        layer, key = self.layers[i], (progress.previous.shape, up)
        if i not in self._blanks or self._blanks[i][0] != key:
            source = self._source(self._b(progress.previous, 0), up, skipped=self.config.width)
            self._blanks[i] = key, layer.filtering.raw(source, layer.bias(None), layer.first(None))
        return self._blanks[i][1]


class Recurrent:
    """An r layer. Its gates lie in the order f, i, g, o, so that all but the first are one slice; g is doubled."""

    def __init__(self, layer: ConvLSTM, filtering: Callable[..., Filtering]) -> None:
        assert layer.gates.bias is not None
        self.outputs = layer.gates.out_channels
        self.filtering = filtering(_ordered(layer.gates.weight.detach()), 4)
        self._bias = _ordered(layer.gates.bias.detach())
        self._peephole = None if layer.peephole is None else layer.peephole.detach().flatten(1)  # (3, C)

    def first(self, state: State) -> int:
        """The first gate that is needed: without a state there is nothing to forget."""
        return 1 if state is None else 0

    def bias(self, state: State) -> Tensor:
        return self._bias[self.first(state) * self.outputs // 4 :]

    def leave(self, source: Source, added: Added, state: State, t: int) -> tuple[Tensor, State]:
        """Returns h, and (h, c)."""
        cell = None if state is None else state[1]
        h, cell = self.filtering.gates(source, added, cell, self._peephole, self.first(state))
        return h, (h, cell)


class Plain:
    """An n layer."""

    def __init__(
        self, layer: PlainLayer, statistics: Statistics, steps: range, filtering: Callable[..., Filtering]
    ) -> None:
        self.outputs = layer.conv1.out_channels
        self.filtering, self.second = filtering(layer.conv1.weight), filtering(layer.conv2.weight)
        self._norms = [[_affine(norm, statistics, t) for t in steps] for norm in (layer.norm1, layer.norm2)]

    def first(self, state: State) -> int:
        """All of it is needed."""
        return 0

    def bias(self, state: State) -> None:
        """It has none."""

    def leave(self, source: Source, added: Added, state: State, t: int) -> tuple[Tensor, State]:
        """The layer's output; `state` goes through as it came."""
        u = self.filtering.norm(source, added, LEAK, *self._norms[0][t])
        return self.second.norm(Source([u]), None, 1.0, *self._norms[1][t]), state


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _affine(norm: IterationNorm, statistics: Statistics, t: int) -> tuple[Tensor, Tensor]:
    """Batch norm in evaluation as scale and shift, (C,) each."""
    mean, var = norm.running(t, statistics)
    scale = norm.weight.detach() / torch.sqrt(var + norm.epsilon)
    return scale, norm.bias.detach() - mean * scale


def _folded(weight: Tensor, norm: IterationNorm, statistics: Statistics, t: int) -> tuple[Tensor, Tensor]:
    """A convolution and the norm after it as one convolution: weight and bias."""
    scale, shift = _affine(norm, statistics, t)
    return _channels_last(weight.detach() * scale[:, None, None, None]), shift


def _ordered(gates: Tensor) -> Tensor:
    """Gates in the order i, f, g, o -> f, i, 2 g, o."""
    i, f, g, o = gates.chunk(4)
    return torch.cat([f, i, 2 * g, o])
