"""Numbers and tables of the figures that show runs, and of the assumptions, which need none."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from support.made_up import BICUBIC, make

from agm.config import ORL_CONFIGURATIONS
from agm.runs import Run
from study import aggregate, profiles
from study.experiments import TABLE_1, plan
from study.figures import (
    assumptions,
    choices,
    converged,
    fig4,
    fig6,
    fig7,
    first_frame,
    order,
    statistics,
    style,
    table1,
)

SMOKE = profiles.load("smoke")


def test_table_1_beside_the_papers(home: Path) -> None:
    quick = profiles.load("quick")
    recorded = make(home / "results" / "quick", plan("table1", quick), lambda config: 0.02)
    assert "recorded, a machine" in aggregate.describe(recorded, quick)["stamp"]
    here = make(home / "build" / "runs", plan("table1", SMOKE), lambda config: 0.04)
    table = table1.table(here)
    assert table["MSE, shared"].tolist() == pytest.approx([0.06] * 4 + [BICUBIC["mse"]])
    precise = aggregate.both(here)[0]
    assert table[f"MSE, summed, {precise}"].tolist() == pytest.approx([0.18] * 4 + [3 * BICUBIC["mse"]])
    assert table["MSE (paper)"].tolist()[:4] == [0.0068, 0.0070, 0.0069, 0.0075]
    assert table["parameters"].tolist()[:4] == table["parameters (paper)"].tolist()[:4]
    assert "–" in style.styled(table).to_html()
    assert aggregate.all_finished(quick) == aggregate.recorded_runs("table1", quick)


def test_a_column_is_formatted_by_what_it_holds() -> None:
    """Not by letters that a word happens to contain: `shared` is no share, `iteration` no ratio."""
    columns = ["MSE, shared", "MSE, per iteration", "last PSNR, shared", "ratio", "AEL's share", "parameters"]
    html = style.styled(pd.DataFrame([[0.02579, 0.00281, 24.283, 1.2345, 0.21, 1335683]], columns=columns)).to_html()
    cells = re.findall(r'<td id="\S+" class="data \S+ \S+" >(.*?)</td>', html)
    assert cells == ["0.0258", "0.0028", "24.28", "1.23", "21%", "1,335,683"]


def test_the_order_of_models(home: Path) -> None:
    worse = {"---x": 1.0, "x--x": -1.0, "xxxx": 1.0}  # Config. B turns the order round
    runs = make(
        home, plan("order", SMOKE), lambda c: 1 + 0.1 * worse[c.training.schedule[:4]] * c.generator.layers.count("r")
    )
    numbers = order.of_reading(runs, "shared")
    assert numbers["noael_order"] == "nnnr, nnrr, rrnr, rrrr"
    assert numbers["b_order"] == "rrrr, rrnr, nnrr, nnnr"
    assert (numbers["noael_a_tau"], numbers["noael_b_tau"]) == (1.0, -1.0)
    ranked = order.table(runs)["shared", "rank"].loc["nnnr"]
    assert (ranked["A"], ranked["B"]) == (1, 4)
    assert numbers["noael_a_p"] == pytest.approx(1 / 12)


def test_numbers_of_the_figures(home: Path) -> None:
    found = fig4.of_reading(make(home, plan("fig4", SMOKE)), "shared")
    assert found == {"best": "nnnn", "worst": "rrrr", "single_n_better": 4, "single_r_best": "rnnn"}
    runs = make(home, plan("fig6", SMOKE))
    found = fig6.of_reading(runs, "shared")
    assert found == {"full_best": "nnnr", "quarter_best": "nnnr", "worse_with_less": 4}
    assert fig6.table(runs).loc["nnnr", "ratio"].tolist() == pytest.approx([4.0, 4.0])
    runs = make(home, plan("fig7", SMOKE))
    row = fig7.table(runs, SMOKE).loc["GEODATA", "shared"]
    assert [row[f"best with {count} r"].split()[0] for count in (1, 2, 3)] == ["nnnr", "nnrr", "rrnr"]
    assert row["rrrr's rank"] == 4
    assert fig7.numbers(runs, SMOKE) == {"precise_worst": 3, "shared_worst": 3}
    diverged = make(home / "d", [c for c in plan("fig7", SMOKE) if c.generator.layers == "rrrr"], status="diverged")
    others = [run for run in runs if run.config.generator.layers != "rrrr"]
    assert fig7.table([*others, *diverged], SMOKE)["rrrr's rank"].isna().all()
    found = statistics.numbers(make(home, plan("statistics", SMOKE)))
    assert found["shared_n_validation_mse"] == pytest.approx(1.5 * 0.01 * 2.5)  # 0 to 3 recurrent layers: median 1.5
    twins = statistics.table(aggregate.select(runs, dataset="photographs"))
    assert list(twins.index[:2]) == ["rrrr", "rrrn"]
    assert len(twins) == 17


def test_the_worst_of_four_by_chance() -> None:
    """One of two, and one of three; rrrr against the best of 4, 6 and 4 by hand."""
    assert table1.chance_of_worst(1) == pytest.approx(1 / 2)
    assert table1.chance_of_worst(1, 1) == pytest.approx(1 / 3)
    by_hand = 1 - 2 / 5 + 1 / 9 - 1 / 7 + 2 / 11 - 1 / 15
    assert table1.chance_of_worst(4, 6, 4) == pytest.approx(by_hand)


def test_how_far_seeds_lie_apart(home: Path) -> None:
    runs = make(home, plan("table1", SMOKE, seeds=[0, 1]), lambda config: 0.1 + config.seed)
    numbers = table1.numbers(runs)
    assert table1.seeds(runs).loc["shared", "nnnr"] == "0.1500 to 1.6500"
    assert numbers["precise_nnnr_mse"] == pytest.approx(0.6 * 1.5)
    images = np.mean([run.test("mse", "precise") for run in runs if run.config.generator.layers == "nnnr"], axis=0)
    assert [numbers[f"precise_nnnr_{image}_mse"] for image in ("first", "last")] == pytest.approx(images[[0, -1]])
    level = runs[0].bicubic()
    assert numbers["precise_last_beat_bicubic"] == sum(numbers[f"precise_{m}_last_mse"] < level for m in TABLE_1)
    assert numbers["precise_nnnr_over_printed"] == pytest.approx(0.6 * 1.5 / 0.0068)
    assert numbers["precise_nnnr_summed_over_printed"] == pytest.approx(3 * 0.6 * 1.5 / 0.0068)
    assert numbers["precise_reading"] == "precise"


def test_models_differ_by_more_than_seeds_do() -> None:
    """A table with seeds as blocks by hand, and the interval of rrrr over the others."""
    effects = np.log([[1.0], [1.03], [1.3], [1.5]]) + np.log([1.0, 2.0, 0.7])
    logs = effects + np.random.default_rng(5).normal(0, 0.05, (4, 3))
    found = table1.differences({m: dict(enumerate(np.exp(row))) for m, row in zip(TABLE_1, logs, strict=True)})
    rows, columns = logs.mean(axis=1, keepdims=True), logs.mean(axis=0)
    error = ((logs - rows - columns + logs.mean()) ** 2).sum() / 6
    between = 3 * ((rows - logs.mean()) ** 2).sum() / 3
    assert found["differ_p"] == pytest.approx(stats.f.sf(between / error, 3, 6))
    ratio = logs[3].mean() - logs[:3].mean()
    half = stats.t.ppf(0.975, 6) * math.sqrt(error * (1 + 1 / 3) / 3)
    names = ("rrrr_over_others_low", "rrrr_over_others", "rrrr_over_others_high")
    assert [found[name] for name in names] == pytest.approx(np.exp([ratio - half, ratio, ratio + half]))
    apart = math.sqrt(error / 3) * stats.studentized_range.isf(0.05, 4, 6)
    alike = [TABLE_1[place] for place in (1, 2, 3) if rows[place, 0] - rows[0, 0] < apart]
    assert (found["best"], found["as_good"]) == ("nnnr", ", ".join(alike))
    assert 0 < len(alike) < 3
    assert math.isnan(table1.differences({m: {0: 0.1} for m in TABLE_1})["differ_p"])


def test_tensorflow_1_doubles_images_from_the_corner() -> None:
    """Every second pixel is the input's; between two, Keys' kernel with a = -0.75: -3, 19, 19 and -3 of 32."""
    row = np.array([10, 20, 60, 200, 90, 30], dtype=np.uint8)
    found = assumptions.tensorflow_1(np.broadcast_to(row[:, None], (1, 6, 6, 3)).copy())
    assert found.shape == (1, 3, 12, 12)
    np.testing.assert_allclose(255 * found[0, 1, 5, ::2], row, atol=1e-3)
    between = (-3 * 20 + 19 * 60 + 19 * 200 - 3 * 90) / 32
    np.testing.assert_allclose(255 * found[0, :, 4, 5], between, atol=1e-3)
    assert 1.3 < assumptions.kernel_numbers()["tensorflow_1_over_ours"] < 1.9


def test_assumptions() -> None:
    numbers = assumptions.model_numbers()
    assert numbers["rrrr_parameters"] == 3989891
    assert numbers["nnnn_fewer"] == pytest.approx(74.8, abs=0.05)
    assert numbers["nnnr_fewer"] == pytest.approx(66.5, abs=0.05)
    assert numbers["peephole_extra"] == 3 * (128 + 128 + 128 + 64)
    assert assumptions.paper_numbers()["nnnr_paper_psnr"] == pytest.approx(21.67, abs=0.01)
    assert assumptions.paper_numbers()["nnnr_divided_psnr"] == pytest.approx(26.45, abs=0.01)
    assert "74.8 %" in assumptions.table().to_html()


def test_bicubic_upsampling_where_there_is_data_and_where_there_is_none(home: Path) -> None:
    here = assumptions.bicubic_numbers(assumptions.bicubic_table(SMOKE))
    assert 0 < here["cars_bicubic_mse"] < 0.1
    missing = assumptions.bicubic_numbers(assumptions.bicubic_table(profiles.load("paper")))
    assert missing["geo_data"] == "geo (not prepared)"
    assert math.isnan(missing["geo_bicubic_mse"])


def test_kendall_by_hand() -> None:
    mse = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [1.0, 2.0, 4.0, 3.0], "c": [4.0, 3.0, 2.0, 1.0]})
    found = order.agreement(mse)
    assert found["a_b_tau"] == pytest.approx(4 / 6)  # one of six pairs is the other way round
    assert found["a_c_tau"] == pytest.approx(-1)
    for broken in (mse.replace(4.0, np.nan), mse[:1]):
        assert all(math.isnan(value) for value in order.agreement(broken).values())
    assert order.agreement(mse[["a"]]) == {}


def readings_of(level: float, cost: float) -> dict[str, dict[str, list[float]]]:
    """A run's tests: statistics of each iteration give `level`, shared ones `cost` times as much."""
    own = {"mse": [level] * 10, "psnr": [20.0] * 10, "ssim": [0.5] * 10}
    return {"shared": own | {"mse": [cost * level] * 10}, "iteration": own, "batch": own, "precise": own}


