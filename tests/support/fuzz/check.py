"""The property: an input is taken, or refused in one line that names it; nothing else happens, and soon."""

from __future__ import annotations

import resource
import shutil
import signal
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis.strategies import SearchStrategy

from agm.errors import LONGEST, AgmError

SECONDS = 10
"""Of the processor's time, for one input; the largest pictures that are taken need three."""
BYTES = 2 * 2**30
"""How much memory one input may take, above what the process has."""
CLAIMED = 3 * BYTES
"""How much it may ask for; what is never written to takes none."""

PEAK = Path("/proc/self/clear_refs")
"""5 makes Linux forget the most that a process has had in memory."""


@dataclass(frozen=True)
class Target:
    """`inputs`: what is tried. `use`: takes an empty folder and an input, and does what a user would do with it.

    `named`: a refusal must name the file, which `use` has written to the folder.
    """

    inputs: SearchStrategy[Any]
    use: Callable[[Path, Any], Any]
    named: bool = True


class TooSlowError(BaseException):
    """Not an Exception, so that no one takes it for damage of the input."""


def taken(target: Target, value: Any) -> bool:
    """Whether the input was taken; False if it was refused as it should be. Raises AssertionError otherwise."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz"))
    try:
        with warnings.catch_warnings(record=True) as caught, limited():
            warnings.simplefilter("always")
            before = _peak(anew=True)
            refusal = _refusal(target, folder, value)
            grown = _peak() - before
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert grown <= BYTES, f"took {grown:,} bytes"
    assert not caught, f"a warning came through: {caught[0].message}"
    if refusal is not None:
        _check(refusal, folder if target.named else "")
    return refusal is None


def _refusal(target: Target, folder: Path, value: Any) -> str | None:
    try:
        target.use(folder, value)
    except AgmError as error:
        return str(error)
    except TooSlowError:
        where = traceback.format_exc(limit=-4)
        raise AssertionError(f"took more than {SECONDS} s\n{where}") from None
    except Exception as error:
        raise AssertionError(f"{type(error).__name__} came through\n{traceback.format_exc(limit=-4)}") from None
    return None


def _check(message: str, folder: Path | str) -> None:
    assert message, "a refusal without a word"
    assert "\n" not in message, f"more than one line: {message!r}"
    assert message.isprintable(), f"cannot be printed: {message!r}"
    assert len(message) <= LONGEST, f"{len(message)} letters: {message!r}"
    assert str(folder) in message, f"does not name the file: {message!r}"


@contextmanager
def limited() -> Iterator[None]:
    """At most so many seconds and claimed bytes: beyond, TooSlowError or MemoryError."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TooSlowError

    before, handler = resource.getrlimit(resource.RLIMIT_AS), signal.signal(signal.SIGPROF, late)
    resource.setrlimit(resource.RLIMIT_AS, (_size() + CLAIMED, before[1]))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def _peak(anew: bool = False) -> int:
    """The most bytes that this process has had in memory; `anew`: since now."""
    if anew:
        PEAK.write_text("5")
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def _size() -> int:
    """Bytes of this process's address space."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
