"""Preparing: what is written is what is read, the same bytes every time, and all or nothing."""

from __future__ import annotations

import csv
import errno
import hashlib
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from support.images import COLUMNS, made_up, write_prepared
from support.official import (
    cars,
    contents,
    encoded,
    lfw,
    pack,
    patches,
    photograph,
    write,
    write_csv,
    write_mat5,
    write_mat73,
)

from agm import data
from agm.data import prepared
from agm.data.official import prepare as module
from agm.data.official.prepare import prepare
from agm.data.splits import split_indices
from agm.errors import AgmError

FILES = ("card.yml", "images.tar", "manifest.csv")


def make(tmp_path: Path, **changes: Any) -> tuple[Path, dict[str, Any]]:
    card, new = prepare("cars", cars(tmp_path / "source", **changes), tmp_path / "out")
    assert new
    return tmp_path / "out", card


def test_a_prepared_set_has_what_the_official_files_have(tmp_path: Path) -> None:
    out, card = make(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]
    assert tuple(contents(out)) == FILES
    with (out / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["index"] for row in rows] == [str(i) for i in range(10)]
    with tarfile.open(out / "images.tar") as archive:
        assert archive.getnames() == [f"{i:05d}.webp" for i in range(10)]
        headers = {(info.mtime, info.uid, info.gid, info.uname, info.mode) for info in archive}
        pixels = [np.asarray(Image.open(archive.extractfile(name))) for name in archive.getnames()]  # type: ignore[arg-type]
    assert headers == {(0, 0, 0, "", 0o644)}
    for i, (row, image) in enumerate(zip(rows, pixels, strict=True)):
        half = "train" if i < 6 else "test"
        box = tuple(int(row[field]) for field in ("x1", "y1", "x2", "y2"))
        with Image.open(tmp_path / "source" / f"cars_{half}" / row["source"]) as original:
            assert (row["width"], row["height"]) == tuple(map(str, original.size))
            crop = original.crop(box).resize((64, 64), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(image, np.asarray(crop))
        assert row["sha256"] == hashlib.sha256(image.tobytes()).hexdigest()
    assert card["fingerprint"] == hashlib.sha256(np.stack(pixels).tobytes()).hexdigest()


def test_the_card_says_what_the_set_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out, made = make(tmp_path, test=0)
    card = yaml.safe_load((out / "card.yml").read_text())
    assert card == made
    assert (card["name"], card["images"], card["groups"], card["groups_leak"]) == ("cars", 6, "class", False)
    assert card["counts"] == {"train": 6, "test": 0, "classes": 3}
    assert card["substitute"] is None
    assert "the test half is missing: 8,041 images of 16,185" in card["warnings"]
    assert "the test half is missing: 8,041 images of 16,185" in caplog.text
    images = prepared.load(out)
    assert (images.name, images.groups_leak, images.stand_in) == ("cars", False, "")
    assert images.fingerprint == card["fingerprint"]


def test_a_substitute_says_so(tmp_path: Path) -> None:
    lfw(tmp_path / "lfw", {"A_A": 2, "B_B": 2, "C_C": 1})
    card, _ = prepare("faces", tmp_path / "lfw", tmp_path / "out")
    assert card["substitute"] == prepared.load(tmp_path / "out").stand_in == "Labeled Faces in the Wild"
    images = prepared.load(tmp_path / "out")
    assert images.groups_leak
    sides = [{images.groups[i] for i in part} for part in split_indices(images)]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 3


def test_every_form_of_a_source_gives_the_same_set(tmp_path: Path) -> None:
    train, test = patches(9, 0), patches(8, 1)
    write_mat5(tmp_path / "a" / "sat-4-full.mat", train, test)
    write_mat73(tmp_path / "b" / "sat-4-full.mat", train, test)
    write_csv(tmp_path / "c", train, test)
    sets = []
    for name in "abc":
        prepare("geo", pack(tmp_path / name, tmp_path / f"{name}.tgz"), tmp_path / f"set {name}")
        sets.append(contents(tmp_path / f"set {name}"))
    assert sets[0]["images.tar"] == sets[1]["images.tar"] == sets[2]["images.tar"]
    assert sets[0]["manifest.csv"] == sets[1]["manifest.csv"] == sets[2]["manifest.csv"]
    assert prepared.load(tmp_path / "set a").groups_leak


def test_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    out, _ = make(tmp_path)
    prepare("cars", pack(tmp_path / "source", tmp_path / "x.tar.bz2"), tmp_path / "deep" / "er" / "again")
    assert contents(out) == contents(tmp_path / "deep" / "er" / "again")


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_the_same_set_is_left_as_it_is(tmp_path: Path) -> None:
    out, _ = make(tmp_path)
    before = stamps(out)
    for force in (False, True):
        assert not prepare("cars", tmp_path / "source", out, force)[1]
        assert stamps(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


def other_images(out: Path) -> None:
    write_prepared(out, made_up(3))


def damaged(out: Path) -> None:
    write(out / "images.tar", b"no archive")


def no_manifest(out: Path) -> None:
    (out / "manifest.csv").unlink()


def other_card(out: Path) -> None:
    write(out / "card.yml", b"name: mine\ngroups_leak: true\n")


@pytest.mark.parametrize("change", [other_images, damaged, no_manifest, other_card])
def test_another_set_is_replaced_only_by_force(tmp_path: Path, change: Callable[[Path], None]) -> None:
    out, _ = make(tmp_path)
    wanted = contents(out)
    change(out)
    write(out / "notes" / "mine.txt", b"mine")
    write(out / "notes.txt", b"mine, too")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(AgmError, match="holds another prepared set; name another folder with --out, or replace it"):
        prepare("cars", tmp_path / "source", out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert prepare("cars", tmp_path / "source", out, force=True)[1]
    assert (out / "notes" / "mine.txt").read_bytes() == b"mine"
    assert (out / "notes.txt").read_bytes() == b"mine, too"
    assert {name: (out / name).read_bytes() for name in FILES} == wanted
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_prepared_set_is_never_replaced(tmp_path: Path, force: bool) -> None:
    source = cars(tmp_path / "source")
    write(tmp_path / "photos" / "holiday.jpg", b"mine")
    with pytest.raises(AgmError, match="holds other files, but no prepared set"):
        prepare("cars", source, tmp_path / "photos", force)
    with pytest.raises(AgmError, match=r"holiday\.jpg: not a place for a folder"):
        prepare("cars", source, tmp_path / "photos" / "holiday.jpg", force)
    with pytest.raises(AgmError, match="not a place for a folder"):
        prepare("cars", source, Path("/"), force)
    assert (tmp_path / "photos" / "holiday.jpg").read_bytes() == b"mine"


def test_an_empty_folder_and_a_linked_one_are_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "cars")
    source = cars(tmp_path / "source")
    prepare("cars", source, tmp_path / "empty")
    prepare("cars", source, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert contents(tmp_path / "empty") == contents(tmp_path / "disk" / "cars")


def test_a_mistake_leaves_nothing_behind(tmp_path: Path) -> None:
    source = cars(tmp_path / "source")
    write(source / "cars_test" / "00001.jpg", encoded(photograph(51))[:700])
    with pytest.raises(AgmError, match=r"cars_test/00001\.jpg: cannot be decoded"):
        prepare("cars", source, tmp_path / "out")
    with pytest.raises(AgmError, match="unknown data set 'car'; did you mean 'cars'"):
        prepare("car", source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("when", ["_webp", "_write"])
def test_a_full_disk_is_one_line_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    source = cars(tmp_path / "source")

    def full(*arguments: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, when, full)
    with pytest.raises(AgmError) as refused:
        prepare("cars", source, tmp_path / "out")
    assert str(refused.value).endswith("cannot be written (No space left on device); free some space and run again")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_prepared_set_is_found_by_its_name(home: Path) -> None:
    prepare("cars", cars(home / "source"), home / "data" / "cars")
    data.load.cache_clear()
    assert len(data.load("cars")) == 10
    data.load.cache_clear()
