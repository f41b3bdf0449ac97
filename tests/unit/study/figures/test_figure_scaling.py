"""How cost grows: fits of laws that are known, and a small measurement from beginning to end."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agm import machine, runs
from benchmarks import scaling as benchmark
from study import profiles
from study.aggregate import recorded_runs
from study.figures import scaling


@pytest.fixture
def measured() -> dict[str, Any]:
    """A step takes 2 ms times the square of what is varied (rrrr: its third power); many runs 3 s and 4 ms each."""
    rows = [
        {"what": "training", "layers": layers, "by": by, "value": value, "seconds": 0.002 * value**power}
        for (layers, power), by, value in itertools.product((("nnnr", 2), ("rrrr", 3)), scaling.VARIED, (4, 2, 8))
    ]
    rows += [
        {"what": what, "value": count, "seconds": 3 + 0.004 * count, "mb": 100.0 + count}
        for what in scaling.MANY
        for count in (10, 100, 1000)
    ]
    about = {"device": "a machine", "threads": 1, "versions": {"torch": "2"}, "code": "0"}
    return {"settings": {}, "machine": about, "rows": rows}


def test_points_come_in_order(measured: dict[str, Any]) -> None:
    x, y = scaling.points(measured, "training", layers="rrrr", by="width")
    assert x.tolist() == [2, 4, 8]
    np.testing.assert_allclose(y, [0.016, 0.128, 1.024])


def test_fits_find_the_laws_behind_the_points(measured: dict[str, Any]) -> None:
    exponent, factor = scaling.power_law(*scaling.points(measured, "training", layers="nnnr", by="iterations"))
    assert exponent == pytest.approx(2)
    assert factor == pytest.approx(0.002)
    assert scaling.line(*scaling.points(measured, "listing")) == pytest.approx((0.004, 3))


def test_a_line_is_fitted_to_short_times_as_well_as_to_long_ones() -> None:
    slope, start = scaling.line([1, 10, 100, 10000], [1.01, 1.09, 2.0, 99.0])
    assert start == pytest.approx(1, abs=0.05)
    assert slope == pytest.approx(0.01, rel=0.05)


def test_numbers_and_tables(measured: dict[str, Any]) -> None:
    numbers = scaling.numbers(measured)
    assert numbers["rrrr_image_size_exponent"] == pytest.approx(3)
    assert numbers["planning_runs"] == 1000
    assert numbers["judging_mb"] == 1100
    assert scaling.table(measured).loc["nnnr"].tolist() == pytest.approx([2, 2, 2, 2])
    assert scaling.many_table(measured).loc[("agm runs", 100)].tolist() == pytest.approx([3.4, 200])


def test_the_figure_has_a_panel_for_each(measured: dict[str, Any]) -> None:
    panels = scaling.draw(measured).axes
    assert [ax.get_xlabel() for ax in panels] == [*scaling.VARIED.values(), "runs"]
    assert [text.get_text() for text in panels[0].get_legend().get_texts()] == ["nnnr, power 2.00", "rrrr, power 3.00"]
    assert "agm runs: 3.0 s + 4.00 ms a run" in [text.get_text() for text in panels[4].get_legend().get_texts()]


def test_made_up_runs_are_runs(tmp_path: Path) -> None:
    like = recorded_runs("table1", profiles.load("cpu"))[0]
    configs = list(benchmark.made_up(300))
    assert len({config.id for config in configs}) == 300
    assert len({config.seed for config in configs}) == 2
    for config in configs[:3]:
        benchmark.copy(like, tmp_path / config.id, config)
    found = runs.all_runs(tmp_path)
    assert {run.config for run in found} == set(configs[:3])
    assert found[0].curve().tolist() == like.curve().tolist()
    assert len(runs.table(found)) == 3


def test_more_seeds_make_as_many_runs_as_are_wanted() -> None:
    assert benchmark.many(1200)["seeds"]["faces"] == list(range(20))


def test_a_command_is_measured_with_its_own_memory(tmp_path: Path) -> None:
    small = benchmark.measured(["python", "-c", "print()"], tmp_path)
    large = benchmark.measured(["python", "-c", "b = b'1' * 10**8; print(sum(range(10**6)))"], tmp_path)
    assert small["mb"] < 60 < 95 < large["mb"] - small["mb"] < 150
    assert large["seconds"] > 0


def test_a_small_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        benchmark, "VARIED", {"width": (2, 4), "image_size": (16,), "batch_size": (1,), "iterations": (1,)}
    )
    monkeypatch.setattr(
        "sys.argv", ["scaling", "--rounds", "1", "--planned", "--listed", "--out", str(tmp_path / "a.json")]
    )
    benchmark.main()
    written = json.loads((tmp_path / "a.json").read_text())
    assert {row["by"] for row in written["rows"]} == set(scaling.VARIED)
    assert all(row["seconds"] > 0 for row in written["rows"])
    assert written["machine"]["code"] == machine.describe(torch.device("cpu"))["code"]
