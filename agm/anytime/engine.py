"""The generator as it is used, not trained: the same images from less work.

Exact up to rounding. The hidden half and the forget gate of a ConvLSTM are left out where its state is still zero;
part A's share of the first active layer is computed once per image; what the empty image before the first iteration
gives is remembered; and the 3x3 convolutions are Winograd's. Images are (N, H, W, C) inside; what never leaves its
pixel, such as the cells of a ConvLSTM, stays in the strips of tiles that the convolutions give.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from agm.anytime.plain import check_statistics, held_bytes
from agm.config import Statistics
from agm.generator import UPSAMPLED, Context, Generator
from agm.layers import LEAK, ConvLSTM, IterationNorm, PlainLayer
from agm.schedule import LAYERS, Mask, Schedule
from agm.winograd import TILE, Convolution, Scratch, Strip, place, tiles

State = tuple[Tensor, list[Tensor]] | None
"""Hidden state (N, H, W, C), and the strips of the cell state; None before its first use."""


@dataclass
class Progress:
    """Where one batch of images stands: what stays the same, the last output, and the states of the layers."""

    context: Context
    previous: Tensor  # the last output, (N, 3, 2H, 2W)
    states: list[State] = field(default_factory=lambda: [None] * LAYERS)
    share: tuple[Any, list[Tensor]] | None = None
    """A's share of the lowest layer's first convolution, in strips; and of which layer and outputs it is."""
    t: int = 0


class Engine:
    """A trained generator prepared for inference. Its images are those of `Generator.iterate`, up to rounding."""

    def __init__(self, generator: Generator, statistics: Statistics = "iteration") -> None:
        """Raises AgmError for batch statistics, which are known only when the batch is there."""
        check_statistics(statistics)
        self.generator, self.config = generator, generator.config
        scratch = Scratch()
        steps = range(generator.config.iterations if statistics == "iteration" else 1)
        with torch.no_grad():
            self.a = _folded(generator.a.conv.weight, generator.a.norm, statistics, 0)
            self.b = [_folded(generator.b.conv.weight, generator.b.norm, statistics, t) for t in steps]
            self.layers: list[Recurrent | Plain] = [
                Recurrent(layer, scratch) if isinstance(layer, ConvLSTM) else Plain(layer, statistics, steps, scratch)  # type: ignore[arg-type]
                for layer in generator.layers
            ]
        assert generator.d.bias is not None
        weight = generator.d.weight.detach().to(memory_format=torch.channels_last)
        self.d = weight, generator.d.bias.detach()
        self._blanks: dict[int, tuple[Any, list[Tensor]]] = {}  # layer -> input size, strips

    @torch.inference_mode()
    def start(self, x: Tensor) -> Progress:
        """x: (N, 3, H, W) in [0, 1] -> everything that the iterations share."""
        features = F.leaky_relu_(F.conv2d(_channels_last(x), *self.a, padding=1), LEAK)
        context = Context(features.permute(0, 2, 3, 1), self.generator.base(x))
        return Progress(context, self.generator.first_feedback(x, context))

    @torch.inference_mode()
    def step(self, progress: Progress, mask: Mask) -> Tensor:
        """One iteration with the active layers of `mask` -> its image, (N, 3, 2H, 2W), not clamped."""
        t = min(progress.t, len(self.b) - 1)
        n, _, height, width = progress.previous.shape
        z: Tensor | None = None  # None until a layer has seen [A(x), B(previous)]
        for i, layer in enumerate(self.layers):
            if mask[i]:
                up = i >= UPSAMPLED and not any(mask[UPSAMPLED:i])  # C.2 comes right before this layer
                size = (n, height, width) if i >= UPSAMPLED else (n, height // 2, width // 2)
                strips = self._lowest(progress, i, t, up) if z is None else self._entered(progress, i, z, up)
                z, progress.states[i] = layer.leave(strips, progress.states[i], size, t)
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
        sizes = [self.layers[i].convolution.weight.shape[2] * (4 if i >= UPSAMPLED else 1) for i in lowest]
        return held_bytes(self.config) + 4 * max(sizes)

    def _lowest(self, progress: Progress, i: int, t: int, up: bool) -> Iterator[Strip]:
        """The first convolution of layer i, where that is the lowest active one, on [A(x), B(previous)].

        `up`: its input is still to be upsampled.
        """
        if progress.t == 0 and self.config.feedback == "zeros":
            yield from self._first(progress, i, up)
            return
        shares = self._share(progress, i, up)
        strips = self._with_state(progress, i, self._b(progress.previous, t), up, skipped=self.config.width)
        for strip, share in zip(strips, shares, strict=True):
            strip.y.add_(share)
            yield strip

    def _first(self, progress: Progress, i: int, up: bool) -> Iterator[Strip]:
        """`_lowest` at the first iteration, where B sees the empty image."""
        outputs, blanks, kept = self.layers[i].outputs(None), self._blank(progress, i, up), list[Tensor]()
        for strip, blank in zip(self._of_a(progress, i, outputs, up), blanks, strict=True):
            if outputs == slice(None):  # the next iteration will ask for the same ones
                kept.append(strip.y.clone())
            strip.y.add_(blank)
            yield strip
        if kept:
            progress.share = (i, up, outputs), kept

    def _entered(self, progress: Progress, i: int, z: Tensor, up: bool) -> Iterator[Strip]:
        """The first convolution of layer i on z, what the layers below gave."""
        layer, outputs = self.layers[i], self.layers[i].outputs(progress.states[i])
        for strip in self._with_state(progress, i, z, up):
            if layer.bias is not None:
                strip.y.add_(layer.bias[outputs])
            yield strip

    def _with_state(self, progress: Progress, i: int, z: Tensor, up: bool, skipped: int = 0) -> Iterator[Strip]:
        """What layer i's first convolution makes of its inputs from `skipped` on, z, and of its hidden state."""
        layer, state = self.layers[i], progress.states[i]
        z, up = self._upsampled(z, up)
        parts = [z] if state is None else [z, state[0]]
        inputs = slice(skipped, layer.inputs if state is None else None)
        return layer.convolution(parts, inputs, layer.outputs(state), up)

    def _b(self, previous: Tensor, t: int) -> Tensor:
        """Part B: (N, 3, 2H, 2W) -> (N, H, W, width)."""
        b = F.conv2d(_channels_last(previous), *self.b[t], stride=2, padding=1)
        return F.leaky_relu_(b, LEAK).permute(0, 2, 3, 1)

    def _share(self, progress: Progress, i: int, up: bool) -> list[Tensor]:
        """A's part of what layer i's first convolution gives, and its bias: the same at every iteration."""
        outputs = self.layers[i].outputs(progress.states[i])
        key = i, up, outputs
        if progress.share is None or progress.share[0] != key:
            progress.share = key, self._with_bias(self._of_a(progress, i, outputs, up), i, outputs)
        return progress.share[1]

    def _blank(self, progress: Progress, i: int, up: bool) -> list[Tensor]:
        """B's part at the first iteration, and the bias: what B sees is black, the same for all images of a size."""
        key = progress.previous.shape, up
        if i not in self._blanks or self._blanks[i][0] != key:
            inputs, outputs = slice(self.config.width, 2 * self.config.width), self.layers[i].outputs(None)
            strips = self._part(self._b(progress.previous, 0), i, inputs, outputs, up)
            self._blanks[i] = key, self._with_bias(strips, i, outputs)
        return self._blanks[i][1]

    def _of_a(self, progress: Progress, i: int, outputs: slice, up: bool) -> Iterator[Strip]:
        """A's part of what layer i's first convolution gives."""
        return self._part(progress.context.features, i, slice(0, self.config.width), outputs, up)

    def _part(self, z: Tensor, i: int, inputs: slice, outputs: slice, up: bool) -> Iterator[Strip]:
        """Some inputs' part of what layer i's first convolution gives."""
        z, up = self._upsampled(z, up)
        return self.layers[i].convolution([z], inputs, outputs, up)

    def _with_bias(self, strips: Iterator[Strip], i: int, outputs: slice) -> list[Tensor]:
        """Strips to keep."""
        bias = self.layers[i].bias
        return [strip.y.clone() if bias is None else strip.y + bias[outputs] for strip in strips]

    def _upsampled(self, z: Tensor, up: bool) -> tuple[Tensor, bool]:
        """C.2 where the convolution cannot do it in passing."""
        if not up or self.config.upsampling == "nearest":
            return z, up
        return self.generator.upsample(z.permute(0, 3, 1, 2)).permute(0, 2, 3, 1), False


