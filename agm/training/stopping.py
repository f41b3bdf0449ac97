"""When training stops: at a signal, or when its time is spent."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def stopping(budget: float) -> Iterator[Callable[[], bool]]:
    """Give a function that says whether to stop: SIGTERM or SIGINT came, or `budget` seconds are over.

    Restores the signal handlers at the end.
    """
    deadline, came, previous = time.monotonic() + budget, list[int](), {}
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError):  # not in the main thread: no signals to catch
            previous[number] = signal.signal(number, lambda number, _: came.append(number))
    try:
        yield lambda: bool(came) or time.monotonic() > deadline
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
