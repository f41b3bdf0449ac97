"""Zero-padded 3x3 convolutions by Winograd's minimal filtering: 36 instead of 144 products per 4x4 pixels and channel.

F(4x4, 3x3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016), with the interpolation points
of Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution" (2020), which lose the fewest
digits. All of it is products of matrices and copies, which torch does well on any machine.

Images are (N, H, W, C) here, so that cutting them into tiles and putting them together moves whole rows of channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

TILE = 4
"""Side of a tile of the output."""
PATCH = TILE + 2
"""Side of a patch of the input; neighbouring patches overlap by two pixels."""
POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)
"""With infinity, the points at which the polynomials behind it are multiplied."""
STRIP = 512
"""About how many tiles are computed at a time, to bound memory."""


class Strip(NamedTuple):
    """Some rows of tiles of a result, from row `first`. `y`: (4, 4, N, rows, columns, C), place in the tile first."""

    first: int
    y: Tensor


class Scratch:
    """Reusable workspace buffers: to allocate them each time takes as long as the arithmetic."""

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def __call__(self, name: str, like: Tensor, *shape: int) -> Tensor:
        size = math.prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < size or buffer.dtype != like.dtype or buffer.device != like.device:
            buffer = self._buffers[name] = like.new_empty(size)
        return buffer[:size].view(shape)


def transforms() -> tuple[Tensor, Tensor, Tensor]:
    """The one-dimensional transforms in 64 bits: of the input (6, 6), the weight (6, 3) and the output (4, 6)."""
    others = [[q for q in POINTS if q != p] for p in POINTS]
    into = [[*np.poly(rest)[::-1], 0.0] for rest in others] + [np.poly(POINTS)[::-1]]
    scale = [math.prod(p - q for q in rest) for p, rest in zip(POINTS, others, strict=True)]
    weight = [*np.vander(POINTS, 3, increasing=True) / np.array(scale)[:, None], [0.0, 0.0, 1.0]]
    out = [*np.vander(POINTS, TILE, increasing=True), [0.0] * (TILE - 1) + [1.0]]
    return torch.tensor(np.array(into)), torch.tensor(np.array(weight)), torch.tensor(np.array(out).T.copy())


def factors(weight: Tensor) -> Tensor:
    """Weights (O, I, 3, 3) -> (36, I, O), transformed for the product with transformed patches."""
    of_weight = transforms()[1]
    transformed = torch.einsum("ai,ocij,bj->abco", of_weight, weight.detach().double().cpu(), of_weight)
    return transformed.flatten(0, 1).to(weight)


class Convolution:
    """A zero-padded 3x3 convolution without bias, of which parts may be used: some inputs, some outputs."""

    def __init__(self, weight: Tensor, scratch: Scratch) -> None:
        """weight: (O, I, 3, 3)."""
        into, _, out = transforms()
        self.weight = factors(weight)
        self._into, self._out = torch.kron(into, into).to(weight), torch.kron(out, out).to(weight)
        in_pairs = torch.eye(PATCH - 2).to(into).repeat_interleave(2, 0)[1:-1]  # the pixels of an upsampled patch
        twice = into @ in_pairs
        self._into_twice = torch.kron(twice, twice).to(weight)
        self._scratch = scratch

    def __call__(
        self, parts: list[Tensor], inputs: slice = slice(None), outputs: slice = slice(None), up: bool = False
    ) -> Iterator[Strip]:
        """parts: (N, H, W, C_i) each, together the `inputs`; only the `outputs` are computed, strip by strip.

        `up`: the first part is half as high and wide and is upsampled (nearest). A strip must be used before the next
        one is asked for, which takes its memory.
        """
        # Alone, what is upsampled can stay small: a patch has as many numbers as different pixels.
        alone = up and len(parts) == 1
        into, tile = (self._into_twice, TILE // 2) if alone else (self._into, TILE)
        padded = self._pad(parts, up and not alone, tile)
        weight = self.weight[:, inputs, outputs]
        n, channels = padded.shape[0], padded.shape[3]
        height, width = ((side - 2) // tile for side in padded.shape[1:3])  # in tiles
        for first, rows in strips(n, height, width):
            tiles = n * rows * width
            patches = self._scratch("large", padded, (tile + 2) ** 2, tiles * channels)
            patches.view(tile + 2, tile + 2, n, rows, width, channels).copy_(cut(padded, first, rows, width, tile))
            seen = torch.mm(into, patches, out=self._scratch("small", padded, PATCH * PATCH, patches.shape[1]))
            products = self._scratch("large", padded, PATCH * PATCH, tiles, weight.shape[2])
            torch.bmm(seen.view(PATCH * PATCH, tiles, channels), weight, out=products)
            y = self._scratch("small", padded, TILE * TILE, tiles * weight.shape[2])
            torch.mm(self._out, products.flatten(1), out=y)
            yield Strip(first, y.view(TILE, TILE, n, rows, width, -1))

    def _pad(self, parts: list[Tensor], up: bool, tile: int) -> Tensor:
        """The parts side by side, with zeros around them: whole tiles, (N, tile rows + 2, tile columns + 2, C)."""
        n, height, width, channels = parts[0].shape
        if up:
            height, width = 2 * height, 2 * width
        channels = sum(part.shape[3] for part in parts)
        size = (tile * tiles(height, tile) + 2, tile * tiles(width, tile) + 2)
        padded = self._scratch("padded", parts[0], n, *size, channels)
        padded[:, 0], padded[:, height + 1 :] = 0, 0
        padded[:, :, 0], padded[:, :, width + 1 :] = 0, 0
        inner, start = padded[:, 1 : height + 1, 1 : width + 1], 0
        for part in parts:
            room = inner[..., start : start + part.shape[3]]
            if up and start == 0:
                room.view(n, height // 2, 2, width // 2, 2, -1).copy_(part[:, :, None, :, None])
            else:
                room.copy_(part)
            start += part.shape[3]
        return padded


def strips(images: int, rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """The rows of tiles in portions of about STRIP tiles: the first row, and how many."""
    step = max(1, STRIP // (images * columns))
    return ((first, min(step, rows - first)) for first in range(0, rows, step))


def cut(padded: Tensor, first: int, rows: int, columns: int, tile: int = TILE) -> Tensor:
    """Some rows of patches: (N, H, W, C) -> (tile + 2, tile + 2, N, rows, columns, C), without a copy."""
    padded = padded[:, tile * first :]
    n, _, _, channels = padded.shape
    image, row, column, channel = padded.stride()
    strides = (row, column, image, tile * row, tile * column, channel)
    return padded.as_strided((tile + 2, tile + 2, n, rows, columns, channels), strides)


def tiles(side: int, tile: int = TILE) -> int:
    """How many tiles cover so many pixels."""
    return -(-side // tile)


def place(strip: Strip, image: Tensor) -> None:
    """Write a strip where it belongs. image: (N, 4 rows, 4 columns, C)."""
    tiled(image)[:, :, :, strip.first : strip.first + strip.y.shape[3]].copy_(strip.y)


def tiled(image: Tensor) -> Tensor:
    """(N, 4 rows, 4 columns, C) -> (4, 4, N, rows, columns, C), the place in the tile first, without a copy."""
    n, height, width, channels = image.shape
    return image.view(n, height // TILE, TILE, width // TILE, TILE, channels).permute(2, 4, 0, 1, 3, 5)
