"""The generator as one would first write it down: what the library's own savings are measured against."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from agm.config import Statistics
from agm.networks.generator import SCALE, Context, Generator
from agm.networks.layers import State
from agm.networks.layers.conv_lstm import ConvLSTM
from agm.schedule import Schedule


class Straightforward(Generator):
    """The same images from the equations word by word: part A at every iteration, states that begin as zeros."""

    def iterate(
        self, x: Tensor, schedule: Schedule | str | None = None, statistics: Statistics | None = None
    ) -> Iterator[Tensor]:
        context = Context(x, self.base(x))
        states = tuple(self._zeros(x, i) for i in range(len(self.layers)))
        memory = self.first_memory(x, context)._replace(states=states)
        for t, mask in enumerate(self.resolve(schedule).masks):
            features = self.a(x, 0, statistics or self.config.statistics)
            image, memory = self.step(Context(features, context.base), memory, mask, t, statistics)
            yield image

    def _zeros(self, x: Tensor, i: int) -> State:
        layer = self.layers[i]
        if not isinstance(layer, ConvLSTM):
            return None
        n, _, height, width = x.shape
        scale = SCALE if i >= 2 else 1
        zeros = x.new_zeros(n, layer.gates.out_channels // 4, scale * height, scale * width)
        return zeros, zeros


def straightforward(generator: Generator) -> Straightforward:
    """A trained generator's twin, with copies of its weights and statistics."""
    twin = Straightforward(generator.config)
    twin.load_state_dict(generator.state_dict())
    return twin.eval()


@torch.inference_mode()
def images(generator: Generator, x: Tensor, schedule: Schedule, statistics: Statistics) -> Iterator[Tensor]:
    """Yield the image of each iteration."""
    yield from generator.iterate(x, schedule, statistics)
