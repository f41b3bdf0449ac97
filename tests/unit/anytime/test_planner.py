"""Which schedule for a deadline: against every possibility tried out, and in the upscaler with a clock of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.anytime import Clock, Slow, weights

from agm import Schedule, files
from agm.anytime.latency import FINISH, MARGIN, Span, Times, activities, activity
from agm.anytime.planner import Planner
from agm.anytime.upscaler import AnytimeUpscaler
from agm.config import GeneratorConfig, RunConfig
from agm.data import to_tensor
from agm.errors import AgmError
from agm.runs import Run, load
from agm.schedule import Mask, candidates

GREY = np.full((10, 10), 77, np.uint8)
CANDIDATES = candidates(4)
NAMES = sorted(set().union(*map(activities, CANDIDATES)) - {FINISH})

scores = st.dictionaries(
    st.sampled_from(CANDIDATES), st.lists(st.integers(20, 30).map(float), min_size=4, max_size=4), min_size=1
)
medians = st.fixed_dictionaries({name: st.integers(1, 9) for name in NAMES})


def table(seconds: dict[str, int], finish: int) -> dict[str, dict[int, Span]]:
    """The same durations for any image of up to 1,000 pixels."""
    return {name: {1000: Span(s, s, s)} for name, s in ({FINISH: finish} | seconds).items()}


def tried(
    scores: dict[Schedule, list[float]], seconds: dict[str, int], start: int, tiles: int, limit: float, most: int
) -> list[tuple[float, int]]:
    """(score, minus the sum of the medians) of everything that fits into `limit` medians."""
    found = []
    for schedule, row in scores.items():
        for n in range(1, most + 1):
            need = start + tiles * sum(seconds[activity(mask, t)] for t, mask in enumerate(schedule.masks[:n]))
            if need <= limit:
                found.append((row[n - 1], -need))
    return found


@given(scores, medians, st.integers(1, 9), st.lists(st.integers(1, 300), min_size=1, max_size=3), st.data())
def test_nothing_that_fits_is_better(
    scores: dict[Schedule, list[float]], seconds: dict[str, int], finish: int, tiles: list[int], data: st.DataObject
) -> None:
    limit, most = data.draw(st.integers(0, 110)) + 0.5, data.draw(st.none() | st.integers(0, 4))
    planner = Planner(scores, bicubic=24.0)
    plan = planner.plan(Times(table(seconds, finish)), tiles, MARGIN * limit, most)
    possible = tried(scores, seconds, finish, len(tiles), limit, 4 if most is None else most)
    best = max(possible, default=(0.0, 0))
    if plan is None:
        assert best[0] <= 24.0
    else:
        n = len(plan)
        need = finish + len(tiles) * sum(seconds[activity(mask, t)] for t, mask in enumerate(plan))
        assert max((row[n - 1], -need) for s, row in scores.items() if s.take(n) == plan) == best
        assert best[0] > 24.0


def test_by_hand() -> None:
    """A cheap schedule first, the full one once it pays, and not to its end where that is worse."""
    cheap, full = Schedule.parse("---x (3)"), Schedule.parse("xxxx (3)")
    planner = Planner({cheap: [25, 26, 26], full: [25, 28, 27]}, bicubic=24)
    times = Times(table({"first ---x": 2, "---x": 2, "first xxxx": 5, "xxxx": 5}, 1))
    plans = [planner.plan(times, [100], MARGIN * seconds + 1e-9) for seconds in (2, 3, 5, 10, 11, 1000)]
    assert [str(plan) for plan in plans] == ["None", "---x (1)", "---x (2)", "---x (2)", "xxxx (2)", "xxxx (2)"]
    assert str(planner.plan(times, [100], math.inf, most=1)) == "---x (1)"
    assert planner.plan(times, [100], math.inf, most=0) is None
    assert str(planner.plan(times, [100, 100], MARGIN * 10)) == "---x (2)"
    assert planner.best == full


def test_without_times_only_without_a_deadline() -> None:
    planner = Planner({Schedule.parse("xxxx (3)"): [25, 28, 27]}, bicubic=24)
    assert planner.plan(Times({}), [100], 1e9) is None
    assert str(planner.plan(Times({}), [100], math.inf)) == "xxxx (2)"


class SlowByMask(Slow):
    """Iterations take as long as their activity says."""

    by_name: Callable[[str], float]

    def step(self, progress: Any, mask: Mask) -> torch.Tensor:
        self.seconds = lambda t, _: self.by_name(activity(mask, t))
        return super().step(progress, mask)


def planned(
    scores: dict[Schedule, list[float]], seconds: dict[str, int], share: float
) -> tuple[AnytimeUpscaler, SlowByMask]:
    """An upscaler with a planner; everything takes that share of its median."""
    clock = Clock()
    stepper = SlowByMask(clock, lambda *_: 0.0)
    stepper.by_name = lambda name: share * seconds[name]
    planner, times = Planner(scores, 24.0), Times(table(seconds, 1))
    return AnytimeUpscaler(stepper, GeneratorConfig(), planner.best, times, clock=clock, planner=planner), stepper


@given(scores, medians, st.integers(0, 40), st.floats(0.1, 1))
def test_the_upscaler_keeps_the_deadline_with_the_best_that_fits(
    scores: dict[Schedule, list[float]], seconds: dict[str, int], limit: int, share: float
) -> None:
    upscaler, stepper = planned(scores, seconds, share)
    result = upscaler.upscale(GREY, MARGIN * (limit + 0.5))
    assert result.met
    assert result.elapsed <= max(0, limit - 1)
    best = max(tried(scores, seconds, 1, 1, limit + 0.5, 4), default=(0.0, 0))
    if result.schedule is None:
        assert best[0] <= 24.0
        assert (result.iteration, stepper.begun) == (0, [])
    else:
        assert result.iteration == len(result.schedule) == len(result.durations)
        matching = [row for s, row in scores.items() if s.take(result.iteration) == result.schedule]
        assert max(row[result.iteration - 1] for row in matching) == best[0]
        names = [activity(mask, t) for t, mask in enumerate(result.schedule)]
        assert result.durations == pytest.approx([share * seconds[name] for name in names])


def test_a_plan_that_takes_longer_than_predicted_is_cut_short() -> None:
    cheap = Schedule.parse("---x (4)")
    upscaler, _ = planned({cheap: [25.0, 26.0, 27.0, 28.0]}, {"first ---x": 2, "---x": 2}, 1.5)
    result = upscaler.upscale(GREY, MARGIN * 9.5)
    assert result.schedule == cheap
    assert (result.iteration, result.elapsed, result.met) == (3, 9.0, True)


def test_iterations_limit_a_plan() -> None:
    cheap, full = Schedule.parse("---x (4)"), Schedule.parse("xxxx (4)")
    seconds = {"first ---x": 2, "---x": 2, "first xxxx": 5, "xxxx": 5}
    upscaler, _ = planned({cheap: [26.0, 26.0, 25.0, 25.0], full: [25.0, 25.0, 27.0, 26.0]}, seconds, 1.0)
    found = [upscaler.upscale(GREY, iterations=n) for n in (None, 0, 1, 2, 3, 4)]
    assert [r.iteration for r in found] == [3, 0, 1, 1, 3, 3]
    assert [str(r.schedule) for r in found[1:3]] == ["None", "---x (1)"]
    with pytest.raises(AgmError, match="must be from 0 to 4"):
        upscaler.upscale(GREY, iterations=5)
    assert [s.iteration for s in upscaler.stream(GREY)] == [0, 1, 2, 3, 4]


A, FULL = "---x (1) - xx-x (1) - xxxx (1)", "xxxx (3)"
STORED = {A: [25.0, 27.0, 26.5], FULL: [24.5, 26.0, None]}


def run_folder(folder: Path, stored: Any = STORED, **fields: Any) -> Path:
    """A finished run's folder with a tiny network and scores that are known."""
    path = weights(folder / "generator.safetensors", schedule=FULL, **fields)
    config = RunConfig.from_dict(files.read_tensors(path)[1]["config"])
    summary = {"id": config.id, "bicubic": {"validation": {"psnr": 24.0}}, "schedules": {"iteration": stored}}
    files.write_json(folder / "config.json", config.to_dict())
    files.write_json(folder / "summary.json", summary)
    return path


