"""A large image in overlapping tiles, and which of them are under way at the same time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from agm.networks.light import SCALE

OVERLAP = 16
"""Input pixels that a tile sees beyond what it gives, on each side.

What lies further away does reach a tile through the feedback of ten iterations, up to 70 pixels, but hardly. Measured
with the recorded nnnr network under Config. A on scikit-image's chelsea and astronaut, after any iteration, the largest
difference between an image and its tile is 4.4 of 255 with an overlap of 4 pixels, 0.15 with 8, 0.01 with 12, and
less than 0.005 with 16. Tiles are therefore cut, not blended.
"""
LEAST = 3 * OVERLAP
"""Smallest side of a tile: a third of it is its own."""


class Tile(NamedTuple):
    """Rows and columns of what the network sees of the input; and of what the tile gives, in the whole result of twice
    the size, and in the tile's own."""

    seen: tuple[slice, slice]
    given: tuple[slice, slice]
    inside: tuple[slice, slice]

    @property
    def pixels(self) -> int:
        """Input pixels that the network sees."""
        rows, columns = self.seen
        return int((rows.stop - rows.start) * (columns.stop - columns.start))


def cut(height: int, width: int, side: int) -> list[Tile]:
    """Tiles of at most `side` x `side` input pixels that together give every pixel once; one if the image is small."""
    both = itertools.product(_ranges(height, side), _ranges(width, side))
    return [Tile(*zip(rows, columns, strict=True)) for rows, columns in both]


def _ranges(length: int, side: int) -> Iterator[tuple[slice, slice, slice]]:
    """A tile's `seen`, `given` and `inside` along one axis."""
    count = 1 if length <= side else -(-length // (side - 2 * OVERLAP))
    for i in range(count):
        first, last = i * length // count, (i + 1) * length // count
        begin, end = max(first - OVERLAP, 0), min(last + OVERLAP, length)
        inside = slice(SCALE * (first - begin), SCALE * (last - begin))
        yield slice(begin, end), slice(SCALE * first, SCALE * last), inside


def groups(tiles: Sequence[Tile], pixels: int) -> Iterator[list[Tile]]:
    """Consecutive tiles, as many as have at most so many pixels together; at least one."""
    group: list[Tile] = []
    for tile in tiles:
        if group and sum(t.pixels for t in group) + tile.pixels > pixels:
            yield group
            group = []
        group.append(tile)
    yield group
