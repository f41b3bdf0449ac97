"""Films as figures: every cell shows the picture that its caption names, and all maps of errors have one scale."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from agm import Schedule
from agm.anytime.upscaler import AnytimeUpscaler
from study.figures import animation, style
from study.figures import pictures as figures
from study.figures.film import Film

STATIC = Path(__file__).parents[4] / "book" / "_static"
WHOLE = (0, 0, 16, 16)


def film(iterations: int = 3, seed: int = 0) -> Film:
    random = torch.Generator().manual_seed(seed)
    original, low, bicubic = (torch.rand(3, side, side, generator=random) for side in (16, 8, 16))
    return Film(original, low, bicubic, torch.rand(iterations, 3, 16, 16, generator=random))


def pixels(ax: Axes) -> np.ndarray:
    return np.asarray(ax.images[0].get_array())


def shows(ax: Axes, picture: Tensor) -> bool:
    return np.array_equal(pixels(ax), picture.permute(1, 2, 0).numpy())


def captions(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def rows(fig: Figure, columns: int) -> list[list[Axes]]:
    axes = [ax for ax in fig.axes if ax.get_label() != "<colorbar>"]
    return [axes[start : start + columns] for start in range(0, len(axes), columns)]


def test_a_sheet_has_a_column_per_film_and_a_row_per_iteration() -> None:
    films = {"rrrr": film(seed=1), "nnnr": film(seed=2), "nnnn": film(seed=3)}
    schedule = Schedule.parse("---x (1) - xxxx (2)")
    top, *others = rows(figures.sheet(films, schedule, (0, 4, 16, 12), "a stamp"), 3)
    first = films["rrrr"]
    pictures = first.low[:, 2:6], first.bicubic[:, 4:12], first.original[:, 4:12]
    assert all(shows(ax, picture) for ax, picture in zip(top, pictures, strict=True))
    assert captions(top[1]) == [f"bicubic\n{first.psnr(0):.1f} dB"]
    assert len(others) == 3
    for t, row in enumerate(others, 1):
        for ax, made in zip(row, films.values(), strict=True):
            assert shows(ax, made.images[t - 1][:, 4:12])
            assert f"{made.psnr(t):.1f} dB" in captions(ax)
    assert [captions(row[0])[-1] for row in others] == ["1\n---x", "2\nxxxx", "3\nxxxx"]
    assert [ax.get_title() for ax in others[0]] == list(films)


def test_a_zoom_shows_crops_and_their_errors_on_one_scale() -> None:
    box = (2, 4, 10, 12)
    for made in (film(seed=1), film(seed=2)):
        fig = figures.zoom(made, box, "a stamp", shown=(1, 3))
        top, middle, bottom = rows(fig, 4)
        assert shows(top[0], made.original)
        assert shows(top[1], made.original[:, 4:12, 2:10])
        assert shows(top[2], made.low[:, 2:6, 1:5])
        for upper, lower, t in zip(middle, bottom, (0, 1, 3), strict=False):
            assert shows(upper, made.shown(t)[:, 4:12, 2:10])
            assert f"{made.psnr(t):.1f} dB" in captions(upper)[0]
            error = np.abs(made.shown(t).numpy() - made.original.numpy()).mean(axis=0)[4:12, 2:10]
            np.testing.assert_allclose(pixels(lower), error, rtol=1e-5)
            assert captions(lower) == [f"mean {error.mean():.3f}"]
        assert {ax.images[0].norm.vmax for ax in bottom[:3]} == {figures.WORST}
        assert {ax.images[0].norm.vmin for ax in bottom[:3]} == {0}
        assert {ax.images[0].get_cmap().name for ax in bottom[:3]} == {"magma"}


def test_the_scale_of_errors_is_that_of_the_maps() -> None:
    fig = figures.zoom(film(10), (2, 4, 10, 12), "a stamp")
    (bar,) = (inset for ax in fig.axes for inset in ax.child_axes)
    assert bar.get_ylim() == (0, figures.WORST)
    assert bar.get_ylabel() == "absolute error"


def test_film_figures_fit_a_telephone_bear_their_stamp_and_are_the_same_each_time() -> None:
    def draw() -> list[Figure]:
        return [
            figures.sheet(
                {"rrrr": film(10)} | {str(i): film(10) for i in range(4)}, Schedule.parse("A"), WHOLE, "data"
            ),
            figures.zoom(film(10), (2, 4, 10, 12), "data"),
        ]

    for fig, again in zip(draw(), draw(), strict=True):
        assert fig.get_figwidth() < 6
        assert style.render(fig) == style.render(again)
        assert "data" in re.findall(r"<!-- (.*?) -->", style.render(fig).decode())


def test_an_animation_goes_from_nothing_to_the_last_image() -> None:
    pictures = animation.frames((film(), [10.0, 20.0, 60.0]), 4)  # at 0, 21, 42 and 63 ms
    width, height = (round(side * animation.DOTS) for side in animation.SIZE)
    assert {picture.size for picture in pictures} == {(width, height)}
    half = width // 2
    boxes = {"bicubic": (20, 60, half - 20, 400), "network": (half + 20, 60, width - 20, 400)}
    seen = {name: [picture.crop(box).tobytes() for picture in pictures] for name, box in boxes.items()}
    assert len(set(seen["bicubic"])) == 1
    assert [a == b for a, b in zip(seen["network"], seen["network"][1:], strict=False)] == [False, True, False]


def test_the_animated_network_is_the_default_one_and_every_picture_better() -> None:
    upscaler = AnytimeUpscaler.load(timed=False)
    made, milliseconds = animation.race(upscaler)
    qualities = [made.psnr(t) for t in range(len(made.images) + 1)]
    assert qualities == sorted(qualities)
    assert qualities[1] > qualities[0] + 1
    assert milliseconds == sorted(milliseconds)


def test_an_animation_rests_on_its_last_picture_and_begins_again() -> None:
    colours = ("red", "green", "blue")
    encoded = animation.encode([Image.new("RGB", (8, 8), colour) for colour in colours], seconds=3, rest=2)
    with Image.open(io.BytesIO(encoded)) as image:
        assert (image.format, image.n_frames, image.info["loop"]) == ("WEBP", 3, 0)  # type: ignore[attr-defined]
        lengths = []
        for number in range(3):
            image.seek(number)
            image.load()
            lengths.append(image.info["duration"])
    assert lengths == [1000, 1000, 2000]


def test_the_still_shows_the_first_picture_between_bicubic_and_the_last() -> None:
    random = torch.Generator().manual_seed(0)
    original, bicubic = (torch.rand(3, 192, 192, generator=random) for _ in range(2))
    made = Film(original, original[:, ::2, ::2], bicubic, torch.rand(3, 3, 192, 192, generator=random))
    changed = [made.images.clone() for _ in range(3)]
    for t, images in enumerate(changed):
        images[t] = 0
    drawn = [animation.still((Film(original, made.low, bicubic, images), [10, 20, 60])) for images in changed]
    left, middle, right = (
        {image.crop((start, 50, start + 240, 290)).tobytes() for image in drawn} for start in (20, 280, 540)
    )
    assert (len(left), len(middle), len(right)) == (1, 2, 2)  # the second image is not shown


@pytest.mark.parametrize(("name", "size"), [("race.webp", animation.SIZE), ("race.png", animation.STILL)])
def test_the_committed_animation_is_small_and_its_size_is_that_of_the_frames(
    name: str, size: tuple[float, float]
) -> None:
    assert (STATIC / name).stat().st_size < 600_000
    with Image.open(STATIC / name) as image:
        assert image.size == tuple(round(side * animation.DOTS) for side in size)
        assert getattr(image, "n_frames", 1) == (49 if name.endswith("webp") else 1)
