"""Files that are either whole or not there: atomic writes, and safetensors with a checksum. Nothing is unpickled."""

from __future__ import annotations

import contextlib
import errno
import filecmp
import hashlib
import json
import math
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import yaml
from filelock import FileLock, Timeout

from agm.errors import AgmError

if TYPE_CHECKING:
    from torch import Tensor  # here and below: listing runs should not wait seconds for torch


def unwritable(path: Path, error: OSError) -> AgmError:
    """A hint for an error on writing."""
    hint = "free some space and run again" if error.errno == errno.ENOSPC else "check the folder and run again"
    return AgmError(f"{path}: cannot be written ({error.strerror or error}); {hint}")


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Hold a lock file that only one process can hold, and that is free again when its holder dies.

    Raises TimeoutError if it is not to be had within so many seconds, AgmError if it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        seconds = max(0.0, seconds) if math.isfinite(seconds) else -1  # below 0 it waits forever
        held = FileLock(path).acquire(timeout=seconds)
    except Timeout:
        raise TimeoutError(path) from None
    except OSError as error:
        raise unwritable(path, error) from None
    with held:
        yield


def write_bytes(path: Path, content: bytes) -> None:
    """Write beside the target, then rename: a reader, or a crash, sees the old file or the new one, never a part.

    Keeps the mode of an existing file; follows links.
    """
    with contextlib.ExitStack() as clean:
        try:
            path = path.resolve() if path.is_symlink() else path
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{secrets.token_hex(8)}.partial")  # a longer name might be too long
            with partial.open("xb") as file:
                clean.callback(partial.unlink, missing_ok=True)  # nothing is there any more if all went well
                with contextlib.suppress(FileNotFoundError):
                    partial.chmod(stat.S_IMODE(path.stat().st_mode))
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            raise unwritable(path, error) from None


def clear_partial(folder: Path) -> None:
    """Remove what killed writers left in a folder into which nobody else writes now."""
    for path in folder.glob(".*.partial"):
        path.unlink()


def replace_folder(
    folder: Path,
    write: Callable[[Path], object],
    what: str,
    marks: Sequence[str],
    force: bool,
    others: Iterable[str] = (),
) -> bool:
    """Have `write` fill a new folder, which takes its place by a rename: there is all of it, or what was there before.

    Returns False if `folder` holds the same files already. Files in it that are neither new nor among the `others` of
    the old one stay. Raises AgmError if it holds no `what`, which has one of the files `marks`; or another one, unless
    `force` says to replace it.
    """
    folder = folder.expanduser().resolve()  # where a link leads, so that the last rename stays on one disk
    if not folder.name or (folder.exists() and not folder.is_dir()):
        raise AgmError(f"{folder}: not a place for a folder; name another one with --out")
    # The name is fixed, so that the next call finds what a killed one left.
    partial, lock = folder.with_name(f".{folder.name}.partial"), folder.with_name(f".{folder.name}.lock")
    try:
        with locked(lock, math.inf):
            _undo(partial, folder)
            try:
                if _is_filled(folder) and not any((folder / name).is_file() for name in marks):
                    hint = "name an empty or a new folder with --out"
                    raise AgmError(f"{folder}: holds other files, but no {what}; {hint}")
                (partial / "new").mkdir(parents=True)
                write(partial / "new")
                _onto_the_disk(partial / "new")
                return _take_place(partial, folder, what, force, others)
            finally:
                _undo(partial, folder)
                lock.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from None


