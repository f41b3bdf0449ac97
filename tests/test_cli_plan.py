"""`agm plan` as users call it, its sums, and how far off it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.made_up import make
from test_cli import refused

from agm import budget, experiments, machine, probe, profiles
from agm.cost import Cost, Rates, checkpoint_bytes
from agm.errors import AgmError

Agm = Callable[..., Any]
SMOKE = profiles.load("smoke")
TABLE = experiments.plan("table1", SMOKE)


@pytest.fixture(autouse=True)
def known_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that takes as long for every model: 0.25 s a step, a second less with every thread but one."""

    def measure(_: Any, device: str, threads: int) -> Rates:
        return Rates((0.25 / threads, 0.25 / threads), (0.125, 0.125), (0.0, 0.0))

    monkeypatch.setattr(probe, "measure", measure)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr("os.cpu_count", lambda: 2)


EVALUATION = (4 * 8 + 16) * 0.125
"""Of eight images with four kinds of statistics, one of them averaged over sixteen."""
SECONDS = 2 * (2 * 0.25 + EVALUATION)
"""Of each run: two epochs of two steps."""
TOTAL = SECONDS + EVALUATION


def test_the_plan_adds_up(agm_command: Agm, home: Path) -> None:
    make(home / "build" / "runs", TABLE[:1])
    done = agm_command("plan", "--profile", "smoke", "--experiment", "table1", "--device", "cpu", "--json")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    (row,) = answer["experiments"]
    assert (row["experiment"], row["planned"], row["finished"], row["missing"]) == ("table1", 4, 1, 3)
    assert row["one_core_minutes"] == pytest.approx(3 * TOTAL / 60)
    assert row["all_cores_minutes"] == pytest.approx(2 * TOTAL / 60)  # three runs on two cores
    assert answer["total"] == row | {"experiment": "all together"}
    assert (answer["cores"], answer["afterwards"]) == (2, None)
    assert row["memory"] < row["memory_side_by_side"] <= 2 * row["memory"]


def test_shared_runs_are_counted_once(agm_command: Agm) -> None:
    done = agm_command("plan", "--profile", "smoke", "--experiment", "table1", "--experiment", "order", "--json")
    answer = json.loads(done.out)
    assert [row["missing"] for row in answer["experiments"]] == [4, 12]
    assert answer["total"]["missing"] == 12


def test_afterwards_it_says_how_far_off_it_was(agm_command: Agm, home: Path) -> None:
    assert agm_command("plan", "--profile", "smoke", "--experiment", "table1", "--device", "cpu").code == 0
    device = machine.describe(torch.device("cpu"))["device"]
    make(home / "build" / "runs", TABLE[:2], machine={"device": device, "threads": 1}, seconds=SECONDS / 2)
    done = agm_command("plan", "--profile", "smoke", "--experiment", "table1", "--device", "cpu")
    assert "2 runs were predicted to train 26 s and took 13 s: 100% too long" in done.out
    stored = json.loads((home / "build" / "plan-smoke.json").read_text())["runs"]
    assert set(stored) == {config.id for config in TABLE}


def test_a_table_and_what_it_means(agm_command: Agm, home: Path) -> None:
    done = agm_command("plan", "--profile", "smoke", "--experiment", "table1", "--device", "cpu")
    header, row, *_ = done.out.splitlines()
    assert header.split() == "experiment planned finished missing one core all cores memory disk".split()  # noqa: SIM905
    assert row.split()[:6] == ["table1", "4", "0", "4", f"{4 * TOTAL / 60:.1f}", "min"]
    make(home / "build" / "runs", TABLE)
    done = agm_command("plan", "--profile", "smoke", "--experiment", "table1")
    assert "All runs are finished" in done.out
    done = agm_command("plan", "--profile", "smoke", "--experiment", "table1", "--from-scratch")
    assert done.out.splitlines()[1].split()[3] == "4"


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


def test_a_row_by_hand() -> None:
    costs = {config.id: Cost(60.0 * (i + 1), 30.0, 10 * (i + 1), 5) for i, config in enumerate(TABLE)}
    found = budget.row("x", TABLE, TABLE[:3], costs, 2)
    assert (found["planned"], found["finished"], found["missing"]) == (4, 1, 3)
    assert found["one_core_minutes"] == pytest.approx(1 + 2 + 3 + 3 * 0.5)
    assert found["all_cores_minutes"] == pytest.approx(4)  # 3.5 and 2.5 + 1.5
    assert (found["memory"], found["memory_side_by_side"]) == (30, 50)
    held = sorted((checkpoint_bytes(config) for config in TABLE[:3]), reverse=True)
    assert found["disk"] == 15 + held[0] + held[1]
    assert budget.row("x", TABLE, [], costs, 2)["memory_side_by_side"] == 0


def test_only_what_can_be_compared_is(home: Path) -> None:
    def runs(folder: str, number: int, **noted: Any) -> Any:
        return make(home / folder, [TABLE[number]], machine={"device": "m", "threads": 1} | noted, seconds=10.0)

    predicted = {config.id: {"device": "m", "threads": {"1": 12.0, "2": 8.0}} for config in TABLE}
    own = runs("build/runs", 0) + runs("build/runs", 1, threads=2)
    found = budget.afterwards(predicted, own)
    assert found is not None
    assert (found["runs"], found["error"], found["typical_error"]) == pytest.approx((2, 0.0, 0.2))
    others = runs("build/runs", 2, threads=4) + runs("build/runs", 3, device="n") + runs("results/smoke", 0)
    assert budget.afterwards(predicted, others) is None
    assert budget.afterwards({}, own) is None


def test_a_damaged_file_of_predictions_is_named(home: Path) -> None:
    (home / "build").mkdir()
    (home / "build" / "plan-smoke.json").write_text("[]")
    with pytest.raises(AgmError, match=r"plan-smoke\.json: holds no predictions; delete it"):
        budget.recalled("smoke")
