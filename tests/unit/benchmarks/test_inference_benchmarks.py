"""What the engine is measured against computes the same images, and the figures of the measurements are right."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.anytime import slow, table

from agm import Generator, GeneratorConfig, Schedule
from agm.anytime.latency import Times
from agm.config import ORL_CONFIGURATIONS
from benchmarks import deadlines, inference
from benchmarks.straightforward import images


@pytest.mark.parametrize("layers", ORL_CONFIGURATIONS)
@pytest.mark.parametrize("fields", [{}, {"residual": True, "feedback": "bicubic", "peephole": True}, {"base": "light"}])
def test_the_straightforward_generator_is_the_generator(layers: str, fields: dict[str, Any]) -> None:
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(layers=layers, width=2, **fields)).double().eval()
    schedule, x = Schedule.parse("---x (1) - x--x (1) - xxxx (2)"), torch.rand(2, 3, 5, 4, dtype=torch.float64)
    found = torch.stack(list(images(generator, x, schedule, "iteration")))
    with torch.no_grad():
        expected = torch.stack(list(generator.iterate(x, schedule, "iteration")))
    assert expected.std() > 0
    torch.testing.assert_close(found, expected)


def test_one_row_per_implementation() -> None:
    generator = Generator(GeneratorConfig(layers="nnnr", width=2, iterations=3)).eval()
    rows = inference.compare(generator, "---x (1) - xxxx (2)", 6, 2)
    assert [row["implementation"] for row in rows] == ["straightforward", "plain", "engine on torch", "engine"]
    assert all(len(row["ms"]) == 3 and row["ms"][-1] == row["total_ms"] > 0 for row in rows)
    assert rows[0]["first_ratio"] == rows[0]["total_ratio"] == 1
    assert rows[3]["total_ratio"] == pytest.approx(rows[0]["total_ms"] / rows[3]["total_ms"])
    assert all(row["db"] > 100 for row in rows)


def test_misses_and_overrun_by_hand() -> None:
    columns = {"deadline_ms": [10.0, 10, 10, 10], "elapsed_ms": [9.0, 13, 10, 12], "longest_ms": [2.0, 6, 1, 0]}
    assert deadlines.figures(columns) == {
        "misses": 0.5,
        "overrun": pytest.approx(2 / 3),
    }  # 3 / 6, and 2 / mean(2, 6, 1)


def test_calls_are_noted() -> None:
    upscaler, _ = slow(lambda *_: 0.1, Times(table(Schedule.parse("xxxx (9)"), 0.1, 100)))
    parser = {"size": 10, "calls": 5, "shortest": 50.0, "longest": 2000.0}
    found = deadlines.measure(upscaler, type("Arguments", (), parser)(), "idle")
    assert len(found["deadline_ms"]) == 5
    assert found["misses"] == 0
    for deadline, iteration in zip(found["deadline_ms"], found["iteration"], strict=True):
        assert iteration == min(9, (deadline - 110) // 100 + 1)  # each begins if 110 ms are left, and takes 100