class Recurrent:
    """An r layer. Its gates lie in the order f, i, g, o, so that all but the first are one slice; g is doubled."""

    def __init__(self, layer: ConvLSTM, scratch: Scratch) -> None:
        self.inputs, self.channels = layer.inputs, layer.gates.out_channels // 4
        self.convolution = Convolution(_ordered(layer.gates.weight.detach()), scratch)
        assert layer.gates.bias is not None
        self.bias = _ordered(layer.gates.bias.detach())
        self.peephole = None if layer.peephole is None else layer.peephole.detach().flatten(1)  # (3, C)

    def outputs(self, state: State) -> slice:
        """The gates that are needed: without a state there is nothing to forget."""
        return slice(self.channels if state is None else 0, None)

    def leave(self, strips: Iterator[Strip], state: State, size: tuple[int, int, int], t: int) -> tuple[Tensor, State]:
        """The gate and state equations of Section II-C. size: (N, H, W). Returns h and (h, c)."""
        image, cells = None, []
        for number, strip in enumerate(strips):
            image = _image(strip.y, size, self.channels) if image is None else image
            cell, h = self._update(strip.y, None if state is None else state[1][number])
            place(Strip(strip.first, h), image)
            cells.append(cell)
        assert image is not None
        h = image[:, : size[1], : size[2]]
        return h, (h, cells)

    def _update(self, gates: Tensor, cell: Tensor | None) -> tuple[Tensor, Tensor]:
        """In place. gates: (..., 4 C), or (..., 3 C) where there is no cell yet -> the cell and h.

        tanh(g) is 2 sigmoid(2 g) - 1: torch is slow with the tanh of numbers that do not lie side by side.
        """
        *forget, i, g, o = gates.chunk(3 if cell is None else 4, dim=-1)
        if self.peephole is not None and cell is not None:
            i += self.peephole[0] * cell
            forget[0] += self.peephole[1] * cell
        gates[..., : -self.channels].sigmoid_()
        new = torch.addcmul(-i, i, g, value=2)  # i tanh(g)
        cell = new if cell is None else new.addcmul_(cell, forget[0])
        if self.peephole is not None:
            o += self.peephole[2] * cell
        return cell, torch.tanh(cell).mul_(o.sigmoid_())


