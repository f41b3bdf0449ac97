"""Batch-norm statistics shared in part."""

from __future__ import annotations

import torch

from agm.config import GeneratorConfig
from agm.networks.blocks import IterationNorm
from agm.networks.generator import Generator
from agm.schedule import Schedule
from benchmarks.sharing import shared


def test_statistics_are_averaged_over_the_iterations_that_a_part_runs() -> None:
    """Layer 2 works in iterations 2 and 3 alone. What it does not run, and what is not shared, stays as it is."""
    generator, schedule = (
        Generator(GeneratorConfig("nnnn", width=2, iterations=3)),
        Schedule.parse("x--x (1) - xx-x (2)"),
    )
    for norm in (module for module in generator.modules() if isinstance(module, IterationNorm)):
        norm.precise = torch.tensor([[1.0, 2.0, 6.0], [3.0, 3.0, 9.0]])[..., None].expand(2, 3, norm.weight.numel())

    def rows(pairs: str) -> tuple[list[float], list[float]]:
        result = shared(generator, schedule, pairs)
        b, layer2 = (norm.precise[0, :, 0].tolist() for norm in (result.b.norm, result.layers[1].norm1))
        return b, layer2

    assert rows("own") == ([1.0, 2.0, 6.0], [1.0, 2.0, 6.0])
    assert rows("shared") == ([3.0, 3.0, 3.0], [1.0, 4.0, 4.0])
    assert rows("first") == ([1.0, 4.0, 4.0], [1.0, 4.0, 4.0])
    assert rows("b") == ([3.0, 3.0, 3.0], [1.0, 2.0, 6.0])
    assert rows("layers") == ([1.0, 2.0, 6.0], [1.0, 4.0, 4.0])
