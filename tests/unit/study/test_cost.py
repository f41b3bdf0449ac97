"""What runs cost: next to each other, and against what autograd saves."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from agm.config import GeneratorConfig, RunConfig
from agm.networks.complexity import macs_per_iteration
from agm.networks.generator import Generator
from agm.schedule import Schedule
from study import cost, profiles

SMOKE = profiles.load("smoke")


def test_the_cost_of_one_image_by_hand() -> None:
    """Config. A: layer 1 works in 8 iterations, layer 2 in 6, layer 3 in 3, layer 4 in all ten."""
    run = RunConfig().replace(layers="nrnr", schedule="A")
    assert cost.per_image(run) == 10 * 0.5 + 8 * 0.25 + 6 * 4 * 0.25 + 3 * 1.0 + 10 * 4 * 0.375
    light = run.replace(base="light", residual=True)
    assert cost.per_image(light) == pytest.approx(10 * 0.05 + 8 * 0.25 + 6 * 4 * 0.25 + 3 * 0.25 + 10 * 4 * 0.1)


@pytest.mark.parametrize("base", cost.COSTS)
def test_costs_are_as_the_operations_that_are_counted(base: Any) -> None:
    """Within a third, of one iteration, with and without layer 3; costs have the critic, too."""
    config = GeneratorConfig(layers="nrnn", width=16, base=base, residual=base == "light")
    for schedule, mask in (("xxxx (1)", (True,) * 4), ("xx-x (1)", (True, True, False, True))):
        run = RunConfig(generator=config).replace(schedule=schedule, iterations=1)
        counted = macs_per_iteration(config, 64, mask) / (16 * 16 * 9 * 2 * 4 * 64**2)  # layer 3 of the paper's base
        assert cost.per_image(run) == pytest.approx(counted, rel=0.33), schedule


def test_costs_follow_the_layers_the_schedule_and_the_data() -> None:
    run = SMOKE.run("cars")
    costs = [cost.cost(run.replace(layers=layers)) for layers in ("rrrr", "rrrn", "rrnr", "nnnr", "nnnn")]
    assert costs == sorted(costs, reverse=True)
    assert cost.cost(run.replace(schedule="A")) < cost.cost(run.replace(schedule="B")) < cost.cost(run)
    assert cost.cost(run.replace(fraction=0.25)) == cost.cost(run) / 4


@pytest.mark.parametrize("layers", ["rrrr", "nnnn"])
def test_jobs_ask_for_more_memory_than_autograd_keeps(layers: str) -> None:
    run = profiles.load("quick").run("cars", layers=layers, base="paper")
    generator, size = Generator(run.generator), run.data.image_size // 2
    saved: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        images = generator(torch.rand(run.training.batch_size, 3, size, size), Schedule.parse("NOAEL"))
    assert len(images) == 10
    asked = 1e6 * (cost.memory_mb(run) - cost.PROGRAM_MB)
    assert sum(saved.values()) < asked < 3 * sum(saved.values())
