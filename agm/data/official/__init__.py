"""The paper's data sets as their authors publish them. What they share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agm.data.images import Pixels

SETS = ("cars", "faces", "geo")
"""The paper's data sets, each a module here."""

SIZE = 64
"""Side of every prepared image in pixels."""

Box = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels, end exclusive."""


@dataclass(frozen=True)
class About:
    """The description of a data set on its card. `groups`: class, person, place or image."""

    name: str
    title: str
    groups: str
    groups_leak: bool
    substitute: str | None = None
    """The name of the set that this is, where it is not the paper's."""


@dataclass(frozen=True)
class Cut:
    """One image: where it is from, what a split must not cut through, (64, 64, 3) pixels, the size of its source in
    pixels, and the box cut from it (None: all of it).
    """

    source: str
    group: str
    pixels: Pixels
    width: int
    height: int
    box: Box | None = None


@dataclass(frozen=True)
class Plan:
    """A source that was looked through, before any image is read.

    total: the number of images; counts: how many there are of what; images: makes them, one by one, in the order of
    their index.
    """

    about: About
    layout: str
    total: int
    counts: dict[str, int]
    images: Iterator[Cut]
    warnings: tuple[str, ...] = ()
