"""Full disks, folders that cannot be written, too little memory, kills, damage: one line, nothing lost, go on after.

`tests/faults.py` has many more kills; here are a few. What is special to one module is tested with that module.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.anytime import weights
from support.checkout import ROOT
from support.command import TINY, refused
from support.damage import KINDS, damage, make
from support.runs import tiny

from agm import files
from agm.anytime.onnx.export import read
from agm.runs import Run
from workflow import record

Agm = Callable[..., Any]


def full_at_write(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full at the `number`-th write of a file, and at all after it."""
    fsync, writes = os.fsync, itertools.count(1)

    def fail(handle: int) -> None:
        if next(writes) >= number:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", fail)


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*")]


@pytest.mark.parametrize("number", range(1, 7))
def test_training_on_a_full_disk_at_each_write(
    agm_command: Agm, home: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Settings, metrics, checkpoint, test results, weights, summary."""
    folder = home / "build" / "runs" / tiny().id
    with monkeypatch.context() as patch:
        full_at_write(number, patch)
        refused(agm_command("train", *TINY), f"{folder}/", "cannot be written (No space left on device); free some")
    assert set(hidden(home)) <= {f".{folder.name}.lock"}
    assert (folder / "checkpoint.safetensors").exists() == (number > 3)
    assert agm_command("train", *TINY).code == 0
    assert Run.read(folder).metrics.epoch.max() == 1
    assert hidden(home) == []


def test_training_without_the_disk_being_full_writes_six_times(
    agm_command: Agm, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_at_write(7, monkeypatch)
    assert agm_command("train", *TINY).code == 0


def test_recording_on_a_full_disk(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The finished run stays, also where the second one, or packing, cannot be written."""
    planned = [tiny(), tiny(seed=1)]
    with monkeypatch.context() as patch:
        full_at_write(8, patch)
        with pytest.raises(record.AgmError, match=f"{planned[1].id}.*cannot be written .No space left on device"):
            record.train_all(planned, 600.0)
    finished = home / "build" / "runs" / planned[0].id / "summary.json"
    before = finished.read_bytes()
    assert record.train_all(planned, 600.0) == 0
    with monkeypatch.context() as patch:
        full_at_write(1, patch)
        with pytest.raises(record.AgmError, match=r"config\.json: cannot be written .No space left on device"):
            record.pack(planned[0], home / "packed", with_weights=True)
    assert finished.read_bytes() == before
    assert hidden(home) == []


@pytest.mark.parametrize("number", range(1, 5))
def test_exporting_on_a_full_disk_keeps_the_older_export(
    agm_command: Agm, home: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    command = ("export", "--model", weights(home / "w.safetensors"), "--out", home / "out", "--force")
    assert agm_command(*command).code == 0
    with monkeypatch.context() as patch:
        full_at_write(number, patch)
        refused(agm_command(*command, "--schedule", "xxxx (3)"), "cannot be written (No space left on device)")
    assert read(home / "out")[0]["schedule"] == "x--x (1) - xxxx (2)"
    assert hidden(home) == []


def test_a_disk_that_is_really_full(tmp_path: Path, agm_command: Agm) -> None:
    """A file system of 100 kB, filled up; made free again, the same command goes on."""
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(small)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small file system here")
    try:
        (small / "ballast").write_bytes(bytes(80_000))
        refused(agm_command("train", *TINY, "--out", small), "cannot be written (No space left on device); free some")
        (small / "ballast").unlink()
        assert agm_command("train", *TINY, "--out", small).code == 0
        assert Run.read(small / tiny().id).has_weights
        assert hidden(small) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system that is mounted read-only, which stops the superuser, too."""

    def guard(name: str, writes: Callable[..., bool]) -> None:
        original = getattr(os, name)

        def call(*arguments: Any, **named: Any) -> Any:
            if writes(*arguments):
                raise OSError(errno.EROFS, "Read-only file system", arguments[0])
            return original(*arguments, **named)

        monkeypatch.setattr(os, name, call)

    guard("open", lambda path, flags, *_: bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)))
    for name in ("mkdir", "rename", "replace"):
        guard(name, lambda *_: True)


def test_a_folder_that_cannot_be_written(agm_command: Agm, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = weights(home / "w.safetensors")
    assert agm_command("train", *TINY).code == 0
    before = sorted(home.rglob("*"))
    commands = (
        ("train", *TINY, "--seed", "1"),
        ("train", *TINY, "--out", home / "new"),
        ("export", "--model", model, "--out", home / "out"),
    )
    read_only(monkeypatch)
    for command in commands:
        refused(agm_command(*command), "cannot be written (Read-only file system); check the folder")
    assert agm_command("train", *TINY).code == 0  # finished: there is nothing to write
    assert agm_command("runs").code == 0
    assert agm_command("evaluate", home / "build" / "runs" / tiny().id).code == 0
    assert sorted(home.rglob("*")) == before


LITTLE_MEMORY = """
import os, resource, sys
from pathlib import Path
import torch
import agm.training.loop, agm.anytime.engine.engine, agm.anytime.image_files, agm.anytime.upscaler
from study.cli import app
torch.set_num_threads(1)
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * os.sysconf("SC_PAGE_SIZE") + 100 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
app()
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
@pytest.mark.parametrize("what", ["train", "upscale"])
def test_memory_that_really_runs_out(tmp_path: Path, what: str) -> None:
    """100 MB more than the program itself: one line that says which setting to lower, and no part of a file."""
    noise = np.random.default_rng(0).integers(0, 255, (1200, 1200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    settings = ("--set", "width=64", "--set", "image_size=64", "--set", "batch_size=16")
    model = weights(tmp_path / "w.safetensors")
    commands = {
        "train": (["train", *TINY, *settings], "out of memory; lower one of batch_size 16, width 64, image_size 64; "),
        "upscale": (
            ["upscale", tmp_path / "large.png", tmp_path / "out.png", "--model", model, "--device", "cpu"],
            "large.png: out of memory; use a smaller --tile, or a smaller picture",
        ),
    }
    words, message = commands[what]
    environment = os.environ | {"AGM_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", LITTLE_MEMORY, *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert [name for name in hidden(tmp_path) if name.endswith(".partial")] == []
    assert not (tmp_path / "out.png").exists()


@pytest.fixture(scope="module")
def damageable(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return make(tmp_path_factory.mktemp("damage"))


@pytest.mark.parametrize("name", KINDS)
def test_damage_is_named_or_does_no_harm(damageable: dict[str, Any], name: str) -> None:
    path, other, reader = damageable[name]
    seen = damage(path, other, reader, 10, random.Random(1))
    assert (seen["unnoticed"], seen["crashed"]) == (0, 0)
    assert seen["named"] >= 15  # at least where it is cut short
    assert path.read_bytes() != b""


def test_a_few_kills(tmp_path: Path) -> None:
    """One at a random moment and one in a write, of three kinds."""
    counts = ["--training=1", "--recording=0", "--preparation=1", "--export=1", "--writes=1", "--flips=1"]
    counts += ["--no-situations"]
    command = [sys.executable, str(ROOT / "tests" / "faults.py"), *counts, "--out", str(tmp_path / "x.json")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = files.read_json(tmp_path / "x.json")["kills"]
    assert set(rows) == {"training", "preparation", "export"}
    for row in rows.values():
        assert (row["kills"], row["equal"], row["lost"], row["left_behind"]) == (2, 2, 0, 0)
