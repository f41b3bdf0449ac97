"""One network for any schedule: what is sampled, what a step with several schedules does, and whose statistics."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.modules import shake
from support.runs import became, one_step_at_a_time, tiny

from agm import data
from agm.config import STATISTICS, GeneratorConfig
from agm.data import to_tensor
from agm.errors import AgmError
from agm.networks.blocks import IterationNorm
from agm.networks.generator import Generator
from agm.runs import Run
from agm.schedule import NAMED, NESTED, Schedule, candidates, paper_schedules, sandwich
from agm.training import calibrate
from agm.training import loop as training
from agm.training.loop import train, trained
from agm.training.step import Execution, build, train_step

QUIET = Execution(device="cpu")
ANY = {"sampling": "any", "iterations": 3, "schedule": "xxxx (3)"}
THREE = tuple(Schedule.parse(text) for text in ("xxxx (3)", "---x (3)", "---x (1) - x--x (2)"))


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_every_sandwich_is_full_cheapest_and_a_walk_that_never_goes_back(iterations: int, seed: int) -> None:
    full, cheapest, drawn = sandwich(iterations, np.random.default_rng(seed))
    assert set(full) == {(True,) * 4}
    assert set(cheapest) == {(False, False, False, True)}
    assert len(full) == len(cheapest) == len(drawn) == iterations
    for before, after in itertools.pairwise(drawn):
        assert all(b <= a for b, a in zip(before, after, strict=True))
    assert set(drawn.patterns) <= set(NESTED)
    for schedule in (full, cheapest, drawn):
        assert Schedule.parse(str(schedule)) == schedule


def test_every_walk_is_as_likely_as_any_other() -> None:
    """Of two iterations there are ten; 2,000 draws, five standard deviations."""
    random = np.random.default_rng(0)
    counts = Counter(str(sandwich(2, random)[2]) for _ in range(2000))
    walks = [
        f"{a} (2)" if a == b else f"{a} (1) - {b} (1)" for a, b in itertools.combinations_with_replacement(NESTED, 2)
    ]
    assert set(counts) == set(walks)
    assert all(abs(count - 200) < 5 * (2000 * 0.1 * 0.9) ** 0.5 for count in counts.values())


def test_the_papers_schedules_are_walks() -> None:
    for text in NAMED.values():
        levels = [NESTED.index(pattern) for pattern in Schedule.parse(text).patterns]
        assert levels == sorted(levels)


def test_candidates_for_ten_iterations_are_the_papers_and_constant_ones() -> None:
    constant = [f"{pattern} (10)" for pattern in ("---x", "x--x", "xx-x", "xxxx")]
    assert [str(schedule) for schedule in candidates(10)] == [*constant, NAMED["A"], NAMED["B"]]


@pytest.mark.parametrize("iterations", range(1, 24))
def test_candidates_have_the_length_asked_for_and_are_all_different(iterations: int) -> None:
    found = candidates(iterations)
    assert {len(schedule) for schedule in found} == {iterations}
    assert len(set(map(str, found))) == len(found) >= 4


def test_stretched_candidates() -> None:
    assert [str(s) for s in candidates(3)[4:]] == ["---x (1) - xx-x (1) - xxxx (1)", "x--x (1) - xxxx (2)"]
    assert str(candidates(20)[4]) == "---x (4) - x--x (4) - xx-x (6) - xxxx (6)"
    assert [str(s) for s in paper_schedules(1)] == ["xxxx (1)", "xx-x (1)"]  # B is NOAEL then


def test_fixed_training_has_the_runs_own_schedule_only() -> None:
    assert trained(tiny(schedule="x--x (2)"), 3, 5) == (Schedule.parse("x--x (2)"),)


def test_what_is_drawn_depends_on_seed_epoch_and_step_alone() -> None:
    config = tiny(sampling="any", iterations=10, schedule="NOAEL")
    drawn = {(e, s): trained(config, e, s) for e in range(4) for s in range(20)}
    assert all(trained(config, *place) == schedules for place, schedules in drawn.items())
    assert len(set(drawn.values())) > 50
    assert [trained(config.replace(seed=1), 0, s) for s in range(20)] != [drawn[0, s] for s in range(20)]


@pytest.mark.parametrize("layers", ["rnnr", "nrrn"])
def test_gradients_are_those_of_the_mean_of_three_losses(layers: str) -> None:
    fields = {"layers": layers, "adversarial_weight": 100.0, "lipschitz": "none", "gradient_clip": 1e6, **ANY}
    config = tiny(**fields)
    random = torch.Generator().manual_seed(5)
    low, target = torch.rand(4, 3, 8, 8, generator=random), torch.rand(4, 3, 16, 16, generator=random)
    networks, fresh = build(config, QUIET), build(config, QUIET).generator.train()
    networks.generator.train()
    losses = train_step(networks, low, target, torch.rand(4), THREE)
    outputs = [fresh(low, schedule) for schedule in THREE]
    visual = sum((images - target).square().mean() for images in outputs) / 3
    loss = visual - 100.0 * networks.critic(outputs[0][-1]).mean()
    gradients = torch.autograd.grad(loss, list(fresh.parameters()))
    torch.testing.assert_close(losses[0], visual.detach())
    for expected, parameter in zip(gradients, networks.generator.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-3, atol=1e-5)


def test_the_critic_judges_the_full_schedules_last_image() -> None:
    config = tiny(**ANY)
    low, target = torch.rand(4, 3, 8, 8), torch.rand(4, 3, 16, 16)
    networks, fresh = build(config, QUIET), build(config, QUIET)
    for network in (networks.generator, fresh.generator, fresh.critic):
        network.train()
    losses = train_step(networks, low, target, torch.rand(4), THREE)
    image = fresh.generator(low, THREE[0])[-1]
    expected = fresh.critic(image).mean() - fresh.critic(target).mean()
    torch.testing.assert_close(losses[1], expected.detach())


def test_training_really_takes_the_sampled_schedules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny(epochs=2, **ANY)
    seen: list[tuple[Schedule, ...]] = []
    real = training.stepper

    def watched(*arguments: object) -> object:
        update = real(*arguments)  # type: ignore[arg-type]

        def step(low: object, high: object, mix: object, schedules: tuple[Schedule, ...]) -> object:
            seen.append(schedules)
            return update(low, high, mix, schedules)  # type: ignore[arg-type]

        return step

    monkeypatch.setattr(training, "stepper", watched)
    assert became(train(config, tmp_path, QUIET)) == "finished"
    steps = len(seen) // 2
    assert seen == [trained(config, epoch, step) for epoch in range(2) for step in range(steps)]


def test_stopping_at_every_step_gives_the_same_bytes(tmp_path: Path) -> None:
    config = tiny(epochs=2, batch_size=7, **ANY)
    assert became(train(config, tmp_path / "whole", QUIET)) == "finished"
    one_step_at_a_time(config, tmp_path / "steps", QUIET)
    for name in ("generator.safetensors", "metrics.csv", "test.safetensors", "config.json"):
        assert (tmp_path / "steps" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_precise_statistics_are_averages_over_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven images in batches of four and three, through a network with a norm in each part and layer."""
    monkeypatch.setattr(calibrate, "BATCH", 4)
    generator = shake(Generator(GeneratorConfig("nnrn", width=4, iterations=3)))
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    low = np.random.default_rng(0).integers(0, 256, (7, 6, 8, 3), dtype=np.uint8)
    schedule = Schedule.parse("---x (1) - x--x (3)")  # longer than there are rows
    result = calibrate.precise(generator, low, schedule)
    torch.testing.assert_close(generator.state_dict(), before, rtol=0, atol=0)
    assert not result.training

    inputs: dict[str, list[list[torch.Tensor]]] = {}
    twin = copy.deepcopy(generator).train()
    for name, module in twin.named_modules():
        if isinstance(module, IterationNorm):
            module.register_forward_hook(
                lambda _, arguments, __, name=name: inputs[name][arguments[1]].append(arguments[0])
            )
            inputs[name] = [[], [], [], []]
    for part in (low[:4], low[4:]):
        twin(to_tensor(part), schedule)
    ran = {
        "a.norm": {0},
        "b.norm": {0, 1, 2},
        "layers.0.norm1": {1, 2},
        "layers.1.norm1": set(),
        "layers.3.norm2": {0, 1, 2},
    }
    for name, iterations in ran.items():
        means, variances = (before[f"{name}.running_{moment}"][:-1].clone() for moment in ("mean", "var"))
        for t in iterations:
            both = [x.transpose(0, 1).flatten(1) for x in inputs[name][t]]
            means[t] = (4 * both[0].mean(1) + 3 * both[1].mean(1)) / 7
            variances[t] = (4 * both[0].var(1) + 3 * both[1].var(1)) / 7
        held = result.get_submodule(name).precise
        torch.testing.assert_close(held, torch.stack([means, variances]), rtol=1e-4, atol=1e-6)
    frozen = {name: value.clone() for name, value in result.state_dict().items()}
    for kind in STATISTICS:
        result(to_tensor(low), schedule, kind)
    torch.testing.assert_close(result.state_dict(), frozen, rtol=0, atol=0)


