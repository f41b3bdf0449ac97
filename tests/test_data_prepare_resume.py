"""Preparing that is interrupted or killed: the next call goes on, and ends with the bytes of a call left in peace."""

from __future__ import annotations

import multiprocessing
import random
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.images import made_up, write_prepared
from support.killed import prepare_slowly
from support.official import cars, contents, encoded, pack, photograph, write

from agm.data import prepared
from agm.data.official import cars as cars_module
from agm.data.official import prepare as module
from agm.data.official.journal import Journal
from agm.data.official.prepare import prepare
from agm.errors import AgmError


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
    "a size beyond all memory": (lambda content: sized(content, 2**62), 10),
    "a size below nothing": (lambda content: sized(content, -2), 10),
    "a number that is none": (
        lambda content: re.sub(rb'"number": [0-9]+', b'"number": Infinity', content, count=1),
        10,
    ),
}


def sized(content: bytes, size: int) -> bytes:
    """The first record claims to be of another size."""
    return re.sub(rb'"size": [0-9]+', b'"size": %d' % size, content, count=1)


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


def test_a_full_disk_between_the_renames_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = cars(tmp_path / "source"), tmp_path / "out"
    write_prepared(out, made_up(3))
    original = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.name == "set":
            raise OSError(28, "No space left on device")
        return original(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(AgmError, match="No space left on device"):
        prepare("cars", source, out, force=True)
    assert len(prepared.load(out)) == 3


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
