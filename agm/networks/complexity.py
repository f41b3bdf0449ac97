"""Parameters and operations, counted from real modules."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from agm.config import GeneratorConfig
from agm.errors import AgmError
from agm.networks.generator import SCALE, Generator
from agm.schedule import Mask

LARGEST_IMAGE = 100_000
"""Side in pixels; with the widest network, torch's 64 bits overflow at three times that."""


def parameters(config: GeneratorConfig) -> int:
    """Learnable parameters (Table I)."""
    with torch.device("meta"):
        return count(Generator(config))


def count(part: nn.Module) -> int:
    """Learnable parameters of a network or of a part of one."""
    return sum(parameter.numel() for parameter in part.parameters())


def fewer(layers: str, width: int = 64) -> float:
    """Percent of parameters saved, compared with rrrr."""
    return 100 * (1 - parameters(GeneratorConfig(layers, width)) / parameters(GeneratorConfig("rrrr", width)))


def macs_per_iteration(config: GeneratorConfig, image_size: int = 64, mask: Mask = (True,) * 4) -> int:
    """Multiply-accumulate operations of one iteration for one image, in the steady state (states are not None).

    A is left out, since it runs once per image. Counted by torch's flop counter, which sees convolutions only.
    """
    if not SCALE <= image_size <= LARGEST_IMAGE or image_size % SCALE:
        raise AgmError(f"image_size={image_size}: must be even, the inputs have half, and at most {LARGEST_IMAGE:,}")
    size = image_size // SCALE
    with torch.device("meta"):
        generator = Generator(config).eval()
        x = torch.empty(1, 3, size, size)
        context = generator.encode(x)
        _, memory = generator.step(context, generator.first_memory(x, context), mask, 0)
        with FlopCounterMode(display=False) as counter:
            generator.step(context, memory, mask, 1)
    return int(counter.get_total_flops()) // 2
