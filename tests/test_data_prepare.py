"""Preparing: what is written is what is read, the same bytes every time, all or nothing, whatever happens between."""

from __future__ import annotations

import csv
import errno
import hashlib
import multiprocessing
import random
import signal
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from support.images import COLUMNS, made_up, write_prepared
from support.killed import prepare_slowly
from support.official import cars, encoded, lfw, pack, patches, photograph, write, write_csv, write_mat5, write_mat73

from agm import data
from agm.data import prepared
from agm.data.official import cars as cars_module
from agm.data.official import prepare as module
from agm.data.official.journal import Journal
from agm.data.official.prepare import Prepared, prepare
from agm.data.splits import split_indices
from agm.errors import AgmError

FILES = ("card.yml", "images.tar", "manifest.csv")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def make(tmp_path: Path, **changes: Any) -> tuple[Path, Prepared]:
    return tmp_path / "out", prepare("cars", cars(tmp_path / "source", **changes), tmp_path / "out")


def test_a_prepared_set_has_what_the_official_files_have(tmp_path: Path) -> None:
    out, done = make(tmp_path)
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
    assert done.card["fingerprint"] == hashlib.sha256(np.stack(pixels).tobytes()).hexdigest()
    assert done.new
    assert done.folder == out


def test_the_card_says_what_the_set_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out, done = make(tmp_path, test=0)
    card = yaml.safe_load((out / "card.yml").read_text())
    assert card == done.card
    assert (card["name"], card["images"], card["groups"], card["groups_leak"]) == ("cars", 6, "class", False)
    assert card["counts"] == {"train": 6, "test": 0, "classes": 3}
    assert card["substitute"] is None
    assert "Krause" in card["citation"]
    assert card["warnings"][0] == "the test half is missing: 8,041 images of 16,185"
    assert "the test half is missing: 8,041 images of 16,185" in caplog.text
    images = prepared.load(out)
    assert (images.name, images.groups_leak, images.stand_in) == ("cars", False, "")
    assert images.fingerprint == card["fingerprint"]


def test_a_substitute_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lfw(tmp_path / "lfw", {"A_A": 2, "B_B": 2, "C_C": 1})
    done = prepare("faces", tmp_path / "lfw", tmp_path / "out")
    assert done.card["substitute"] == prepared.load(tmp_path / "out").stand_in == "Labeled Faces in the Wild"
    assert done.card["warnings"][1] == "5 images are not 250 x 250 pixels, as the official ones are"
    assert "5 images are not 250 x 250" in caplog.text
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
        assert not prepare("cars", tmp_path / "source", out, force).new
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
    assert prepare("cars", tmp_path / "source", out, force=True).new
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
    with pytest.raises(AgmError, match=r"holiday\.jpg: not a folder"):
        prepare("cars", source, tmp_path / "photos" / "holiday.jpg", force)
    with pytest.raises(AgmError, match="not a place for a data set"):
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


