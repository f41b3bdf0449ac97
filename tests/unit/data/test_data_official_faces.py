"""Faces: whole frames in the order of their paths, and no person on two sides of a split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.official import KINDS, SAMPLES, encoded, lfw, pack, photograph, planned, same, write

from agm.data.official import Cut, Plan, faces
from agm.errors import AgmError

PEOPLE = {"Ann_Bee": 3, "Cy_Dee": 1, "Cy_Dee_Junior": 2}


def read(path: Path) -> tuple[Plan, list[Cut]]:
    return planned(faces.plan, path)


def frame(path: Path, number: int, width: int = 600, height: int = 600) -> Path:
    return write(path, encoded(photograph(number, 60, 60).resize((width, height))))


def test_lfw_is_recognised_and_grouped_by_person(tmp_path: Path) -> None:
    folder = lfw(tmp_path / "lfw", PEOPLE)
    plan, cuts = read(tmp_path)
    names = [f"{person}/{person}_{i:04d}.jpg" for person, count in PEOPLE.items() for i in range(1, count + 1)]
    assert [cut.source for cut in cuts] == names
    assert [cut.group for cut in cuts] == ["Ann_Bee"] * 3 + ["Cy_Dee"] + ["Cy_Dee_Junior"] * 2
    assert plan.about.substitute == plan.about.title == "Labeled Faces in the Wild"
    assert plan.about.groups_leak
    assert plan.counts == {"images": 6, "persons": 3}
    assert plan.warnings == ("6 images at hand, the official set has 13,233",)
    for name, cut in zip(names, cuts, strict=True):
        with Image.open(folder / name) as image:
            expected = image.convert("RGB").resize((64, 64), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(cut.pixels, np.asarray(expected))
        assert (cut.width, cut.height, cut.box) == (80, 80, None)


@pytest.mark.parametrize("ending", KINDS)
def test_an_archive_gives_the_same_whatever_lies_above(tmp_path: Path, ending: str) -> None:
    deep = lfw(tmp_path / "deep" / "a" / "lfw", PEOPLE)
    (_, cuts), (_, from_packed) = read(deep), read(pack(tmp_path / "deep", tmp_path / f"x{ending}"))
    assert same(cuts, from_packed)


def test_one_person_of_lfw_is_one_group(tmp_path: Path) -> None:
    lfw(tmp_path, {"Ann_Bee": 3})
    assert [cut.group for cut in read(tmp_path)[1]] == ["Ann_Bee"] * 3


def test_a_stray_image_among_lfw_is_named(tmp_path: Path) -> None:
    lfw(tmp_path, PEOPLE)
    frame(tmp_path / "Ann_Bee" / "other.jpg", 1)
    with pytest.raises(AgmError, match=r"other\.jpg: not named as the other images"):
        read(tmp_path)


def test_other_folders_are_people(tmp_path: Path) -> None:
    for number, name in enumerate(("c/9.jpg", "a/x.JPG", "a/b.png", "b/1.jpeg", "b/2.jpg")):
        frame(tmp_path / "set" / name, number)
    write(tmp_path / "set" / "readme.txt", b"no image")
    plan, cuts = read(tmp_path)
    assert [cut.source for cut in cuts] == ["a/b.png", "a/x.JPG", "b/1.jpeg", "b/2.jpg", "c/9.jpg"]
    assert [cut.group for cut in cuts] == ["a", "a", "b", "b", "c"]
    assert plan.about.title.startswith("CyberExtruder")
    assert plan.about.substitute is None


def test_the_first_folders_are_people_as_sessions_of_one_must_not_be_parted(tmp_path: Path) -> None:
    for number, name in enumerate(("p1/s1/1", "p1/s2/1", "p2/s1/1", "p3/s1/1", "p3/s2/1")):
        frame(tmp_path / f"{name}.jpg", number)
    assert [cut.group for cut in read(tmp_path)[1]] == ["p1", "p1", "p2", "p3", "p3"]


@pytest.mark.parametrize("names", [("1", "2", "3"), ("a/1", "a/2", "b/3"), ("a/p/1", "a/q/2", "b/r/3")])
def test_where_nobody_is_known_that_is_said(tmp_path: Path, names: tuple[str, ...]) -> None:
    for number, name in enumerate(names):
        frame(tmp_path / f"{name}.jpg", number)
    plan, cuts = read(tmp_path)
    assert [cut.group for cut in cuts] == [cut.source for cut in cuts]
    assert plan.about.groups == "image"
    assert any("one person may be on two sides of a split" in warning for warning in plan.warnings)


@pytest.mark.parametrize(("width", "height", "box"), [(90, 60, (15, 0, 75, 60)), (60, 91, (0, 15, 60, 75))])
def test_the_centre_of_a_frame_that_is_not_square(
    tmp_path: Path, width: int, height: int, box: tuple[int, int, int, int]
) -> None:
    path = frame(tmp_path / "1.jpg", 1, width, height)
    cut = read(tmp_path)[1][0]
    assert (cut.width, cut.height, cut.box) == (width, height, box)
    with Image.open(path) as image:
        expected = image.crop(box).resize((64, 64), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(cut.pixels, np.asarray(expected))


def test_no_images_and_broken_images(tmp_path: Path) -> None:
    write(tmp_path / "readme.txt", b"x")
    with pytest.raises(AgmError, match=r"no faces; looked for images \(\.jpg"):
        read(tmp_path)
    write(tmp_path / "a" / "1.jpg", encoded(photograph(1))[:500])
    with pytest.raises(AgmError, match=r"a/1\.jpg: cannot be decoded"):
        read(tmp_path)


def test_a_huge_image_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame(tmp_path / "1.jpg", 1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(AgmError, match=r"1\.jpg: more than 1,000 pixels, refused"):
        read(tmp_path)


@pytest.mark.skipif(not (SAMPLES / "lfw").is_dir(), reason="no official samples beside the checkout")
def test_the_official_samples() -> None:
    plan, cuts = read(SAMPLES / "lfw")
    assert plan.about.substitute
    assert len(cuts) == 39
    assert {(cut.width, cut.height, cut.box) for cut in cuts} == {(250, 250, None)}
    assert {cut.group for cut in cuts} == {cut.source.split("/")[0] for cut in cuts}
    assert plan.counts == {"images": 39, "persons": 7}
