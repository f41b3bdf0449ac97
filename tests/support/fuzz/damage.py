"""How valid files become invalid ones: as disks, networks and people with bad intentions do it."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Contents = SearchStrategy[bytes]

EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 9000, 20000)
"""Numbers at which sizes and offsets overflow, and sides of pictures that would be very large."""
HOSTILE = (b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"nan", b"-inf", b"1e999", b"9" * 5000, b"[" * 20_000, b"../../x")
"""Pieces that break parsers: no text, marks of byte order, no numbers, far too long ones, nesting without end."""

places = st.integers(0, 2**31) | st.integers(0, 700)  # headers are at the beginning


def _flip(content: bytes, place: int, value: int) -> bytes:
    return _over(content, place, bytes([content[place] ^ 1 << value % 8]))


def _over(content: bytes, place: int, piece: bytes) -> bytes:
    return (content[:place] + piece + content[place + len(piece) :])[: max(len(content), 1)]


def _number(form: str) -> Callable[[bytes, int, int], bytes]:
    most = 256 ** struct.calcsize(form)
    return lambda content, place, value: _over(content, place, struct.pack(form, EDGES[value % len(EDGES)] % most))


def _byte(content: bytes, place: int, value: int) -> bytes:
    return _over(content, place, bytes([value % 256]))


def _cut(content: bytes, place: int, value: int) -> bytes:
    return content[:place]


def _drop(content: bytes, place: int, value: int) -> bytes:
    return content[:place] + content[place + value % 64 + 1 :]


def _double(content: bytes, place: int, value: int) -> bytes:
    return content[: place + value] + content[place:]


def _insert(content: bytes, place: int, value: int) -> bytes:
    return content[:place] + HOSTILE[value % len(HOSTILE)] + content[place:]


EDITS = (_flip, _byte, _number("<I"), _number(">I"), _number("<H"), _number(">H"), _cut, _drop, _double, _insert)


@st.composite
def damaged(draw: st.DrawFn, samples: Sequence[bytes], most: int = 4) -> bytes:
    """One of the samples after some edits; now and then its head on another one's tail."""
    content = draw(st.sampled_from(samples))
    if draw(st.integers(0, 9)) == 9:
        other = draw(st.sampled_from(samples))
        content = content[: draw(places) % (len(content) + 1)] + other[draw(places) % (len(other) + 1) :]
    for _ in range(draw(st.integers(0, most))):
        if content:
            edit = draw(st.sampled_from(EDITS))
            content = edit(content, draw(places) % len(content), draw(st.integers(0, 255)))
    return content


def spoilt(samples: Sequence[bytes]) -> Contents:
    """Damaged samples, mostly; at times just any bytes."""
    return st.integers(0, 19).flatmap(lambda n: damaged(samples) if n else st.binary(max_size=300))


numbers = st.sampled_from([0, -1, 2**31, 2**63, 10**400, -0.0, 1e308, float("nan"), float("inf"), float("-inf")])
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | numbers | st.just("é\0\n" * 99)
values = st.recursive(
    plain, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3), max_leaves=6
)
"""Whatever may stand in JSON."""


@st.composite
def altered(draw: st.DrawFn, sample: Any) -> Any:
    """A structure like the sample: some entries replaced, left out, or added."""
    changed = json.loads(json.dumps(sample))
    for _ in range(draw(st.integers(0, 3))):
        changed = _alter(draw, changed)
    return changed


def _alter(draw: st.DrawFn, value: Any) -> Any:
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not keys or draw(st.integers(0, 4)) == 0:
        return draw(values)
    key = draw(st.sampled_from(keys))
    what = draw(st.integers(0, 5))
    if what == 0:
        del value[key]
    elif what == 1 and isinstance(value, dict):
        value[draw(st.text(max_size=8))] = value[key]
    else:
        value[key] = _alter(draw, value[key])
    return value


def as_json(sample: Any) -> Contents:
    """JSON files: of altered structures, and damaged ones."""
    text = altered(sample).map(lambda value: json.dumps(value).encode())
    return st.one_of(text, text, spoilt([json.dumps(sample).encode()]))
