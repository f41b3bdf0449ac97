"""What is done of a set that is being prepared: a file that only grows, of which a kill spoils at most the last bit."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from agm.errors import AgmError

logger = logging.getLogger(__name__)

HEADER_LIMIT = 64 * 1024


class BusyError(AgmError):
    """Another process has the journal."""


@dataclass(frozen=True)
class _Place:
    """Where an image's bytes lie in the journal, and its columns of the manifest."""

    start: int
    size: int
    columns: dict[str, Any]


class Journal:
    """Images by number. `key`: what the images are made from and how; a journal with another key is begun anew.

    Each record is a line, "sha256 JSON", and the image's bytes; the sha256 is that of the JSON and the bytes.
    Raises BusyError if another process is writing to it.
    """

    def __init__(self, path: Path, key: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
        self._places: dict[int, _Place] = {}
        try:
            self._lock(path.parent)
            self._begin(f"{key}\n".encode())
        except BaseException:
            self._file.close()
            raise

    def _lock(self, folder: Path) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{folder}: another process is preparing this set; wait until it has finished") from None
        except OSError:
            logger.debug("%s: this file system has no locks", folder)

    def _begin(self, head: bytes) -> None:
        """Take up the records that are whole; none if the journal does not begin with `head`."""
        if self._file.read(len(head)) == head:
            end = self._restore()
        else:
            self._file.seek(0)
            self._file.write(head)
            end = len(head)
        self._file.truncate(end)
        self._file.seek(end)
        self._file.flush()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __contains__(self, number: int) -> bool:
        return number in self._places

    def __len__(self) -> int:
        return len(self._places)

    def add(self, number: int, columns: dict[str, Any], content: bytes) -> None:
        header = json.dumps({"number": number, "size": len(content), "columns": columns}).encode()
        digest = hashlib.sha256(header + content).hexdigest().encode()
        line = digest + b" " + header + b"\n"
        self._places[number] = _Place(self._file.tell() + len(line), len(content), columns)
        self._file.write(line + content)
        self._file.flush()  # to the system, which keeps it when this process is killed

    def read(self, number: int) -> tuple[dict[str, Any], bytes]:
        """The columns and the bytes of one image."""
        place = self._places[number]
        return place.columns, os.pread(self._file.fileno(), place.size, place.start)

    def _restore(self) -> int:
        """Take up all whole records; returns where they end."""
        end = self._file.tell()
        for number, place in self._records():
            self._places[number] = place
            end = place.start + place.size
        return end

    def _records(self) -> Iterator[tuple[int, _Place]]:
        while line := self._file.readline(HEADER_LIMIT):
            digest, _, header = line.rstrip(b"\n").partition(b" ")
            try:
                fields = json.loads(header)
                number, size, columns = int(fields["number"]), int(fields["size"]), dict(fields["columns"])
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
                return
            start = self._file.tell()
            if not 0 <= size <= os.fstat(self._file.fileno()).st_size - start:
                return
            content = self._file.read(size)
            if len(content) != size or hashlib.sha256(header + content).hexdigest().encode() != digest:
                return
            yield number, _Place(start, size, columns)