@pytest.mark.parametrize("when", [(Journal, "add"), (Journal, "_begin"), (module, "_assemble"), (module, "_put")])
def test_a_full_disk_is_one_line_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: tuple[Any, str]
) -> None:
    source = cars(tmp_path / "source")
    original, calls = getattr(*when), []

    def full(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) < 4 and when[1] == "add":
            return original(*arguments)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*when, full)
    with pytest.raises(AgmError) as refused:
        prepare("cars", source, tmp_path / "out")
    assert str(refused.value).endswith("cannot be written (No space left on device); free some space and run again")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def interrupt_after(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Ctrl-C when `count` images are done."""
    original, calls = Journal.add, []

    def add(*arguments: Any) -> None:
        original(*arguments)
        calls.append(1)
        if len(calls) == count:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "add", add)


def interrupted(tmp_path: Path, count: int) -> tuple[Path, Path]:
    """A source, and the folder of a call that was interrupted when `count` images of ten were done."""
    source = cars(tmp_path / "source")
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, count)
        with pytest.raises(KeyboardInterrupt):
            prepare("cars", source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    return source, tmp_path / ".out.partial"


def count_cuts(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    original, calls = cars_module.cut, []

    def cut(*arguments: Any) -> Any:
        calls.append(arguments[-1])
        return original(*arguments)

    monkeypatch.setattr(cars_module, "cut", cut)
    return calls


def test_an_interrupted_call_is_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, partial = interrupted(tmp_path, 7)
    assert partial.is_dir()
    calls = count_cuts(monkeypatch)
    prepare("cars", source, tmp_path / "out")
    assert len(calls) == 3
    prepare("cars", source, tmp_path / "whole")
    assert len(calls) == 13
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not partial.exists()


Spoil = Callable[[bytes], bytes]
SPOILT: dict[str, tuple[Spoil, int]] = {
    "last image cut": (lambda content: content[:-100], 4),
    "last header cut": (lambda content: content + b"0123456789", 3),
    "zeros as after a power cut": (lambda content: content[:-300] + bytes(300), 4),
    "a bit of the first image": (lambda content: content[:500] + bytes([content[500] ^ 1]) + content[501:], 10),
    "another version": (lambda content: b"x" + content[1:], 10),
    "rubbish": (lambda content: b"rubbish", 10),
    "nothing": (lambda content: b"", 10),
}


@pytest.mark.parametrize("case", SPOILT)
def test_what_is_there_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    spoil, expected = SPOILT[case]
    source, partial = interrupted(tmp_path, 7)
    path = partial / "journal"
    path.write_bytes(spoil(path.read_bytes()))
    calls = count_cuts(monkeypatch)
    prepare("cars", source, tmp_path / "out")
    assert len(calls) == expected
    prepare("cars", source, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def touch(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(source / "cars_train" / "00001.jpg", encoded(photograph(99), quality=90))


def new_version(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VERSION", 2)


@pytest.mark.parametrize("change", [touch, new_version])
def test_a_part_of_something_else_is_discarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[..., None]
) -> None:
    source, _ = interrupted(tmp_path, 7)
    change(source, monkeypatch)
    calls = count_cuts(monkeypatch)
    prepare("cars", source, tmp_path / "out")
    assert len(calls) == 10
    prepare("cars", source, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_kill_between_the_renames_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = cars(tmp_path / "source"), tmp_path / "out"
    write_prepared(out, made_up(3))
    write(out / "notes.txt", b"mine")
    original = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.name == "set":
            raise KeyboardInterrupt
        return original(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        with pytest.raises(KeyboardInterrupt):
            prepare("cars", source, out, force=True)
    assert not out.exists()
    with pytest.raises(AgmError, match="holds another prepared set"):
        prepare("cars", source, out)
    assert len(prepared.load(out)) == 3
    prepare("cars", source, out, force=True)
    assert len(prepared.load(out)) == 10
    assert (out / "notes.txt").read_bytes() == b"mine"


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    source, partial = interrupted(tmp_path, 7)
    with Journal(partial / "journal", "key"):
        with pytest.raises(AgmError, match="another process is preparing this set"):
            prepare("cars", source, tmp_path / "out")
        assert partial.exists()
    prepare("cars", source, tmp_path / "out")


def test_kill_9_at_random_moments(tmp_path: Path) -> None:
    """Each kill leaves what is done, and the end is that of a call that was left in peace."""
    source, out, partial = cars(tmp_path / "source", 24, 16), tmp_path / "out", tmp_path / ".out.partial"
    packed = pack(source, tmp_path / "x.tgz")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["agm.data.official.prepare", "agm.data.official.cars"])
    moments, kills, done = random.Random(2), 0, 0
    while kills < 4:
        child = context.Process(target=prepare_slowly, args=(packed, out))
        child.start()
        deadline = time.monotonic() + 60
        while child.exitcode is None and size(partial / "journal") <= done and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.08))
        child.kill()
        child.join()
        if out.exists():
            break
        assert child.exitcode == -signal.SIGKILL
        kills, before, done = kills + 1, done, size(partial / "journal")
        assert done > before
    assert kills >= 3
    prepare("cars", packed, out)
    prepare("cars", source, tmp_path / "peace")
    assert contents(out) == contents(tmp_path / "peace")
    assert not partial.exists()


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


GOOD_CARD = "name: mine\ngroups_leak: false\nsubstitute: others\nfuture: [1, 2]\n"
BAD_CARDS = {
    "no yaml": ("name: [", "cannot be read as YAML"),
    "python": ("!!python/object/apply:os.system [ls]", "cannot be read as YAML"),
    "control": ("name: \x01", "cannot be read as YAML"),
    "list": ("- a", "not a card"),
    "empty": ("", "not a card"),
    "no name": ("groups_leak: true", "name: None is not a name"),
    "odd name": ("name: 3\ngroups_leak: true", "name: 3 is not a name"),
    "no leak": ("name: x", "groups_leak: None is neither true nor false"),
    "odd leak": ("name: x\ngroups_leak: 'no'", "groups_leak: 'no' is neither true nor false"),
    "odd substitute": ("name: x\ngroups_leak: true\nsubstitute: [a]", "substitute: ['a'] is not a name"),
    "deep": ("[" * 500, "cannot be read as YAML"),
}


def test_the_card_is_believed_before_the_folders_name(tmp_path: Path) -> None:
    folder = write_prepared(tmp_path / "cars", made_up(4))
    old = prepared.load(folder)
    assert (old.name, old.groups_leak, old.stand_in) == ("cars", False, "")
    write(folder / "card.yml", GOOD_CARD.replace("false", "true").encode())
    new = prepared.load(folder)
    assert (new.name, new.groups_leak, new.stand_in) == ("mine", True, "others")
    write(tmp_path / "x" / "card.yml", GOOD_CARD.encode())
    assert not prepared.load(write_prepared(tmp_path / "x", made_up(4))).groups_leak


@pytest.mark.parametrize("case", BAD_CARDS)
def test_a_bad_card_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    text, message = BAD_CARDS[case]
    folder = write_prepared(tmp_path / "x", made_up(4))
    write(folder / "card.yml", text.encode())
    with pytest.raises(AgmError) as refused:
        prepared.load(folder)
    assert message in str(refused.value)
    assert str(refused.value).startswith(f"{folder / 'card.yml'}: ")
    assert "\n" not in str(refused.value)


def test_a_prepared_set_is_found_by_its_name(home: Path) -> None:
    prepare("cars", cars(home / "source"), home / "data" / "cars")
    data.load.cache_clear()
    assert len(data.load("cars")) == 10
    data.load.cache_clear()
