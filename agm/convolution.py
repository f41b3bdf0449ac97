"""3x3 convolutions by Winograd's minimal filtering, with their gradients: faster training on processors.

Gradients go the same way backwards: each of the three convolutions of a training step is done with a quarter of the
products. For the backward pass inputs and weights are transformed anew: what an ordinary convolution keeps is enough.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from agm.layers import ConvLSTM, PlainLayer
from agm.winograd import PATCH, TILE, Scratch, cut, strips, tiled, tiles, transforms

LEAST = 128
"""Channels from which on it pays: with 64, transforming takes as long as what it saves."""


def pays(module: nn.Module) -> bool:
    """Whether all convolutions of a layer have enough channels."""
    weights = [part.weight for part in module.modules() if isinstance(part, nn.Conv2d)]
    return all(min(weight.shape[:2]) >= LEAST for weight in weights)


def install(network: nn.Module) -> None:
    """Have those layers of a network train with it for which it pays."""
    convolve = WinogradConvolution()
    for module in network.modules():
        if isinstance(module, PlainLayer | ConvLSTM) and pays(module):
            module.training_convolve = convolve


class WinogradConvolution:
    """A zero-padded 3x3 convolution on the CPU, differentiable by input, weight and bias."""

    def __init__(self) -> None:
        self.scratch = Scratch()
        self._matrices: dict[torch.dtype, tuple[Tensor, Tensor, Tensor]] = {}

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """x: (N, C, H, W), weight: (O, C, 3, 3), bias: (O,) -> (N, O, H, W), channels last in memory."""
        y: Tensor = _Function.apply(x, weight, self)  # type: ignore[no-untyped-call]
        return y if bias is None else y + bias[:, None, None]

    def matrices(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """In two dimensions: of input (36, 36), weight (36, 9) and output (16, 36)."""
        if dtype not in self._matrices:
            into, weight, out = (torch.kron(matrix, matrix).to(dtype) for matrix in transforms())
            self._matrices[dtype] = (into, weight, out)
        return self._matrices[dtype]

    def factors(self, weight: Tensor) -> Tensor:
        """(O, C, 3, 3) -> (36, C, O)."""
        outputs, inputs = weight.shape[:2]
        flat = weight.permute(2, 3, 1, 0).reshape(9, inputs * outputs)
        return (self.matrices(weight.dtype)[1] @ flat).view(PATCH * PATCH, inputs, outputs)

    def padded(self, x: Tensor) -> Tensor:
        """x: (N, H, W, C), with zeros around it to whole tiles."""
        n, height, width, channels = x.shape
        padded = self.scratch("padded", x, n, TILE * tiles(height) + 2, TILE * tiles(width) + 2, channels)
        padded[:, 0], padded[:, height + 1 :] = 0, 0
        padded[:, :, 0], padded[:, :, width + 1 :] = 0, 0
        padded[:, 1 : height + 1, 1 : width + 1] = x
        return padded

    def seen(self, padded: Tensor, first: int, rows: int, columns: int) -> Tensor:
        """The transformed patches of some rows of tiles: (36, tiles, C)."""
        n, _, _, channels = padded.shape
        patches = self.scratch("patches", padded, PATCH * PATCH, n * rows * columns * channels)
        patches.view(PATCH, PATCH, n, rows, columns, channels).copy_(cut(padded, first, rows, columns))
        seen = self.scratch("seen", padded, *patches.shape)
        return torch.mm(self.matrices(padded.dtype)[0], patches, out=seen).view(PATCH * PATCH, -1, channels)


class _Function(torch.autograd.Function):
    """With B, G, A for the three matrices: Y = A((G w) . (B x)), and what the chain rule makes of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, use: WinogradConvolution) -> Tensor:
        x = x.permute(0, 2, 3, 1)  # (N, C, H, W) -> (N, H, W, C)
        (n, height, width, _), outputs = x.shape, weight.shape[0]
        ctx.save_for_backward(x, weight)
        ctx.use = use
        factors, out = use.factors(weight), use.matrices(x.dtype)[2]
        padded, columns = use.padded(x), tiles(width)
        y = x.new_empty(n, TILE * tiles(height), TILE * columns, outputs)
        for first, rows in strips(n, tiles(height), columns):
            seen = use.seen(padded, first, rows, columns)
            products = torch.bmm(seen, factors, out=use.scratch("products", x, *seen.shape[:2], outputs))
            strip = torch.mm(out, products.flatten(1), out=use.scratch("strip", x, TILE * TILE, products[0].numel()))
            tiled(y)[:, :, :, first : first + rows] = strip.view(TILE, TILE, n, rows, columns, outputs)
        return y[:, :height, :width].permute(0, 3, 1, 2)  # (N, 4 rows, 4 columns, O) -> (N, O, H, W)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None]:
        (x, weight), use = ctx.saved_tensors, ctx.use
        factors = use.factors(weight)
        into, of_weight, out = use.matrices(x.dtype)
        (n, height, width, inputs), outputs = x.shape, factors.shape[2]
        padded, columns = use.padded(x), tiles(width)
        gradient = _whole_tiles(gradients[0].permute(0, 2, 3, 1))
        of_factors, of_padded = torch.zeros_like(factors), None
        if ctx.needs_input_grad[0]:
            of_padded = use.scratch("gradient", x, n, TILE * (tiles(height) + 1), TILE * (columns + 1), inputs).zero_()
        for first, rows in strips(n, tiles(height), columns):
            strip = use.scratch("strip", x, TILE, TILE, n, rows, columns, outputs)
            strip.copy_(tiled(gradient)[:, :, :, first : first + rows])
            products = use.scratch("products", x, PATCH * PATCH, n * rows * columns * outputs)
            of_products = torch.mm(out.T, strip.view(TILE * TILE, -1), out=products).view(PATCH * PATCH, -1, outputs)
            of_factors.baddbmm_(use.seen(padded, first, rows, columns).transpose(1, 2), of_products)
            if of_padded is not None:
                shape = (*of_products.shape[:2], inputs)
                of_seen = torch.bmm(of_products, factors.transpose(1, 2), out=use.scratch("patches", x, *shape))
                patches = torch.mm(into.T, of_seen.flatten(1), out=use.scratch("seen", x, shape[0], shape[1] * inputs))
                _add(patches.view(PATCH, PATCH, n, rows, columns, inputs), tiled(of_padded), first)
        of_weight = (of_weight.T @ of_factors.flatten(1)).view(3, 3, inputs, outputs).permute(3, 2, 0, 1)
        if of_padded is None:
            return None, of_weight, None
        of_x = of_padded[:, 1 : height + 1, 1 : width + 1].contiguous()  # batch norm is slow with gaps between rows
        return of_x.permute(0, 3, 1, 2), of_weight, None


def _whole_tiles(image: Tensor) -> Tensor:
    """(N, H, W, C), with zeros below and at the right to whole tiles."""
    n, height, width, channels = image.shape
    if not (height % TILE or width % TILE):
        return image.contiguous()
    whole = image.new_zeros(n, TILE * tiles(height), TILE * tiles(width), channels)
    whole[:, :height, :width] = image
    return whole


def _add(patches: Tensor, image: Tensor, first: int) -> None:
    """Add overlapping patches, (6, 6, N, rows, columns, C), to an image cut into tiles that do not overlap."""
    rows, columns, over = patches.shape[3], patches.shape[4], PATCH - TILE
    here, below = slice(first, first + rows), slice(first + 1, first + rows + 1)
    image[:, :, :, here, :columns] += patches[:TILE, :TILE]
    image[:over, :, :, below, :columns] += patches[TILE:, :TILE]
    image[:, :over, :, here, 1:] += patches[:TILE, TILE:]
    image[:over, :over, :, below, 1:] += patches[TILE:, TILE:]