def test_where_shared_statistics_cost_with_a_bicubic_first_frame(home: Path) -> None:
    """By hand: five configurations have no n to the right of an r. All are as expected but nnnr, made to cost twice.

    Every curve of a plain last layer is made spikier than all others: 1 of 12,870 arrangements of eight and eight.
    """
    clean, runs = {"rrrr", "nrrr", "nnrr", "nnnr", "nnnn"}, []
    for config in plan("first_frame", SMOKE, epochs=3):
        layers, black = config.generator.layers, config.generator.feedback == "zeros"
        cost = 3.0 if black else 1.1 if layers in clean - {"nnnr"} else 2.0
        runs += make(home, [config], test=readings_of(0.01, cost))
        spikes = 1 + len(runs) * (0.1 if layers.endswith("n") else 0.001)
        runs[-1].metrics.loc[runs[-1].metrics.epoch == 2, "mse"] *= spikes
    numbers = first_frame.numbers(runs)
    assert (numbers["models"], numbers["as_expected"]) == (16, 15)
    assert (numbers["exceptions"], numbers["rule"]) == ("nnnr", "does not hold")
    assert set(numbers["above"].split(", ")) == set(ORL_CONFIGURATIONS) - clean
    assert 0 < numbers["p"] < 0.01
    assert [numbers[f"{group}_bicubic_cost"] for group in ("clean", "spoilt")] == pytest.approx([1.1, 2.0])
    assert numbers["clean_black_cost"] == numbers["black_least_cost"] == pytest.approx(3.0)
    assert [numbers[f"{frame}_nnnr_over_rrrr"] for frame in ("black", "bicubic")] == pytest.approx([1.0, 2.0 / 1.1])
    assert numbers["bicubic_reading"] == "precise"
    assert numbers["spikier_p"] == pytest.approx(1 / math.comb(16, 8))
    assert set(first_frame.table(runs).index[:5]) == clean
    first_frame.draw(runs, SMOKE)


