"""Stanford Cars in both layouts: every image at its box, in the order of the annotations, and nothing left out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.official import (
    BOX,
    KINDS,
    SAMPLES,
    SHARED,
    car_box,
    car_ims,
    car_rows,
    cars,
    encoded,
    pack,
    photograph,
    planned,
    same,
    write_struct,
)
from support.official import write as write_file

from agm.data import prepared
from agm.data.official import Cut, Plan, matlab
from agm.data.official import cars as official
from agm.data.official.archives import Member
from agm.data.official.cars import Annotation
from agm.errors import AgmError


def read(path: Path) -> tuple[Plan, list[Cut]]:
    return planned(official.plan, path)


def crop_by_hand(path: Path, box: tuple[int, int, int, int]) -> np.ndarray:
    with Image.open(path) as image:
        cut = image.convert("RGB").crop(box).resize((64, 64), Image.Resampling.BICUBIC)
    return np.asarray(cut)


def test_every_image_is_the_crop_that_pillow_makes(tmp_path: Path) -> None:
    plan, cuts = read(cars(tmp_path))
    names = [f"{i:05d}.jpg" for i in (6, 5, 4, 3, 2, 1, 4, 3, 2, 1)]
    assert [cut.source for cut in cuts] == names
    assert [cut.group for cut in cuts] == [str(int(name[:5]) % 3 + 1) for name in names]
    for i, (name, cut) in enumerate(zip(names, cuts, strict=True)):
        half, box = "train" if i < 6 else "test", car_box(int(name[:5]))
        np.testing.assert_array_equal(cut.pixels, crop_by_hand(tmp_path / f"cars_{half}" / name, box))
        assert (cut.width, cut.height, cut.box) == (120, 90, box)
    assert plan.layout == "cars_train with cars_train_annos.mat; cars_test with cars_test_annos_withlabels.mat"
    assert not plan.about.groups_leak


def test_the_other_layout_train_first(tmp_path: Path) -> None:
    plan, cuts = read(car_ims(tmp_path))
    names = [f"{i:06d}.jpg" for i in (8, 7, 5, 4, 2, 1, 6, 3)]
    assert [cut.source for cut in cuts] == names
    assert plan.counts == {"train": 6, "test": 2, "classes": 3}
    assert plan.layout == "car_ims with cars_annos.mat"
    for name, cut in zip(names, cuts, strict=True):
        np.testing.assert_array_equal(cut.pixels, crop_by_hand(tmp_path / "car_ims" / name, car_box(int(name[:6]))))


@pytest.mark.parametrize("layout", [cars, car_ims])
@pytest.mark.parametrize("ending", KINDS)
def test_an_archive_gives_the_same(tmp_path: Path, ending: str, layout: Callable[[Path], Path]) -> None:
    folder = layout(tmp_path / "folder")
    (_, cuts), (_, from_packed) = read(folder), read(pack(folder, tmp_path / f"x{ending}"))
    assert same(cuts, from_packed)


def test_the_three_official_archives_in_one_folder(tmp_path: Path) -> None:
    folder = cars(tmp_path / "folder")
    (tmp_path / "all").mkdir()
    for part, name in (("cars_train", "cars_train"), ("cars_test", "cars_test"), ("devkit", "car_devkit")):
        (tmp_path / name / "x").mkdir(parents=True)
        shutil.copytree(folder / part, tmp_path / name / "x" / part)
        pack(tmp_path / name / "x", tmp_path / "all" / f"{name}.tgz")
    (_, cuts), (_, from_packed) = read(folder), read(tmp_path / "all")
    assert same(cuts, from_packed)


def test_folders_within_folders_and_labels_that_lie_apart(tmp_path: Path) -> None:
    root = tmp_path / "stanford"
    folder = cars(tmp_path / "folder")
    shutil.copytree(folder / "cars_train", root / "cars_train" / "cars_train")
    shutil.copytree(folder / "cars_test", root / "cars_test" / "cars_test")
    shutil.copytree(folder / "devkit", root / "car_devkit" / "devkit")
    (root / "car_devkit" / "devkit" / "cars_test_annos_withlabels.mat").rename(root / "cars_test_annos_withlabels.mat")
    write_struct(root / "car_devkit" / "devkit" / "cars_test_annos.mat", car_rows(1, 4, labels=False))
    (_, cuts), (nested, from_nested) = read(folder), read(root)
    assert not [warning for warning in nested.warnings if "unknown" in warning]
    assert same(cuts, from_nested)


def test_without_labels_the_class_is_unknown(tmp_path: Path) -> None:
    plan, cuts = read(cars(tmp_path, labels=False))
    assert [cut.group for cut in cuts[6:]] == ["unknown"] * 4
    assert plan.counts == {"train": 6, "test": 4, "classes": 3}
    assert any("the class of 4 images is unknown" in warning for warning in plan.warnings)


@pytest.mark.parametrize(("train", "test"), [(6, 0), (0, 4)])
def test_a_missing_half_is_a_warning(tmp_path: Path, train: int, test: int) -> None:
    plan, cuts = read(cars(tmp_path, train, test))
    assert len(cuts) == train + test
    missing = "test half is missing: 8,041" if train else "train half is missing: 8,144"
    assert any(f"the {missing} images of 16,185" in warning for warning in plan.warnings)


def test_a_missing_half_of_the_other_layout(tmp_path: Path) -> None:
    car_ims(tmp_path)
    for number in (3, 6):
        (tmp_path / "car_ims" / f"{number:06d}.jpg").unlink()
    _, cuts = read(tmp_path)
    assert [cut.source[:6] for cut in cuts] == ["000008", "000007", "000005", "000004", "000002", "000001"]
    assert len(cuts) == 6


def test_the_annotations_that_fit_the_images_are_taken(tmp_path: Path) -> None:
    """A cut-down copy of an annotation file may lie beside the full one."""
    cars(tmp_path, 6, 0)
    write_struct(tmp_path / "a_devkit" / "cars_train_annos.mat", car_rows(1, 30))
    write_struct(tmp_path / "z_devkit" / "cars_train_annos.mat", car_rows(1, 5))
    assert len(read(tmp_path)[1]) == 6


Damage = Callable[[Path], object]


def annotate(change: Callable[[list[dict[str, Any]]], object], **options: Any) -> Damage:
    def damage(root: Path) -> None:
        rows = car_rows(1, 6)
        change(rows)
        write_struct(root / "devkit" / "cars_train_annos.mat", rows, **options)

    return damage


def mat(content: bytes) -> Damage:
    return lambda root: write_file(root / "devkit" / "cars_train_annos.mat", content)


def rename_field(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        row["bbox_X1"] = row.pop("bbox_x1")


def image(content: bytes) -> Damage:
    return lambda root: write_file(root / "cars_train" / "00002.jpg", content)


def numbers_instead(root: Path) -> None:
    scipy.io.savemat(root / "devkit" / "cars_train_annos.mat", {"annotations": np.ones((2, 2))})


REFUSED: dict[str, tuple[Damage, str]] = {
    "box outside": (annotate(lambda rows: rows[0].update(bbox_x1=120, bbox_x2=200)), "outside the image (120 x 90"),
    "box inside out": (annotate(lambda rows: rows[0].update(bbox_y1=50, bbox_y2=50)), "is empty or lies outside"),
    "no annotation": (lambda root: write_file(root / "cars_train" / "00009.jpg", b"x"), "1 images are not listed in"),
    "no image": (lambda root: (root / "cars_train" / "00002.jpg").unlink(), "1 images are missing that are listed"),
    "listed twice": (annotate(lambda rows: rows.append(rows[0])), "1 images are listed twice"),
    "field missing": (annotate(rename_field), "no struct array annotations with the fields bbox_x1;"),
    "other variable": (
        annotate(lambda rows: None, name="anno"),
        "no struct array annotations with the fields bbox_x1, bbox_y1, ",
    ),
    "no struct": (numbers_instead, "no struct array annotations with the fields bbox_x1, bbox_y1, "),
    "text for a number": (annotate(lambda rows: rows[2].update(bbox_x1="left")), "annotations(3): expected whole"),
    "number for a name": (annotate(lambda rows: rows[2].update(fname=7)), "annotations(3): expected whole numbers"),
    "half a number": (
        annotate(lambda rows: rows[2].update(bbox_x1=np.array([[0.5]]))),
        "expected whole numbers",
    ),
    "two numbers": (
        annotate(lambda rows: rows[2].update(bbox_x1=np.array([[1, 2]]))),
        "expected whole numbers",
    ),
    "no mat": (mat(b"hello" * 100), "no MATLAB file, damaged or cut short"),
    "empty mat": (mat(b""), "no MATLAB file, damaged or cut short"),
    "no mat at all": (
        lambda root: shutil.rmtree(root / "devkit"),
        "6 images in cars_train, but no cars_train_annos.mat",
    ),
    "cut mat": (
        lambda root: mat((root / "devkit" / "cars_train_annos.mat").read_bytes()[:-40])(root),
        "no MATLAB file, damaged or cut short",
    ),
    "cut jpeg": (image(encoded(photograph(2))[:900]), "00002.jpg: cannot be decoded"),
    "no jpeg": (image(b"<html>"), "00002.jpg: not an image"),
    "two images of one name": (
        lambda root: write_file(root / "x" / "cars_train" / "00002.jpg", b"x"),
        "two files of one name",
    ),
    "no cars": (lambda root: [shutil.rmtree(path) for path in root.iterdir()], "no Stanford Cars; looked in it"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    damage, message = REFUSED[case]
    damage(cars(tmp_path, 6, 0))
    with pytest.raises(AgmError) as refused:
        read(tmp_path)
    assert message in str(refused.value)
    assert str(tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("packed", [True, False])
def test_other_variables_and_types_of_numbers_do_no_harm(tmp_path: Path, packed: bool) -> None:
    """MATLAB stores numbers as double unless asked otherwise."""
    (_, expected), root = read(cars(tmp_path / "a", 3, 0)), cars(tmp_path / "b", 3, 0)
    rows = car_rows(1, 3)
    for row, kind in zip(rows, (np.float64, np.int16, np.uint32), strict=True):
        row.update({field: np.array([[row[field]]], kind) for field in BOX})
    table = np.empty((1, 3), dtype=[(field, object) for field in rows[0]])
    table[0] = [tuple(row.values()) for row in rows]
    variables = {"first": np.arange(5.0), "cell": np.array([[1, "x"]], dtype=object), "annotations": table, "z": 1j}
    scipy.io.savemat(root / "devkit" / "cars_train_annos.mat", variables, do_compression=packed)
    assert same(read(root)[1], expected)


def test_an_image_missing_from_the_other_layout(tmp_path: Path) -> None:
    car_ims(tmp_path)
    (tmp_path / "car_ims" / "000003.jpg").unlink()
    with pytest.raises(AgmError, match=r"1 images are missing that are listed in cars_annos.mat, first 000003.jpg"):
        read(tmp_path)
    (tmp_path / "cars_annos.mat").unlink()
    with pytest.raises(AgmError, match=r"7 images in car_ims, but no cars_annos\.mat"):
        read(tmp_path)


MODES: dict[str, Callable[[Image.Image], bytes]] = {
    "grey": lambda image: encoded(image.convert("L")),
    "cmyk": lambda image: encoded(image.convert("CMYK")),
    "palette": lambda image: encoded(image.quantize(64), "PNG"),
    "16 bits": lambda image: encoded(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257), "PNG"),
    "transparent": lambda image: encoded(image.convert("RGBA"), "PNG"),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_colour_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    """Whatever the ending says: Pillow looks at the content."""
    cars(tmp_path, 2, 0)
    write_file(tmp_path / "cars_train" / "00002.jpg", MODES[mode](photograph(2)))
    _, cuts = read(tmp_path)
    assert cuts[0].source == "00002.jpg"
    grey = mode in ("grey", "16 bits")
    original = photograph(2).convert("L").convert("RGB") if grey else photograph(2)
    expected = original.crop(car_box(2)).resize((64, 64), Image.Resampling.BICUBIC)
    difference = np.abs(cuts[0].pixels.astype(int) - np.asarray(expected).astype(int)).mean()
    assert difference < 8  # JPEG, CMYK and palettes are not exact
    assert difference < 0.5 or mode in ("grey", "cmyk", "palette")


def test_boxes_are_of_the_image_as_stored_not_as_turned(tmp_path: Path) -> None:
    cars(tmp_path, 1, 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = write_file(tmp_path / "cars_train" / "00001.jpg", encoded(photograph(1), exif=exif.tobytes()))
    np.testing.assert_array_equal(read(tmp_path)[1][0].pixels, crop_by_hand(path, car_box(1)))


boxes = st.tuples(*[st.integers(-40, 160)] * 4)


@given(boxes)
def test_a_box_is_clipped_or_refused(tmp_path_factory: pytest.TempPathFactory, box: tuple[int, int, int, int]) -> None:
    whole, path = photograph(5), tmp_path_factory.getbasetemp() / "x.jpg"
    path.write_bytes(encoded(whole, "PNG"))
    row, member = Annotation("x.jpg", box, "1", "train"), Member("x.jpg", path)
    xs, ys = range(max(box[0], 0), min(box[2], 120)), range(max(box[1], 0), min(box[3], 90))
    if not xs or not ys:
        with pytest.raises(AgmError, match=r"x\.jpg: the box .* is empty or lies outside"):
            official.cut(row, member)
        return
    cut = official.cut(row, member)
    assert cut.box == (xs[0], ys[0], xs[-1] + 1, ys[-1] + 1)
    inside = np.asarray(whole)[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
    expected = Image.fromarray(inside).resize((64, 64), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(cut.pixels, np.asarray(expected))


def test_a_reader_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matlab, "SECONDS", 0.01)
    with pytest.raises(AgmError, match=r"annos\.mat: .*reading it takes more than 0\.01 s"):
        read(cars(tmp_path, 3, 0))


def test_a_reader_that_crashes_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matlab.sys, "executable", write_file(tmp_path / "crash", b"#!/bin/sh\nkill -SEGV $$\n"))
    (tmp_path / "crash").chmod(0o755)
    with pytest.raises(AgmError, match=r"annos\.mat: .*its reader crashed"):
        read(cars(tmp_path / "x", 3, 0))


@pytest.mark.skipif(not (SAMPLES / "stanford_cars").is_dir(), reason="no official samples beside the checkout")
def test_the_official_samples_are_the_images_that_are_known(tmp_path: Path) -> None:
    """64 real files at their official boxes, and the crops of the same files made by other code.

    The known crops had been cut before and saved as JPEG once more; the canvas here was saved as JPEG, too, with the
    crop at another place in JPEG's 8 x 8 grid. Measured: 0.44 of 255 on average, 1.15 for the worst image.
    """
    _, cuts = read(SAMPLES / "stanford_cars")
    assert len(cuts) == 64
    sources = {cut.source for cut in cuts}
    lines = (SHARED / "cars" / "manifest.csv").read_text().splitlines(keepends=True)
    kept = [line for line in lines[1:] if line.split(",")[1] in sources]
    write_file(tmp_path / "manifest.csv", "".join([lines[0], *kept]).encode())
    (tmp_path / "images.tar").symlink_to(SHARED / "cars" / "images.tar")
    known = prepared.load(tmp_path)
    assert known.sources == tuple(cut.source for cut in cuts)
    assert known.groups == tuple(cut.group for cut in cuts)
    differences = np.abs(np.stack([cut.pixels for cut in cuts]).astype(int) - known.images).mean(axis=(1, 2, 3))
    assert differences.mean() < 0.7
    assert differences.max() < 2
    last = {cut.source: cut for cut in cuts}["07389.jpg"]
    assert last.width == 576
    assert last.box == (56, 89, 576, 519)


@pytest.mark.skipif(not (SAMPLES / "stanford_cars").is_dir(), reason="no official samples beside the checkout")
def test_the_real_devkit_is_read(tmp_path: Path) -> None:
    for name, count, labels in (("cars_train_annos.mat", 8144, True), ("cars_test_annos.mat", 8041, False)):
        member = Member(name, SAMPLES / "stanford_cars" / "devkit" / name)
        rows = matlab.read_struct(member, "annotations", tmp_path)
        assert [row["fname"] for row in rows] == [f"{i:05d}.jpg" for i in range(1, count + 1)]
        assert all(row["bbox_x1"] < row["bbox_x2"] and row["bbox_y1"] < row["bbox_y2"] for row in rows)
        assert not labels or {row["class"] for row in rows} == set(range(1, 197))
