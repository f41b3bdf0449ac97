"""What runs cost: next to each other, against what autograd saves, and what is timed on a machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.runs import tiny

from agm import data
from agm.config import GeneratorConfig, RunConfig
from agm.networks.complexity import macs_per_iteration
from agm.networks.generator import Generator
from agm.schedule import Schedule
from study import budget, cost, profiles
from study.budget import Images

SMOKE = profiles.load("smoke")


def test_images_of_the_papers_sets_by_their_size_alone() -> None:
    """8,133 different photographs of cars gave 5,880, 653 and 1,600 (data/cars.md)."""
    assert budget.share_out(8133, RunConfig().data) == Images(5880, 653, 1600)
    quarter = RunConfig().replace(fraction=0.25, train_images=400, validation_images=100).data
    assert budget.share_out(8133, quarter) == Images(100, 100, 1600)


def test_images_are_known_before_the_data_are_there(home: Path) -> None:
    assert budget.images_of(RunConfig().replace(dataset="geo", test_images=7).data) == Images(12960, 1440, 7)


@pytest.mark.parametrize("role", profiles.ROLES)
def test_images_of_bundled_sets_are_those_of_the_split(role: str) -> None:
    config = profiles.load("quick").run(role).data
    parts = data.splits(config)
    assert budget.images_of(config) == Images(len(parts.train), len(parts.validation), len(parts.test))


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


def test_the_time_of_one_run_by_hand() -> None:
    """Two epochs of 16 images there and back, validated with 8 four times; and four tests of 4."""
    run = SMOKE.run("cars", epochs=2)
    assert budget.seconds(run, Images(16, 8, 4), 0.5) == 0.5 * cost.per_image(run) * (2 * (3 * 16 + 4 * 8) + 4 * 4)


@pytest.mark.parametrize(
    ("minutes", "cores", "expected"),
    [([2, 3, 2, 3, 2], 2, "6.0 min"), ([2, 3], 1, "5.0 min"), ([2, 9, 2], 4, "9.0 min"), ([], 4, "0 s")],
)
def test_all_cores_share_the_runs_and_none_is_cut(minutes: list[int], cores: int, expected: str) -> None:
    runs = [SMOKE.run("cars", epochs=1 + number) for number in range(len(minutes))]
    times = {run.id: 60.0 * one for run, one in zip(runs, minutes, strict=True)}
    assert budget.line("", runs, times, cores)[5] == expected


def test_a_duration_has_the_unit_that_suits_it() -> None:
    assert [budget.minutes(seconds) for seconds in (59, 90, 7199, 7200)] == ["59 s", "1.5 min", "120.0 min", "2.0 h"]


def test_what_would_take_too_long_is_timed_in_part() -> None:
    small, large = SMOKE.run("cars"), RunConfig()
    assert budget.affordable(small, "cpu") == small.replace(schedule="xxxx (10)")
    timed = budget.affordable(large, "cpu")
    assert (timed.training.batch_size, timed.generator.iterations) == (1, 2)
    assert budget.affordable(large, "cuda") == large


def test_steps_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "SECONDS", 0.0)
    assert budget.measured_unit(tiny(), "cpu") > 0
