"""When training stops: at a signal, or when its time is spent."""

from __future__ import annotations

import contextlib
import signal
import time
from types import FrameType


class Stop:
    """Says when to stop: SIGTERM or SIGINT came, or the time budget is spent. Restores the signal handlers on exit."""

    def __init__(self, budget: float) -> None:
        self.deadline = time.monotonic() + budget
        self.reason = ""

    def __enter__(self) -> Stop:
        self._previous = {}
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError):  # not in the main thread: no signals to catch
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self.reason = signal.Signals(number).name

    def __bool__(self) -> bool:
        if not self.reason and time.monotonic() > self.deadline:
            self.reason = "time budget"
        return bool(self.reason)
