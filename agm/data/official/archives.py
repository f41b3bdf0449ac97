"""Folders and archives as one list of files, which are read in memory: nothing is ever unpacked to disk."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import io
import logging
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from agm.errors import AgmError

logger = logging.getLogger(__name__)

PREPARED = {"images.tar", "manifest.csv"}
"""What makes a folder a prepared set, which is no source."""

ENDINGS = (".tgz", ".tar.gz", ".tar", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".zip")

READ_LIMIT = 64 * 2**20
"""Bytes of a file that is read at once: images, annotations."""
MEMBER_LIMIT = 8 * 2**30
"""Bytes of one file in an archive; the largest official one, SAT-4's training patches as CSV, has about 5e9."""
TOTAL_LIMIT = 64 * 2**30
"""Bytes of all files in an archive; SAT-4 and SAT-6 with all their forms are about 2e10."""
COUNT_LIMIT = 1_000_000

_READERS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


@dataclass(frozen=True)
class Member:
    """One file. name: its path below the source, or inside its archive below the folder that holds the archive.

    size: in bytes; container: the file on disk that holds it; place: its number in that archive, -1 for a plain file.
    """

    name: str
    size: int
    container: Path
    place: int = -1

    def __str__(self) -> str:
        return str(self.container) if self.place < 0 else f"{self.container}: {self.name}"

    @property
    def file(self) -> str:
        return self.name.rpartition("/")[2]

    @property
    def folders(self) -> tuple[str, ...]:
        return tuple(self.name.split("/")[:-1])


class Source:
    """A folder, one archive, a folder with archives in it, or one plain file.

    Raises AgmError if there is no such path, or an archive is damaged, hostile or larger than the limits.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _one_line(path):
            if path.is_dir():
                self.members = tuple(_walk(path))
            elif path.is_file():
                self.members = tuple(_members(path, ""))
            else:
                raise AgmError(f"{path}: there is no such file or folder")

    @property
    def identity(self) -> str:
        """sha256 over what tells this source from another one or from a later state: names, sizes and times."""
        digest = hashlib.sha256()
        for member in self.members:
            digest.update(repr((member.name, member.size, member.place)).encode())
        for container in sorted({member.container for member in self.members}):
            with _one_line(container):
                state = container.stat()
            digest.update(repr((container.name, state.st_size, state.st_mtime_ns)).encode())
        return digest.hexdigest()

    def read(self, member: Member) -> bytes:
        """The content of one small file."""
        return next(content for _, content in self.stream([member]))

    def stream(self, members: Iterable[Member]) -> Iterator[tuple[Member, bytes]]:
        """The content of each of `members`, in the order in which they lie: each archive is read once, forwards."""
        wanted = set(members)
        for member in wanted:
            if member.size > READ_LIMIT:
                raise AgmError(f"{member}: {member.size:,} bytes, refused (more than {READ_LIMIT:,} for one image)")
        in_order = [member for member in self.members if member in wanted]
        for container, group in groupby(in_order, key=lambda member: member.container):
            with _one_line(container), _opened(container, list(group)) as files:
                for member, file in files:
                    with _one_line(member), file:
                        content = file.read()
                    if len(content) != member.size:
                        raise AgmError(f"{member}: damaged or cut short; get it again")
                    yield member, content

    @contextlib.contextmanager
    def open(self, member: Member) -> Iterator[IO[bytes]]:
        """One large file, to be read piece by piece. Going backwards in a compressed archive is slow."""
        with _one_line(member), _opened(member.container, [member]) as files:
            for _, file in files:
                with file:
                    yield file
                    return


def distinct(members: Iterable[Member], name: Callable[[Member], str]) -> dict[str, Member]:
    """Members by `name`. A file that lies both in an archive and beside it, unpacked, counts once.

    Raises AgmError where files of different sizes, or of two archives, claim one name.
    """
    found: dict[str, Member] = {}
    for member in sorted(members, key=lambda member: member.place >= 0):
        first = found.setdefault(name(member), member)
        if first.size != member.size or (first is not member and first.place >= 0):
            raise AgmError(f"{first} and {member} are two files of one name; leave one of them out")
    return found


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith(ENDINGS)


def _walk(root: Path) -> Iterator[Member]:
    """Every file below `root`, and every file in an archive below it, ordered by path.

    Linked folders and prepared sets are left out.
    """
    walk = [(folder, names) for folder, _, names in os.walk(root, onerror=_raise) if PREPARED - set(names)]
    files = [Path(folder) / name for folder, names in walk for name in names]
    for path in sorted(files, key=lambda path: path.relative_to(root).as_posix()):
        relative = path.relative_to(root)
        if not _hidden(relative.as_posix()) and path.is_file():
            folder = relative.parent.as_posix()
            yield from _members(path, "" if folder == "." else f"{folder}/")


def _raise(error: OSError) -> None:
    raise error


def _members(path: Path, prefix: str) -> Iterator[Member]:
    """The members of an archive, or the file itself."""
    if not is_archive(path):
        yield Member(prefix + _inside(path.name, path), path.stat().st_size, path)
        return
    total = special = 0
    with _one_line(path), _infos(path) as infos:
        bar = tqdm(infos, desc=f"listing {path.name}", unit="file", disable=None, leave=False)
        for place, (name, size, kind) in enumerate(bar):
            total += size
            if size > MEMBER_LIMIT or total > TOTAL_LIMIT or place >= COUNT_LIMIT:
                raise AgmError(
                    f"{path}: {name!r} brings it to {place + 1:,} files and {total:,} bytes, refused as a "
                    f"decompression bomb (limits: {COUNT_LIMIT:,} files, {MEMBER_LIMIT:,} bytes each)"
                )
            special += kind == "special"
            clean = _inside(name, path)
            if kind == "file" and clean and not _hidden(clean):
                yield Member(prefix + clean, size, path, place)
    if special:
        logger.warning("%s: ignored %d links and special files", path, special)


def _inside(name: str, archive: Path) -> str:
    """A member's path with single slashes. Raises AgmError if it leads out of the archive or cannot be printed."""
    path = name.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or re.match("[A-Za-z]:", path):
        raise AgmError(f"{archive}: {name!r} leads out of the archive; get it from a source that you trust")
    if not path.isprintable():
        raise AgmError(f"{archive}: the file name {name!r} cannot be printed; rename it")
    return "/".join(parts)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


