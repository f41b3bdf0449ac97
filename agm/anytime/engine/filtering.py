"""A 3x3 convolution fused with what follows it: bias, activation, norm, or the gates of a ConvLSTM. On torch."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from agm.networks.generator import SCALE


class Source(NamedTuple):
    """The input of a convolution: images (N, H, W, C) whose channels follow one another, from channel `skipped` on.

    `up`: the first image is half as high and wide, and is upsampled (nearest). `share`: the cached output of the same
    convolution for its other inputs, to be added. `whole`: all inputs of the layer, where `parts` has only some; one of
    them may be a single pixel that stands for a whole image.
    """

    parts: list[Tensor]
    skipped: int = 0
    up: bool = False
    share: Tensor | None = None
    whole: list[Tensor] | None = None

    @property
    def size(self) -> tuple[int, int, int]:
        """(N, H, W) of the output."""
        n, height, width, _ = self.parts[0].shape
        return (n, SCALE * height, SCALE * width) if self.up else (n, height, width)


class Filtering:
    """A zero-padded 3x3 convolution for the gates of a layer, all of them or those from gate `first` on."""

    def __init__(self, weight: Tensor, bias: Tensor | None, gates: int) -> None:
        """weight: (gates * C, inputs, 3, 3); bias: (gates * C,)."""
        self.channels, self.weight, self.bias = weight.shape[0] // gates, weight, bias

    def raw(self, source: Source, first: int = 0) -> Tensor:
        """The convolution, without the bias -> (N, H, W, gates * C)."""
        low, *rest = (part.permute(0, 3, 1, 2) for part in source.parts)  # (N, C, H, W)
        low = F.interpolate(low, scale_factor=SCALE, mode="nearest") if source.up else low
        x = torch.cat([low, *rest], dim=1)
        weight = self.weight[first * self.channels :, source.skipped : source.skipped + x.shape[1]]
        return F.conv2d(x, weight, padding=1).permute(0, 2, 3, 1)

    def norm(self, source: Source, leak: float, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """With the bias; leaky ReLU of slope `leak`; scale, (C,), and shift, (C,) or an image -> (N, H, W, C)."""
        y = self._sum(source, 0)
        y = F.leaky_relu_(y, leak) if leak < 1 else y
        y = y if scale is None else y.mul_(scale)
        return y if shift is None else y.add_(shift)

    def gates(self, source: Source, cell: Tensor | None) -> tuple[Tensor, Tensor]:
        """The gate and state equations of Section II-C -> h and the cell, (N, H, W, C), which may overwrite `cell`.

        The gates are f, i, g and o; without a cell there is no f.
        """
        *forget, i, g, o = self._sum(source, int(cell is None)).chunk(3 if cell is None else 4, dim=3)
        new = i.sigmoid() * g.tanh()
        if cell is not None:
            new = forget[0].sigmoid() * cell + new
        return o.sigmoid() * new.tanh(), new

    def _sum(self, source: Source, first: int) -> Tensor:
        y = self.raw(source, first)
        y = y if source.share is None else y.add_(source.share)
        return y if self.bias is None else y.add_(self.bias[first * self.channels :])
