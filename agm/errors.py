"""The one exception that reaches a user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AgmError(Exception):
    """A mistake the user can mend. Its message says what is wrong and how to mend it, in one line."""


def unknown(kind: str, name: str, known: Iterable[str]) -> AgmError:
    """The error for a misspelt name: says which names exist and which one was probably meant."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return AgmError(f"unknown {kind} {name!r}{hint} (known: {', '.join(names)})")
