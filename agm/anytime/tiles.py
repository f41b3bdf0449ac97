"""A large image in overlapping tiles, and which of them are under way at the same time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agm.errors import AgmError

OVERLAP = 16
"""Input pixels that a tile sees beyond what it gives, on each side.

What lies further away does reach a tile through the feedback of ten iterations, up to 70 pixels, but hardly. Measured
with the recorded nnnr network under Config. A on scikit-image's chelsea and astronaut, after any iteration, the largest
difference between an image and its tile is 4.4 of 255 with an overlap of 4 pixels, 0.15 with 8, 0.01 with 12, and
less than 0.005 with 16. Tiles are therefore cut, not blended.
"""
LEAST = 3 * OVERLAP
"""Smallest side of a tile: a third of it is its own."""


@dataclass(frozen=True)
class Tile:
    """Half-open ranges of rows and columns of the input: what the network sees, and what the tile gives."""

    top: int
    bottom: int
    left: int
    right: int
    first_row: int
    last_row: int
    first_column: int
    last_column: int

    @property
    def pixels(self) -> int:
        """Input pixels that the network sees."""
        return (self.bottom - self.top) * (self.right - self.left)


def check(side: int) -> None:
    if side < LEAST:
        raise AgmError(f"tile={side}: must be at least {LEAST} pixels, {OVERLAP} on each side are overlap")


def cut(height: int, width: int, side: int) -> list[Tile]:
    """Tiles of at most `side` x `side` input pixels that together give every pixel once; one if the image is small."""
    return [
        Tile(*rows[:2], *columns[:2], *rows[2:], *columns[2:])
        for rows in _ranges(height, side)
        for columns in _ranges(width, side)
    ]


def _ranges(length: int, side: int) -> Iterator[tuple[int, int, int, int]]:
    """(begin, end) of what is seen and of what is given."""
    count = 1 if length <= side else -(-length // (side - 2 * OVERLAP))
    for i in range(count):
        first, last = i * length // count, (i + 1) * length // count
        yield max(first - OVERLAP, 0), min(last + OVERLAP, length), first, last


def groups(tiles: Sequence[Tile], pixels: int) -> Iterator[list[Tile]]:
    """Consecutive tiles, as many as have at most so many pixels together; at least one."""
    group: list[Tile] = []
    for tile in tiles:
        if group and sum(t.pixels for t in group) + tile.pixels > pixels:
            yield group
            group = []
        group.append(tile)
    yield group