class Plain:
    """An n layer."""

    bias = None

    def __init__(self, layer: PlainLayer, statistics: Statistics, steps: range, scratch: Scratch) -> None:
        self.inputs, self.channels = layer.conv1.in_channels, layer.conv1.out_channels
        self.convolution = Convolution(layer.conv1.weight, scratch)
        self.second = Convolution(layer.conv2.weight, scratch)
        self.norms = [[_affine(norm, statistics, t) for t in steps] for norm in (layer.norm1, layer.norm2)]

    def outputs(self, state: State) -> slice:
        """All of them."""
        return slice(None)

    def leave(self, strips: Iterator[Strip], state: State, size: tuple[int, int, int], t: int) -> tuple[Tensor, State]:
        """The rest of the layer; `state` goes through as it came."""
        u = self._normed(strips, self.norms[0][t], size, LEAK)
        return self._normed(self.second([u]), self.norms[1][t], size), state

    def _normed(
        self, strips: Iterator[Strip], norm: tuple[Tensor, Tensor], size: tuple[int, int, int], leak: float = 1.0
    ) -> Tensor:
        scale, shift = norm
        image = None
        for strip in strips:
            image = _image(strip.y, size, self.channels) if image is None else image
            y = F.leaky_relu_(strip.y, leak) if leak < 1 else strip.y
            place(Strip(strip.first, torch.addcmul(shift, y, scale, out=y)), image)
        assert image is not None
        return image[:, : size[1], : size[2]]


def _image(like: Tensor, size: tuple[int, int, int], channels: int) -> Tensor:
    """Room for whole tiles: (N, 4 rows, 4 columns, channels)."""
    n, height, width = size
    return like.new_empty(n, TILE * tiles(height), TILE * tiles(width), channels)


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
