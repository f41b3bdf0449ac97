"""Numbers drawn from runs: grouping, averages, spikiness, orders; and what needs no run at all."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_up import BICUBIC, make

from agm.errors import AgmError
from study import aggregate, facts, findings, profiles, tables
from study.aggregate import spikiness
from study.experiments import TABLE_1, plan

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


def test_kendall_by_hand() -> None:
    mse = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [1.0, 2.0, 4.0, 3.0], "c": [4.0, 3.0, 2.0, 1.0]})
    tau = aggregate.kendall(mse).set_index(["first", "second"]).tau
    assert tau["a", "b"] == pytest.approx(4 / 6)  # one of six pairs is the other way round
    assert tau["a", "c"] == pytest.approx(-1)
    assert aggregate.kendall(mse[["a", "b"]].replace(4.0, np.nan)).tau.isna().all()
    assert aggregate.kendall(mse[["a"]]).empty


def test_seeds_are_averaged_and_groups_found(home: Path) -> None:
    runs = make(home, plan("fig6", SMOKE, seeds=[0, 1]), lambda config: 0.1 + config.seed)
    assert [len(group) for group in aggregate.by(runs, "layers").values()] == [4, 4, 4, 4]
    picked = aggregate.select(runs, layers="nnnr", fraction=0.25, schedule="NOAEL")
    assert [run.config.seed for run in picked] == [0, 1]
    assert aggregate.score(picked) == pytest.approx(0.6 * 1.5)  # seeds 0.1 and 1.1; iterations from 2 to 1
    assert aggregate.last(picked) == pytest.approx(0.6 * 1.5)
    assert aggregate.curves(picked).shape == (SMOKE.base.training.epochs, 2)
    with pytest.raises(AgmError, match="unknown configuration field 'layer'"):
        aggregate.by(runs, "layer")


def test_a_run_that_diverged_has_no_score_and_is_never_the_best(home: Path) -> None:
    first, *others = plan("table1", SMOKE)
    runs = make(home, [first], status="diverged") + make(home, others)
    assert math.isnan(aggregate.score(runs[:1]))
    numbers = findings.curve_numbers(runs)
    assert math.isnan(numbers["nnnr_validation_mse"])
    assert (numbers["best"], numbers["worst"]) == ("nnrr", "rrrr")
    assert aggregate.describe(runs, SMOKE)["diverged"] == 1
    assert aggregate.extremes({"nnnr": math.nan}) == ("none", "none")


def test_the_stamp_says_what_the_numbers_were_made_with(home: Path) -> None:
    runs = make(home, plan("fig7", SMOKE))
    stamp = aggregate.describe(runs, SMOKE)["stamp"]
    data = "photographs standing in for CARDATA, closeups for FACEDATA, instruments for GEODATA"
    assert stamp == f"profile smoke · {data} · the paper's base · width 2 · 16 px · 2 epochs · seed 0 · a machine"
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


def test_recorded_runs_say_so_and_stand_beside_those_made_here(home: Path) -> None:
    quick = profiles.load("quick")
    recorded = make(home / "results" / "quick", plan("table1", quick), lambda config: 0.02)
    assert "recorded, a machine" in aggregate.describe(recorded, quick)["stamp"]
    here = make(home / "build" / "runs", plan("table1", SMOKE), lambda config: 0.04)
    table = tables.table_1(here, SMOKE)
    assert table["MSE (quick, recorded, shared)"].tolist() == pytest.approx([0.03] * 4 + [BICUBIC["mse"]])
    assert table["MSE (smoke, shared)"].tolist() == pytest.approx([0.06] * 4 + [BICUBIC["mse"]])
    precise = aggregate.both(here)[0]
    assert table[f"MSE, summed (smoke, {precise})"].tolist() == pytest.approx([0.18] * 4 + [3 * BICUBIC["mse"]])
    assert table["MSE (paper)"].tolist()[:4] == [0.0068, 0.0070, 0.0069, 0.0075]
    assert table["parameters"].tolist()[:4] == table["parameters (paper)"].tolist()[:4]
    assert "–" in tables.styled(table).to_html()
    assert findings.all_finished(quick) == findings.recorded("table1")["quick"]


def test_a_column_is_formatted_by_what_it_holds() -> None:
    """Not by letters that a word happens to contain: `shared` is no share, `iteration` no ratio."""
    columns = ["MSE, shared", "MSE, per iteration", "last PSNR, shared", "ratio", "AEL's share", "parameters"]
    html = tables.styled(pd.DataFrame([[0.02579, 0.00281, 24.283, 1.2345, 0.21, 1335683]], columns=columns)).to_html()
    cells = re.findall(r'<td id="\S+" class="data \S+ \S+" >(.*?)</td>', html)
    assert cells == ["0.0258", "0.0028", "24.28", "1.23", "21%", "1,335,683"]


def test_the_order_of_models(home: Path) -> None:
    worse = {"---x": 1.0, "x--x": -1.0, "xxxx": 1.0}  # Config. B turns the order round
    runs = make(
        home, plan("order", SMOKE), lambda c: 1 + 0.1 * worse[c.training.schedule[:4]] * c.generator.layers.count("r")
    )
    numbers = findings.order_numbers(runs)
    assert numbers["noael_order"] == "nnnr, nnrr, rrnr, rrrr"
    assert numbers["b_order"] == "rrrr, rrnr, nnrr, nnnr"
    assert (numbers["noael_a_tau"], numbers["noael_b_tau"]) == (1.0, -1.0)
    assert (numbers["nnnr_a_rank"], numbers["nnnr_b_rank"]) == (1, 4)
    assert numbers["noael_a_p"] == pytest.approx(1 / 12)


def test_numbers_of_the_figures(home: Path) -> None:
    fig4 = findings.fig4_numbers(make(home, plan("fig4", SMOKE)))
    assert fig4 == {"single_n_better": 4, "single_r_best": "rnnn", "a_spikiest": "none"}
    fig6 = findings.fig6_numbers(make(home, plan("fig6", SMOKE)))
    assert (fig6["nnnr_ratio"], fig6["worse_with_less"], fig6["full_best"]) == (4.0, 4, "nnnr")
    assert fig6["worse_with_less"] == sum(fig6[f"{layers}_ratio"] > 1 for layers in TABLE_1) == 4
    runs = make(home, plan("fig7", SMOKE))
    fig7 = findings.by_role_numbers(runs, SMOKE, findings.fig7_numbers)
    assert [fig7[f"geo_shared_{name}"] for name in ("best_1", "best_2", "best_3", "rrrr_rank")] == [
        "nnnr",
        "nnrr",
        "rrnr",
        4,
    ]
    assert fig7["geo_reading"] == aggregate.both(runs)[0]
    diverged = make(home / "d", [c for c in plan("fig7", SMOKE) if c.generator.layers == "rrrr"], status="diverged")
    others = [run for run in runs if run.config.generator.layers != "rrrr"]
    assert math.isnan(
        findings.by_role_numbers([*others, *diverged], SMOKE, findings.fig7_numbers)["geo_precise_rrrr_rank"]
    )
    geo = aggregate.select(runs, dataset="instruments")
    places = findings.ranking_numbers(geo)
    assert places["shared_last_r_mse"] == pytest.approx(np.median([run.test().mean() for run in geo]))
    assert (places["models"], places["shared_best"], places["rrrr_shared_rank"]) == (4, "nnnr", 4)
    statistics = findings.statistics_numbers(make(home, plan("statistics", SMOKE)))
    assert statistics["shared_n_validation_mse"] == pytest.approx(
        1.5 * 0.01 * 2.5
    )  # 0 to 3 recurrent layers: median 1.5
    twins = tables.twins_table(aggregate.select(runs, dataset="photographs"))
    assert list(twins.index[:2]) == ["rrrr", "rrrn"]
    assert len(twins) == 17


def test_the_worst_of_four_by_chance() -> None:
    """One of two, and one of three; rrrr against the best of 4, 6 and 4 by hand."""
    assert aggregate.chance_of_worst(1) == pytest.approx(1 / 2)
    assert aggregate.chance_of_worst(1, 1) == pytest.approx(1 / 3)
    by_hand = 1 - 2 / 5 + 1 / 9 - 1 / 7 + 2 / 11 - 1 / 15
    assert aggregate.chance_of_worst(4, 6, 4) == pytest.approx(by_hand)


def test_how_far_seeds_lie_apart(home: Path) -> None:
    runs = make(home, plan("table1", SMOKE, seeds=[0, 1]), lambda config: 0.1 + config.seed)
    numbers = findings.table_1_numbers(runs)
    assert numbers["shared_nnnr_lowest_mse"] == pytest.approx(0.1 * 1.5)
    assert numbers["shared_nnnr_highest_mse"] == pytest.approx(1.1 * 1.5)
    assert numbers["precise_nnnr_mse"] == pytest.approx(0.6 * 1.5)
    assert numbers["precise_nnnr_summed"] == pytest.approx(3 * 0.6 * 1.5)


def test_facts() -> None:
    numbers = facts.model_numbers()
    assert numbers["rrrr_parameters"] == 3989891
    assert numbers["nnnn_fewer"] == pytest.approx(74.8, abs=0.05)
    assert numbers["nnnr_fewer"] == pytest.approx(66.5, abs=0.05)
    assert numbers["peephole_extra"] == 3 * (128 + 128 + 128 + 64)
    assert facts.paper_numbers()["nnnr_paper_psnr"] == pytest.approx(21.67, abs=0.01)
    assert "74.8 %" in facts.styled_model_table().to_html()


def test_bicubic_upsampling_where_there_is_data_and_where_there_is_none(home: Path) -> None:
    here = facts.bicubic_numbers(facts.bicubic_table(SMOKE))
    assert 0 < here["cars_bicubic_mse"] < 0.1
    missing = facts.bicubic_numbers(facts.bicubic_table(profiles.load("paper")))
    assert missing["geo_data"] == "geo (not prepared)"
    assert math.isnan(missing["geo_bicubic_mse"])
