"""The engine for inference gives the generator's own images."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.modules import SCHEDULES, used
from torch import Tensor

from agm import Generator, Schedule
from agm.anytime.engine.engine import Engine
from agm.anytime.engine.parts import missing
from agm.anytime.stepper import iterate
from agm.config import ORL_CONFIGURATIONS, Statistics
from agm.errors import AgmError


def images(generator: Generator, x: Tensor, schedule: Schedule, statistics: Statistics) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        expected = torch.stack(list(generator.iterate(x, schedule, statistics)))
    return torch.stack(list(iterate(Engine(generator, statistics), schedule, x))), expected


@pytest.mark.parametrize("layers", ORL_CONFIGURATIONS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("base", ["paper", "light"])
def test_every_network_under_every_schedule(layers: str, schedule: str, base: str) -> None:
    generator = used(layers=layers, base=base)
    found, expected = images(generator, torch.rand(2, 3, 7, 6), Schedule.parse(schedule), "iteration")
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("statistics", ["shared", "iteration", "precise"])
@pytest.mark.parametrize(
    "fields",
    [
        *({}, {"residual": True}, {"feedback": "bicubic"}),
        *({"base": "light"}, {"base": "light", "feedback": "bicubic"}),
    ],
    ids=lambda fields: " ".join(map(str, fields)),
)
def test_every_option_in_double_precision(fields: dict[str, Any], statistics: Statistics) -> None:
    for layers in ("rnrn", "nrnr"):
        generator = used(layers=layers, **fields).double()
        x = torch.rand(1, 3, 6, 9, dtype=torch.float64)
        found, expected = images(generator, x, Schedule.parse("B"), statistics)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    layers=st.sampled_from(ORL_CONFIGURATIONS),
    base=st.sampled_from(["paper", "light"]),
)
@settings(max_examples=60)
def test_every_size(height: int, width: int, layers: str, base: str) -> None:
    generator = used(layers=layers, width=2, base=base).double()
    x = torch.rand(1, 3, height, width, dtype=torch.float64)
    found, expected = images(generator, x, Schedule.parse("---x (1) - xx-x (1) - xxxx (2)"), "iteration")
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_past_the_last_iteration_as_the_generator() -> None:
    generator = used(layers="rnnr", iterations=2).double()
    found, expected = images(
        generator, torch.rand(1, 3, 4, 4, dtype=torch.float64), Schedule.parse("xxxx (5)"), "iteration"
    )
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_the_generator_and_the_input_stay_as_they_are() -> None:
    generator = used(layers="nrnr")
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    x = torch.rand(1, 3, 5, 5)
    kept = x.clone()
    first = torch.stack(list(iterate(Engine(generator), Schedule.parse("A"), x)))
    engine = Engine(generator)
    again = [torch.stack(list(iterate(engine, Schedule.parse("A"), x))) for _ in range(2)]
    assert torch.equal(x, kept)
    assert all(torch.equal(tensor, before[name]) for name, tensor in generator.state_dict().items())
    assert torch.equal(again[0], first)
    assert torch.equal(again[1], first)


def test_an_image_once_given_does_not_change() -> None:
    given_, kept = [], []
    for image in iterate(Engine(used(layers="rrrr")), Schedule.parse("xxxx (4)"), torch.rand(1, 3, 4, 4)):
        given_.append(image)
        kept.append(image.clone())
    assert all(torch.equal(one, other) for one, other in zip(given_, kept, strict=True))


@pytest.mark.parametrize(
    ("fields", "lacking"),
    [
        ({"peephole": True}, "peepholes"),
        ({"upsampling": "bilinear"}, "bilinear upsampling"),
        ({"layers": "gngr"}, "ConvGRU layers"),
    ],
)
def test_other_networks_are_refused_by_what_is_missing(fields: dict[str, Any], lacking: str) -> None:
    assert missing(used(**fields)) == lacking
    with pytest.raises(AgmError, match=f"the engine has no {lacking}; .*Plain runs"):
        Engine(used(**fields))


def test_statistics_of_the_batch_cannot_be_folded() -> None:
    with pytest.raises(AgmError, match="statistics 'batch'"):
        Engine(used(), "batch")