@contextlib.contextmanager
def _infos(path: Path) -> Iterator[Iterator[tuple[str, int, str]]]:
    """Name, size and kind (file, folder, special) of every member of an archive."""
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            yield ((info.filename, info.file_size, _zip_kind(info, path)) for info in archive.infolist())
    else:
        with _tar(path, _Bounded) as tar:
            yield _tar_infos(tar)


def _zip_kind(info: zipfile.ZipInfo, path: Path) -> str:
    if info.filename.endswith("/"):
        return "folder"
    if info.flag_bits & 1:
        raise AgmError(f"{path}: {info.filename!r} is encrypted; unpack the archive and give the folder")
    return "file" if stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG) else "special"


def _tar_infos(tar: tarfile.TarFile) -> Iterator[tuple[str, int, str]]:
    for info in tar:
        if info.size < 0:
            raise tarfile.ReadError(f"{info.name!r} has a negative size")
        plain = info.isreg() and not info.issparse()
        yield info.name, info.size, "file" if plain else "folder" if info.isdir() else "special"
    # tarfile takes a damaged header for the end of the archive: look whether it is the end.
    stream: Any = tar.fileobj
    stream.seek(tar.offset)
    block = stream.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE or any(block):
        raise tarfile.ReadError(f"no end after {len(tar.getmembers()):,} files")
    rest = TOTAL_LIMIT
    while (piece := stream.read(2**20)) and rest > 0:  # so far that gzip compares its checksum
        rest -= len(piece)


@contextlib.contextmanager
def _opened(container: Path, members: list[Member]) -> Iterator[Iterator[tuple[Member, IO[bytes]]]]:
    """Each of `members`, all of one container and in its order, with a file to read it from."""
    if members[0].place < 0:
        yield ((member, container.open("rb")) for member in members)
    elif container.name.lower().endswith(".zip"):
        with zipfile.ZipFile(container) as archive:
            infos = archive.infolist()
            yield ((member, archive.open(infos[member.place])) for member in members)
    else:
        with _tar(container) as tar:  # no longer bounded: its headers have been read once
            yield _tar_files(tar, members)


def _tar_files(tar: tarfile.TarFile, members: list[Member]) -> Iterator[tuple[Member, IO[bytes]]]:
    wanted = {member.place: member for member in members}
    for place, info in enumerate(tar):
        if place in wanted:
            file = tar.extractfile(info)
            assert file is not None  # listed as a plain file
            yield wanted.pop(place), file
        if not wanted:
            return


class _Bounded(io.RawIOBase):
    """A stream that refuses to read much at once: tarfile would read a header of any size into memory."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= READ_LIMIT:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


@contextlib.contextmanager
def _tar(path: Path, bound: Callable[[IO[bytes]], Any] = lambda stream: stream) -> Iterator[tarfile.TarFile]:
    with contextlib.ExitStack() as stack:
        raw: IO[bytes] = stack.enter_context(path.open("rb"))
        start = raw.read(6)
        raw.seek(0)
        reader = next((reader for magic, reader in _READERS.items() if start.startswith(magic)), None)
        stream = stack.enter_context(reader(raw)) if reader else raw
        yield stack.enter_context(tarfile.open(fileobj=bound(stream), mode="r:"))


@contextlib.contextmanager
def _one_line(where: Path | Member) -> Iterator[None]:
    """Everything that a damaged archive makes the standard library raise -> AgmError."""
    damage = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, UnicodeError, OSError)
    try:
        yield
    except (*damage, ValueError, NotImplementedError, RuntimeError) as error:
        reason = " ".join((str(error) or type(error).__name__).split())
        raise AgmError(f"{where}: cannot be read, damaged or cut short ({reason}); get it again") from None
