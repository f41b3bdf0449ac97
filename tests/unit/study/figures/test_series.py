"""What a figure writes into its SVG about its series, against places and numbers by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from bs4 import BeautifulSoup
from matplotlib.figure import Figure

from study.figures import style


def two_panels() -> Figure:
    with style.context():
        fig = style.figure(3.0)
        left, right = fig.subplots(1, 2, sharey=True)
        left.plot([1, 2, 3, 4], [0.01, math.nan, 0.1, 1.0], label="one & all")
        left.fill_between([1, 4], 0.01, 1.0, alpha=0.2, label="_one & all")
        left.plot([1, 4], [0.02, 0.02], color="grey")  # without a name
        right.plot([0, 1], [0.02, 0.3], label="one & all")
        right.set_xticks([0, 1], ["first\nof all", "last"])
        style.baseline(left, 0.5)
        style.log_axis(left)
        right.axvline(0.5, label="limit")
        style.title(left, "a", "numbers")
        left.set_ylabel("MSE")
        left.set_xlabel("epoch")
        style.legend(fig, left, 2)
    return fig


def groups(fig: Figure, selector: str) -> list[dict[str, str]]:
    """The attributes of the SVG's groups, without the beginning of their names."""
    found = BeautifulSoup(style.render(fig).decode().split("?>", 1)[1], "html.parser").select(f"g{selector}")
    return [{name.removeprefix("data-"): str(value) for name, value in group.attrs.items()} for group in found]


def test_a_line_holds_its_finite_numbers_and_where_they_are() -> None:
    fig = two_panels()
    one, level, other, limit = sorted(groups(fig, "[data-x]"), key=lambda group: group["id"])
    assert level["series"] == "bicubic"
    assert (one["series"], one["panel"], one["x-axis"], one["y-axis"]) == ("one & all", "(a) numbers", "epoch", "MSE")
    assert (one["x"], one["y"]) == ("1|3|4", "0.01|0.1|1")
    box, (low, high), (first, last) = fig.axes[0].get_position(), fig.axes[0].get_ylim(), fig.axes[0].get_xlim()
    for x, y, place in zip((1, 3, 4), (0.01, 0.1, 1.0), one["at"].split("|"), strict=True):
        down = math.log(y / low) / math.log(high / low)
        expected = (box.x0 + box.width * (x - first) / (last - first), 1 - box.y0 - box.height * down)
        assert tuple(map(float, place.split())) == pytest.approx(expected, abs=2e-4)
    assert (level["x"], level["y"]) == ("", "0.5|0.5")
    assert (limit["x"], limit["y"]) == ("0.5|0.5", "")
    assert (other["x"], other["y-axis"]) == ("first of all|last", "MSE")


def test_a_band_belongs_to_its_series_and_a_line_without_a_name_to_none() -> None:
    names = [group["series"] for group in groups(two_panels(), "[data-series]")]
    assert sorted(names) == ["bicubic", "limit", "one & all", "one & all", "one & all"]


def test_the_entries_of_a_legend_have_their_boxes() -> None:
    entries = {group["entry"]: np.array(group["at"].split(), float) for group in groups(two_panels(), "[data-entry]")}
    assert set(entries) == {"one & all", "bicubic"}
    for left, top, width, height in entries.values():
        assert 0 < left < left + width < 1
        assert 0.8 < top < top + height < 1.01
    assert entries["one & all"][0] + entries["one & all"][2] < entries["bicubic"][0]
