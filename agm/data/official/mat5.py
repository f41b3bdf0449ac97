"""MATLAB's version 5 files, read piece by piece and without trust: a damaged one can crash scipy's reader.

A file is a header of 128 bytes and elements: a tag (type, size), then data, padded to 8 bytes. A variable is an
element of type miMATRIX, or a zlib stream that holds one.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator
from typing import IO

from agm.errors import AgmError

STRUCT, CHAR = "struct", "char"
CLASSES = {1: "cell", 2: STRUCT, 3: "object", 4: CHAR, 5: "sparse", 6: "double", 7: "single", 8: "int8", 9: "uint8"}
CLASSES |= {10: "int16", 11: "uint16", 12: "int32", 13: "uint32", 14: "int64", 15: "uint64"}
NUMBERS = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 9: "d", 12: "q", 13: "Q"}
MI_UINT8, MI_UINT16, MI_MATRIX, MI_COMPRESSED, MI_UTF8, MI_UTF16 = 2, 4, 14, 15, 16, 17
LOGICAL = 0x200

LIMIT = 64 * 2**20
"""Bytes of a struct array, unpacked, and of anything that is read at once; the official one has about 6e6."""
PIECE = 64 * 1024

Value = int | str | None


class DamagedError(Exception):
    """The file is not what it must be; the text says where."""


class Stream:
    """The data of one element: reads exactly as much as it is asked for, out of a file or a zlib stream in it."""

    def __init__(self, file: IO[bytes], size: int, packed: bool = False) -> None:
        self._file, self._left = file, size
        self._unpack = zlib.decompressobj() if packed else None
        self._tail = b""
        self._total, self.limit = 0, 2**63

    def read(self, size: int) -> bytes:
        data = self._some(size)
        if len(data) != size:
            raise DamagedError("ends too early")
        return data

    def skip(self, size: int) -> None:
        """Padding, which some writers leave out at the end."""
        self._some(size)

    def finish(self) -> None:
        """To be called behind the last value: a zlib stream compares its checksum only here."""
        if self._some(1):
            raise DamagedError("goes on behind its end")
        if self._unpack is not None and not self._unpack.eof:
            raise DamagedError("ends too early")

    def _some(self, size: int) -> bytes:
        self._total += size
        if self._total > self.limit:
            raise DamagedError(f"unpacks to more than {self.limit:,} bytes, refused as a decompression bomb")
        parts, wanted = [], size
        while wanted > 0:
            part = self._plain(min(wanted, LIMIT)) if self._unpack is None else self._unpacked(wanted)
            if not part:
                break
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)

    def _plain(self, size: int) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data

    def _unpacked(self, size: int) -> bytes:
        assert self._unpack is not None
        while not self._unpack.eof:
            packed = self._tail or self._plain(PIECE)
            data = self._unpack.decompress(packed, size)
            self._tail = self._unpack.unconsumed_tail
            if data or not packed:
                return data
        return b""


class Variable:
    """One variable: name, MATLAB's class, dimensions, and a stream that stands where its values begin."""

    def __init__(self, stream: Stream, order: str) -> None:
        self.stream, self.order = stream, order
        flags = self.numbers()
        self.dims = tuple(int(number) for number in self.numbers())
        self.name = self.data()[1].decode("latin-1")
        if not flags or len(self.dims) > 32 or min(self.dims, default=-1) < 0:
            raise DamagedError("has an array without a class or with impossible dimensions")
        kind = CLASSES.get(int(flags[0]) & 0xFF, "unknown")
        self.kind = "logical" if int(flags[0]) & LOGICAL else kind

    @property
    def size(self) -> int:
        return math.prod(self.dims)

    def tag(self) -> tuple[int, int, bytes | None]:
        """Type and size of the next element, and its data where they are packed into the tag."""
        head = self.stream.read(8)
        kind, size = struct.unpack(f"{self.order}II", head)
        if kind >> 16:
            return kind & 0xFFFF, kind >> 16, head[4 : 4 + (kind >> 16)]
        return kind, size, None

    def data(self) -> tuple[int, bytes]:
        """Type and data of the next element."""
        kind, size, small = self.tag()
        if size > LIMIT:
            raise DamagedError(f"has {size:,} bytes where few are expected")
        data = self.stream.read(size) if small is None else small
        if small is None:
            self.stream.skip(-size % 8)
        return kind, data

    def numbers(self) -> tuple[float, ...]:
        kind, data = self.data()
        if kind not in NUMBERS:
            raise DamagedError(f"has type {kind} where numbers are expected")
        letter = NUMBERS[kind]
        if len(data) % struct.calcsize(letter):
            raise DamagedError("has half a number")
        return struct.unpack(f"{self.order}{len(data) // struct.calcsize(letter)}{letter}", data)

    def value(self) -> Value:
        """A 1 x 1 whole number or a row of text; None for anything else."""
        if self.kind == CHAR and (self.size == 0 or self.size == self.dims[-1]):
            return self._text()
        if self.size == 1 and self.kind not in (STRUCT, CHAR, "cell", "object", "sparse", "unknown"):
            (number,) = self.numbers() or (0.5,)
            return int(number) if math.isfinite(number) and number == int(number) else None
        return None

    def elements(self) -> Iterator[dict[str, Value]]:
        """The elements of a struct array, in MATLAB's order."""
        (length,) = self.numbers() or (0,)
        joined = self.data()[1]
        if not 0 < length <= 64 or len(joined) % int(length):
            raise DamagedError("has fields without names")
        names = [
            joined[i : i + int(length)].split(b"\0")[0].decode("latin-1") for i in range(0, len(joined), int(length))
        ]
        for _ in range(self.size if names else 0):
            yield {name: self._field() for name in names}

    def _field(self) -> Value:
        kind, data = self.data()
        if kind != MI_MATRIX:
            raise DamagedError(f"has type {kind} where an array is expected")
        return Variable(Stream(io.BytesIO(data), len(data)), self.order).value() if data else None

    def _text(self) -> str:
        kind, data = self.data()
        codings = {MI_UTF8: "utf-8", MI_UTF16: "utf-16", MI_UINT16: "utf-16"}
        coding = codings.get(kind, "latin-1")
        return data.decode(f"{coding}-{'be' if self.order == '>' else 'le'}" if coding == "utf-16" else coding)


def variables(file: IO[bytes], size: int, where: str) -> Iterator[Variable]:
    """Every variable of a file of `size` bytes. Raises AgmError, also while one is read, if the file is damaged."""
    try:
        file.seek(0)
        head = file.read(128)
        orders = {b"IM": "<", b"MI": ">"}
        if len(head) < 128 or head[126:] not in orders:
            raise DamagedError("does not begin as one")
        order, place = orders[head[126:]], 128
        while place < size:
            file.seek(place)
            kind, length = struct.unpack(f"{order}II", Stream(file, 8).read(8))
            place += 8 + length
            if place > size:
                raise DamagedError(f"ends {place - size:,} bytes too early")
            packed = kind == MI_COMPRESSED
            stream = Stream(file, length, packed)
            if packed:
                kind, length = struct.unpack(f"{order}II", stream.read(8))
            if kind == MI_MATRIX and length:
                yield Variable(stream, order)
    except (DamagedError, zlib.error, ValueError, struct.error, EOFError) as error:
        raise damaged(where, error) from None


def damaged(where: str, error: Exception) -> AgmError:
    reason = " ".join((str(error) or type(error).__name__).split())
    return AgmError(f"{where}: no MATLAB file, damaged or cut short ({reason}); get it again")