def test_scores_of_a_network_trained_with_any_schedule(tmp_path: Path) -> None:
    path = run_folder(tmp_path, sampling="any")
    planner = Planner.of(Run.read(tmp_path), "iteration")
    assert planner.bicubic == 24.0
    assert {str(s): row for s, row in planner.scores.items()} == {**STORED, FULL: [24.5, 26.0, -math.inf]}
    with pytest.raises(AgmError, match="no validation scores to plan by; name a schedule"):
        Planner.of(Run.read(tmp_path), "shared")
    assert AnytimeUpscaler.load(path, timed=False).planner == planner
    assert AnytimeUpscaler.load(path, schedule="auto", timed=False).planner == planner
    assert AnytimeUpscaler.load(path, schedule=FULL, timed=False).planner is None


def test_a_network_trained_with_one_schedule_has_nothing_to_plan_by(tmp_path: Path) -> None:
    path = run_folder(tmp_path, {})
    assert AnytimeUpscaler.load(path, timed=False).planner is None
    with pytest.raises(AgmError, match="no validation scores to plan by; name a schedule"):
        AnytimeUpscaler.load(path, schedule="auto", timed=False)


@pytest.mark.parametrize("stored", [None, {}, {FULL: []}, {FULL: ["a"]}, {FULL: 3}, [1]])
def test_damaged_scores_are_refused(tmp_path: Path, stored: Any) -> None:
    path = run_folder(tmp_path, stored, sampling="any")
    with pytest.raises(AgmError, match="no validation scores to plan by"):
        AnytimeUpscaler.load(path, timed=False)


