"""Quality against time, from what was measured: who is unbeaten, and by how much who is ahead."""

from __future__ import annotations

from typing import Any

import pytest

from agm import frontier
from agm.figures import frontier as figures
from agm.figures import style

MACHINE = {"device": "Some processor", "threads": 2, "versions": {"torch": "2.0"}, "code": "abc"}


def row(name: str, ours: bool, seed: int, iteration: int, psnr: float, ms: float | None) -> dict[str, Any]:
    about = {"name": name, "ours": ours, "seed": seed, "iteration": iteration, "parameters": 10 * len(name)}
    return about | {"psnr": psnr, "ssim": psnr / 40, "ms": {"16": 1.0, "64": ms}}


FOUND: dict[str, Any] = {
    "timing": {"16": {"machine": MACHINE}, "64": {"machine": MACHINE}},
    "rows": [
        row("bicubic", False, 0, 1, 22.0, 1),
        row("espcn", False, 0, 1, 23.0, 2),
        row("espcn", False, 1, 1, 24.0, 2),
        row("imdn-residual", False, 0, 1, 26.0, 30),
        row("nnnr-16-NOAEL", True, 0, 1, 21.0, 10),
        row("nnnr-16-NOAEL", True, 0, 2, 25.0, 20),
        row("rrrr-8-A-residual", True, 0, 1, 23.4, 3),
        row("rrrr-8-A-residual", True, 0, 2, 24.0, 6),
        row("never-8-timed", True, 0, 1, 99.0, None),
    ],
}


def test_unbeaten_images() -> None:
    points = frontier.points(FOUND, 64).set_index(["name", "iteration"])
    assert points.loc[("espcn", 1), "psnr"] == 23.5  # averaged over seeds
    assert points.unbeaten.to_dict() == {
        ("bicubic", 1): True,
        ("espcn", 1): True,
        ("imdn-residual", 1): True,
        ("nnnr-16-NOAEL", 1): False,
        ("nnnr-16-NOAEL", 2): True,
        ("rrrr-8-A-residual", 1): False,
        ("rrrr-8-A-residual", 2): True,
    }


def test_of_images_at_the_same_time_the_better_one_is_unbeaten() -> None:
    same = {"timing": {}, "rows": [row("a", False, 0, 1, 22.0, 1), row("b", True, 0, 1, 23.0, 1)]}
    assert frontier.points(same, 64).unbeaten.tolist() == [False, True]


def test_table() -> None:
    table = frontier.table(FOUND, 64)
    assert table.index.tolist() == ["imdn-residual", "nnnr-16-NOAEL", "rrrr-8-A-residual", "espcn", "bicubic"]
    best = table.loc["nnnr-16-NOAEL"]
    assert (best["best image"], best["PSNR"], best["there after, ms"], best["unbeaten"]) == (2, 25.0, 20.0, 1)


def test_numbers() -> None:
    numbers = frontier.numbers(FOUND, 64)
    assert (numbers["unbeaten"], numbers["ours_unbeaten"]) == (5, 2)
    assert (numbers["ours"], numbers["rival"], numbers["quick"]) == ("nnnr-16-NOAEL", "imdn-residual", "espcn")
    assert numbers["behind"] == 1.0
    assert numbers["behind_quick"] == -1.5
    assert numbers["bicubic_psnr"] == 22.0
    assert numbers["stamp"] == "Some processor, 2 threads · torch 2.0 · code abc"


def test_figure() -> None:
    fig = figures.draw(FOUND, 64)
    lines = {str(line.get_label()): line for line in fig.axes[0].lines}
    assert list(lines["unbeaten"].get_xdata()) == [1, 2, 6, 20, 30]
    assert lines["imdn-residual"].get_markerfacecolor() == "white"
    assert lines["espcn"].get_markerfacecolor() != "white"
    assert list(lines["rrrr 8 A"].get_ydata()) == [23.4, 24.0]
    assert lines["rrrr 8 A"].get_linewidth() == pytest.approx(1.1)
    assert style.render(fig).startswith(b"<?xml")
