"""Reads MATLAB files, of version 5 by scipy and of 7.3 by h5py, in a process of their own.

Neither is made for damaged files: one may crash its reader or fill the memory, and then only that process ends.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from agm.data.official.archives import Member
from agm.errors import AgmError

SECONDS = 600
"""Time limit of the reader, seconds."""

Row = dict[str, int | str | None]


def read_struct(member: Member, name: str, scratch: Path) -> list[Row]:
    """Struct array `name`: a whole number or a text per element and field; None for anything else. Raises AgmError."""
    file = _read(member, [name], scratch) / f"{name}.json"
    if not file.exists():
        raise AgmError(f"{member}: has no struct array {name!r}; this is another file than the official annotations")
    rows: list[Row] = json.loads(file.read_bytes())
    return rows


def read_arrays(member: Member, names: list[str], scratch: Path) -> dict[str, np.ndarray]:
    """The arrays of numbers among these variables, in MATLAB's order of axes, left on the disk. Raises AgmError."""
    folder = _read(member, names, scratch)
    found = {name: folder / f"{name}.npy" for name in names}
    return {name: np.load(array, mmap_mode="r") for name, array in found.items() if array.exists()}


def _read(member: Member, names: list[str], scratch: Path) -> Path:
    """Have a process write the variables into a new folder in `scratch`."""
    folder = tempfile.mkdtemp(dir=scratch)
    command = [sys.executable, "-P", str(Path(__file__).with_name("read_mat.py")), str(member.path), folder, *names]
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
        return Path(folder)
    except subprocess.TimeoutExpired:
        reason = f"reading it takes more than {SECONDS} s"
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [""]
        reason = lines[-1] if error.returncode == 1 else "its reader crashed"
    raise AgmError(f"{member}: no MATLAB file, damaged or cut short ({reason}); get it again")
