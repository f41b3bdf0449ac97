"""AEL schedules: which layers are active at which iteration (Sections II-B and III-C).

The notation is the paper's: ``---x (2) - x--x (2) - xx-x (3) - xxxx (3)``. A group is four letters, one per
inner layer from the bottom, and ``(p)`` repeats it p times. ``x`` is an active layer, ``-`` an inactive one;
a layer's letter, such as ``r`` or ``n``, may stand for ``x`` and then says which kind of layer is meant.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agm.errors import AgmError
from agm.networks.layers import KINDS

if TYPE_CHECKING:
    import numpy as np  # planning does without

LAYERS = 4
Mask = tuple[bool, ...]

NAMED = {
    "NOAEL": "xxxx (10)",
    "A": "---x (2) - x--x (2) - xx-x (3) - xxxx (3)",
    "B": "x--x (2) - xx-x (2) - xxxx (6)",
}
"""The paper's configurations for T = 10 (Section III-C)."""

NESTED = ("---x", "x--x", "xx-x", "xxxx")
"""Groups of which each has one active layer more than the one before; A and B step through them."""

MOST = 9999
"""Iterations of a schedule."""

_GROUP = re.compile(r"(?P<pattern>[^\s()]+)(?:\s*\((?P<repeat>[^()]*)\))?")
_SEPARATOR = re.compile(r"\s+-\s+")


@dataclass(frozen=True)
class Schedule:
    """An AEL schedule: a pattern of four letters per iteration. Iterating over it gives masks of four booleans."""

    patterns: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read the notation, or one of the names NOAEL, A and B.

        Raises AgmError naming the character position (from 1) of the first mistake.
        """
        source = NAMED.get(text.strip(), text).replace("–", "-").rstrip()
        patterns: tuple[str, ...] = ()
        position = len(source) - len(source.lstrip())
        if not source:
            raise _refuse(text, 0, "the schedule is empty")
        while match := _GROUP.match(source, position):
            patterns += _group(text, match)
            if len(patterns) > MOST:
                raise _refuse(text, position, f"these are more than {MOST} iterations")
            if match.end() == len(source):
                return cls(patterns)
            separator = _SEPARATOR.match(source, match.end())
            if separator is None:
                raise _refuse(text, match.end(), "expected ' - ' between groups")
            position = separator.end()
        raise _refuse(text, position, "expected a group such as x--x (2)")

    @property
    def masks(self) -> tuple[Mask, ...]:
        """One mask per iteration; element i says whether layer i + 1 is active."""
        return tuple(tuple(letter != "-" for letter in pattern) for pattern in self.patterns)

    def take(self, iterations: int) -> Schedule:
        """The first `iterations` iterations; past its end a schedule goes on with its last pattern."""
        if iterations < 1:
            raise AgmError(f"a schedule needs at least one iteration, not {iterations}")
        return Schedule((self.patterns + self.patterns[-1:] * iterations)[:iterations])

    def check(self, layers: str) -> None:
        """Raises AgmError if a pattern names another kind of layer than a network of these letters has."""
        for pattern in self.patterns:
            for i, (letter, own) in enumerate(zip(pattern, layers, strict=True)):
                if letter not in ("x", "-", own):
                    raise AgmError(f"schedule group {pattern} has {letter} for layer {i + 1}, the network has {own}")

    def __iter__(self) -> Iterator[Mask]:
        return iter(self.masks)

    def __len__(self) -> int:
        return len(self.patterns)

    def __str__(self) -> str:
        return " - ".join(f"{pattern} ({len(list(run))})" for pattern, run in itertools.groupby(self.patterns))


def sandwich(iterations: int, random: np.random.Generator) -> tuple[Schedule, Schedule, Schedule]:
    """The fullest schedule, the cheapest, and one that is drawn from all that never drop a layer again.

    The sandwich rule of Yu and Huang, Universally Slimmable Networks (2019): what lies between two trained bounds is
    trained along with them. All non-decreasing walks through `NESTED` are equally likely.
    """
    steps = len(NESTED) - 1
    # Stars and bars: choose where, among the iterations, the walk goes one group further.
    bars = sorted(random.choice(iterations + steps, steps, replace=False).tolist())
    ends = [bar - number for number, bar in enumerate(bars)]
    drawn = (NESTED[sum(end <= t for end in ends)] for t in range(iterations))
    return Schedule(NESTED[-1:] * iterations), Schedule(NESTED[:1] * iterations), Schedule(tuple(drawn))


def candidates(iterations: int) -> tuple[Schedule, ...]:
    """Schedules worth comparing: each group of `NESTED` throughout (the last is NOAEL), A and B."""
    throughout = [Schedule((pattern,) * iterations) for pattern in NESTED]
    return tuple(dict.fromkeys([*throughout, *paper_schedules(iterations)]))


def paper_schedules(iterations: int) -> tuple[Schedule, ...]:
    """Those of `NAMED`, stretched or shrunk where there are not ten iterations."""
    middles = [(2 * t + 1) * 10 // (2 * iterations) for t in range(iterations)]
    named = [Schedule.parse(name).patterns for name in NAMED]
    return tuple(dict.fromkeys(Schedule(tuple(patterns[t] for t in middles)) for patterns in named))


def _group(text: str, match: re.Match[str]) -> tuple[str, ...]:
    """The pattern of a group, as often as it is repeated."""
    pattern, start = match["pattern"], match.start("pattern")
    for offset, letter in enumerate(pattern):
        if letter not in ("x", "-", *KINDS):
            raise _refuse(text, start + offset, f"{letter!r} is none of x, {', '.join(KINDS)} and -")
    if len(pattern) != LAYERS:
        raise _refuse(text, start, f"{pattern!r} has {len(pattern)} letters, one for each of {LAYERS} layers is needed")
    if pattern[-1] == "-":
        raise _refuse(text, start + LAYERS - 1, "layer 4 changes the number of channels and cannot be skipped")
    repeat = "1" if match["repeat"] is None else match["repeat"].strip()
    if re.fullmatch("[0-9]{1,4}", repeat) is None or int(repeat) == 0:
        start = match.end("repeat") - len(match["repeat"].lstrip())
        raise _refuse(text, start, f"{repeat!r} is not a number of repeats from 1 to {MOST}")
    return (pattern,) * int(repeat)


def _refuse(text: str, position: int, what: str) -> AgmError:
    return AgmError(f"bad schedule {text!r}, at character {position + 1}: {what}")