def test_trained_to_the_end(home: Path) -> None:
    """By hand: each r costs 0.2 dB, AEL 0.1, seeds lie 0.01 to either side; AEL's first picture takes a quarter.

    AEL costs a first layer that is recurrent 0.01 more and any other 0.01 less, so that it has a spread.
    """
    runs = []
    for config in (each for each in plan("converged", profiles.load("paper")) if each.seed < 2):
        ael, count = "---x" in config.training.schedule, config.generator.layers.count("r")
        price = 0.1 + (0.01 if config.generator.layers[0] == "r" else -0.01)
        last = 30 - 0.2 * count - price * ael + (0.01, -0.01)[config.seed]
        quality = {"mse": [0.01] * 5, "psnr": [29.0] * 4 + [last], "ssim": [0.5] * 5}
        times = {"xxxx (5)": [0.04, 0.05, 0.06, 0.07, 0.08]} | (
            {config.training.schedule: [0.01, 0.02, 0.03, 0.04, 0.05]} if ael else {}
        )
        runs += make(home, [config], test={"shared": quality}, seconds_by_schedule=times)
    rates, larger = [], []
    for config in plan("rates", profiles.load("paper")):  # rrrr gains from a larger rate, nnnn does not
        rate, plain = config.training.learning_rate, config.generator.layers == "nnnn"
        last, validation = (31.0, 30 - rate) if plain else (26 + 100 * rate, 20 + 1000 * rate)
        for found, gain in ((rates, 0), (larger, 1)):
            quality = {"mse": [0.01] * 5, "psnr": [29.0] * 4 + [last + gain]}
            (run,) = make(home / str(gain), [config], test={"shared": quality})
            rows = run.metrics.assign(psnr=validation)
            rows.to_csv(run.folder / "metrics.csv", index=False)
            found.append(Run.read(run.folder))
    numbers = converged.numbers(runs, rates, make(home, plan("table1", SMOKE)))
    assert (numbers["best"], numbers["worst"], numbers["as_good"]) == ("nnnn", "rrrr", "nnnn")
    assert numbers["differ"] == "Yes"
    assert (numbers["best_psnr"], numbers["spread"]) == pytest.approx((30, 0.01 * math.sqrt(2)))
    assert [numbers[f"{count}r_psnr"] for count in range(5)] == pytest.approx([30, 29.8, 29.6, 29.4, 29.2])
    assert (numbers["price"], numbers["first_share"], numbers["recurrent_rho"]) == pytest.approx((0.1, 0.25, -1))
    verdicts = [numbers[name] for name in ("ael", "ael_sooner", "orl", "orders_related", "nnnr_best")]
    assert verdicts == ["supported"] * 4 + ["contradicted"]  # 0.1 dB are less than half of 0.6
    assert [numbers[f"ahead_{n}"] for n in (1, 2, 5)] == pytest.approx([0, 0.5, -0.1])
    assert (numbers["pairs"], numbers["seed_tau"]) == (120, pytest.approx(numbers["tau"], abs=0.1))
    assert 0 < numbers["told_apart"] < 0.2
    assert converged.by_rate(runs, rates).loc[[1e-3, 8e-3], "nnnn"].tolist() == pytest.approx([31.0, 30.01])
    gaps = [numbers[name] for name in ("half_rate_gap", "any_rate_gap")]
    assert gaps == pytest.approx([-3.4, -1.8])
    assert numbers["best_rate"] == 32e-3
    # A sees 5 pixels; four recurrent layers add 2 each, and D 2.
    assert [numbers[name] for name in ("field", "side", "gain_2", "gain_5")] == pytest.approx([15, 12, 0, 0.6])
    assert converged.numbers(runs, larger, make(home, plan("table1", SMOKE)))["orl"] == "inconclusive"
    one_seed = [run for run in runs if run.config.seed == 0 or run in converged.split(runs)[converged.WITHOUT]]
    numbers = converged.numbers(one_seed, rates, make(home, plan("table1", SMOKE)))
    assert numbers["price"] == pytest.approx(0.1)  # of the seed that was trained both ways
    few = [run for run in one_seed if run.config.generator.layers in ("rrrr", "nnnn") or run.config.seed == 1]
    numbers = converged.numbers(few, rates, make(home, plan("table1", SMOKE)))
    assert {numbers[name] for name in ("ael", "ael_sooner", "orders_related")} == {"untested"}
    table = converged.table(runs)
    assert table["milliseconds"].tolist() == pytest.approx([80] * 16)
    assert table["PSNR with AEL"].tolist() == pytest.approx((table["PSNR"] - 0.1).tolist(), abs=0.0101)
    assert (table["not told from the best"] == "yes").tolist() == [True] + [False] * 15
    converged.draw(runs, profiles.load("paper"))


