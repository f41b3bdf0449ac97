"""The generator as one would first write it down: what the library's own savings are measured against."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from agm.config import Statistics
from agm.networks.generator import SCALE, UPSAMPLED, Context, Generator
from agm.networks.layers import State
from agm.networks.layers.conv_lstm import ConvLSTM
from agm.networks.layers.residual import cell_of
from agm.schedule import Schedule


@torch.inference_mode()
def images(generator: Generator, x: Tensor, schedule: Schedule, statistics: Statistics) -> Iterator[Tensor]:
    """`Generator.iterate` from the equations word by word: part A at every iteration, states that begin as zeros.

    x: (N, 3, H, W) -> the image of each iteration, (N, 3, 2H, 2W), the same ones.
    """
    context = Context(x, generator.bicubic(x))
    states = tuple(_zeros(generator, x, i) for i in range(len(generator.layers)))
    memory = generator.first_memory(x, context)._replace(states=states)
    for t, mask in enumerate(schedule.masks):
        features = generator.a(x, 0, statistics)
        image, memory = generator.step(Context(features, context.bicubic), memory, mask, t, statistics)
        yield image


def _zeros(generator: Generator, x: Tensor, i: int) -> State:
    layer = cell_of(generator.layers[i])
    if not isinstance(layer, ConvLSTM):
        return None
    n, _, height, width = x.shape
    scale = SCALE if i >= UPSAMPLED and generator.config.base == "paper" else 1
    zeros = x.new_zeros(n, layer.gates.out_channels // 4, scale * height, scale * width)
    return zeros, zeros
