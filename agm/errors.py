"""The one exception that reaches a user, and the times that a user writes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

NO_MEMORY = re.compile(r"out of memory|can't allocate memory|ALLOC_FAILED|bad_alloc", re.IGNORECASE)
"""Messages of torch and the libraries below it, on processors and on GPUs."""

SMALLER = "use a smaller --tile, or a smaller picture"
"""The hint where a picture takes too much memory."""

LONGEST = 500
"""Characters of a message; the middle of a longer one is left out."""


class AgmError(Exception):
    """A mistake the user can mend. Its message says what is wrong and how to mend it, in one line.

    That holds whatever names and values it quotes: what cannot be printed is escaped, and too much is cut.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """Text that can be printed anywhere: file names may hold line ends, escape sequences, bytes that are no text."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(text.split()))
    half = LONGEST // 2 - 5
    return text if len(text) <= LONGEST else f"{text[:half]} ... {text[-half:]}"


def unknown(kind: str, name: str, known: Iterable[str]) -> AgmError:
    """The error for a misspelt name: says which names exist and which one was probably meant."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return AgmError(f"unknown {kind} {name!r}{hint} (known: {', '.join(names)})")


def parse_duration(text: str) -> float:
    """50ms, 2s, 9m or 2h -> seconds. Raises AgmError for anything else, and for zero."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|h)", text.strip())
    seconds = float(match[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if not 0 < seconds < float("inf"):
        raise AgmError(f"time {text!r}: expected a positive number with its unit, such as 50ms, 2s, 9m or 2h")
    return seconds


@contextmanager
def enough_memory(hint: str) -> Iterator[None]:
    """Turn running out of memory into an AgmError that says what to do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or NO_MEMORY.search(str(error)):
            raise AgmError(f"out of memory; {hint}") from None
        raise
