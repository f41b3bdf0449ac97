"""One network for any schedule against networks for one, from what was measured."""

from __future__ import annotations

from typing import Any

import pytest

from agm.schedule import NAMED, Schedule
from study.figures import schedules, style

MACHINE = {"device": "Some processor", "threads": 2, "versions": {"torch": "2.0"}, "code": "abc"}
SCHEDULES = {name: str(Schedule.parse(NAMED[name])) for name in ("NOAEL", "A")}
LAST = {("any", 8): (23.0, 22.5), ("any", 4): (22.0, 21.5), ("NOAEL", 8): (23.4, 10.0), ("A", 8): (18.0, 22.8)}
"""Trained for, epochs -> PSNR of the last image under NOAEL and A, with the statistics that fit."""


def rows() -> list[dict[str, Any]]:
    found = []
    for (trained, epochs), values in LAST.items():
        about = {"layers": "nnnr", "trained_schedule": SCHEDULES.get(trained, "any"), "epochs": epochs}
        for name, psnr in zip(("NOAEL", "A"), values, strict=True):
            for statistics in ("mixed", "calibrated"):
                fits = (statistics == "mixed") == (trained == "any")
                for iteration in (1, 2):
                    value = {"iteration": iteration, "psnr": psnr if fits and iteration == 2 else 1.0}
                    found.append(about | {"schedule": SCHEDULES[name], "statistics": statistics} | value)
    return found


FOUND = {"machine": MACHINE, "rows": rows()}


def test_last_images() -> None:
    table = schedules.table(FOUND)
    assert table.columns.tolist() == ["NOAEL", "A"]
    for (trained, epochs), values in LAST.items():
        name = schedules.ANY if trained == "any" else trained
        assert table.loc[("nnnr", name, epochs)].tolist() == list(values)


def test_numbers() -> None:
    numbers = schedules.numbers(FOUND)
    assert numbers["nnnr_NOAEL_loss"] == pytest.approx(0.4)
    assert numbers["nnnr_A_loss"] == pytest.approx(0.3)
    assert (numbers["nnnr_any_worst"], numbers["nnnr_one_worst"]) == (22.5, 10.0)


def test_figure() -> None:
    fig = schedules.draw(FOUND)
    lines = {str(line.get_label()): line for line in fig.axes[0].lines}
    assert fig.axes[0].get_title(loc="left").endswith("nnnr")
    assert list(lines["A, 8 epochs"].get_ydata()) == [18.0, 22.8]
    assert lines["any schedule, 4 epochs"].get_markerfacecolor() == "white"
    assert style.render(fig).startswith(b"<?xml")
