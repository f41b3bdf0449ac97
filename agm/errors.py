"""The one exception that reaches a user."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

NO_MEMORY = re.compile(r"out of memory|can't allocate memory|ALLOC_FAILED|bad_alloc", re.IGNORECASE)
"""How torch and the libraries below it say so, on processors and on GPUs."""
PERHAPS = re.compile(r"could not create a (primitive|memory)")
"""What oneDNN says then, and rarely for other reasons."""


class AgmError(Exception):
    """A mistake the user can mend. Its message says what is wrong and how to mend it, in one line."""


def unknown(kind: str, name: str, known: Iterable[str]) -> AgmError:
    """The error for a misspelt name: says which names exist and which one was probably meant."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return AgmError(f"unknown {kind} {name!r}{hint} (known: {', '.join(names)})")


@contextmanager
def enough_memory(hint: str) -> Iterator[None]:
    """Where memory runs out within, raises AgmError with what to do about it."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or NO_MEMORY.search(str(error)):
            raise AgmError(f"out of memory; {hint}") from None
        if PERHAPS.search(str(error)):
            raise AgmError(f"probably out of memory ({str(error).splitlines()[0]}); {hint}") from None
        raise
