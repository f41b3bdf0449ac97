"""`agm plan` as users call it, and its sums."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.command import refused
from support.made_up import make

from study import budget, cost, experiments, profiles

Agm = Callable[..., Any]
SMOKE = profiles.load("smoke")
TABLE = experiments.plan("table1", SMOKE)
UNIT = 0.001
PASSES = 2 * (3 * 16 + 4 * 8) + 4 * 8
"""Of each run: two epochs of 16 images, validated with 8 four times; and four tests of 8."""


@pytest.fixture(autouse=True)
def known_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "measured_unit", lambda *_: UNIT)
    monkeypatch.setattr("os.cpu_count", lambda: 2)


def test_the_plan_adds_up(agm_command: Agm, home: Path) -> None:
    make(home / "build" / "runs", TABLE[:1])
    done = agm_command("plan", "--profile", "smoke", "--experiment", "table1", "--device", "cpu")
    assert done.code == 0, done.err
    _, row, total, _ = done.out.splitlines()
    seconds = [UNIT * PASSES * cost.per_image(run) for run in TABLE[1:]]
    both = sum(seconds), max(sum(seconds) / 2, *seconds)
    memory = max(map(cost.memory_mb, TABLE[1:])) / 1000
    expected = ["table1", "4", "1", "3", *map(budget.minutes, both), f"{memory:.1f} GB"]
    assert row.split() == " ".join(expected).split()
    assert total.removeprefix("all together").split() == row.split()[1:]


def test_shared_runs_are_counted_once(agm_command: Agm) -> None:
    done = agm_command("plan", "--profile", "smoke", "--experiment", "table1", "--experiment", "order")
    _, *rows, total, _ = done.out.splitlines()
    assert [row.split()[3] for row in rows] == ["4", "12"]
    assert total.split()[4] == "12"


def test_a_table_and_what_it_means(agm_command: Agm, home: Path) -> None:
    done = agm_command("plan", "--profile", "smoke", "--experiment", "table1", "--device", "cpu")
    header, row, *_ = done.out.splitlines()
    assert header.split() == "experiment planned finished missing one core all cores memory".split()  # noqa: SIM905
    assert row.split()[:4] == ["table1", "4", "0", "4"]
    make(home / "build" / "runs", TABLE)
    done = agm_command("plan", "--profile", "smoke", "--experiment", "table1")
    assert "All runs are finished" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--profile", "smok"), "unknown profile 'smok'; did you mean 'smoke'?"),
        (("--profile", "smoke", "--experiment", "fig44"), "unknown experiment 'fig44'"),
        (("--profile", "smoke", "--device", "gpu"), "unknown device 'gpu'"),
    ],
)
def test_bad_input_is_refused_in_one_line(agm_command: Agm, arguments: tuple[str, ...], message: str) -> None:
    refused(agm_command("plan", *arguments), message)
