"""The generator as it is used, not trained: the same images from less work.

Exact up to rounding: batch norm is folded into the convolutions, the hidden half and the forget gate of a ConvLSTM are
left out where its state is still zero, part A's share of the first active layer is computed once per image, and a
3x3 convolution of a nearest-upsampled input is done as 2x2 convolutions before the upsampling.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from agm.config import Statistics
from agm.errors import AgmError
from agm.generator import Context, Generator
from agm.layers import LEAK, ConvLSTM, IterationNorm, PlainLayer, State
from agm.schedule import LAYERS, Mask, Schedule

UPSAMPLED = 2
"""C.2 stands before this layer, counted from 0."""


@dataclass
class Progress:
    """Where one batch of images stands: what stays the same, the last output, and the states of the layers."""

    context: Context
    previous: Tensor  # the last output, (N, 3, 2H, 2W)
    states: list[State] = field(default_factory=lambda: [None] * LAYERS)
    shares: dict[int, Tensor] = field(default_factory=dict)  # layer -> A's share of its first convolution
    t: int = 0


class Engine:
    """A trained generator prepared for inference. Its images are those of `Generator.iterate`, up to rounding."""

    def __init__(self, generator: Generator, statistics: Statistics = "iteration") -> None:
        """Raises AgmError for batch statistics, which are known only when the batch is there."""
        if statistics == "batch":
            raise AgmError("statistics 'batch' cannot be folded into the network; use 'iteration' or 'shared'")
        self.generator, self.config = generator, generator.config
        with torch.no_grad():
            self.a = _folded(generator.a.conv.weight, generator.a.norm, statistics, 0)
            steps = range(generator.config.iterations if statistics == "iteration" else 1)
            self.b = [_folded(generator.b.conv.weight, generator.b.norm, statistics, t) for t in steps]
            self.layers: list[Recurrent | Plain] = [
                Recurrent(layer) if isinstance(layer, ConvLSTM) else Plain(layer, statistics, steps)  # type: ignore[arg-type]
                for layer in generator.layers
            ]
            assert generator.d.bias is not None
            self.d = generator.d.weight.detach(), generator.d.bias.detach()

    @torch.no_grad()
    def start(self, x: Tensor) -> Progress:
        """x: (N, 3, H, W) in [0, 1] -> everything that the iterations share."""
        context = Context(F.leaky_relu_(F.conv2d(x, *self.a, padding=1), LEAK), self.generator.base(x))
        return Progress(context, self.generator.first_feedback(x, context))

    @torch.no_grad()
    def step(self, progress: Progress, mask: Mask) -> Tensor:
        """One iteration with the active layers of `mask` -> its image, (N, 3, 2H, 2W), not clamped."""
        t = min(progress.t, len(self.b) - 1)
        b = F.leaky_relu_(F.conv2d(progress.previous, *self.b[t], stride=2, padding=1), LEAK)
        z: Tensor | None = None  # None until a layer has seen [A(x), b]
        for i, layer in enumerate(self.layers):
            if not mask[i]:
                continue
            up = i >= UPSAMPLED and not any(mask[UPSAMPLED:i])  # C.2 comes right before this layer
            first = progress.states[i] is None
            if z is None:
                if i not in progress.shares:
                    progress.shares[i] = self._enter(
                        i, progress.context.features, slice(0, self.config.width), up, first=False
                    )
                entered = self._enter(i, b, slice(self.config.width, None), up, first)
                entered += progress.shares[i][:, -entered.shape[1] :]
            else:
                entered = self._enter(i, z, slice(None), up, first)
            z, progress.states[i] = layer.leave(entered, progress.states[i], t)
        assert z is not None  # layer 4 is active in every schedule
        image = F.conv2d(z, *self.d, padding=1)
        if self.config.residual:
            assert progress.context.base is not None
            image += progress.context.base
        progress.previous, progress.t = image, progress.t + 1
        return image

    def _enter(self, i: int, z: Tensor, channels: slice, up: bool, first: bool) -> Tensor:
        """The first convolution of layer i over some of its input channels, which z holds."""
        if up and self.config.upsampling == "bilinear":
            z, up = self.generator.upsample(z), False
        return self.layers[i].enter(z, channels, up, first)

    def iterate(self, x: Tensor, schedule: Schedule) -> Iterator[Tensor]:
        """Yield the image of each iteration, as `Generator.iterate` does."""
        progress = self.start(x)
        for mask in schedule.masks:
            yield self.step(progress, mask)


class Recurrent:
    """An r layer. Its gates lie in the order f, i, g, o, so that all but the first are one slice."""

    def __init__(self, layer: ConvLSTM) -> None:
        assert layer.gates.bias is not None
        self.weight, self.bias = (_forget_first(part.detach()) for part in (layer.gates.weight, layer.gates.bias))
        self.hidden = self.weight[:, layer.inputs :].contiguous()
        self.input = Input(self.weight[:, : layer.inputs], self.bias)
        self.later = Input(*(part[len(self.bias) // 4 :] for part in (self.input.weight, self.bias)))  # without f
        self.peephole = None if layer.peephole is None else layer.peephole.detach()

    def enter(self, z: Tensor, channels: slice, up: bool, first: bool) -> Tensor:
        """What some of the input channels give the gates: (N, 4 C, H, W), or (N, 3 C, H, W) where f is not needed."""
        return (self.later if first else self.input)(z, channels, up)

    def leave(self, gates: Tensor, state: State, t: int) -> tuple[Tensor, State]:
        """The gate and state equations of Section II-C, in place. Returns h and (h, c)."""
        cell = None
        if state is not None:
            gates += F.conv2d(state[0], self.hidden, padding=1)
            cell = state[1]
        *forget, i, g, o = gates.chunk(3 if cell is None else 4, dim=1)
        if self.peephole is not None and cell is not None:
            i += self.peephole[0] * cell
            forget[0] += self.peephole[1] * cell
        i.sigmoid_()
        g.tanh_()
        cell = i * g if cell is None else cell.mul_(forget[0].sigmoid_()).addcmul_(i, g)
        if self.peephole is not None:
            o += self.peephole[2] * cell
        h = o.sigmoid_() * torch.tanh(cell)
        return h, (h, cell)


class Plain:
    """An n layer. Both norms are folded into the second convolution, for each iteration."""

    def __init__(self, layer: PlainLayer, statistics: Statistics, steps: Iterable[int]) -> None:
        self.input = Input(layer.conv1.weight.detach(), None)
        self.second: list[tuple[Tensor, Tensor]] = []  # weight and bias
        self.shifts: list[Tensor] = []  # what the first norm adds, seen through the second convolution: (C, 1, 3, 3)
        self.borders: dict[tuple[int, int, int], list[Tensor]] = {}
        for t in steps:
            scale, shift = _affine(layer.norm1, statistics, t)
            weight, bias = _folded(layer.conv2.weight, layer.norm2, statistics, t)
            shifted = weight * shift[:, None, None]
            self.second.append((weight * scale[:, None, None], bias + shifted.sum((1, 2, 3))))
            self.shifts.append(shifted.sum(1, keepdim=True))

    def enter(self, z: Tensor, channels: slice, up: bool, first: bool) -> Tensor:
        """What some of the input channels give the first convolution: (N, C, H, W)."""
        return self.input(z, channels, up)

    def leave(self, u: Tensor, state: State, t: int) -> tuple[Tensor, State]:
        """The rest of the layer; `state` goes through as it came."""
        weight, bias = self.second[t]
        y = F.conv2d(F.leaky_relu_(u, LEAK), weight, bias, padding=1)
        self._mend_border(y, t)
        return y, state

    def _mend_border(self, y: Tensor, t: int) -> None:
        """Take back from the outermost pixels the part of the first norm's shift that lies outside the image."""
        height, width = y.shape[-2:]
        if (t, height, width) not in self.borders:
            ones = y.new_ones(1, 1, height, width)
            excess = F.conv2d(ones, self.shifts[t], padding=1)[0] - self.shifts[t].sum((1, 2, 3))[:, None, None]
            sides = [excess[:, 0], excess[:, -1], excess[:, 1:-1, 0], excess[:, 1:-1, -1]]
            self.borders[t, height, width] = [side.clone() for side in sides]
        top, bottom, left, right = self.borders[t, height, width]
        y[:, :, 0] += top
        if height > 1:
            y[:, :, -1] += bottom
        y[:, :, 1:-1, 0] += left
        if width > 1:
            y[:, :, 1:-1, -1] += right


