"""Fast inference: the images of `Generator.iterate`, up to rounding, from less arithmetic.

The hidden half and the forget gate of a ConvLSTM are left out while its state is zero. A's contribution to the lowest
active layer is computed once per image. The contribution of the zeros before iteration 1 is cached. Where there is a
C++ compiler, a layer is one piece of machine code. Images are (N, H, W, C) inside.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from agm.anytime.engine import native
from agm.anytime.engine.filtering import Filtering, Source
from agm.anytime.engine.parts import PREPARED, Recurrent, State, missing
from agm.anytime.stepper import check_statistics
from agm.config import Statistics
from agm.errors import AgmError
from agm.networks.blocks import LEAK
from agm.networks.generator import UPSAMPLED, Context, Generator
from agm.networks.layers.residual import cell_of
from agm.schedule import LAYERS, Mask


@dataclass
class Progress:
    """Inference state between iterations: the context, the input of B, and the states of the layers."""

    context: Context
    previous: Tensor  # the last image, (N, 3, 2H, 2W), or the features that it was made from, (N, width, H, W)
    states: list[State] = field(default_factory=lambda: [None] * LAYERS)
    share: tuple[Any, Tensor] | None = None
    """A's contribution to the lowest layer's first convolution, with the layer and the gates that it is for."""
    t: int = 0


class Engine:
    """A trained generator prepared for inference. Its images are those of `Generator.iterate`, up to rounding."""

    def __init__(self, generator: Generator, statistics: Statistics = "iteration", compiled: bool = True) -> None:
        """`compiled`: use machine code where a C++ compiler is there and the network is wide enough for it.

        Raises AgmError for a network that needs what is `missing`, and for batch statistics, which are known only when
        the batch is there.
        """
        check_statistics(statistics)
        if lacking := missing(generator):
            raise AgmError(f"the engine has no {lacking}; agm.anytime.stepper.Plain runs such a network")
        self.generator, self.config = generator, generator.config
        parts = copy.deepcopy((generator.a, generator.b, generator.d))
        self.a, self.b, self.d = (part.eval().to(memory_format=torch.channels_last) for part in parts)

        def filtering(weight: Tensor, bias: Tensor | None = None, gates: int = 1) -> Filtering:
            weight, bias = weight.detach(), None if bias is None else bias.detach()
            if compiled and native.fits(weight, gates, self.config.width):
                return native.NativeFiltering(weight, bias, gates)
            return Filtering(weight, bias, gates)

        self.statistics = statistics
        self._upsampled = UPSAMPLED if self.config.base == "paper" else LAYERS  # C.2 comes before this layer
        self.layers = [PREPARED[type(cell_of(layer))](layer, filtering, statistics) for layer in generator.layers]
        on_features = self.config.feedback == "features"
        self._filtering_b = filtering(generator.b.conv.weight, generator.b.conv.bias) if on_features else None
        zeros = generator.b.conv.weight.new_zeros(1, self.config.width if on_features else 3, 2, 2)
        self._blank = self._b(zeros, 0)[:, :1, :1]  # what B makes of zeros: one pixel, since all are equal
        self._blanks: dict[int, tuple[Any, Tensor]] = {}  # layer -> input size, share

    @torch.inference_mode()
    def start(self, x: Tensor) -> Progress:
        """x: (N, 3, H, W) in [0, 1] -> everything that the iterations share."""
        features = self.a(x.contiguous(memory_format=torch.channels_last), 0, self.statistics)
        context = Context(_channels_last(features), self.generator.bicubic(x))
        return Progress(context, self.generator.first_memory(x, context).previous)

    @torch.inference_mode()
    def step(self, progress: Progress, mask: Mask) -> Tensor:
        """One iteration with the active layers of `mask` -> its image, (N, 3, 2H, 2W), not clamped."""
        t = min(progress.t, self.config.iterations - 1)
        z: Tensor | None = None  # None until a layer has seen [A(x), B(previous)]
        for i, layer in enumerate(self.layers):
            if mask[i]:
                up = i >= self._upsampled and not any(mask[self._upsampled : i])
                state = progress.states[i]
                if z is None:
                    source = self._lowest(progress, i, t, up)
                else:
                    source = Source([z] if state is None else [z, state[0]], up=up)
                z, progress.states[i] = layer.forward(source, state, t)
        assert z is not None  # layer 4 is active in every schedule
        z = z.permute(0, 3, 1, 2)  # (N, width, h, w)
        image: Tensor = self.d(z)
        if self.config.residual:
            assert progress.context.bicubic is not None
            image += progress.context.bicubic
        progress.previous = z if self.config.feedback == "features" else image
        progress.t += 1
        return image

    @torch.inference_mode()
    def _b(self, previous: Tensor, t: int) -> Tensor:
        """B of the last image or features, (N, C, h, w) -> (N, H, W, width)."""
        if self._filtering_b is None:
            return _channels_last(self.b(previous, t, self.statistics))
        return self._filtering_b.norm(Source([_channels_last(previous)]), LEAK)

    def _lowest(self, progress: Progress, i: int, t: int, up: bool) -> Source:
        """Input, with cached partial output, for layer i, the lowest active one, which reads [A(x), B(previous)].

        `up`: its input is still to be upsampled.
        """
        features, state = progress.context.features, progress.states[i]
        if progress.t == 0 and self.config.feedback != "bicubic":
            return Source([features], up=up, share=self._of_blank(features, i, up), whole=[features, self._blank])
        share, b = self._share(progress, i, up), self._b(progress.previous, t)
        parts = [b] if state is None else [b, state[0]]
        return Source(parts, self.config.width, up, share, whole=[features, b])

    def _share(self, progress: Progress, i: int, up: bool) -> Tensor:
        """A's contribution to layer i's first convolution, the same at every iteration."""
        key = i, up, self._first_gate(i, progress.states[i])
        if progress.share is None or progress.share[0] != key:
            source = Source([progress.context.features], up=up)
            progress.share = key, self.layers[i].filtering.raw(source, key[2])
        return progress.share[1]

    def _of_blank(self, features: Tensor, i: int, up: bool) -> Tensor:
        """B's contribution to layer i's first convolution at iteration 1, the same for all images of a size."""
        key = features.shape, up
        if i not in self._blanks or self._blanks[i][0] != key:
            source = Source([self._blank.expand_as(features)], self.config.width, up)
            self._blanks[i] = key, self.layers[i].filtering.raw(source, self._first_gate(i, None))
        return self._blanks[i][1]

    def _first_gate(self, i: int, state: State) -> int:
        """The first of layer i's gates that is needed: without a state there is nothing to forget."""
        return int(isinstance(self.layers[i], Recurrent) and state is None)


def _channels_last(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H, W, C)"""
    return x.permute(0, 2, 3, 1).contiguous()
