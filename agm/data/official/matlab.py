"""What the data sets need of MATLAB's two file formats: struct arrays of version 5, patches of both versions."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from agm.data.images import Pixels
from agm.data.official import mat5
from agm.data.official.mat5 import DamagedError, Value, damaged
from agm.errors import AgmError

ELEMENT_LIMIT = 1_000_000
"""Elements of a struct array."""
CHUNK_LIMIT = 256 * 2**20
"""Bytes of one HDF5 chunk, unpacked."""

_HDF5 = b"\x89HDF\r\n\x1a\n"


def is_hdf5(file: IO[bytes]) -> bool:
    """Whether this is MATLAB's version 7.3: HDF5, behind MATLAB's own 512 bytes or without them."""
    file.seek(0)
    start = file.read(512 + len(_HDF5))
    file.seek(0)
    return start.startswith(_HDF5) or start[512:] == _HDF5


def read_struct(content: bytes, name: str, fields: tuple[str, ...], where: str) -> list[dict[str, int | str]]:
    """Struct array `name` of a version 5 file: a number or a text per element and field.

    Raises AgmError if it is no such file, or a field is missing or neither.
    """
    if is_hdf5(io.BytesIO(content)):
        raise AgmError(f"{where}: a MATLAB file of version 7.3, the official one is of version 5; get that")
    for variable in mat5.variables(io.BytesIO(content), len(content), where):
        if variable.name == name and variable.kind == mat5.STRUCT and variable.size <= ELEMENT_LIMIT:
            rows = list(_elements(variable, where))
            missing = [field for field in fields if rows and field not in rows[0]]
            if missing:
                raise AgmError(f"{where}: {name} has no field {', '.join(missing)}; this is another annotation file")
            return [
                {field: _known(row[field], f"{where}: {name}({number}).{field}") for field in fields}
                for number, row in enumerate(rows, 1)
            ]
    raise AgmError(f"{where}: has no struct array {name!r}; this is another file than the official annotations")


def _elements(variable: mat5.Variable, where: str) -> Iterator[dict[str, Value]]:
    variable.stream.limit = mat5.LIMIT  # of all together: each element may be small, but there may be many
    try:
        yield from variable.elements()
        variable.stream.finish()
    except (DamagedError, zlib.error, struct.error, ValueError) as error:
        raise damaged(where, error) from None


def _known(value: Value, where: str) -> int | str:
    if value is None:
        raise AgmError(f"{where} is neither a whole number nor a text; this is another annotation file")
    return value


def shapes(file: IO[bytes], size: int, where: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """Dimensions and class of every variable of a version 5 file, without reading their values."""
    return {variable.name: (variable.dims, variable.kind) for variable in mat5.variables(file, size, where)}


def blocks(file: IO[bytes], size: int, name: str, each: int, count: int, where: str) -> Iterator[Pixels]:
    """A uint8 array of a version 5 file, cut along its last axis: blocks of (`count`, `each`) bytes, or fewer last."""
    for variable in mat5.variables(file, size, where):
        if variable.name != name:
            continue
        try:
            kind, length, _ = variable.tag()
            if kind != mat5.MI_UINT8 or length != variable.size:
                raise DamagedError(f"has {length:,} bytes of type {kind} for {variable.size:,} values")
            for start in range(0, length, each * count):
                data = variable.stream.read(min(each * count, length - start))
                yield np.frombuffer(data, dtype=np.uint8).reshape(-1, each)
            variable.stream.skip(-length % 8)
            variable.stream.finish()
        except (DamagedError, zlib.error, struct.error) as error:
            raise damaged(where, error) from None


def open_hdf5(file: IO[bytes], where: str) -> Any:
    """A version 7.3 file as an h5py.File."""
    import h5py  # only where it is needed: most copies are of version 5

    return _careful(h5py.File, where, file, "r")


def dataset(variables: Any, name: str, where: str) -> Any:
    """An array of a version 7.3 file as an h5py.Dataset; None if there is no such variable.

    HDF5 has MATLAB's axes reversed. Raises AgmError for links to other files and absurd chunks.
    """
    import h5py

    link = _careful(variables.get, where, name, getlink=True)
    if link is None:
        return None
    found = _careful(variables.get, where, name) if isinstance(link, h5py.HardLink) else None
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        raise AgmError(f"{where}: {name} is no array of this file's own; get the file again")
    if math.prod(found.chunks or ()) > CHUNK_LIMIT:
        raise AgmError(f"{where}: {name} comes in chunks of {math.prod(found.chunks):,} bytes, refused")
    return found


def rows_of(found: Any, start: int, stop: int, where: str) -> Pixels:
    """Part of the first axis of a `dataset`."""
    return np.asarray(_careful(found.__getitem__, where, slice(start, stop)))


def _careful(call: Any, where: str, *arguments: Any, **options: Any) -> Any:
    """Call h5py, which raises almost anything on damaged files."""
    try:
        return call(*arguments, **options)
    except Exception as error:
        raise damaged(where, error) from None
