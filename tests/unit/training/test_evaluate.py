"""Evaluation over a part of a data set, the bicubic baseline, and timing."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity
from support.images import made_up
from support.modules import shake

from agm import Generator, GeneratorConfig, Schedule, metrics
from agm.data import Part
from agm.training.evaluate import BATCH, Quality, bicubic_baseline, evaluate, time_iterations

SCHEDULE = Schedule.parse("x--x (1) - xxxx (2)")


def part(count: int = 7, size: int = 16) -> Part:
    return Part(made_up(count, size))


def network(**fields: Any) -> Generator:
    return shake(Generator(GeneratorConfig(width=2, iterations=3, **fields)))  # type: ignore[return-value]


def test_every_iteration_of_every_image_is_measured() -> None:
    generator, images = network(layers="nnrr"), part()
    quality = evaluate(generator, images, SCHEDULE)
    low = torch.from_numpy(images.low.copy()).permute(0, 3, 1, 2) / 255
    high = torch.from_numpy(images.high.copy()).permute(0, 3, 1, 2) / 255
    outputs = generator.eval()(low, SCHEDULE).detach()
    for name in ("mse", "psnr", "ssim"):
        assert getattr(quality, name).shape == (3, 7)
        torch.testing.assert_close(getattr(quality, name), getattr(metrics, name)(outputs, high))


def test_more_images_than_fit_one_batch() -> None:
    """Statistics of the batch are those of the first BATCH images, then of the rest."""
    generator, images = network(layers="nnnn"), part(BATCH + 3)
    first, rest = Part(images.high[:BATCH]), Part(images.high[BATCH:])
    for statistics in ("shared", "batch"):
        whole = evaluate(generator, images, SCHEDULE, statistics).mse
        parts = [evaluate(generator, one, SCHEDULE, statistics).mse for one in (first, rest)]
        torch.testing.assert_close(whole, torch.cat(parts, dim=1))


def test_averages_are_over_images() -> None:
    values = torch.tensor([[1.0, 3.0], [2.0, 6.0]])
    assert Quality(values, values + 1, values + 2).per_iteration() == {
        "mse": [2.0, 4.0],
        "psnr": [3.0, 5.0],
        "ssim": [4.0, 6.0],
    }


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_leaves_the_network_as_it_was(training: bool) -> None:
    generator = network(layers="nrnr").train(training)
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    quality = evaluate(generator, part(), SCHEDULE)
    assert generator.training == training
    torch.testing.assert_close(generator.state_dict(), before, rtol=0, atol=0)
    assert not quality.mse.requires_grad
    torch.testing.assert_close(evaluate(generator.eval(), part(), SCHEDULE).mse, quality.mse)


def test_a_perfect_image_does_not_make_the_mean_infinite() -> None:
    """A network that answers with zeros, and one image that is all zeros: at most 100 dB."""
    generator = network(layers="nnnn")
    with torch.no_grad():
        generator.d.weight.zero_()
        generator.d.bias.zero_()  # type: ignore[union-attr]
    high = made_up(2, 16)
    high[0] = 0
    quality = evaluate(generator, Part(high), SCHEDULE)
    assert quality.psnr[:, 0].tolist() == [100.0] * 3
    assert quality.mse[:, 0].tolist() == [0.0] * 3
    assert all(np.isfinite(quality.per_iteration()["psnr"]))


@pytest.mark.parametrize("count", [5, BATCH + 3])
def test_bicubic_baseline_is_scikit_images_opinion_of_pillows_resizing(count: int) -> None:
    images = part(count, 32)
    expected: dict[str, list[float]] = {"mse": [], "psnr": [], "ssim": []}
    for high, bicubic in zip(images.high / 255, images.bicubic / 255, strict=True):
        expected["mse"].append(mean_squared_error(high, bicubic))
        expected["psnr"].append(peak_signal_noise_ratio(high, bicubic, data_range=1))
        settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        expected["ssim"].append(structural_similarity(high, bicubic, data_range=1, channel_axis=2, **settings))
    baseline = bicubic_baseline(images)
    assert baseline == pytest.approx({name: np.mean(values) for name, values in expected.items()}, rel=1e-4)


def test_times_are_measured_for_every_iteration_of_every_model() -> None:
    models = {"short": (network(), SCHEDULE.take(1)), "long": (network(), SCHEDULE)}
    times = time_iterations(models, image_size=16, repeats=5)
    assert {name: len(values) for name, values in times.items()} == {"short": 1, "long": 3}
    assert times["short"][0] > 0
    assert all(a < b for a, b in pairwise(times["long"]))


def test_a_pause_in_one_round_does_not_move_the_iterations_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = [[99.0, 99.0, 99.0], [1.0, 1.0, 1.0], [1.0, 8.0, 1.0], [1.0, 1.0, 11.0]]
    monkeypatch.setattr("agm.training.evaluate._durations", lambda *_: rounds.pop(0))
    assert time_iterations({"": (network(), SCHEDULE)}, 16, repeats=3) == {"": [1.0, 2.0, 3.0]}


def test_times_are_medians_without_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first round is slow and does not count; when time is over, three rounds are enough."""
    rounds = [[1000.0], [3.0], [1.0], [2.0], [50.0], [40.0]]
    monkeypatch.setattr("agm.training.evaluate._durations", lambda *_: rounds.pop(0))
    assert time_iterations({"": (network(), SCHEDULE)}, 16, repeats=50, limit=0.0) == {"": [2.0]}
    assert len(rounds) == 2
    rounds = [[1000.0], [3.0], [1.0], [2.0], [50.0], [40.0]]
    assert time_iterations({"": (network(), SCHEDULE)}, 16, repeats=5) == {"": [3.0]}
    assert rounds == []


def test_inactive_layers_save_time() -> None:
    """What AEL is for: the first image of Config. A is there before that of NOAEL (Section III-C)."""
    generator = Generator(GeneratorConfig(layers="rrrr", width=16)).eval()
    schedules = {"A": Schedule.parse("---x (1)"), "NOAEL": Schedule.parse("xxxx (1)")}
    times = time_iterations({name: (generator, s) for name, s in schedules.items()}, image_size=64, repeats=9)
    assert times["A"][0] < times["NOAEL"][0]
