"""Files that are either whole or not there: atomic writes, and safetensors with a checksum. Nothing is unpickled."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import secrets
import shutil
import stat
from collections.abc import Container, Iterator, Mapping
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
        lock = FileLock(path)
        lock.acquire(timeout=max(0.0, seconds) if math.isfinite(seconds) else -1)  # below 0 it would wait forever
    except Timeout:
        raise TimeoutError(path) from None
    except OSError as error:
        raise unwritable(path, error) from None
    try:
        yield
    finally:
        lock.release()


def write_bytes(path: Path, content: bytes) -> None:
    """Write beside the target, then rename: a reader, or a crash, sees the old file or the new one, never a part.

    Who may read it is as it was, else as the umask says. A link stays one, and what it names is written.
    """
    with contextlib.ExitStack() as clean:
        try:
            path = path.resolve() if path.is_symlink() else path
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{_short(path.name)}.{secrets.token_hex(4)}.partial")
            with partial.open("xb") as file:
                clean.callback(partial.unlink, missing_ok=True)  # nothing is there any more if all went well
                with contextlib.suppress(FileNotFoundError):
                    os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            raise unwritable(path, error) from None


def _short(name: str) -> str:
    """A name that leaves room for a few letters more: file systems take 255 bytes."""
    return name if len(os.fsencode(name)) < 230 else sha256(os.fsencode(name))


def clear_partial(folder: Path) -> None:
    """Remove what killed writers left in a folder into which nobody else writes now."""
    for path in folder.glob(".*.partial"):
        path.unlink()


def copy_others(old: Path, new: Path, ours: Container[str]) -> None:
    """Before a folder is replaced: copy whatever lies in it that is not ours to delete."""
    for path in old.iterdir():
        if path.name not in ours:
            (shutil.copytree if path.is_dir() else shutil.copy2)(path, new / path.name)


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
    """Whether the checksum that `seal` adds is there and right."""
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


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    from safetensors.torch import save

    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(save({"": tensor}))
    return digest.hexdigest()
