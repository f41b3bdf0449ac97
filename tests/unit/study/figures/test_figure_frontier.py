"""Quality against time, from what was measured: the anytime score, the cascade, who is unbeaten and who loses."""

from __future__ import annotations

import math
from typing import Any

import pytest

from study.figures import frontier, style

MACHINE = {"device": "Some processor", "threads": 2, "versions": {"torch": "2.0"}, "code": "abc"}


def network(name: str, psnr: list[float], ms: list[float]) -> dict[str, Any]:
    about = {"name": name, "ours": name.startswith("ours"), "parameters": 10, "minutes": 1.0, "macs": [9.0] * len(ms)}
    pictures = {"a.png": psnr, "b.png": [value + 2 for value in psnr]}
    return about | {"psnr": {"Set5": pictures, "Set14": pictures}, "ms": {"a.png": ms, "b.png": ms}}


FOUND: dict[str, Any] = {
    "machine": MACHINE,
    "networks": [
        network("bicubic", [32.0], [0.5]),
        network("espcn", [34.0], [10.0]),
        network("imdn", [36.0], [90.0]),
        network("fsrcnn", [33.0], [30.0]),
        network("ours-same-time", [33.0, 34.5], [20.0, 100.0]),
        network("ours", [34.0, 37.0], [5.0, 200.0]),
    ],
}


def test_quality_averaged_over_deadlines_by_hand() -> None:
    # A third of log(1 ms ... 1 s) each below 10 ms, from 10 to 100, and beyond
    assert frontier.anytime([10, 100], [33, 36], 30) == pytest.approx((30 + 33 + 36) / 3)
    assert frontier.anytime([0.2], [31], 30) == pytest.approx(31)  # there before the first deadline
    assert frontier.anytime([5000], [40], 30) == pytest.approx(30)  # after the last one
    late = math.log(1000 / 500) / math.log(1000)
    assert frontier.anytime([500, 2000], [40, 50], 30) == pytest.approx(30 + 10 * late)


def test_scores() -> None:
    scores = frontier.scores(FOUND)
    assert scores["espcn"] == pytest.approx(33 + 2 * 2 / 3)  # the mean of both pictures
    assert scores["bicubic"] == pytest.approx(33)
    assert scores.is_monotonic_decreasing


def test_the_cascade_is_the_best_selection_and_takes_the_sum_of_the_times() -> None:
    score = frontier.cascade(FOUND)  # espcn, then imdn; fsrcnn would come later and be worse
    assert score == pytest.approx(1 + (32 + 34 + 36) / 3)  # imdn is there after 10 + 90 ms
    assert frontier.scores(FOUND)["cascade"] == score


def test_unbeaten_images() -> None:
    found = frontier.points(FOUND).set_index(["name", "iteration"])
    assert found.loc[("espcn", 1), "set5"] == 35
    assert found.index[found.unbeaten].tolist() == [("bicubic", 1), ("imdn", 1), ("ours", 1), ("ours", 2)]
    same = FOUND | {"networks": [network("espcn", [22.0], [1]), network("ours", [23.0], [1])]}
    assert frontier.points(same).unbeaten.tolist() == [False, True]


def test_table() -> None:
    table = frontier.table(FOUND)
    assert table.index[0] == "ours"
    assert table.loc["ours", ["pictures", "last PSNR, Set5", "last picture after, ms"]].tolist() == [2, 38, 200]


def test_the_verdict_says_where_ours_loses() -> None:
    verdict = frontier.numbers(FOUND)["verdict"]
    assert verdict.startswith("In the average over deadlines from 1 ms to 1000 ms, no: our network is ")
    assert "dB worse than the best single rival, IMDN, and " in verdict
    assert "Its last picture is 1.50 dB worse than the best of any" in verdict
    assert verdict.endswith("IMDN's after 90 ms.")
    windows = frontier.windows(FOUND)[frontier.AHEAD_ALONE]
    # From 50 ms on: ours has 34 dB until 100 ms, then 35.5; IMDN 33 until 90 ms, then 37
    halves = [math.log(end / 50) / math.log(1000 / 50) for end in (90, 100)]
    assert windows["deadlines from 50 ms"] == pytest.approx(35.5 - 1.5 * halves[1] - (37 - 4 * halves[0]))
    assert (
        f"from 20 ms on alone, ours is {-windows['deadlines from 20 ms']:.2f} dB worse than the best single rival then"
        in verdict
    )
    better = FOUND | {"networks": [network("bicubic", [32.0], [0.5]), network("espcn", [34.0], [10.0])]}
    better["networks"] += [network(name, [35.0, 37.0], [5.0, 20.0]) for name in ("ours-same-time", "ours")]
    assert frontier.numbers(better)["verdict"].startswith("In the average over deadlines from 1 ms to 1000 ms, yes: ")
    assert "is there after 5 ms, the first of any rival, ESPCN's, after 10 ms" in frontier.numbers(better)["message"]


def test_which_images_rivals_beat() -> None:
    # espcn has 34 dB after 10 ms, imdn 36 after 90
    versus = frontier.versus(FOUND)
    assert versus["pictures beaten"].to_dict() == {"ours, same time": "2 of 2", "ours": "0 of 2"}
    assert versus.loc["ours", frontier.AHEAD_LAST] == pytest.approx(1)


def test_figure() -> None:
    fig = frontier.draw(FOUND)
    lines = {str(line.get_label()): line for line in fig.axes[0].lines}
    assert list(lines["unbeaten"].get_xdata()) == [0.5, 5, 90, 200]
    assert list(lines["ours"].get_ydata()) == [35, 38]
    assert len(fig.axes[1].lines) == len(FOUND["networks"]) + 1
    assert style.render(fig).startswith(b"<?xml")
