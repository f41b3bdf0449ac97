"""Folders and archives as one list of files."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from agm.errors import AgmError

logger = logging.getLogger(__name__)

PREPARED = {"images.tar", "manifest.csv"}
"""The files that mark a prepared set, which is not accepted as a source."""

ENDINGS = (".tgz", ".tar.gz", ".tar", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".zip")


@dataclass(frozen=True)
class Member:
    """One file. name: its path below the source, or inside its archive below the folder that holds the archive.

    path: where it can be read; archive: what it was unpacked from, if it was.
    """

    name: str
    path: Path
    archive: Path | None = None

    def __str__(self) -> str:
        return f"{self.archive}: {self.name}" if self.archive else str(self.path)

    @property
    def file(self) -> str:
        return self.name.rpartition("/")[2]

    @property
    def folders(self) -> tuple[str, ...]:
        return tuple(self.name.split("/")[:-1])


class Source:
    """A folder, one archive, a folder with archives in it, or one plain file. `scratch`: where archives are unpacked.

    Raises AgmError if there is no such path, or an archive is damaged or leads out of its folder.
    """

    def __init__(self, path: Path, scratch: Path) -> None:
        self.path, self.scratch = path, scratch
        with _one_line(path):
            if not path.exists():
                raise AgmError(f"{path}: there is no such file or folder")
            found = _walk(path) if path.is_dir() else [(path.name, path)]
            self.members = tuple(member for name, file in found for member in self._members(name, file))

    def _members(self, name: str, path: Path) -> Iterator[Member]:
        """The files of an archive, or the file itself."""
        if not path.name.lower().endswith(ENDINGS):
            yield Member(name, path)
            return
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        with _one_line(path):
            _unpack(path, folder)
        above = name.rpartition("/")[0]
        for inside, file in _walk(folder, path):
            yield Member(f"{above}/{inside}" if above else inside, file, path)


def distinct(members: Iterable[Member], name: Callable[[Member], str]) -> dict[str, Member]:
    """Members by `name`. A file that lies both in an archive and beside it, unpacked, counts once.

    Raises AgmError where files of different sizes, or of two archives, claim one name.
    """
    found: dict[str, Member] = {}
    for member in sorted(members, key=lambda member: member.archive is not None):
        first = found.setdefault(name(member), member)
        same = first.path.stat().st_size == member.path.stat().st_size
        if not same or (first is not member and first.archive):
            raise AgmError(f"{first} and {member} are two files of one name; leave one of them out")
    return found


def _walk(root: Path, archive: Path | None = None) -> Iterator[tuple[str, Path]]:
    """Every file below `root` and its path there, ordered; linked folders and prepared sets are left out."""
    walk = [(folder, names) for folder, _, names in os.walk(root, onerror=_raise) if PREPARED - set(names)]
    paths = [Path(folder) / name for folder, names in walk for name in names]
    for name, path in sorted((path.relative_to(root).as_posix(), path) for path in paths):
        if not any(part.startswith(".") or part == "__MACOSX" for part in name.split("/")) and path.is_file():
            if not name.isprintable():
                raise AgmError(f"{archive or root}: the file name {name!r} cannot be printed; rename it")
            yield name, path


def _raise(error: OSError) -> None:
    raise error


def _unpack(path: Path, folder: Path) -> None:
    """Unpack plain files and folders; a warning counts the rest. Raises AgmError for a name that leads out of it."""
    zipped, ignored = path.name.lower().endswith(".zip"), 0
    with zipfile.ZipFile(path) if zipped else tarfile.open(path) as archive:
        entries = _zip_entries(archive) if isinstance(archive, zipfile.ZipFile) else _tar_entries(archive)
        for name, entry, plain in tqdm(entries, desc=f"unpacking {path.name}", unit="file", disable=None, leave=False):
            if re.match(r"[/\\]|[A-Za-z]:", name) or ".." in re.split(r"[/\\]", name):
                raise AgmError(f"{path}: {name!r} leads out of the archive; get it from a source that you trust")
            if plain:
                archive.extract(entry, folder)
            ignored += not plain
    if ignored:
        logger.warning("%s: ignored %d links and special files", path, ignored)


def _zip_entries(archive: zipfile.ZipFile) -> Iterator[tuple[str, Any, bool]]:
    """Name, entry, and whether it is a plain file or a folder."""
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        yield info.filename, info, kind in (0, stat.S_IFREG, stat.S_IFDIR)


def _tar_entries(archive: tarfile.TarFile) -> Iterator[tuple[str, Any, bool]]:
    """The same of a tar. Raises ReadError if it does not end as it should."""
    archive.extraction_filter = tarfile.data_filter
    for info in archive:
        yield info.name, info, info.isreg() or info.isdir()
    # tarfile takes a damaged header for the end of the archive: look whether it is the end.
    stream: Any = archive.fileobj
    stream.seek(archive.offset)
    block = stream.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE or any(block):
        raise tarfile.ReadError("it has no end")
    while stream.read(2**20):  # so far that gzip compares its checksum
        pass


@contextlib.contextmanager
def _one_line(where: Path) -> Iterator[None]:
    """Whatever a damaged archive makes the standard library raise -> AgmError."""
    try:
        yield
    except (AgmError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            place = tempfile.gettempdir()
            raise AgmError(f"{where}: no space to unpack it in {place}; set TMPDIR to a larger disk") from None
        reason = str(error) or type(error).__name__
        raise AgmError(f"{where}: cannot be read, damaged or cut short ({reason}); get it again") from None
