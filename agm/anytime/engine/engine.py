"""Fast inference: the images of `Generator.iterate`, up to rounding, from less arithmetic.

The hidden half and the forget gate of a ConvLSTM are left out while its state is zero. A's contribution to the lowest
active layer is computed once per image. The contribution of the zeros before iteration 1 is cached. The 3x3
convolutions are Winograd's. Images are (N, H, W, C) inside.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from agm.anytime.engine import native
from agm.anytime.engine.filtering import Filtering, Kept, Source, TorchFiltering
from agm.anytime.engine.parts import Head, Layer, Means, State, Tail, prepare
from agm.anytime.engine.winograd import Scratch
from agm.anytime.stepper import check_statistics, held_bytes
from agm.config import Statistics
from agm.networks.generator import UPSAMPLED, Context, Generator
from agm.schedule import LAYERS, Mask, Schedule


@dataclass
class Progress:
    """Inference state between iterations: the context, the input of B, and the states of the layers."""

    context: Context
    previous: Tensor  # the last image, (N, 3, 2H, 2W), or the features that it was made from, (N, width, H, W)
    states: list[State] = field(default_factory=lambda: [None] * LAYERS)
    share: tuple[Any, Kept] | None = None
    """A's contribution to the lowest layer's first convolution, with the layer and the gates that it is for."""
    t: int = 0


class Engine:
    """A trained generator prepared for inference. Its images are those of `Generator.iterate`, up to rounding."""

    def __init__(self, generator: Generator, statistics: Statistics = "iteration", compiled: bool = True) -> None:
        """`compiled`: use machine code where a C++ compiler is there and the network is wide enough for it.

        Raises AgmError for batch statistics, which are known only when the batch is there.
        """
        check_statistics(statistics)
        self.generator, self.config = generator, generator.config
        scratch = Scratch()

        def filtering(weight: Tensor, bias: Tensor | None = None, gates: int = 1) -> Filtering:
            weight, bias = weight.detach(), None if bias is None else bias.detach()
            if compiled and native.fits(weight, gates, self.config.width):
                return native.NativeFiltering(weight, bias, gates)
            return TorchFiltering(weight, bias, gates, scratch)

        steps = range(1 if statistics == "shared" else generator.config.iterations)
        means = Means(filtering, statistics, steps)
        self._last_step = steps[-1]
        self._upsampled = UPSAMPLED if self.config.base == "paper" else LAYERS  # C.2 comes before this layer
        self.a: Head = prepare(generator.a, means)
        self.b: Head = prepare(generator.b, means)
        self.layers: list[Layer] = [prepare(layer, means) for layer in generator.layers]
        self.d: Tail = prepare(generator.d, means)
        self._blank_pixel: Tensor | None = None
        self._blanks: dict[int, tuple[Any, Kept]] = {}  # layer -> input size, share
        native_too = any(isinstance(layer.filtering, native.NativeFiltering) for layer in self.layers)
        self.name = "engine, compiled" if native_too else "engine"

    @torch.inference_mode()
    def start(self, x: Tensor) -> Progress:
        """x: (N, 3, H, W) in [0, 1] -> everything that the iterations share."""
        context = Context(self.a(x, 0), self.generator.base(x))
        return Progress(context, self.generator.first_memory(x, context).previous)

    @torch.inference_mode()
    def step(self, progress: Progress, mask: Mask) -> Tensor:
        """One iteration with the active layers of `mask` -> its image, (N, 3, 2H, 2W), not clamped."""
        t = min(progress.t, self._last_step)
        z: Tensor | None = None  # None until a layer has seen [A(x), B(previous)]
        for i, layer in enumerate(self.layers):
            if mask[i]:
                up = i >= self._upsampled and not any(mask[self._upsampled : i])
                state = progress.states[i]
                if z is None:
                    source = self._lowest(progress, i, t, up)
                else:
                    source = self._source([z] if state is None else [z, state[0]], up)
                z, progress.states[i] = layer.forward(source, state, t)
        assert z is not None  # layer 4 is active in every schedule
        image = self.d(z)
        if self.config.residual:
            assert progress.context.base is not None
            image += progress.context.base
        progress.previous = z.permute(0, 3, 1, 2) if self.config.feedback == "features" else image
        progress.t += 1
        return image

    def held_bytes(self, schedules: Iterable[Schedule]) -> int:
        """Memory of `Progress` and one more image between iterations, in bytes per input pixel."""
        lowest = {mask.index(True) for schedule in schedules for mask in schedule}
        sizes = [self.layers[i].outputs * (4 if i >= self._upsampled else 1) for i in lowest]
        return held_bytes(self.config) + 4 * max(sizes)

    def _lowest(self, progress: Progress, i: int, t: int, up: bool) -> Source:
        """Input, with cached partial output, for layer i, the lowest active one, which reads [A(x), B(previous)].

        `up`: its input is still to be upsampled.
        """
        features, state = progress.context.features, progress.states[i]
        if progress.t == 0 and self.config.feedback != "bicubic":
            blank, kept = self._blank(progress), None
            if self.layers[i].first(None) == 0:  # the next iteration will ask for the same gates
                kept = list[Tensor]()
                progress.share = (i, up, 0), kept
            share = self._of_blank(features, blank, i, up)
            return self._source([features], up, share=share, kept=kept, whole=[features, blank])
        share, b = self._share(progress, i, up), self.b(progress.previous, t)
        parts = [b] if state is None else [b, state[0]]
        return self._source(parts, up, share=share, skipped=self.config.width, whole=[features, b])

    def _source(self, parts: list[Tensor], up: bool, **more: Any) -> Source:
        """The source, upsampled here where the convolution cannot do it itself."""
        if up and self.config.upsampling != "nearest":
            z = self.generator.upsample(parts[0].permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            parts, up = [z, *parts[1:]], False
        return Source(parts, up=up, **more)

    def _share(self, progress: Progress, i: int, up: bool) -> Kept:
        """A's contribution to layer i's first convolution, the same at every iteration."""
        layer = self.layers[i]
        key = i, up, layer.first(progress.states[i])
        if progress.share is None or progress.share[0] != key:
            source = self._source([progress.context.features], up)
            progress.share = key, layer.filtering.raw(source, key[2])
        return progress.share[1]

    def _blank(self, progress: Progress) -> Tensor:
        """The output of B for an input of zeros: one pixel, (1, 1, 1, width), since all are equal."""
        if self._blank_pixel is None:
            zeros = progress.previous.new_zeros(1, progress.previous.shape[1], 2, 2)
            self._blank_pixel = self.b(zeros, 0)[:, :1, :1]
        return self._blank_pixel

    def _of_blank(self, features: Tensor, blank: Tensor, i: int, up: bool) -> Kept:
        """B's contribution to layer i's first convolution at iteration 1, the same for all images of a size."""
        layer, key = self.layers[i], (features.shape, up)
        if i not in self._blanks or self._blanks[i][0] != key:
            source = self._source([blank.expand_as(features)], up, skipped=self.config.width)
            self._blanks[i] = key, layer.filtering.raw(source, layer.first(None))
        return self._blanks[i][1]