def test_what_cannot_be_told_from_the_best_agrees_with_scipy() -> None:
    values = {"b": [0.9, 1.1], "c": [0.1, 0.3], "a": [1.0, 1.2], "d": [0.5, 0.8]}
    p = dict(zip(values, stats.tukey_hsd(*values.values()).pvalue[2], strict=True))
    assert converged.as_good_as_best(values) == [name for name in ("a", "b", "d", "c") if p[name] > 0.05]
    assert converged.as_good_as_best({"a": [1.0], "b": [2.0]}) == ["b", "a"]


def test_the_fewer_are_named_in_words() -> None:
    assert converged._in_words(["a"], ["a", "b", "c"]) == "a"
    assert converged._in_words(["a", "b"], ["a", "b", "c"]) == "all but c"
    assert converged._in_words(["a", "b"], ["a", "b"]) == "all"


def test_a_choice_beside_what_seeds_alone_give(home: Path) -> None:
    """Six seeds whose logarithms are -1, 1, -1, 1, -1, 1 tenths: s = 0.1 sqrt(6 / 5), t = 2.5706 for five degrees."""
    runs = []
    for config in plan("choices", profiles.load("cpu"), layers="nnnr"):
        factor = {0: -1, 1: 1}[config.seed % 2]
        plain = choices.choice_of(make(home / "x", [config])[0], profiles.load("cpu"))
        level = {"": math.exp(factor / 10), "signs": 1.6, "upsampling": 1.2}.get(plain, 1.0)
        runs += make(home, [config], test=readings_of(level, 1.0))
    cpu = profiles.load("cpu")
    numbers = choices.numbers(runs, cpu)
    expected = math.exp(2.5706 * 0.1 * math.sqrt(6 / 5) * math.sqrt(7 / 6))
    assert numbers["precise_band"] == f"{1 / expected:.2f} to {expected:.2f} (nnnr)"  # 1.355
    assert numbers["signs_shared"] == f"1.60 [{1.6 / expected:.2f}, {1.6 * expected:.2f}] (nnnr)"
    assert numbers["precise_beyond"] == "signs as printed (nnnr)"
    two = math.exp(2.5706 * 0.1 * math.sqrt(6 / 5) * math.sqrt(1 / 2 + 1 / 6))  # of equal steps there are two seeds
    assert numbers["epochs_shared_nnnr"] == f"1.00 [{1 / two:.2f}, {two:.2f}]"
    assert len(choices.table(runs, cpu)) == len(choices.CHOICES)
    choices.draw(runs, cpu)