def _onto_the_disk(folder: Path) -> None:
    """After a power cut a renamed folder must not hold files without content."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def _is_filled(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _take_place(partial: Path, folder: Path, what: str, force: bool, others: Iterable[str]) -> bool:
    """Move the new folder to its place, unless the same files are there."""
    new = partial / "new"
    names = sorted(path.name for path in new.iterdir())
    if _is_filled(folder):
        if filecmp.cmpfiles(folder, new, names, shallow=False)[0] == names:
            return False
        if not force:
            hint = "name another folder with --out, or replace it with --force"
            raise AgmError(f"{folder}: holds another {what}; {hint}")
        left = {*names, *others}
        shutil.copytree(folder, new, ignore=lambda here, _: left if here == str(folder) else (), dirs_exist_ok=True)
        folder.rename(partial / "old")
    new.rename(folder)
    return True


def _undo(partial: Path, folder: Path) -> None:
    """Remove what is unfinished; put back what was to be replaced and was not."""
    if (partial / "old").is_dir() and not folder.exists():
        (partial / "old").rename(folder)
    shutil.rmtree(partial, ignore_errors=True)


def write_text(path: Path, content: str) -> None:
    write_bytes(path, content.encode())


def finite(value: Any) -> Any:
    """JSON has no NaN: numbers that are not finite become None."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def encode_json(value: Any) -> bytes:
    return f"{json.dumps(value, indent=1, allow_nan=False)}\n".encode()


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, encode_json(value))


def read_json(path: Path) -> Any:
    """Raises AgmError if the file is missing or no JSON."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise AgmError(f"{path}: missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise AgmError(f"{path}: cannot be read as JSON ({error})") from None


def read_yaml(path: Path) -> Any:
    """Raises FileNotFoundError if the file is missing, AgmError if it is no YAML."""
    try:
        return yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        raise
    # Besides its own errors, PyYAML raises whatever a wrong tag leads to.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError, OSError) as error:
        raise AgmError(f"{path}: cannot be read as YAML ({error or type(error).__name__})") from None


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def seal(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a JSON file, and in `sha256` a checksum over all of them."""
    body = {name: value for name, value in fields.items() if name != "sha256"}
    return body | {"sha256": sha256(json.dumps(body, sort_keys=True).encode())}


def is_sealed(fields: Mapping[str, Any]) -> bool:
    """True if the checksum that `seal` adds is there and right."""
    return bool(fields.get("sha256") == seal(fields)["sha256"])


def write_tensors(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Save tensors and a JSON-able `meta` in one safetensors file, with a checksum over both."""
    write_bytes(path, encode_tensors(tensors, meta))


def encode_tensors(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> bytes:
    """The content of the file that `write_tensors` writes."""
    from safetensors.torch import save

    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(meta)  # Python reads its own NaN and Infinity
    header = {"agm": f"{_digest(stored, text)} {text}"}  # one key: safetensors writes several in random order
    return save(stored, metadata=header)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Inverse of `write_tensors`. Raises AgmError if the file is missing, damaged, or was not written by it."""
    from safetensors.torch import load

    try:
        # Read at once: safetensors would open the file by name twice, and it may be replaced in between.
        content = path.read_bytes()
        tensors = load(content)
        length = int.from_bytes(content[:8], "little")
        header: dict[str, str] = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    except FileNotFoundError:
        raise AgmError(f"{path}: missing") from None
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, RecursionError) as error:
        raise AgmError(f"{path}: not a safetensors file, or damaged ({error})") from None
    if "agm" not in header:
        raise AgmError(f"{path}: a safetensors file, but not one that agm wrote (it has no configuration inside)")
    sha256, _, text = header["agm"].partition(" ")
    if _digest(tensors, text) != sha256:
        raise AgmError(f"{path}: damaged, its checksum does not match; restore it, or delete it and train again")
    meta = json.loads(text)
    if not isinstance(meta, dict):
        raise AgmError(f"{path}: was not written by agm; what it says of itself are no fields")
    return tensors, meta


def read_meta(path: Path) -> Any:
    """The `meta` of such a file alone, unverified, and without torch. Raises SafetensorError or KeyError."""
    with safetensors.safe_open(path, "np") as file:
        return json.loads(file.metadata()["agm"].partition(" ")[2])


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    from safetensors.torch import save

    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(save({"": tensor}))
    return digest.hexdigest()
