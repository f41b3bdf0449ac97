"""Films: the images are the network's, and at every moment the latest finished one counts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.data import chelsea
from skimage.metrics import peak_signal_noise_ratio
from support.modules import shake

from agm import Generator, GeneratorConfig, Schedule
from agm.errors import AgmError
from study.figures import film as films
from study.figures import pictures
from study.figures.film import Film


def made_up(*levels: float) -> Film:
    """Grey images of 8 x 8 with these levels, of an original that is 0.5 everywhere; bicubic is 0.25 off."""
    images = torch.stack([torch.full((3, 8, 8), level) for level in levels])
    return Film(torch.full((3, 8, 8), 0.5), torch.full((3, 4, 4), 0.5), torch.full((3, 8, 8), 0.25), images)


def test_a_photograph_is_the_square_that_is_named() -> None:
    found = films.photograph("cat", 300)
    np.testing.assert_array_equal(found, chelsea()[0:300, 75:375])
    assert {films.photograph(name, 32).shape for name in films.PHOTOGRAPHS} == {(32, 32, 3)}
    with pytest.raises(AgmError, match="unknown photograph 'cats'"):
        films.photograph("cats", 32)


def test_a_film_holds_the_networks_images() -> None:
    generator = shake(Generator(GeneratorConfig("nrnr", 2, iterations=3))).eval()
    generator.d.bias.data.fill_(0.5)  # so that not everything is clamped
    film, milliseconds = films.timed(
        generator.train(), Schedule.parse("---x (1) - xxxx (2)"), films.photograph("coffee", 16)
    )
    assert 0 < milliseconds[0] < milliseconds[1] < milliseconds[2]
    assert [tuple(picture.shape) for picture in (film.original, film.low, film.bicubic, film.images)] == [
        (3, 16, 16),
        (3, 8, 8),
        (3, 16, 16),
        (3, 3, 16, 16),
    ]
    with torch.no_grad():
        expected = list(generator.iterate(film.low[None], Schedule.parse("---x (1) - xxxx (2)"), "iteration"))
    for t, image in enumerate(expected, 1):
        torch.testing.assert_close(film.shown(t), image[0].clamp(0, 1))
        assert 0 < film.shown(t).mean() < 1
    assert film.shown(0) is film.bicubic
    reference = peak_signal_noise_ratio(film.original.numpy(), film.bicubic.numpy(), data_range=1)
    assert film.psnr(0) == pytest.approx(reference, abs=1e-4)


def test_the_latest_image_is_the_last_one_that_is_there() -> None:
    milliseconds = [10.0, 20.0, 40.0]
    asked = (0, 9.9, 10, 19.9, 20, 39.9, 40, 1000)
    assert [films.latest(milliseconds, moment) for moment in asked] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_tint_is_what_a_constant_would_take_away() -> None:
    film = made_up(0.6)
    assert film.tint(1) == pytest.approx(1)
    checkered = torch.tensor([0.1, -0.1]).repeat(3, 8, 4)
    assert made_up_with(film, checkered).tint(1) == pytest.approx(0, abs=1e-6)
    assert made_up_with(film, checkered + 0.1).tint(1) == pytest.approx(0.5, abs=1e-4)


def made_up_with(film: Film, error: torch.Tensor) -> Film:
    return Film(film.original, film.low, film.bicubic, (film.original + error)[None])


def test_numbers_of_films() -> None:
    found = pictures.numbers({"x": made_up(0.4, 0.51, 0.1)})
    assert found["x_bicubic_psnr"] == pytest.approx(-20 * math.log10(0.25), abs=1e-3)
    assert found["x_above_bicubic"] == 2
    assert found["x_best_psnr"] == pytest.approx(40, abs=1e-2)
    assert found["x_3_tint"] == pytest.approx(100)


def test_networks_that_are_shown_are_recorded() -> None:
    for layers in ("rrrr", "rrnr", "nnrr", "nnnr"):
        run = pictures.recorded("cpu", layers, "A")
        assert (run.config.generator.layers, run.has_weights) == (layers, True)
        assert Schedule.parse(run.config.training.schedule) == Schedule.parse("A")


def test_weights_that_are_not_recorded_are_named(home: Path) -> None:
    with pytest.raises(AgmError, match="weights of nnnr under B are not recorded under profile 'cpu'"):
        pictures.recorded("cpu", "nnnr", "B")
