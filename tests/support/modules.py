"""Modules whose every number matters: no zero bias, no unit scale, no statistic left at its start."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from agm import Generator, GeneratorConfig
from agm.networks.blocks import IterationNorm

SCHEDULES = ("A", "B", "NOAEL", "-x-x (2) - --xx (2) - xxxx (2)", "---x (3) - -xxx (1) - x-xx (3)")


def shake(module: nn.Module, seed: int = 0) -> nn.Module:
    """Put random numbers into all parameters and buffers; variances stay positive."""
    random = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=random, dtype=torch.float64)
            tensor.copy_(noise.abs() + 0.5 if "var" in name else 0.4 * noise)
    return module


def used(seed: int = 0, **fields: Any) -> Generator:
    """A generator whose parameters and statistics are as varied as after training."""
    torch.manual_seed(seed)
    generator = Generator(GeneratorConfig(**{"width": 4, **fields})).eval()
    if generator.config.base == "light":
        torch.nn.init.normal_(generator.d.conv.weight, std=0.1)  # in place of the zeros that training starts from
    for module in generator.modules():
        if isinstance(module, IterationNorm):
            torch.nn.init.normal_(module.weight, 1.0, 0.5)  # some of them negative
            torch.nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.3, 3.0)
            precise = torch.randn_like(module.running_mean[1:]), 0.3 + torch.rand_like(module.running_var[1:])
            module.precise = torch.stack(precise)
    for parameter in generator.parameters():
        if parameter.dim() == 1 or parameter.dim() == 3:
            parameter.data += 0.1 * torch.randn_like(parameter)
    return generator
