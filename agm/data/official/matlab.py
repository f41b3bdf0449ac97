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

from agm.errors import AgmError

SECONDS = 600
"""Time limit of the reader, seconds."""

Row = dict[str, int | str | None]


def read_struct(path: Path, name: str, scratch: Path, where: str) -> list[Row]:
    """Struct array `name`: a whole number or a text per element and field; None for anything else. Raises AgmError."""
    folder = _read(path, [name], scratch, where)
    if not (folder / f"{name}.json").exists():
        raise AgmError(f"{where}: has no struct array {name!r}; this is another file than the official annotations")
    rows: list[Row] = json.loads((folder / f"{name}.json").read_bytes())
    return rows


def read_arrays(path: Path, names: list[str], scratch: Path, where: str) -> dict[str, np.ndarray]:
    """The arrays of numbers among these variables, in MATLAB's order of axes, left on the disk. Raises AgmError."""
    folder = _read(path, names, scratch, where)
    found = {name: folder / f"{name}.npy" for name in names}
    return {name: np.load(array, mmap_mode="r") for name, array in found.items() if array.exists()}


def _read(path: Path, names: list[str], scratch: Path, where: str) -> Path:
    """Have a process write the variables into a new folder in `scratch`."""
    folder = tempfile.mkdtemp(dir=scratch)
    command = [sys.executable, "-P", str(Path(__file__).with_name("read_mat.py")), str(path), folder, *names]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        errors = done.stderr.strip().splitlines()
        reason = "" if not done.returncode else errors[-1] if errors and done.returncode > 0 else "its reader crashed"
    except subprocess.TimeoutExpired:
        reason = f"reading it takes more than {SECONDS} s"
    if reason:
        raise AgmError(f"{where}: no MATLAB file, damaged or cut short ({reason}); get it again")
    return Path(folder)
