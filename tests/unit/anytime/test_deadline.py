"""A picture by the deadline, with a clock that only goes on when told to."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.anytime import Clock, Slow, slow, table, weights

from agm import Schedule
from agm.anytime import upscaler as upscaler_module
from agm.anytime.latency import FINISH, MARGIN, Span, Times, activities, measure
from agm.anytime.stepper import Twice
from agm.anytime.upscaler import AnytimeUpscaler
from agm.config import GeneratorConfig
from agm.errors import AgmError

GREY = np.full((10, 10), 77, np.uint8)
NINE = Schedule.parse("xxxx (9)")
SECONDS = st.floats(0.001, 1.0)


def shows(image: Any) -> int:
    """Which iteration of `Slow` made an image."""
    (value,) = np.unique(image)
    return 0 if value == 77 else round(float(value) / 25.5)


@given(predicted=SECONDS, shares=st.lists(st.floats(0, 1), min_size=9, max_size=9), deadline=st.floats(0.001, 12))
def test_no_iteration_is_begun_that_is_predicted_to_be_late(
    predicted: float, shares: list[float], deadline: float
) -> None:
    """Where predictions are upper limits, the deadline is met, and time is left over only if it is too little."""
    upscaler, stepper = slow(lambda t, _: shares[t] * predicted, Times(table(NINE, predicted, 100, 0.3)))
    result = upscaler.upscale(GREY, deadline)
    need = MARGIN * predicted
    assert all(moment + need <= 100 + deadline - 0.33 + 1e-9 for _, _, moment in stepper.begun)
    assert [t for t, _, _ in stepper.begun] == list(range(result.iteration))
    assert shows(result.image) == result.iteration
    assert result.met
    assert result.elapsed == pytest.approx(sum(result.durations))
    assert len(result.durations) == result.iteration
    if result.iteration < 9:
        assert result.elapsed + need > deadline - 0.33 - 1e-9


@given(st.lists(st.floats(0.001, 10), min_size=9, max_size=9), st.floats(0.001, 12))
def test_whatever_happens_the_last_finished_image_is_returned(seconds: list[float], deadline: float) -> None:
    upscaler, stepper = slow(lambda t, _: seconds[t], Times(table(NINE, 0.5, 100)))
    result = upscaler.upscale(GREY, deadline)
    assert shows(result.image) == result.iteration == len(stepper.begun)
    assert result.met == (result.elapsed <= deadline)
    assert result.durations == pytest.approx(seconds[: result.iteration])


def test_bicubic_if_nothing_fits() -> None:
    upscaler, stepper = slow(lambda *_: 0.1, Times(table(NINE, 0.1, 100)))
    result = upscaler.upscale(GREY, 0.1)  # the margin does not fit
    assert (result.iteration, result.met, result.durations, stepper.begun) == (0, True, (), [])
    assert shows(result.image) == 0
    assert upscaler.upscale(GREY, 0.12).iteration == 1


@pytest.mark.parametrize(("deadline", "iteration"), [(1.9, 10), (1.8, 9)])
def test_a_second_look_is_taken_only_if_it_will_be_over_in_time(deadline: float, iteration: int) -> None:
    """Nine iterations of 0.1 s, and a second look of 0.9 s, for which 0.99 are allowed."""
    again = {"again": {100: Span(0.9, 0.9, 0.9)}}
    upscaler, stepper = slow(lambda *_: 0.1, Times(table(NINE, 0.1, 100) | again))
    upscaler.stepper = Twice(stepper, NINE)
    result = upscaler.upscale(GREY, deadline)
    assert (result.iteration, len(stepper.begun), result.met) == (iteration, 9 if iteration == 9 else 18, True)


def test_what_was_never_measured_is_not_begun_under_a_deadline() -> None:
    upscaler, _ = slow(lambda *_: 0.0, Times({}))
    assert upscaler.upscale(GREY, 1000.0).iteration == 0
    assert upscaler.upscale(GREY).iteration == 9


def test_without_a_deadline_all_iterations_or_as_many_as_asked_for() -> None:
    upscaler, _ = slow(lambda *_: 5.0, Times(table(NINE, 0.1, 100)))
    assert [upscaler.upscale(GREY, iterations=n).iteration for n in (None, 0, 1, 9)] == [9, 0, 1, 9]
    result = upscaler.upscale(GREY, 1e6, iterations=3)
    assert (result.iteration, result.elapsed, result.met) == (3, 15.0, True)


def test_a_machine_that_is_slower_than_stored_is_noticed() -> None:
    """Three times as slow: without notice, the fourth iteration would be begun, and end after 1.2 seconds."""
    upscaler, _ = slow(lambda *_: 0.3, Times(table(NINE, 0.1, 100)))
    result = upscaler.upscale(GREY, 1.15)
    assert (result.iteration, result.met) == (3, True)
    assert result.elapsed == pytest.approx(0.9)
    assert upscaler.upscale(GREY, 0.29).iteration == 0


@pytest.mark.parametrize("deadline", [0, -0.05, math.nan, math.inf])
def test_impossible_deadlines(deadline: float) -> None:
    upscaler, _ = slow(lambda *_: 0.0, Times({}))
    with pytest.raises(AgmError, match="must be positive and finite"):
        upscaler.upscale(GREY, deadline)


@pytest.mark.parametrize("iterations", [-1, 10])
def test_impossible_iterations(iterations: int) -> None:
    upscaler, _ = slow(lambda *_: 0.0, Times({}))
    with pytest.raises(AgmError, match="must be from 0 to 9"):
        upscaler.upscale(GREY, iterations=iterations)


def test_predictions() -> None:
    times = Times({"xxxx": {400: Span(4, 5, 6), 100: Span(1, 2, 3)}, "---x": {100: Span(1, 1, 1)}})
    assert [times.predict("xxxx", n) for n in (1, 100, 250, 400, 800)] == [3, 3, 4.5, 6, 12]
    assert times.predict("---x", 100) == pytest.approx(1.1)
    assert times.predict("x--x", 100) == math.inf
    for _ in range(16):
        times.observe("xxxx", 250, 5.0)
    assert times.predict("xxxx", 400) == pytest.approx(8)
    assert times.predict("---x", 200) == pytest.approx(4)
    for _ in range(16):
        times.observe("---x", 100, 0.1)
    assert times.predict("xxxx", 400) == 6


@given(st.integers(1, 500), st.integers(1, 500))
def test_predictions_grow_with_the_image(a: int, b: int) -> None:
    times = Times({"xxxx": {50: Span(1, 1, 1.5), 200: Span(3, 4, 5)}})
    small, large = sorted((a, b))
    assert times.predict("xxxx", small) <= times.predict("xxxx", large)


def tiled(seconds: float, groups: int, monkeypatch: pytest.MonkeyPatch) -> tuple[AnytimeUpscaler, Slow, np.ndarray]:
    """An image of four tiles, in so many groups; the times are right."""
    upscaler, stepper = slow(lambda *_: seconds, Times(table(NINE, seconds, 48 * 48)), tile=48)
    monkeypatch.setattr(upscaler, "group_pixels", 4680 // groups)  # they see 31 and 47 rows
    monkeypatch.setattr(upscaler.times, "predict", lambda name, _: 0.0 if name == FINISH else seconds)
    return upscaler, stepper, np.full((60, 30), 77, np.uint8)


def test_all_tiles_finish_an_iteration_before_one_begins_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    upscaler, stepper, image = tiled(0.1, 1, monkeypatch)
    result = upscaler.upscale(image, 1.35)  # three iterations of four tiles are 1.2 seconds
    assert [t for t, _, _ in stepper.begun] == [0] * 4 + [1] * 4 + [2] * 4
    assert (result.iteration, shows(result.image), result.met) == (3, 3, True)
    assert result.durations == pytest.approx([0.4] * 3)


def test_an_iteration_that_falls_behind_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause in the second tile: what the first has reached does not show."""
    upscaler, stepper, image = tiled(0.1, 1, monkeypatch)
    stepper.seconds = lambda *_: 2.0 if len(stepper.begun) == 6 else 0.1
    result = upscaler.upscale(image, 2.55)
    assert [t for t, _, _ in stepper.begun] == [0] * 4 + [1] * 2
    assert (result.iteration, shows(result.image), result.met) == (1, 1, True)


