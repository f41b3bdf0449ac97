"""Picture files that Pillow does not write: tags, chunks and profiles made by hand."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ODD = Path(__file__).parents[3] / "shared" / "data" / "odd"
"""Pictures from public bug reports, where they are at hand."""


def png(pixels: Any, bits: int, kind: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """(H, W) or (H, W, C) of so many bits; kind 0 is grey, 2 RGB."""
    array = np.asarray(pixels)
    height, width = array.shape[:2]
    if bits == 16:
        rows = array.reshape(height, -1).astype(">u2").view(np.uint8)
    elif bits == 8:
        rows = array.reshape(height, -1).astype(np.uint8)
    else:
        expanded = np.unpackbits(array.astype(np.uint8)[..., None], axis=-1)[..., -bits:]
        rows = np.packbits(expanded.reshape(height, -1), axis=1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b"")]
    whole = (struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


def tiff(size: tuple[int, int], bits: int, photometric: int, data: bytes, *more: tuple[int, int, int]) -> bytes:
    """A grey TIFF in one strip; `more`: (tag, type, value)."""
    entries = [(256, 3, size[0]), (257, 3, size[1]), (258, 3, bits), (259, 3, 1), (262, 3, photometric)]
    entries += [(277, 3, 1), (278, 3, size[1]), (279, 4, len(data)), *more]
    start = 8 + 2 + 12 * (len(entries) + 1) + 4
    rows = sorted([*entries, (273, 4, start)])
    directory = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in rows)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(rows)) + directory + bytes(4) + data


def cmyk_profile(lightness: Sequence[int]) -> bytes:
    """A profile by which CMYK is grey: of each corner of its cube, K fastest, the lightness of 255."""
    tables = bytes(range(256))
    corners = b"".join(bytes([value, 128, 128]) for value in lightness)
    matrix = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + tables * 4 + corners + tables * 3
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    text = b"text" + bytes(4) + b"made by hand\0"
    description = b"desc" + bytes(4) + struct.pack(">I", 5) + b"made\0" + bytes(78)
    tags = {b"desc": description, b"cprt": text, b"wtpt": white, b"A2B0": lut}
    offset, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s", offset + len(body), b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    header += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header + bytes(128 - len(header)) + table + body


BAD_TAGS = {
    "a number as text": b"\x1a\x01\x02\0\x04\0\0\0-1,0",
    "a version as text": b"\0\x90\x07\0\x04\0\0\0abcd",
    "XMP as text": b"\xbc\x02\x02\0\x04\0\0\0<x/>",
    "a type there is not": b"\x1b\x01\x63\0\x01\0\0\0\0\0\0\0",
    "beyond the end": b"\x1b\x01\x05\0\x01\0\0\0\xff\xff\xff\x7f",
}
"""Entries of an EXIF directory that Pillow cannot write anew, or not read."""


def exif(orientation: int, bad_tag: bytes) -> bytes:
    """EXIF data with an orientation, a maker and something that is wrong."""
    entries = [struct.pack("<HHII", 0x0112, 3, 1, orientation), b"\x0f\x01\x02\0\x04\0\0\0Mak\0", bad_tag]
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 3) + b"".join(sorted(entries)) + bytes(4)


_KEYED = np.zeros((8, 8), np.uint16)
_KEYED[2:6, 2:6] = 3
TRANSPARENT = {
    "grey of 2 bits": png(_KEYED, 2, 0, (b"tRNS", b"\0\x03")),
    "grey of 4 bits": png(_KEYED, 4, 0, (b"tRNS", b"\0\x03")),
    "grey of 8 bits": png(_KEYED, 8, 0, (b"tRNS", b"\0\x03")),
    "grey of 16 bits": png(_KEYED * 256 + _KEYED, 16, 0, (b"tRNS", b"\x03\x03")),
    "RGB": png(np.dstack([_KEYED] * 3), 8, 2, (b"tRNS", b"\0\x03" * 3)),
    "RGB of 16 bits": png(np.dstack([_KEYED * 257] * 3), 16, 2, (b"tRNS", b"\x03\x03" * 3)),
}
"""Pictures with a hole in the middle, by a colour that is transparent."""
