"""A 3x3 convolution fused with what follows it: bias, activation, norm, or the gates of a ConvLSTM. On torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from agm.anytime.engine.winograd import TILE, Convolution, Scratch, Strip, place, tiles

Kept = list[Tensor]
"""A cached partial convolution output, in the backend's own layout."""


class Source(NamedTuple):
    """The input of a convolution: images (N, H, W, C) whose channels follow one another, from channel `skipped` on.

    `up`: the first image is half as high and wide, and is upsampled (nearest). `share`: the cached output of the same
    convolution for its other inputs, to be added. `kept`: a list that receives the convolution alone, to be reused.
    `whole`: all inputs of the layer, where `parts` has only some of them; one of them may be a single pixel that stands
    for a whole image.
    """

    parts: list[Tensor]
    skipped: int = 0
    up: bool = False
    share: Kept | None = None
    kept: Kept | None = None
    whole: list[Tensor] | None = None

    @property
    def size(self) -> tuple[int, int, int]:
        """(N, H, W) of the output."""
        n, height, width, _ = self.parts[0].shape
        return (n, 2 * height, 2 * width) if self.up else (n, height, width)


class Filtering(Protocol):
    """A zero-padded 3x3 convolution for the gates of a layer, all of them or those from gate `first` on."""

    def raw(self, source: Source, first: int = 0) -> Kept:
        """The convolution, without the bias."""

    def norm(self, source: Source, leak: float, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """With the bias; leaky ReLU of slope `leak`; scale, (C,), and shift, (C,) or an image -> (N, H, W, C)."""

    def gates(self, source: Source, cell: Kept | None, peephole: Tensor | None, first: int) -> tuple[Tensor, Kept]:
        """The gate and state equations of Section II-C -> h, (N, H, W, C), and the cell, in whose place it may be put.

        The gates are f, i, 2 g and o; without a cell there is no f. peephole: (3, C).
        """


class TorchFiltering:
    """`Filtering` by Winograd's algorithm in torch, strip by strip; cells and cached outputs are kept as strips."""

    def __init__(self, weight: Tensor, bias: Tensor | None, gates: int, scratch: Scratch) -> None:
        """weight: (gates * C, inputs, 3, 3); bias: (gates * C,)."""
        self.channels, self.bias = weight.shape[0] // gates, bias
        self.convolution = Convolution(weight, scratch)

    def raw(self, source: Source, first: int = 0) -> Kept:
        return [strip.y.clone() for strip in self._strips(source, first)]

    def norm(self, source: Source, leak: float, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        image = None
        for strip in self._sums(source, 0):
            image = self._whole_tiles(strip.y, source.size) if image is None else image
            y = F.leaky_relu_(strip.y, leak) if leak < 1 else strip.y
            place(Strip(strip.first, y if scale is None else y.mul_(scale)), image)
        assert image is not None
        image = image[:, : source.size[1], : source.size[2]]
        return image if shift is None else image.add_(shift)

    def gates(self, source: Source, cell: Kept | None, peephole: Tensor | None, first: int) -> tuple[Tensor, Kept]:
        image, cells = None, []
        for number, strip in enumerate(self._sums(source, first)):
            image = self._whole_tiles(strip.y, source.size) if image is None else image
            new, h = self._update(strip.y, None if cell is None else cell[number], peephole)
            place(Strip(strip.first, h), image)
            cells.append(new)
        assert image is not None
        return image[:, : source.size[1], : source.size[2]], cells

    def _strips(self, source: Source, first: int) -> Iterator[Strip]:
        inputs = slice(source.skipped, source.skipped + sum(part.shape[3] for part in source.parts))
        return self.convolution(source.parts, inputs, slice(first * self.channels, None), source.up)

    def _sums(self, source: Source, first: int) -> Iterator[Strip]:
        for number, strip in enumerate(self._strips(source, first)):
            if source.kept is not None:
                source.kept.append(strip.y.clone())
            if source.share is not None:
                strip.y.add_(source.share[number])
            if self.bias is not None:
                strip.y.add_(self.bias[first * self.channels :])
            yield strip

    def _whole_tiles(self, like: Tensor, size: tuple[int, int, int]) -> Tensor:
        n, height, width = size
        return like.new_empty(n, TILE * tiles(height), TILE * tiles(width), self.channels)

    def _update(self, gates: Tensor, cell: Tensor | None, peephole: Tensor | None) -> tuple[Tensor, Tensor]:
        """In place. gates: (..., 4 C), or (..., 3 C) where there is no cell yet -> the cell and h.

        tanh(g) is 2 sigmoid(2 g) - 1: torch is slow with the tanh of numbers that do not lie side by side.
        """
        *forget, i, g, o = gates.chunk(3 if cell is None else 4, dim=-1)
        if peephole is not None and cell is not None:
            i += peephole[0] * cell
            forget[0] += peephole[1] * cell
        gates[..., : -self.channels].sigmoid_()
        new = torch.addcmul(-i, i, g, value=2)  # i tanh(g)
        cell = new if cell is None else new.addcmul_(cell, forget[0])
        if peephole is not None:
            o += peephole[2] * cell
        return cell, torch.tanh(cell).mul_(o.sigmoid_())