def test_weights_without_their_run(tmp_path: Path) -> None:
    """By default as trained; planning needs the scores."""
    path = weights(tmp_path / "w.safetensors", sampling="any")
    assert AnytimeUpscaler.load(path, timed=False).planner is None
    with pytest.raises(AgmError, match=r"config\.json: missing"):
        AnytimeUpscaler.load(path, schedule="auto", timed=False)
    run_folder(tmp_path / "run")
    other = weights(tmp_path / "run" / "other.safetensors", sampling="any")
    with pytest.raises(AgmError, match="of another run"):
        AnytimeUpscaler.load(other, timed=False)


def test_the_planned_pictures_are_the_networks(tmp_path: Path) -> None:
    path = run_folder(tmp_path, sampling="any")
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    result = AnytimeUpscaler.load(path, timed=False).upscale(pixels)
    assert (str(result.schedule), result.iteration) == ("---x (1) - xx-x (1)", 2)
    with torch.inference_mode():
        images = list(load(path).iterate(to_tensor(pixels[None]), A, "iteration"))
    expected = (images[1][0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(result.image, expected)


def test_all_that_may_be_planned_is_timed(tmp_path: Path, home: Path) -> None:
    upscaler = AnytimeUpscaler.load(run_folder(tmp_path, sampling="any"))
    assert all(activities(schedule) <= upscaler.times.table.keys() for schedule in map(Schedule.parse, STORED))
    assert upscaler.upscale(GREY, 60.0).iteration == 2


def test_on_the_command_line(tmp_path: Path, agm_command: Callable[..., Any]) -> None:
    path = run_folder(tmp_path / "run", sampling="any")
    Image.fromarray(GREY).save(tmp_path / "in.png")
    words = ["upscale", "--model", path, "--deadline", "9m", tmp_path / "in.png"]
    assert ": iteration 2 of 2 planned, ---x (1) - xx-x (1), " in agm_command(*words, tmp_path / "a.png").out
    assert ": iteration 3 of 3, " in agm_command(*words, tmp_path / "b.png", "--schedule", FULL).out
    with Image.open(tmp_path / "a.png") as image:
        upscaler = AnytimeUpscaler.load(path, timed=False, faithful=True)
        np.testing.assert_array_equal(np.asarray(image), upscaler.upscale(GREY).image)
