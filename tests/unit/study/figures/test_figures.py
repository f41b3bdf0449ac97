"""Figures: what is drawn comes from the runs, schedules and networks; files are whole and the same each time."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from support.made_up import BICUBIC, make

from agm import Generator, GeneratorConfig, Schedule
from agm.runs import Run
from study import aggregate, profiles
from study.experiments import TABLE_1, plan
from study.figures import (
    fig1,
    fig2,
    fig3,
    fig4,
    fig5,
    fig6,
    fig7,
    film,
    order,
    statistics,
    style,
    tradeoff,
)

SMOKE = profiles.load("smoke")

OF_CURVES = {"fig4": fig4, "fig5": fig5, "fig6": fig6, "fig7": fig7, "statistics": statistics}


def runs_of(experiment: str, home: Path, **fields: object) -> list[Run]:
    return make(home, plan(experiment, SMOKE, **fields))


def words(fig: Figure) -> str:
    """Everything written on a figure, as its SVG notes it beside the outlines."""
    return "\n".join(re.findall(r"<!-- (.*?) -->", style.render(fig).decode(), re.DOTALL)).replace(
        "\N{NO-BREAK SPACE}", " "
    )


def panels(fig: Figure) -> dict[str, list[str]]:
    """The title of every panel with its series."""
    return {
        ax.get_title(loc="left"): [str(line.get_label()) for line in ax.lines if str(line.get_label())[0] != "_"]
        for ax in fig.axes
    }


def test_fig4_has_the_papers_panels(home: Path) -> None:
    found = panels(fig4.draw(runs_of("fig4", home), SMOKE))
    assert [set(series) for series in found.values()] == 2 * [
        {"nrrr", "rnrr", "rrnr", "rrrn", "rrrr", "bicubic"},
        {"rnnn", "nrnn", "nnrn", "nnnr", "nnnn", "bicubic"},
    ]
    counts, shared = (aggregate.STATISTICS_NAMES[kind] for kind in aggregate.both(runs_of("fig4", home)))
    assert [title.split(", ")[1] for title in found] == [counts] * 2 + [shared] * 2


def test_networks_without_batch_norm_are_drawn_once_and_named(home: Path) -> None:
    runs = {name: runs_of(name, home, base="light") for name in ("fig4", "fig5", "fig6", "fig7", "fig8", "order")}
    modules = {"fig4": fig4, "fig5": fig5, "fig6": fig6, "fig7": fig7, "order": order}
    figures = [module.draw(runs[name], SMOKE) for name, module in modules.items()]
    figures.append(tradeoff.draw(runs["fig8"], SMOKE, tradeoff.noted(runs["fig8"])))
    assert [len(fig.axes) for fig in figures] == [2, 4, 2, 3, 2, 4]
    for fig in figures:
        assert "the lighter base" in words(fig).replace("\n", " ")
        assert not any(name in title for title in panels(fig) for name in aggregate.STATISTICS_NAMES.values())


def test_both_readings_are_drawn_from_their_own_numbers(home: Path) -> None:
    runs = runs_of("fig8", home)
    for run in runs:
        for kind in aggregate.both(runs):
            quality = {name: list(values) for name, values in run.summary["test"][kind].items()}
            run.summary["test"][kind] = quality | {"mse": [x * (10 if kind == "shared" else 1) for x in quality["mse"]]}
    for metric, ratio in (("mse", 10), ("psnr", 1)):
        left, right = tradeoff.draw(runs, SMOKE, tradeoff.seconds(runs, measure=False), metric).axes[:2]
        assert right.lines[0].get_ydata() == pytest.approx(ratio * np.array(left.lines[0].get_ydata()))
        assert list(left.lines[-1].get_ydata()) == [BICUBIC[metric]] * 2
    errors = tradeoff.table(runs, tradeoff.noted(runs)).loc["rrrr", "mean MSE, AEL"]
    assert errors["shared"] == pytest.approx(10 * errors[aggregate.both(runs)[0]])


def test_fig5_has_the_papers_panels_and_a_common_axis_in_each_row(home: Path) -> None:
    fig = fig5.draw(runs_of("fig5", home), SMOKE)
    found = panels(fig)
    assert [title[4:8] for title in found] == ["CARD", "CARD", "FACE", "FACE"] * 2
    assert [{name[-1] for name in series} - {"c"} for series in found.values()] == [{"r"}, {"n"}] * 4
    assert all(len(series) == 9 for series in found.values())
    assert fig.axes[0].get_ylim() == fig.axes[1].get_ylim()


def test_fig6_and_fig7_have_the_papers_panels(home: Path) -> None:
    sixth = panels(fig6.draw(runs_of("fig6", home), SMOKE))
    assert [title[:3] for title in sixth] == ["(a)", "(b)", "(c)", "(d)"]
    assert all(set(series) == {"nnnr", "nnrr", "rrnr", "rrrr", "bicubic"} for series in sixth.values())
    seventh = panels(fig7.draw(runs_of("fig7", home), SMOKE))
    assert [title.split(",")[0][4:] for title in seventh] == ["CARDATA"] * 2 + ["FACEDATA"] * 2 + ["GEODATA"] * 2
    assert all(len(series) == 5 and series[-2:] == ["rrrr", "bicubic"] for series in seventh.values())


@pytest.mark.parametrize("experiment", ["fig8", "fig9"])
def test_the_trade_off_shows_every_iteration_against_time(experiment: str, home: Path) -> None:
    runs = runs_of(experiment, home)
    fig = tradeoff.draw(runs, SMOKE, tradeoff.seconds(runs, measure=False))
    found = panels(fig)
    assert [title.split(",")[0][4:] for title in found] == [m for m in ("rrrr", "rrnr", "nnrr", "nnnr") for _ in "ab"]
    assert set(map(tuple, found.values())) == {("NOAEL", "AEL+ORL", "bicubic")}
    noael = fig.axes[0].lines[0]
    assert list(noael.get_xdata()) == pytest.approx([10.0 * t for t in range(1, 11)])  # milliseconds
    assert list(noael.get_ydata()) == pytest.approx(runs[-1].test())
    assert list(fig.axes[0].lines[-1].get_ydata()) == [BICUBIC["mse"]] * 2


def test_numbers_of_the_trade_off(home: Path) -> None:
    runs = runs_of("fig8", home)
    times = {run.config.id: [0.1 if "-" in run.config.training.schedule else 0.2, 1.0] for run in runs}
    numbers = tradeoff.numbers(runs, times)
    assert numbers["rrrr_first_ratio"] == pytest.approx(0.5)
    assert (numbers["earlier"], numbers["shared_beat_bicubic"]) == (4, 0)
    level = {("rrrr", True): 1.5, **{(layers, True): 0.5 for layers in TABLE_1[:-1]}}  # by whether there is AEL
    others = make(
        home / "o",
        plan("fig8", SMOKE),
        lambda c: level.get((c.generator.layers, "-" in c.training.schedule), 1.0),
    )
    assert tradeoff.numbers(others, times)["shared_first_worse"] == 3
    for run in others:
        run.summary["test"]["shared"]["psnr"][-1] = 28.5 if "-" in run.config.training.schedule else 29.25
    assert tradeoff.numbers(others, times)["nnnr_shared_change"] == pytest.approx(-0.75)
    rows = tradeoff.table(runs, times).loc["nnnr"]
    assert rows.loc["precise", "first picture, ms, NOAEL":].tolist() == pytest.approx([200, 100])
    assert rows.loc["shared", "first picture, ms, NOAEL":].isna().all()  # once is enough
    assert rows.loc["shared", "last MSE, AEL"] == pytest.approx(0.02)


def test_no_series_of_the_trade_off_is_cut_off(home: Path) -> None:
    runs = runs_of("fig8", home)
    times = {run.config.id: [0.001 * number * t for t in range(1, 11)] for number, run in enumerate(runs, 1)}
    for ax in tradeoff.draw(runs, SMOKE, times).axes:
        assert ax.get_xlim()[0] == 0
        assert ax.get_xlim()[1] >= 10 * len(runs)


def test_times_noted_on_a_busy_and_on_an_idle_machine_are_brought_to_one_speed(home: Path) -> None:
    """nnnr without AEL: 2 ms an iteration; under A, timed where all takes three times as long: 3 ms, then 6 ms."""
    runs = runs_of("fig8", home, layers="nnnr")
    noael, ael = sorted(runs, key=lambda run: run.config.training.schedule != tradeoff.NOAEL)
    noael.summary["seconds_until_iteration"] = np.cumsum(np.full(10, 0.002)).tolist()
    ael.summary["seconds_until_iteration"] = np.cumsum([0.003] * 2 + [0.006] * 8).tolist()
    found = tradeoff.noted([noael, ael])
    assert found[noael.config.id] == pytest.approx(np.cumsum(np.full(10, 0.002)))
    assert found[ael.config.id] == pytest.approx(np.cumsum([0.001] * 2 + [0.002] * 8))
    assert tradeoff.numbers([noael, ael], found)["nnnr_first_ratio"] == pytest.approx(0.5)


def test_times_of_schedules_that_end_differently_stay_as_noted(home: Path) -> None:
    config, _ = plan("fig8", SMOKE, layers="nnnr")
    (run,) = runs = make(home, [config.replace(schedule="xxxx (4) - ---x (6)")])
    assert tradeoff.noted(runs)[run.config.id] == pytest.approx(run.summary["seconds_until_iteration"])


def test_times_are_measured_for_all_models_side_by_side(home: Path) -> None:
    runs = runs_of("fig8", home, layers="nnnr,nnrr")
    for series in tradeoff.seconds(runs).values():
        assert len(series) == 10
        assert list(series) == sorted(series)


def of_runs(home: Path) -> list[Figure]:
    """Every figure that shows runs."""
    fig8 = runs_of("fig8", home)
    return [
        *(module.draw(runs_of(name, home), SMOKE) for name, module in OF_CURVES.items()),
        tradeoff.draw(fig8, SMOKE, tradeoff.seconds(fig8, measure=False)),
        order.draw(runs_of("order", home), SMOKE),
    ]


def test_numbers_and_names_under_an_axis_do_not_touch(home: Path) -> None:
    for fig in of_runs(home):
        fig.canvas.draw()
        for ax in fig.axes:
            labels = [label.get_window_extent() for label in ax.get_xticklabels() if label.get_text()]
            shown = [box for box in labels if ax.bbox.x0 <= (box.x0 + box.x1) / 2 <= ax.bbox.x1]
            assert all(left.x1 < right.x0 for left, right in pairwise(shown)), words(fig)


def test_every_figure_of_runs_is_stamped_and_has_the_baseline(home: Path) -> None:
    for fig in of_runs(home):
        text = words(fig).replace("\n", " ")
        for part in (
            "profile smoke",
            "photographs standing in for CARDATA",
            "the paper's base",
            "width 2",
            "16 px",
            "2 epochs",
            "seed 0",
            "a machine",
        ):
            assert part in text
        assert "bicubic" in text
        assert fig.get_figwidth() < 6


def test_a_run_that_diverged_is_named_in_its_panel(home: Path) -> None:
    first, *others = plan("fig8", SMOKE)
    runs = make(home, [first], status="diverged") + make(home, others)
    assert "diverged: NOAEL" in words(tradeoff.draw(runs, SMOKE, tradeoff.seconds(runs, measure=False)))
    first, *others = plan("fig4", SMOKE)
    assert "diverged: " + first.generator.layers in words(
        fig4.draw(make(home / "4", [first], status="diverged") + make(home / "4", others), SMOKE)
    )


@pytest.mark.parametrize("layers", ["nnnr", "rrrr"])
def test_a_selection_may_leave_a_panel_empty(layers: str, home: Path) -> None:
    for name, module in OF_CURVES.items():
        style.render(module.draw(runs_of(name, home, layers=layers), SMOKE))
    style.render(fig6.draw(runs_of("fig6", home, fraction=0.25), SMOKE))
    style.render(fig7.draw(runs_of("fig7", home, dataset="geo"), SMOKE))
    style.render(order.draw(runs_of("order", home, schedule="NOAEL"), SMOKE))
    runs = runs_of("fig8", home, layers=layers, schedule="A")
    style.render(tradeoff.draw(runs, SMOKE, tradeoff.seconds(runs, measure=False)))


def test_the_sixteen_models_look_different() -> None:
    looks = [style.line(first + last) for first in style.LOOKS for last in "rn"]
    for names in (("color", "linestyle", "markerfacecolor"), ("linestyle", "marker", "markerfacecolor")):
        assert len({tuple(str(look[name]) for name in names) for look in looks}) == 16
    one_panel = [style.line(first + "r") for first in style.LOOKS]
    assert len({look["marker"] for look in one_panel}) == len({look["color"] for look in one_panel}) == 8


def test_a_saved_figure_is_the_same_each_time(tmp_path: Path) -> None:
    def draw() -> Figure:
        return fig2.draw(Schedule.parse("A"), GeneratorConfig(width=2))

    style.save(draw(), "fig2", tmp_path / "new" / "folder")
    style.save(draw(), "again", str(tmp_path))
    style.save(draw(), "nothing", None)
    first = (tmp_path / "new" / "folder" / "fig2.svg").read_bytes()
    assert first == (tmp_path / "again.svg").read_bytes()
    assert first.startswith(b"<?xml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.svg", "new"]
    assert b"<dc:date>" not in first


def test_figures_leave_matplotlib_as_it_was() -> None:
    before = dict(plt.rcParams)
    fig3.draw([Generator(GeneratorConfig("nnnr", 2))])
    assert dict(plt.rcParams) == before
    assert not plt.get_fignums()


def test_shapes_are_those_the_network_has() -> None:
    seen = fig1.shapes(Generator(GeneratorConfig("rnnr")), 64)
    assert seen["a"] == ((3, 32, 32), (64, 32, 32))
    assert seen["b"] == ((3, 64, 64), (64, 32, 32))
    assert seen["layers.0"] == seen["layers.1"] == ((128, 32, 32), (128, 32, 32))
    assert seen["layers.2"] == ((128, 64, 64), (128, 64, 64))
    assert seen["layers.3"] == ((128, 64, 64), (64, 64, 64))
    assert seen["d"] == ((64, 64, 64), (3, 64, 64))


def test_the_network_is_drawn_from_the_module() -> None:
    generator = Generator(GeneratorConfig("rnnr", 8, feedback="bicubic", upsampling="bilinear")).train()
    text = words(fig1.draw(generator, 32))
    assert text.count("ConvLSTM") == 2
    assert text.count("plain") == 2
    for part in ("C.1", "C.2", "C.3", "bilinear", "bicubic before the first iteration", "16 × 16 × 16", "3 × 32 × 32"):
        assert part in text
    assert generator.training
    assert all(not module._forward_hooks for module in generator.modules())


def test_the_light_network_is_drawn_from_the_module() -> None:
    generator = Generator(GeneratorConfig("rnnr", 8, base="light"))
    text = words(fig1.draw(generator, 32))
    assert (text.count("ConvLSTM"), text.count("plain"), text.count("C.")) == (2, 2, 0)
    for part in ("features of t − 1", "zeros before the first", "plus bicubic", "sub-pixel", "3 × 32 × 32"):
        assert part in text
    assert text.count("16 × 16 × 16") == 4  # above the concatenation and layers 1 to 3
    text = words(fig3.draw([generator]))
    assert "C.2" not in text
    assert len(re.findall("^recurrent", text, re.MULTILINE)) == 2


@pytest.mark.parametrize(
    ("notation", "marks"),
    [("A", (5, 8)), ("B", (3, 5)), ("NOAEL", (1, 1)), ("---x (3)", (None, None)), ("xx-x", (1, None))],
)
def test_k_and_k_plus_h(notation: str, marks: tuple[int | None, int | None]) -> None:
    schedule = Schedule.parse(notation)
    assert fig2.milestones(schedule) == marks
    style.render(fig2.draw(schedule, GeneratorConfig("nnnr", 2)))


def test_a_long_schedule_fits() -> None:
    style.render(fig2.draw(Schedule.parse("x--x (20) - xxxx (40)"), GeneratorConfig(width=2)))


def test_configurations_are_drawn_from_the_modules() -> None:
    text = words(fig3.draw([Generator(GeneratorConfig(layers, 2)) for layers in ("rnnr", "nnnr")]))
    assert "rnnr" in text
    assert (len(re.findall("^recurrent", text, re.MULTILINE)), text.count("non-recurrent")) == (3, 5)


def test_pictures_side_by_side() -> None:
    fig = film.strip([torch.rand(3, 8, 8) * 3 - 1] * 5, list("abcde"), columns=4)
    assert len(fig.axes) == 8
    assert all(letter in words(fig) for letter in "abcde")
