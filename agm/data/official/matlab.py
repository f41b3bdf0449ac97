"""MATLAB's two file formats, read with care: nothing in a file is run, followed, or trusted about its size."""

from __future__ import annotations

import io
import math
import warnings
import zlib
from typing import IO, Any, Literal

import numpy as np
import scipy.io

from agm.data.images import Pixels
from agm.errors import AgmError

EXPANDED_LIMIT = 64 * 2**20
"""Bytes of an annotation file's variables, unpacked."""
ELEMENT_LIMIT = 1_000_000
"""Elements of a struct array."""
CHUNK_LIMIT = 256 * 2**20
"""Bytes of one HDF5 chunk, unpacked."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_COMPRESSED = 15  # miCOMPRESSED, the type of an element packed with zlib


def is_hdf5(file: IO[bytes]) -> bool:
    """Whether this is MATLAB's version 7.3: HDF5, behind MATLAB's own 512 bytes or without them."""
    file.seek(0)
    start = file.read(512 + len(_HDF5))
    file.seek(0)
    return start.startswith(_HDF5) or start[512:] == _HDF5


def read_struct(content: bytes, name: str, fields: tuple[str, ...], where: str) -> list[dict[str, Any]]:
    """Struct array `name` of a version 5 file: a number or a text per element and field.

    Raises AgmError if it is no such file, or a field is missing or neither.
    """
    if is_hdf5(io.BytesIO(content)):
        raise AgmError(f"{where}: a MATLAB file of version 7.3, the official one is of version 5; get that")
    _check_expansion(content, where)
    shape, kind = shapes(io.BytesIO(content), where).get(name, ((), "missing"))
    if kind != "struct" or math.prod(shape) > ELEMENT_LIMIT:
        size = " x ".join(map(str, shape))
        raise AgmError(f"{where}: expected a struct array {name!r}, it is {kind} {size}".rstrip())
    table = load(io.BytesIO(content), name, where)
    missing = [field for field in fields if field not in (table.dtype.names or ())]
    if missing:
        raise AgmError(f"{where}: {name} has no field {', '.join(missing)}; this is another annotation file")
    return [
        {field: _scalar(element[field], f"{where}: {name}({number}).{field}") for field in fields}
        for number, element in enumerate(table.ravel(), 1)
    ]


def shapes(file: IO[bytes], where: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and type of every variable of a version 5 file, without reading their values."""
    return {name: (tuple(shape), kind) for name, shape, kind in _careful(scipy.io.whosmat, where, file)}


def load(file: IO[bytes], name: str, where: str) -> Any:
    """One variable of a version 5 file."""
    variables = _careful(
        scipy.io.loadmat, where, file, variable_names=[name], squeeze_me=False, verify_compressed_data_integrity=True
    )
    if name not in variables:
        raise AgmError(f"{where}: has no variable {name!r}; this is another file")
    return variables[name]


def open_hdf5(file: IO[bytes], where: str) -> Any:
    """A version 7.3 file as an h5py.File."""
    import h5py  # only where it is needed: most copies are of version 5

    return _careful(h5py.File, where, file, "r")


def dataset(variables: Any, name: str, where: str) -> Any:
    """A uint8 array of a version 7.3 file as an h5py.Dataset; None if there is no such variable.

    HDF5 has MATLAB's axes reversed. Raises AgmError for links to other files, other types and absurd chunks.
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


def _careful(reader: Any, where: str, *arguments: Any, **options: Any) -> Any:
    """Call one of scipy's readers, which raise almost anything on damaged files."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return reader(*arguments, **options)
    except Exception as error:
        raise _damaged(where, error) from None


def _damaged(where: str, error: Exception) -> AgmError:
    reason = " ".join((str(error) or type(error).__name__).split())
    return AgmError(f"{where}: no MATLAB file, damaged or cut short ({reason}); get it again")


def _check_expansion(content: bytes, where: str) -> None:
    """scipy unpacks whatever it is given: look first how large that becomes."""
    total, place = 0, 128
    order: Literal["big", "little"] = "big" if content[126:128] == b"MI" else "little"
    while place + 8 <= len(content):
        kind, size = (int.from_bytes(content[at : at + 4], order) for at in (place, place + 4))
        place += 8 + size
        if kind == _COMPRESSED:
            unpack = zlib.decompressobj().decompress
            total += len(_careful(unpack, where, content[place - size : place], EXPANDED_LIMIT + 1))
        if total > EXPANDED_LIMIT:
            raise AgmError(f"{where}: unpacks to more than {EXPANDED_LIMIT:,} bytes, refused as a decompression bomb")


def _scalar(value: Any, where: str) -> int | str:
    """A 1 x 1 whole number or a text, as scipy gives them."""
    array = np.asarray(value)
    if array.size == 1 and array.dtype.kind in "uifb" and float(array.item()).is_integer():
        return int(array.item())
    if array.size == 1 and array.dtype.kind == "U":
        return str(array.item())
    raise AgmError(f"{where} is neither a whole number nor a text; this is another annotation file")
