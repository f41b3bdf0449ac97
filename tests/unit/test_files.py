"""Files are whole or not there, and no damage goes unnoticed."""

from __future__ import annotations

import errno
import math
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from agm import files
from agm.errors import AgmError


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_write_and_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    files.write_text(path, "é one")
    assert path.read_bytes() == "é one".encode()
    files.write_text(path, "two")
    assert everything(path.parent) == {"file.txt": b"two"}
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "file.txt"
    files.write_text(path, "old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*{"fsync": ("os.fsync",), "replace": ("pathlib.Path.replace",)}[call], fail)
    with pytest.raises(AgmError, match=r"file\.txt: cannot be written \(No space left on device\); free some space"):
        files.write_text(path, "new")
    assert everything(tmp_path) == {"file.txt": b"old"}


def test_many_writers_of_one_file(tmp_path: Path) -> None:
    """One after the other; the file is one of theirs, whole, at any moment."""
    path, versions = tmp_path / "x", [bytes([i]) * (100_000 + 1000 * i) for i in range(8)]
    files.write_bytes(path, versions[0])
    with ThreadPoolExecutor(8) as pool:
        done = [pool.submit(files.write_bytes, path, version) for version in versions * 5]
        while not all(future.done() for future in done):
            assert path.read_bytes() in versions
        for future in done:
            future.result()
    assert everything(tmp_path).keys() == {"x"}


def test_what_killed_writers_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".x.abc.partial").write_bytes(bytes(1000))
    files.write_bytes(tmp_path / "x", b"new")
    files.clear_partial(tmp_path)
    assert everything(tmp_path) == {"x": b"new"}


@pytest.mark.parametrize("seconds", [0.0, -1.0, -0.001])
def test_who_has_no_time_left_does_not_wait(tmp_path: Path, seconds: float) -> None:
    with files.locked(tmp_path / "lock", 0), pytest.raises(TimeoutError), files.locked(tmp_path / "lock", seconds):
        pass


def test_a_sealed_value_is_known_again(tmp_path: Path) -> None:
    value = files.seal({"a": [1, 2.5, None, "é"], "b": {"c": 1e-300}})
    files.write_json(tmp_path / "x.json", value)
    read = files.read_json(tmp_path / "x.json")
    assert files.is_sealed(read)
    assert files.seal(read) == value
    for changed in ({"a": [1, 2.5, None, "e"]}, {"b": {"c": 2e-300}}, {"sha256": "0" * 64}, {"new": 1}):
        assert not files.is_sealed(read | changed)
    assert not files.is_sealed({"a": 1})


def test_where_nothing_can_be_written_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(AgmError, match=r"taken/file\.txt: cannot be written"):
        files.write_text(tmp_path / "taken" / "file.txt", "new")
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(AgmError, match="folder: cannot be written"):
        files.write_text(tmp_path / "folder", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "taken"]


def test_json(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None, "é"], "b": {"c": True}}
    files.write_json(tmp_path / "x.json", value)
    assert files.read_json(tmp_path / "x.json") == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "x.json", {"a": math.nan})
    assert files.read_json(tmp_path / "x.json") == value


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1', b"\xff\xfe", b"nonsense", b"[" * 99_999])
def test_what_is_no_json_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(AgmError, match=r"x\.json: cannot be read as JSON"):
        files.read_json(tmp_path / "x.json")
    with pytest.raises(AgmError, match=r"y\.json: missing"):
        files.read_json(tmp_path / "y.json")


def test_numbers_json_does_not_know_become_none() -> None:
    value = {"a": [1.0, math.nan, {"b": math.inf}], "c": -math.inf, "d": 3, "e": "NaN", "f": None}
    assert files.finite(value) == {"a": [1.0, None, {"b": None}], "c": None, "d": 3, "e": "NaN", "f": None}


DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    torch.manual_seed(draw(st.integers(0, 99)))
    return (100 * torch.randn(shape)).to(draw(st.sampled_from(DTYPES)))


@given(
    st.dictionaries(names.filter(lambda n: n != "__metadata__"), tensors(), max_size=4),
    st.dictionaries(names, st.floats(allow_nan=False, allow_infinity=False) | st.text()),
)
def test_tensors_round_trip(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, torch.Tensor], meta: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "x.safetensors"
    files.write_tensors(path, values, meta)
    read, read_meta = files.read_tensors(path)
    assert read_meta == meta
    assert list(read_meta) == list(meta)  # in their order, which decides that of a table's columns
    assert read.keys() == values.keys()
    for name, tensor in values.items():
        assert read[name].dtype == tensor.dtype
        torch.testing.assert_close(read[name], tensor, rtol=0, atol=0, equal_nan=True)


