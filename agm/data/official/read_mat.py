"""The program of `agm.data.official.matlab`: a MATLAB file's variables, as NumPy and JSON read them.

It imports nothing of agm, to start quickly.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io

BYTES = 12 * 2**30
"""Memory limit; SAT-4 takes some 3e9 bytes."""


def variables(path: str, names: list[str]) -> dict[str, Any]:
    """The named variables of a file, of version 7.3, which is HDF5, or older."""
    if not h5py.is_hdf5(path):
        found: dict[str, Any] = scipy.io.loadmat(path, variable_names=names)
        return found
    with h5py.File(path) as whole:  # HDF5 has MATLAB's axes reversed
        return {name: whole[name][()].T for name in names if isinstance(whole.get(name), h5py.Dataset)}


def plain(value: np.ndarray) -> int | str | None:
    """A 1 x 1 whole number or a row of text; None for anything else."""
    if value.dtype.kind == "U" and value.size < 2:
        return str(value.item()) if value.size else ""
    if value.size == 1 and value.dtype.kind in "iufb" and float(value.item()).is_integer():
        return int(value.item())
    return None


def main(path: str, folder: str, *names: str) -> None:
    """Write a struct array as JSON, numbers as NumPy's file. Objects, which would be pickled, are left out."""
    with contextlib.suppress(ImportError):  # Windows has no such limit
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    for name, value in variables(path, list(names)).items():
        if name in names and value.dtype.names:
            rows = [{field: plain(element[field]) for field in value.dtype.names} for element in value.ravel("F")]
            Path(folder, f"{name}.json").write_text(json.dumps(rows))
        elif name in names and not value.dtype.hasobject:
            np.save(Path(folder, f"{name}.npy"), value)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:  # the readers raise almost anything
        sys.exit(" ".join((str(error) or type(error).__name__).split())[:200])
