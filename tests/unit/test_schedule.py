"""AEL notation: what it means, that it round-trips, and where a mistake is said to be."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agm.errors import AgmError
from agm.schedule import LAYERS, NAMED, Schedule

patterns = st.text("xrn-", min_size=3, max_size=3).flatmap(lambda p: st.sampled_from([p + "x", p + "r", p + "n"]))
schedules = st.lists(patterns, min_size=1, max_size=20).map(lambda drawn: Schedule(tuple(drawn)))


def test_config_a_is_the_papers() -> None:
    """Section III-C, mask by mask."""
    off, on = False, True
    expected = [(off, off, off, on)] * 2 + [(on, off, off, on)] * 2 + [(on, on, off, on)] * 3 + [(on, on, on, on)] * 3
    assert list(Schedule.parse("A")) == expected


def test_config_b_is_the_papers() -> None:
    off, on = False, True
    expected = [(on, off, off, on)] * 2 + [(on, on, off, on)] * 2 + [(on, on, on, on)] * 6
    assert list(Schedule.parse("B")) == expected


def test_noael_runs_every_layer_ten_times() -> None:
    assert list(Schedule.parse("NOAEL")) == [(True,) * LAYERS] * 10


@pytest.mark.parametrize("name", NAMED)
def test_named_schedules_have_ten_iterations_and_print_spelt_out(name: str) -> None:
    schedule = Schedule.parse(name)
    assert len(schedule) == len(list(schedule)) == 10
    assert str(schedule) == NAMED[name]
    assert Schedule.parse(f"  {name}\n") == schedule


def test_en_dashes_of_the_printed_paper_are_read() -> None:
    printed = "–––x (2) – x––x (2) – xx–x (3) – xxxx (3)"
    assert Schedule.parse(printed) == Schedule.parse("A")


def test_letters_of_the_network_may_stand_for_x() -> None:
    schedule = Schedule.parse("r--n (2)")
    assert schedule.masks == ((True, False, False, True),) * 2
    assert str(schedule) == "r--n (2)"


def test_equal_neighbours_are_one_group() -> None:
    schedule = Schedule.parse("x--x (2) - x--x - xxxx")
    assert schedule == Schedule.parse("x--x (3) - xxxx (1)")
    assert str(schedule) == "x--x (3) - xxxx (1)"


@pytest.mark.parametrize("text", ["xxxx", "xxxx(1)", "xxxx (1)", " xxxx  ( 1 ) ", "xxxx (01)"])
def test_spacing_is_free_and_a_missing_repeat_is_one(text: str) -> None:
    assert str(Schedule.parse(text)) == "xxxx (1)"


@given(schedules)
def test_round_trip(schedule: Schedule) -> None:
    assert Schedule.parse(str(schedule)) == schedule


@given(schedules)
def test_masks_follow_from_patterns(schedule: Schedule) -> None:
    expected = [tuple(letter in "xrn" for letter in pattern) for pattern in schedule.patterns]
    assert list(schedule) == list(schedule.masks) == expected
    assert len(schedule) == len(expected)


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 1, "empty"),
        ("   ", 1, "empty"),
        ("xx?x", 3, "'?' is none of"),
        ("xxxx (2) - x-Xx", 14, "'X' is none of"),
        ("xxx", 1, "3 letters"),
        ("xxxx - xxxxx", 8, "5 letters"),
        ("xxx-", 4, "layer 4"),
        ("xxxx (2) - xx--", 15, "layer 4"),
        ("xxxx (0)", 7, "'0'"),
        ("xxxx (10000)", 7, "'10000'"),
        ("xxxx (9999) - xxxx", 15, "more than 9999"),
        ("xxxx (-1)", 7, "'-1'"),
        ("xxxx (two)", 7, "'two'"),
        ("xxxx ()", 7, "''"),
        ("xxxx (2", 5, "' - '"),
        ("xxxx 2)", 5, "' - '"),
        ("(2)", 1, "a group"),
        ("xxxx (2) - (3)", 12, "a group"),
        ("xxxx (2) -", 9, "' - '"),
        ("xxxx (2)-xxxx", 9, "' - '"),
        ("xxxx (2) xxxx", 9, "' - '"),
        ("xxxx, xxxx", 5, "',' is none of"),
        ("xxxx (²)", 7, "'²'"),
        ("C", 1, "'C' is none of"),
    ],
)
def test_a_mistake_is_refused_with_its_position(text: str, position: int, reason: str) -> None:
    with pytest.raises(AgmError) as refused:
        Schedule.parse(text)
    message = str(refused.value)
    assert f"at character {position}:" in message
    assert reason in message
    assert repr(text) in message


@given(schedules, st.data())
def test_one_wrong_letter_is_found_where_it_stands(schedule: Schedule, data: st.DataObject) -> None:
    text = str(schedule)
    places = [m.start() for m in re.finditer(r"[xrn-](?=\S)|(?<=\S)[xrn-]", text)]
    place = data.draw(st.sampled_from(places))
    with pytest.raises(AgmError, match=rf"at character {place + 1}:"):
        Schedule.parse(text[:place] + "y" + text[place + 1 :])


@given(st.text() | st.text("xrn-–() 0123456789\t", max_size=60))
@example("xxxx (" + "9" * 5000 + ")")
@example("xxxx (1)\0")
@example("\u3000xxxx\u3000(1)")
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        schedule = Schedule.parse(text)
    except AgmError:
        return
    assert Schedule.parse(str(schedule)) == schedule


@pytest.mark.timeout(10)
def test_hostile_text_is_refused_quickly() -> None:
    with pytest.raises(AgmError):
        Schedule.parse("xxxx (" + " " * 400 + "(")


@given(schedules, st.integers(1, 25))
def test_take_gives_a_prefix_and_goes_on_with_the_last_pattern(schedule: Schedule, count: int) -> None:
    masks = list(schedule)
    expected = (masks + [masks[-1]] * count)[:count]
    taken = schedule.take(count)
    assert list(taken) == expected
    assert Schedule.parse(str(taken)) == taken


def test_take_needs_an_iteration() -> None:
    with pytest.raises(AgmError, match="at least one iteration, not 0"):
        Schedule.parse("A").take(0)
