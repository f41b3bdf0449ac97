"""Aggregation over runs: groups, averages, spikiness, and the stamp."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_up import make

from agm.errors import AgmError
from study import aggregate, profiles
from study.aggregate import spikiness
from study.experiments import plan

SMOKE = profiles.load("smoke")


@given(st.floats(0.5, 2), st.floats(1e-4, 10), st.integers(3, 30))
def test_a_straight_line_on_a_logarithmic_axis_is_not_spiky(factor: float, start: float, epochs: int) -> None:
    assert spikiness(start * factor**epoch for epoch in range(epochs)) == pytest.approx(0, abs=1e-9)


@given(st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=20), st.floats(0.1, 10))
def test_spikiness_does_not_depend_on_the_unit(curve: list[float], unit: float) -> None:
    assert spikiness(unit * value for value in curve) == pytest.approx(spikiness(curve), abs=1e-9)


def test_spikiness_by_hand() -> None:
    assert spikiness([1, math.e, 1]) == pytest.approx(2)
    assert spikiness([1, 1, math.e, 1, 1]) == pytest.approx((1 + 2 + 1) / 3)
    for curve in ([], [1, 2], [1, math.nan, 1], [1, math.inf, 1], [1, 0, 1]):
        assert math.isnan(spikiness(curve))


def test_seeds_are_averaged_and_groups_found(home: Path) -> None:
    runs = make(home, plan("fig6", SMOKE, seeds=[0, 1]), lambda config: 0.1 + config.seed)
    assert [len(group) for group in aggregate.by(runs, "layers").values()] == [4, 4, 4, 4]
    picked = aggregate.select(runs, layers="nnnr", fraction=0.25, schedule="NOAEL")
    assert [run.config.seed for run in picked] == [0, 1]
    assert aggregate.score(picked) == pytest.approx(0.6 * 1.5)  # seeds 0.1 and 1.1; iterations from 2 to 1
    assert aggregate.last(picked) == pytest.approx(0.6 * 1.5)
    with pytest.raises(AgmError, match="unknown configuration field 'layer'"):
        aggregate.by(runs, "layer")


def test_a_run_that_diverged_has_no_score_and_is_never_the_best(home: Path) -> None:
    first, *others = plan("table1", SMOKE)
    runs = make(home, [first], status="diverged") + make(home, others)
    assert math.isnan(aggregate.score(runs[:1]))
    assert math.isnan(aggregate.last(runs[:1]))
    assert aggregate.extremes(aggregate.scores(runs, "shared")) == ("nnrr", "rrrr")
    assert aggregate.extremes({"nnnr": math.nan}) == ("none", "none")


def test_the_stamp_says_what_the_numbers_were_made_with(home: Path) -> None:
    runs = make(home, plan("fig7", SMOKE))
    stamp = aggregate.describe(runs, SMOKE)["stamp"]
    data = "photographs standing in for CARDATA, closeups for FACEDATA, instruments for GEODATA"
    assert stamp == f"profile smoke · {data} · the paper's base · width 2 · 16 px · 2 epochs · seed 0 · a machine"
    sweep = make(home, plan("converged", SMOKE)[:1])
    own = "settings of our own · photographs of all kinds · the lighter base · width 8 · 24 px · 10 epochs"
    assert aggregate.describe(sweep, SMOKE)["stamp"] == f"{own} of 3,200 crops · seed 0 · a machine"
    assert " · seeds 0, 2 · " in aggregate.describe(make(home, plan("table1", SMOKE, seeds=[0, 2])), SMOKE)["stamp"]
    assert aggregate.describe(make(home, plan("table1", SMOKE, seeds=[0, 1, 2])), SMOKE)["seeds"] == "0 to 2"
    with pytest.raises(AgmError, match="no runs"):
        aggregate.describe([], SMOKE)


def test_real_data_sets_bear_the_papers_name_unless_they_are_substitutes(home: Path) -> None:
    paper = profiles.load("paper")
    images = {"train": 1, "validation": 1, "test": 1}
    cars = make(home, plan("table1", paper), data={"fingerprint": "0", "stand_in": "", "images": images})
    lfw = {"fingerprint": "1", "stand_in": "Labeled Faces in the Wild", "images": images}
    faces = make(home, plan("fig5", paper, dataset="faces"), data=lfw)
    text = aggregate.data_text([*cars, *faces], paper)
    assert text == "CARDATA, Labeled Faces in the Wild standing in for FACEDATA"
