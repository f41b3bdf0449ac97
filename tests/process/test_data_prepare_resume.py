"""Preparing that is killed, or meets another one, loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.images import made_up, write_prepared
from support.official import cars, write

from agm.data import prepared
from agm.data.official.prepare import prepare
from agm.errors import AgmError


def test_a_kill_between_the_renames_loses_nothing(tmp_path: Path) -> None:
    source, out = cars(tmp_path / "source"), tmp_path / "out"
    write_prepared(out, made_up(3))
    write(out / "notes.txt", b"mine")
    (tmp_path / ".out.partial").mkdir()
    out.rename(tmp_path / ".out.partial" / "old")
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
        if self.name == "new":
            raise OSError(28, "No space left on device")
        return original(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(AgmError, match="No space left on device"):
        prepare("cars", source, out, force=True)
    assert len(prepared.load(out)) == 3


def test_what_a_killed_call_left_is_no_obstacle(tmp_path: Path) -> None:
    write(tmp_path / ".out.partial" / "new" / "images.tar", b"half an arch")
    prepare("cars", cars(tmp_path / "source"), tmp_path / "out")
    assert len(prepared.load(tmp_path / "out")) == 10
    assert {path.name for path in tmp_path.iterdir()} == {"source", "out"}