class Input:
    """A 3x3 convolution of some of its input channels, if need be of their nearest upsampling (C.2)."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight, bias
        self.parts: dict[tuple[int | None, bool], Tensor] = {}

    def __call__(self, z: Tensor, channels: slice, up: bool) -> Tensor:
        """z: (N, I, H, W), `channels` of the input -> (N, O, H, W), or twice as high and wide. The bias goes with the
        first channel."""
        key = channels.start, up
        if key not in self.parts:
            part = self.weight[:, channels]
            self.parts[key] = phase_kernels(part) if up else part.contiguous()
        bias = None if channels.start else self.bias
        return phases(z, self.parts[key], bias) if up else F.conv2d(z, self.parts[key], bias, padding=1)


def phase_kernels(weight: Tensor) -> Tensor:
    """(O, I, 3, 3) -> (4 O, I, 2, 2), for `phases`: row and column phase vary fastest.

    Of three rows of a nearest-upsampled input two are copies of one row: the last two for even output rows, the first
    two for odd ones. Their weights can be added beforehand; likewise for columns.
    """
    a, b, c = weight.unbind(2)
    rows = torch.stack([torch.stack([a, b + c], 2), torch.stack([a + b, c], 2)], 1)  # (O, 2, I, 2, 3)
    a, b, c = rows.unbind(4)
    both = torch.stack([torch.stack([a, b + c], 4), torch.stack([a + b, c], 4)], 2)  # (O, 2, 2, I, 2, 2)
    return both.flatten(0, 2).contiguous()  # (O, 2, 2, I, 2, 2) -> (4 O, I, 2, 2)


def phases(z: Tensor, kernels: Tensor, bias: Tensor | None) -> Tensor:
    """A zero-padded 3x3 convolution of nearest-upsampled z: 16 instead of 36 products per pixel of z and channel.

    z: (N, I, H, W); kernels: from `phase_kernels`; bias: (O,) -> (N, O, 2H, 2W).
    """
    n, _, height, width = z.shape
    outputs = len(kernels) // 4
    bias = None if bias is None else bias.repeat_interleave(4)
    four = F.conv2d(z, kernels, bias, padding=1)  # (N, 4 O, H + 1, W + 1)
    four = four.view(n, outputs, 2, 2, height + 1, width + 1)  # (N, 4 O, ...) -> (N, O, 2, 2, ...)
    y = z.new_empty(n, outputs, 2 * height, 2 * width)
    for p in (0, 1):
        for q in (0, 1):
            y[:, :, p::2, q::2] = four[:, :, p, q, p : p + height, q : q + width]
    return y


def _affine(norm: IterationNorm, statistics: Statistics, t: int) -> tuple[Tensor, Tensor]:
    """Batch norm in evaluation as scale and shift, (C,) each."""
    mean, var = norm.running(t, statistics)
    scale = norm.weight.detach() / torch.sqrt(var + norm.epsilon)
    return scale, norm.bias.detach() - mean * scale


def _folded(weight: Tensor, norm: IterationNorm, statistics: Statistics, t: int) -> tuple[Tensor, Tensor]:
    """A convolution and the norm after it as one convolution: weight and bias."""
    scale, shift = _affine(norm, statistics, t)
    return weight.detach() * scale[:, None, None, None], shift


def _forget_first(gates: Tensor) -> Tensor:
    """Gates in the order i, f, g, o -> f, i, g, o."""
    i, f, g, o = gates.chunk(4)
    return torch.cat([f, i, g, o])