def test_weights_without_precise_statistics_say_so() -> None:
    generator = Generator(GeneratorConfig("nnrn", width=2, iterations=3)).eval()
    with pytest.raises(AgmError, match="older than precise statistics, and hold none"):
        generator(torch.rand(1, 3, 6, 6), statistics="precise")
    held = calibrate.precise(generator, np.zeros((2, 6, 6, 3), np.uint8), Schedule.parse("xxxx (3)"))
    generator.load_state_dict(held.state_dict())
    generator(torch.rand(1, 3, 6, 6), statistics="precise")
    generator.load_state_dict(Generator(generator.config).state_dict())
    assert generator.b.norm.precise is None


def test_validation_scores_of_every_candidate_are_kept(tmp_path: Path) -> None:
    config = tiny(epochs=1, **ANY)
    train(config, tmp_path, QUIET)
    run = Run.read(tmp_path)
    part, generator = data.splits(config.data).validation, run.generator()
    assert set(run.summary["schedules"]) == set(STATISTICS)
    for kind, rows in run.summary["schedules"].items():
        assert set(rows) == set(map(str, candidates(3)))
        for text, psnr in rows.items():
            images = generator(to_tensor(part.low), text, kind)
            difference = (images.clamp(0, 1) - to_tensor(part.high)).square().mean(dim=(2, 3, 4))
            torch.testing.assert_close(torch.tensor(psnr), (-10 * difference.log10()).mean(dim=1), rtol=1e-4, atol=0)
    train(config.replace(sampling="fixed"), tmp_path / "fixed", QUIET)
    assert "schedules" not in Run.read(tmp_path / "fixed").summary
