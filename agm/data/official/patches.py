"""SAT-4's patches, from each of the three forms in which they are distributed."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import IO, Protocol

import numpy as np
from numpy.typing import NDArray

from agm.data.images import Pixels
from agm.data.official import matlab
from agm.data.official.archives import Member, Source
from agm.errors import AgmError

SIDE, CHANNELS = 28, 4
COLUMNS = SIDE * SIDE * CHANNELS
HALVES = ("train", "test")

PATCH_LIMIT = 1_000_000
"""Patches of one half; the larger official half has 400,000."""
MEMORY_LIMIT = 4 * 2**30
"""Bytes of a version 7.3 file in an archive, which must be read into memory at once."""
BLOCK = 1024
LINE_LIMIT = 64 * 1024

Rows = NDArray[np.int64]


class Patches(Protocol):
    """`counts`: patches in each half that is there; `read`: (28, 28, 3) RGB of ascending rows of a half."""

    counts: dict[str, int]

    def read(self, half: str, rows: Rows) -> Iterator[Pixels]: ...


class Mat5:
    """train_x and test_x, (28, 28, 4, N) uint8, in a version 5 file. Read in blocks, even if it is compressed."""

    def __init__(self, source: Source, member: Member) -> None:
        self._source, self._member = source, member
        with source.open(member) as file:
            found = matlab.shapes(file, member.size, str(member))
        self.counts = {}
        for half in HALVES:
            if f"{half}_x" in found:
                shape, kind = found[f"{half}_x"]
                self.counts[half] = _count(shape, kind, f"{member}: {half}_x")
        _some(self.counts, str(member))

    def read(self, half: str, rows: Rows) -> Iterator[Pixels]:
        member = self._member
        with self._source.open(member) as file:
            blocks = matlab.blocks(file, member.size, f"{half}_x", COLUMNS, BLOCK, str(member))
            for start, block in zip(range(0, PATCH_LIMIT, BLOCK), blocks, strict=False):
                wanted = rows[(rows >= start) & (rows < start + BLOCK)] - start
                # MATLAB's order is columns, then rows, from slowest to fastest: (n, 4, W, H) -> (n, H, W, 3)
                yield from block[wanted].reshape(-1, CHANNELS, SIDE, SIDE).transpose(0, 3, 2, 1)[..., :3]


class Mat73:
    """The same in a version 7.3 file, where HDF5 has the axes reversed: (N, 4, 28, 28). Read in slices."""

    def __init__(self, source: Source, member: Member) -> None:
        self._source, self._member = source, member
        self.counts = {}
        with _seekable(source, member) as file, matlab.open_hdf5(file, str(member)) as variables:
            for half in HALVES:
                found = matlab.dataset(variables, f"{half}_x", str(member))
                if found is not None:
                    shape = tuple(reversed(found.shape))
                    self.counts[half] = _count(shape, str(found.dtype), f"{member}: {half}_x")
        _some(self.counts, str(member))

    def read(self, half: str, rows: Rows) -> Iterator[Pixels]:
        where = str(self._member)
        with _seekable(self._source, self._member) as file, matlab.open_hdf5(file, where) as variables:
            found = matlab.dataset(variables, f"{half}_x", where)
            for start in range(0, self.counts[half], BLOCK):
                wanted = rows[(rows >= start) & (rows < start + BLOCK)] - start
                if len(wanted):
                    block = matlab.rows_of(found, start, start + BLOCK, where)
                    yield from block.transpose(0, 3, 2, 1)[wanted][..., :3]  # (n, 4, W, H) -> (n, H, W, 3)


class Csv:
    """X_train_sat4.csv and X_test_sat4.csv: no header, 3,136 values a line in the order rows, columns, channels.

    Every line is checked once; then those that are wanted are read.
    """

    def __init__(self, source: Source, members: dict[str, Member]) -> None:
        self._source, self._members = source, members
        self.counts = {half: sum(1 for _ in self._patches(half)) for half in members}
        _some(self.counts, " and ".join(map(str, members.values())))

    def read(self, half: str, rows: Rows) -> Iterator[Pixels]:
        wanted = frozenset(rows.tolist())
        for number, patch in enumerate(self._patches(half)):
            if number in wanted:
                yield patch[:, :, :3]

    def _patches(self, half: str) -> Iterator[Pixels]:
        member = self._members[half]
        with self._source.open(member) as file:
            for number in range(1, PATCH_LIMIT + 2):
                line = file.readline(LINE_LIMIT)
                if not line:
                    return
                yield parse_line(line, f"{member}, line {number}")
        raise AgmError(f"{member}: more than {PATCH_LIMIT:,} lines; the official file has at most 400,000")


def parse_line(line: bytes, where: str) -> Pixels:
    """One line of a CSV file -> (28, 28, 4). Raises AgmError saying what is wrong with the line `where`."""
    text = line.rstrip(b"\r\n")
    columns = text.count(b",") + 1 if text else 0
    if columns != COLUMNS:
        raise AgmError(
            f"{where}: {columns:,} columns, expected {COLUMNS:,} ({SIDE} x {SIDE} pixels, {CHANNELS} channels)"
        )
    digits = not text.translate(None, b"0123456789,") and b",," not in text and text[:1] != b"," and text[-1:] != b","
    values = np.fromstring(text, dtype=np.int64, sep=",") if digits else np.array([-1])
    if values.min() < 0 or values.max() > 255:
        raise AgmError(f"{where}: a value that is no whole number from 0 to 255; this is another file, or damaged")
    return values.astype(np.uint8).reshape(SIDE, SIDE, CHANNELS)


def _count(shape: tuple[int, ...], kind: str, where: str) -> int:
    if len(shape) != 4 or shape[:3] != (SIDE, SIDE, CHANNELS) or kind != "uint8":
        size = " x ".join(map(str, shape))
        raise AgmError(f"{where} is {kind} {size}, expected uint8 {SIDE} x {SIDE} x {CHANNELS} x N; this is not SAT-4")
    if shape[3] > PATCH_LIMIT:
        raise AgmError(f"{where} claims {shape[3]:,} patches, refused; the official one has 400,000")
    return shape[3]


def _some(counts: dict[str, int], where: str) -> None:
    if not sum(counts.values()):
        raise AgmError(f"{where}: no patches; SAT-4 has them in the variables train_x and test_x")


@contextlib.contextmanager
def _seekable(source: Source, member: Member) -> Iterator[IO[bytes]]:
    """HDF5 is read from all over the file, which an archive cannot do quickly: from memory, then."""
    if member.place >= 0 and member.size > MEMORY_LIMIT:
        raise AgmError(f"{member}: {member.size:,} bytes are too many to read into memory; unpack the archive first")
    with source.open(member) as file:
        yield io.BytesIO(file.read()) if member.place >= 0 else file