def test_groups_share_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    upscaler, stepper, image = tiled(0.1, 2, monkeypatch)
    result = upscaler.upscale(image, 1.75)  # 0.875 each are four iterations of two tiles; the rest goes to the second
    assert [t for t, _, _ in stepper.begun] == [0, 0, 1, 1, 2, 2, 3, 3] * 2
    assert (result.iteration, shows(result.image), result.met) == (4, 4, True)
    assert result.durations == pytest.approx([0.4] * 4)


def test_a_group_that_comes_less_far_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    upscaler, stepper, image = tiled(0.1, 2, monkeypatch)
    stepper.seconds = lambda *_: 0.3 if len(stepper.begun) == 2 else 0.1
    result = upscaler.upscale(image, 1.75)
    assert [t for t, _, _ in stepper.begun] == [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2, 3, 3]
    assert result.iteration == 3
    assert sorted(np.unique(result.image).tolist()) == [76, 102]  # iteration 3 above, 4 below

    stepper.begun.clear()
    stepper.seconds = lambda *_: 0.9 if len(stepper.begun) == 8 else 0.1
    result = upscaler.upscale(image, 1.75)
    assert result.iteration == 0
    assert sorted(np.unique(result.image).tolist()) == [77, 102]  # iteration 4 above, bicubic below
    assert result.met


CONFIG = GeneratorConfig(layers="nnnr", width=4, iterations=3)
CPU = torch.device("cpu")


def test_measuring() -> None:
    """Each activity by itself, warm-up left out, fewer rounds once the time is over."""
    clock = Clock()
    stepper = Slow(clock, lambda t, pixels: (100.0 if len(stepper.begun) <= 3 else 1.0) * (t + 1) * pixels / 16)
    schedule = Schedule.parse("---x (1) - xxxx (2)")
    found = measure(stepper, [schedule, schedule], [4], 5, 1e6, CPU, clock)
    assert set(found) == {"first ---x", "xxxx", FINISH}
    assert found["first ---x"] == {16: Span(1, 1, 1)}
    assert found["xxxx"][16].p50 == 2.5  # iterations 2 and 3
    assert len(stepper.begun) == 3 * 6
    stepper.begun.clear()
    measure(stepper, [schedule], [4], 50, 0.0, CPU, clock)
    assert len(stepper.begun) == 3 * 4


def test_loading_measures_what_its_schedule_does(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = weights(home / "w.safetensors")
    measured: list[int] = []

    def fake(stepper: Any, schedules: Iterable[Schedule], sizes: Any, rounds: int, *_: Any) -> Any:
        measured.append(rounds)
        return {name: {1: Span(7, 7, 7)} for schedule in schedules for name in activities(schedule)}

    monkeypatch.setattr(upscaler_module, "measure", fake)
    assert AnytimeUpscaler.load(path).times.predict("xxxx", 1) == pytest.approx(7.7)
    other = AnytimeUpscaler.load(path, schedule="---x (1) - xxxx (1)")
    assert other.times.predict("first ---x", 1) == pytest.approx(7.7)
    AnytimeUpscaler.load(path, timed=False)
    assert measured == [10, 10]
