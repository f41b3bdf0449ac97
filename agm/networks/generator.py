"""The recurrent super-resolution generator (Fig. 1), with AEL (II-B) and ORL (II-C)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agm.config import STATISTICS, GeneratorConfig, Statistics
from agm.errors import AgmError, unknown
from agm.machine import hide_broken_amx
from agm.networks import layers, light
from agm.networks.blocks import ConvNormAct
from agm.networks.layers import State
from agm.networks.light import SCALE
from agm.schedule import LAYERS, Mask, Schedule

__all__ = ["SCALE", "UPSAMPLED", "Context", "Generator", "Memory", "States", "bicubic"]

UPSAMPLED = 2
"""C.2 stands before this layer of the paper's base, counted from 0."""

States = tuple[State, ...]


class Context(NamedTuple):
    """The inputs that all iterations of one image share."""

    features: Tensor  # A(x), (N, width, H, W)
    bicubic: Tensor | None  # the input enlarged, (N, 3, 2H, 2W), where the configuration needs it


class Memory(NamedTuple):
    """The state that one iteration passes to the next.

    `previous`: what B sees, the last image (N, 3, 2H, 2W), or the features it was made from (N, width, H, W).
    """

    previous: Tensor
    states: States = (None,) * LAYERS


class Generator(nn.Module):
    """The generator of Fig. 1, or the light one: x of (N, 3, H, W) in [0, 1] -> (N, 3, 2H, 2W) per iteration.

    Parts are those of `parts` or of `agm.networks.light.parts`.
    """

    a: Any
    b: Any
    layers: nn.ModuleList
    d: Any

    def __init__(self, config: GeneratorConfig | None = None) -> None:
        super().__init__()
        hide_broken_amx()  # oneDNN asks once, at a process's first convolution
        self.config = config = config or GeneratorConfig()
        self.a, self.b, self.layers, self.d = (light.parts if config.base == "light" else parts)(config)

    def iterate(
        self, x: Tensor, schedule: Schedule | str | None = None, statistics: Statistics | None = None
    ) -> Iterator[Tensor]:
        """Yield the image of each iteration, (N, 3, 2H, 2W), as soon as it is computed.

        x: (N, 3, H, W) in [0, 1]. `schedule`: all layers for T iterations by default. `statistics`: the
        configuration's by default. The images are not clamped. Raises AgmError if x or the schedule does not fit.
        """
        if x.dim() != 4 or x.shape[1] != 3:
            raise AgmError(f"expected images of shape (N, 3, H, W), got {tuple(x.shape)}")
        if statistics is not None and statistics not in STATISTICS:
            raise unknown("statistics", statistics, STATISTICS)
        masks = self.resolve(schedule).masks
        context = self.encode(x, statistics)
        memory = self.first_memory(x, context)
        for t, mask in enumerate(masks):
            image, memory = self.step(context, memory, mask, t, statistics)
            yield image

    def forward(
        self, x: Tensor, schedule: Schedule | str | None = None, statistics: Statistics | None = None
    ) -> Tensor:
        """All images of `iterate`, stacked: (T, N, 3, 2H, 2W)."""
        return torch.stack(list(self.iterate(x, schedule, statistics)))

    def encode(self, x: Tensor, statistics: Statistics | None = None) -> Context:
        """Part A, run once per image: it sees the same input at every iteration."""
        return Context(self.a(x, 0, statistics or self.config.statistics), self.bicubic(x))

    def bicubic(self, x: Tensor) -> Tensor | None:
        """Bicubic upsampling, (N, 3, 2H, 2W), where the configuration needs it."""
        return bicubic(x) if self.config.residual or self.config.feedback == "bicubic" else None

    def first_memory(self, x: Tensor, context: Context) -> Memory:
        """The state before iteration 1. The paper does not say what the previous image is then."""
        n, _, height, width = x.shape
        if self.config.feedback == "bicubic":
            assert context.bicubic is not None
            return Memory(context.bicubic)
        if self.config.feedback == "features":
            return Memory(x.new_zeros(n, self.config.width, height, width))
        return Memory(x.new_zeros(n, 3, SCALE * height, SCALE * width))

    def step(
        self, context: Context, memory: Memory, mask: Mask, t: int, statistics: Statistics | None = None
    ) -> tuple[Tensor, Memory]:
        """One iteration -> its image, (N, 3, 2H, 2W), not clamped, and what the next one needs.

        An inactive layer is the identity and its state stays untouched (Fig. 2).
        """
        statistics = statistics or self.config.statistics
        b = self.b(memory.previous, t, statistics)  # -> (N, width, H, W)
        z = torch.cat([context.features, b], dim=1)  # (N, 2 width, H, W)
        states = list(memory.states)
        for i, layer in enumerate(self.layers):
            if i == UPSAMPLED and self.config.base == "paper":
                z = self.upsample(z)  # C.2, active or not: (N, 2 width, H, W) -> (N, 2 width, 2H, 2W)
            if mask[i]:
                z, states[i] = layer(z, states[i], t, statistics)
        image = self.d(z)
        if self.config.residual:
            assert context.bicubic is not None
            image = image + context.bicubic
        return image, Memory(z if self.config.feedback == "features" else image, tuple(states))

    def upsample(self, z: Tensor) -> Tensor:
        """The static layer C.2."""
        return F.interpolate(z, scale_factor=SCALE, mode=self.config.upsampling)

    def resolve(self, schedule: Schedule | str | None) -> Schedule:
        """The schedule to run: all layers by default. Raises AgmError if its letters are not the network's."""
        if schedule is None:
            return Schedule.parse(f"xxxx ({self.config.iterations})")
        if isinstance(schedule, str):
            schedule = Schedule.parse(schedule)
        schedule.check(self.config.layers)
        return schedule


def parts(config: GeneratorConfig) -> tuple[nn.Module, nn.Module, nn.ModuleList, nn.Module]:
    """A, B, the four inner layers and D of the paper's base."""
    width, iterations = config.width, config.iterations
    a = ConvNormAct(3, width, kernel=3, stride=1, iterations=iterations)
    b = ConvNormAct(3, width, kernel=4, stride=2, iterations=iterations)
    inner = nn.ModuleList(layers.build(config))
    d = nn.Conv2d(width, 3, 3, padding=1)
    assert d.bias is not None
    # Start from mid-grey: black would cost short trainings most of their steps; the paper gives no initial weights.
    nn.init.constant_(d.bias, 0.5)
    if config.residual:  # a correction of bicubic upsampling starts at zero
        nn.init.zeros_(d.weight)
        nn.init.zeros_(d.bias)
    return a, b, inner, d


def bicubic(x: Tensor) -> Tensor:
    """Bicubic upsampling by SCALE, with Pillow's kernel (a = -0.5, which torch uses with antialiasing only)."""
    return F.interpolate(x, scale_factor=SCALE, mode="bicubic", align_corners=False, antialias=True)
