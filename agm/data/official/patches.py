"""SAT-4's patches, from the forms in which they are distributed: MATLAB files of two versions, and CSV."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from typing import Any, Protocol

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
LINE_LIMIT = 64 * 1024

Rows = NDArray[np.int64]


class Patches(Protocol):
    """`counts`: patches in each half that is there; `read`: (28, 28, 3) RGB of ascending rows of a half."""

    counts: dict[str, int]

    def read(self, half: str, rows: Rows) -> Iterator[Pixels]: ...


class Mat:
    """train_x and test_x of a MATLAB file, (28, 28, 4, N) uint8."""

    def __init__(self, source: Source, member: Member) -> None:
        names = [f"{half}_x" for half in HALVES]
        self._arrays = matlab.read_arrays(member.path, names, source.scratch.path, str(member))
        self.counts = {name[:-2]: _count(array, f"{member}: {name}") for name, array in self._arrays.items()}
        _some(self.counts, str(member))

    def read(self, half: str, rows: Rows) -> Iterator[Pixels]:
        for row in rows:
            yield np.asarray(self._arrays[f"{half}_x"][:, :, :3, row])


class Csv:
    """X_train_sat4.csv and X_test_sat4.csv: no header, 3,136 values a line in the order rows, columns, channels.

    Every line is checked once; then those that are wanted are read.
    """

    def __init__(self, members: dict[str, Member]) -> None:
        self._members = members
        self.counts = {half: sum(1 for _ in self._patches(half)) for half in members}
        _some(self.counts, " and ".join(map(str, members.values())))

    def read(self, half: str, rows: Rows) -> Iterator[Pixels]:
        wanted = frozenset(rows.tolist())
        for number, patch in enumerate(self._patches(half)):
            if number in wanted:
                yield patch[:, :, :3]

    def _patches(self, half: str) -> Iterator[Pixels]:
        member = self._members[half]
        packed = member.file.lower().endswith(".gz")
        try:
            with gzip.open(member.path) if packed else member.path.open("rb") as file:
                for number in range(1, PATCH_LIMIT + 2):
                    line = file.readline(LINE_LIMIT)
                    if number == 1:
                        line = line.removeprefix(codecs.BOM_UTF8)
                    if not line.strip() and not file.readline(LINE_LIMIT):
                        return  # at most a blank line at the end
                    yield parse_line(line, f"{member}, line {number}")
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise AgmError(f"{member}: damaged or cut short ({error})") from None
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


def _count(array: NDArray[Any], where: str) -> int:
    if array.ndim != 4 or array.shape[:3] != (SIDE, SIDE, CHANNELS) or array.dtype != np.uint8:
        size = " x ".join(map(str, array.shape))
        kind = f"{array.dtype} {size}"
        raise AgmError(f"{where} is {kind}, expected uint8 {SIDE} x {SIDE} x {CHANNELS} x N; this is not SAT-4")
    return int(array.shape[3])


def _some(counts: dict[str, int], where: str) -> None:
    if not sum(counts.values()):
        raise AgmError(f"{where}: no patches; SAT-4 has them in the variables train_x and test_x")
