"""Modules whose every number matters: no zero bias, no unit scale, no statistic left at its start."""

from __future__ import annotations

import torch
from torch import nn


def shake(module: nn.Module, seed: int = 0) -> nn.Module:
    """Put random numbers into all parameters and buffers; variances stay positive."""
    random = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=random, dtype=torch.float64)
            tensor.copy_(noise.abs() + 0.5 if "var" in name else 0.4 * noise)
    return module