def test_equal_tensors_give_equal_bytes(tmp_path: Path) -> None:
    a, b = torch.arange(6.0).view(2, 3), torch.ones(2, requires_grad=True)
    files.write_tensors(tmp_path / "0", {"a": a, "b": b}, {"x": 1, "y": 2})
    for number in range(1, 9):  # often enough to see an order that is drawn anew each time
        files.write_tensors(tmp_path / str(number), {"b": b, "a": a.T.contiguous().T}, {"x": 1, "y": 2})
        assert (tmp_path / str(number)).read_bytes() == (tmp_path / "0").read_bytes()


REPLACE_FOREVER = """
import os, sys
from pathlib import Path
folder = Path(sys.argv[1])
versions = [(folder / name).read_bytes() for name in "abc"]
while True:
    for content in versions:
        (folder / "partial").write_bytes(content)
        os.replace(folder / "partial", folder / "x")
"""


def test_a_file_can_be_read_while_it_is_being_replaced(tmp_path: Path) -> None:
    """Another process puts longer and shorter versions in its place without pause."""
    for name, size in (("a", 10), ("b", 1000), ("c", 20), ("x", 10)):
        files.write_tensors(tmp_path / name, {"x": torch.full((size,), float(size))}, {"size": size})
    writer = subprocess.Popen([sys.executable, "-c", REPLACE_FOREVER, str(tmp_path)])
    try:
        sizes = set()
        deadline = time.monotonic() + 60
        for _ in range(3000):
            tensors, meta = files.read_tensors(tmp_path / "x")
            assert tensors["x"].tolist() == [float(meta["size"])] * meta["size"]
            sizes.add(meta["size"])
        while len(sizes) < 3 and time.monotonic() < deadline:
            sizes.add(files.read_tensors(tmp_path / "x")[1]["size"])
    finally:
        writer.kill()
        writer.wait()
    assert sizes == {10, 20, 1000}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    files.write_tensors(path, {"a": torch.tensor([1.5, -2.0]), "n": torch.tensor(3)}, {"kind": "test", "id": "x"})
    return path


def test_a_flipped_bit_is_noticed_wherever_it_is(small: Path) -> None:
    content = small.read_bytes()
    for position in range(len(content)):
        for bit in (0, 1 + position % 7):
            flipped = bytearray(content)
            flipped[position] ^= 1 << bit
            small.write_bytes(flipped)
            with pytest.raises(AgmError, match=r"small\.safetensors"):
                files.read_tensors(small)


def test_every_truncation_is_noticed(small: Path) -> None:
    content = small.read_bytes()
    for length in range(len(content)):
        small.write_bytes(content[:length])
        with pytest.raises(AgmError, match=r"small\.safetensors: not a safetensors file, or damaged"):
            files.read_tensors(small)
    small.write_bytes(content + b"\0")
    with pytest.raises(AgmError, match="damaged"):
        files.read_tensors(small)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    safetensors.torch.save_file({"a": torch.ones(2)}, path)
    with pytest.raises(AgmError, match="not one that agm wrote"):
        files.read_tensors(path)
    safetensors.torch.save_file({"a": torch.ones(2)}, path, {"agm": "0" * 64 + " {}"})
    with pytest.raises(AgmError, match="checksum does not match"):
        files.read_tensors(path)
    for meta in ([], None, "x"):
        files.write_tensors(path, {"a": torch.ones(2)}, meta)  # type: ignore[arg-type]
        with pytest.raises(AgmError, match="what it says of itself are no fields"):
            files.read_tensors(path)
    torch.save({"a": torch.ones(2)}, path)
    with pytest.raises(AgmError, match="not a safetensors file"):
        files.read_tensors(path)
    with pytest.raises(AgmError, match=r"none\.safetensors: missing"):
        files.read_tensors(tmp_path / "none.safetensors")
    with pytest.raises(AgmError, match="not a safetensors file"):
        files.read_tensors(tmp_path)


def test_metadata_exchanged_between_files_is_noticed(tmp_path: Path, small: Path) -> None:
    """The checksum covers the tensors and the configuration together."""
    with safetensors.safe_open(small, framework="pt") as file:
        header = file.metadata()
    assert header["agm"].endswith(' {"kind": "test", "id": "x"}')
    header["agm"] = header["agm"].replace('"id": "x"', '"id": "y"')
    safetensors.torch.save_file({"a": torch.tensor([1.5, -2.0]), "n": torch.tensor(3)}, small, header)
    with pytest.raises(AgmError, match="checksum"):
        files.read_tensors(small)
