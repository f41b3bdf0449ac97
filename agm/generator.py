"""The recurrent super-resolution generator (Fig. 1), with AEL (II-B) and ORL (II-C)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agm.config import STATISTICS, GeneratorConfig, Statistics
from agm.errors import AgmError, unknown
from agm.layers import ConvLSTM, ConvNormAct, PlainLayer, State
from agm.schedule import LAYERS, Mask, Schedule

SCALE = 2
"""The output is twice as high and wide as the input."""
UPSAMPLED = 2
"""C.2 stands before this layer, counted from 0."""

States = tuple[State, ...]


class Context(NamedTuple):
    """What stays the same over all iterations of one image."""

    features: Tensor  # A(x), (N, width, H, W)
    base: Tensor | None  # bicubic upsampling, (N, 3, 2H, 2W), where the configuration needs it


class Generator(nn.Module):
    """The generator of Fig. 1: x of (N, 3, H, W) in [0, 1] -> one image of (N, 3, 2H, 2W) per iteration."""

    def __init__(self, config: GeneratorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or GeneratorConfig()
        width, iterations = config.width, config.iterations
        channels = (2 * width, 2 * width, 2 * width, width)  # layers 1-3 keep theirs, so that AEL can skip them
        self.a = ConvNormAct(3, width, kernel=3, stride=1, iterations=iterations)
        self.b = ConvNormAct(3, width, kernel=4, stride=2, iterations=iterations)
        self.layers = nn.ModuleList(
            ConvLSTM(2 * width, outputs, config.peephole)
            if letter == "r"
            else PlainLayer(2 * width, outputs, iterations)
            for letter, outputs in zip(config.layers, channels, strict=True)
        )
        self.d = nn.Conv2d(width, 3, 3, padding=1)
        # Start from mid-grey: black would cost short trainings most of their steps; the paper gives no initial weights.
        nn.init.constant_(self.d.bias, 0.5)  # type: ignore[arg-type]

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
        previous = self.first_feedback(x, context)
        states: States = (None,) * LAYERS
        for t, mask in enumerate(masks):
            previous, states = self.step(context, previous, states, mask, t, statistics)
            yield previous

    def forward(
        self, x: Tensor, schedule: Schedule | str | None = None, statistics: Statistics | None = None
    ) -> Tensor:
        """All images of `iterate`, stacked: (T, N, 3, 2H, 2W)."""
        return torch.stack(list(self.iterate(x, schedule, statistics)))

    def encode(self, x: Tensor, statistics: Statistics | None = None) -> Context:
        """Part A, run once per image: it sees the same input at every iteration."""
        return Context(self.a(x, 0, statistics or self.config.statistics), self.base(x))

    def base(self, x: Tensor) -> Tensor | None:
        """Bicubic upsampling, (N, 3, 2H, 2W), where the configuration needs it."""
        return bicubic(x) if self.config.residual or self.config.feedback == "bicubic" else None

    def first_feedback(self, x: Tensor, context: Context) -> Tensor:
        """What iteration 1 takes for the previous output, (N, 3, 2H, 2W): the paper does not say."""
        if self.config.feedback == "bicubic":
            assert context.base is not None
            return context.base
        n, _, height, width = x.shape
        return x.new_zeros(n, 3, SCALE * height, SCALE * width)

    def step(
        self,
        context: Context,
        previous: Tensor,
        states: States,
        mask: Mask,
        t: int,
        statistics: Statistics | None = None,
    ) -> tuple[Tensor, States]:
        """One iteration: previous output and states -> output (N, 3, 2H, 2W) and states.

        An inactive layer is the identity and its state stays untouched (Fig. 2).
        """
        statistics = statistics or self.config.statistics
        b = self.b(previous, t, statistics)  # (N, 3, 2H, 2W) -> (N, width, H, W)
        z = torch.cat([context.features, b], dim=1)  # (N, 2 width, H, W)
        updated = list(states)
        for i, layer in enumerate(self.layers):
            if i == UPSAMPLED:
                z = self.upsample(z)  # C.2, active or not: (N, 2 width, H, W) -> (N, 2 width, 2H, 2W)
            if mask[i]:
                z, updated[i] = layer(z, states[i], t, statistics)
        image = self.d(z)
        if self.config.residual:
            assert context.base is not None
            image = image + context.base
        return image, tuple(updated)

    def upsample(self, z: Tensor) -> Tensor:
        """The static layer C.2."""
        if self.config.upsampling == "bilinear":
            return F.interpolate(z, scale_factor=SCALE, mode="bilinear", align_corners=False)
        return F.interpolate(z, scale_factor=SCALE, mode="nearest")

    def resolve(self, schedule: Schedule | str | None) -> Schedule:
        """The schedule to run: all layers by default; letters r and n must agree with the network's."""
        if schedule is None:
            return Schedule.parse(f"xxxx ({self.config.iterations})")
        if isinstance(schedule, str):
            schedule = Schedule.parse(schedule)
        for group in schedule.groups:
            for i, (letter, own) in enumerate(zip(group.pattern, self.config.layers, strict=True)):
                if letter in "rn" and letter != own:
                    raise AgmError(f"schedule group {group} has {letter} for layer {i + 1}, the network has {own}")
        return schedule


def bicubic(x: Tensor) -> Tensor:
    """Bicubic upsampling by SCALE, with Pillow's kernel (a = -0.5, which torch uses with antialiasing only)."""
    return F.interpolate(x, scale_factor=SCALE, mode="bicubic", align_corners=False, antialias=True)
