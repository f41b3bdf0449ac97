"""Reads MATLAB files, of version 5 by scipy and of 7.3 by h5py, in a process of their own: this file, run as a program.

Neither is made for damaged files: one may crash its reader or fill the memory, and then only that process ends. The
program imports nothing of agm, to start quickly.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from agm.data.official.archives import Member

SECONDS = 600
"""Time limit of the reader, seconds."""
BYTES = 12 * 2**30
"""Memory limit of the reader; SAT-4 takes some 3e9 bytes."""

Row = dict[str, int | str | None]


def read_struct(member: Member, name: str, scratch: Path) -> list[Row]:
    """Struct array `name`: a whole number or a text per element and field, None for anything else. Empty if there is
    none. Raises AgmError.
    """
    file = _read(member, [name], scratch) / f"{name}.json"
    rows: list[Row] = json.loads(file.read_bytes()) if file.exists() else []
    return rows


def read_arrays(member: Member, names: list[str], scratch: Path) -> dict[str, np.ndarray]:
    """The arrays of numbers among these variables, in MATLAB's order of axes, left on the disk. Raises AgmError."""
    folder = _read(member, names, scratch)
    found = {name: folder / f"{name}.npy" for name in names}
    return {name: np.load(array, mmap_mode="r") for name, array in found.items() if array.exists()}


def _read(member: Member, names: list[str], scratch: Path) -> Path:
    """Have a process write the variables into a new folder in `scratch`."""
    from agm.errors import AgmError

    folder = tempfile.mkdtemp(dir=scratch)
    command = [sys.executable, "-P", __file__, str(member.path), folder, *names]
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
        return Path(folder)
    except subprocess.TimeoutExpired:
        reason = f"reading it takes more than {SECONDS} s"
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [""]
        reason = lines[-1] if error.returncode == 1 else "its reader crashed"
    raise AgmError(f"{member}: no MATLAB file, damaged or cut short ({reason}); get it again")


def main(path: str, folder: str, *names: str) -> None:
    """The program. It writes a struct array as JSON, numbers as NumPy's file, and leaves objects out."""
    with contextlib.suppress(ImportError):  # Windows has no such limit
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    for name, value in _variables(path, list(names)).items():
        if name in names and value.dtype.names:
            rows = [{field: _plain(element[field]) for field in value.dtype.names} for element in value.ravel("F")]
            Path(folder, f"{name}.json").write_text(json.dumps(rows))
        elif name in names and not value.dtype.hasobject:  # an object would be pickled
            np.save(Path(folder, f"{name}.npy"), value)


def _variables(path: str, names: list[str]) -> dict[str, Any]:
    """The named variables of a file, of version 7.3, which is HDF5, or older."""
    import h5py
    import scipy.io

    if not h5py.is_hdf5(path):
        found: dict[str, Any] = scipy.io.loadmat(path, variable_names=names)
        return found
    with h5py.File(path) as whole:  # HDF5 has MATLAB's axes reversed
        return {name: whole[name][()].T for name in names if isinstance(whole.get(name), h5py.Dataset)}


def _plain(value: np.ndarray) -> int | str | None:
    """A 1 x 1 whole number or a row of text; None for anything else."""
    if value.dtype.kind == "U" and value.size < 2:
        return str(value.item()) if value.size else ""
    if value.size == 1 and value.dtype.kind in "iufb" and float(value.item()).is_integer():
        return int(value.item())
    return None


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:  # the readers raise almost anything
        sys.exit(" ".join((str(error) or type(error).__name__).split())[:200])
