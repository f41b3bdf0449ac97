"""Machine code that is compiled here: once, kept where nobody else can write, loaded only if it is what was kept."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import logging
import os
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from agm import files
from agm.errors import AgmError

logger = logging.getLogger(__name__)

PATIENCE = 120.0
"""Seconds for the compiler, which needs a few."""
REMEMBERED = 24 * 3600.0
"""Seconds in which a compiler that took longer is not asked again."""
OTHERS = stat.S_IWGRP | stat.S_IWOTH


def build(source: Path, options: Sequence[str]) -> ctypes.CDLL | None:
    """The shared library of a C++ file. None without a compiler ($CXX, or c++), or where it cannot be built; says why.

    It is kept in $XDG_CACHE_HOME/agm or ~/.cache/agm; where that is not ours alone, in a folder for temporary files.
    """
    if not hasattr(os, "geteuid"):
        return None  # Windows does not say whose a file is
    command = _command()
    if command is None:
        if os.environ.get("CXX"):
            logger.warning("CXX=%s: there is no such compiler; slower without", os.environ["CXX"])
        return None
    text = "\0".join([source.read_text(), *command, *options])
    name = f"{source.stem}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    with contextlib.ExitStack() as held:
        folder = next(filter(_is_ours_alone, _folders()), None)
        folder = folder or Path(held.enter_context(tempfile.TemporaryDirectory()))
        try:
            return _load(folder / f"{name}.so") or _compiled(folder, name, [*command, *options, str(source)])
        except (OSError, AgmError, subprocess.SubprocessError) as error:
            logger.warning("%s: no compiled kernels (%s); slower without", command[0], error)
    return None


def _command() -> list[str] | None:
    with contextlib.suppress(ValueError):  # an open quote
        words = shlex.split(os.environ.get("CXX") or "c++")
        if words and (compiler := shutil.which(words[0])):
            return [compiler, *words[1:]]
    return None


def _folders() -> list[Path]:
    """The folders for compiled code, best first, made if possible. The second one needs no home folder."""
    folders = [Path(tempfile.gettempdir()) / f"agm-{os.geteuid()}"]
    with contextlib.suppress(RuntimeError):  # there is no home
        folders.insert(0, Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agm")
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folders


def _is_ours_alone(folder: Path) -> bool:
    """True if only this user and root can write to the folder or replace it."""
    try:
        whole = folder.resolve()
        own = whole.is_dir() and _is_private(whole) and os.access(whole, os.W_OK)
        return own and all(_is_private(above, above=True) for above in whole.parents)
    except OSError:
        return False


def _is_private(path: Path, above: bool = False) -> bool:
    """A file or folder of ours that others cannot write; `above`: it may be root's, or for all as /tmp is."""
    found = path.lstat()
    if above:
        return found.st_uid in (0, os.geteuid()) and (not found.st_mode & OTHERS or bool(found.st_mode & stat.S_ISVTX))
    return found.st_uid == os.geteuid() and not found.st_mode & OTHERS and not stat.S_ISLNK(found.st_mode)


def _load(path: Path) -> ctypes.CDLL | None:
    """Load a stored library if it is ours and its checksum is right: a cut file would end the process."""
    with contextlib.suppress(OSError):
        if _is_private(path):
            content = path.read_bytes()
            if hashlib.sha256(content[:-32]).digest() == content[-32:]:
                return ctypes.CDLL(str(path))
    return None


def _compiled(folder: Path, name: str, command: list[str]) -> ctypes.CDLL:
    """Raises OSError, SubprocessError or AgmError."""
    hung = folder / f"{name}.hung"
    if hung.exists() and time.time() - hung.stat().st_mtime < REMEMBERED:
        raise AgmError(f"it was not done within {PATIENCE:g} s; delete {hung} to try again")
    with tempfile.TemporaryDirectory() as scratch:
        new = Path(scratch) / "new.so"
        try:
            _run([*command, "-o", str(new)])
        except subprocess.TimeoutExpired:
            files.write_bytes(hung, b"")
            raise
        content = new.read_bytes()
    path = folder / f"{name}.so"
    files.write_bytes(path, content + hashlib.sha256(content).digest())
    path.chmod(0o700)
    return ctypes.CDLL(str(path))


def _run(command: list[str]) -> None:
    """A command with all that it starts, ended after a while."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        said, _ = process.communicate(timeout=PATIENCE)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines()
        raise AgmError(lines[-1] if lines else f"exit code {process.returncode}")
