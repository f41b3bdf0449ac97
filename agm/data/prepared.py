"""Prepared sets: a folder with `images.tar` (lossless WebP, 64 x 64), `manifest.csv` and, mostly, `card.yml`."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from agm import files
from agm.data.images import ImageSet, read_image
from agm.errors import AgmError

IMAGES, MANIFEST, CARD = "images.tar", "manifest.csv", "card.yml"
COLUMNS = ("index", "source", "width", "height", "x1", "y1", "x2", "y2", "group", "sha256")
SIZE = 64


@dataclass(frozen=True)
class Entry:
    """One row of a manifest: its image's place in the archive, its source, its group and its checksum."""

    index: int
    source: str
    group: str
    sha256: str


@dataclass(frozen=True)
class Card:
    """The fields of a card that are used: name, whether groups leak, and the real name of a substitute.

    `manifest`: the sha256 of manifest.csv; older cards have none.
    """

    name: str
    groups_leak: bool
    substitute: str = ""
    manifest: str = ""


def is_prepared(folder: Path) -> bool:
    return (folder / IMAGES).is_file() or (folder / MANIFEST).is_file()


def load(folder: Path) -> ImageSet:
    """Read and verify a prepared set. Raises AgmError naming the first image that is missing or damaged."""
    card = read_card(folder)
    entries = read_manifest(folder / MANIFEST)
    if card.manifest and files.sha256((folder / MANIFEST).read_bytes()) != card.manifest:
        raise AgmError(f"{folder / MANIFEST}: damaged, it is not what {CARD} says; prepare or copy the set again")
    images = np.empty((len(entries), SIZE, SIZE, 3), dtype=np.uint8)
    path = folder / IMAGES
    try:
        with tarfile.open(path, "r:") as archive:
            members = {info.name: info for info in archive}
            bar = tqdm(entries, desc=f"reading {folder.name}", unit="image", disable=None, leave=False)
            for row, entry in enumerate(bar):
                images[row] = _read_member(archive, members, entry, path)
    except FileNotFoundError:
        raise AgmError(f"{path}: missing; a prepared set has {IMAGES} beside {MANIFEST}") from None
    except (tarfile.TarError, EOFError, OSError) as error:
        raise AgmError(f"{path}: damaged or cut short ({error}); prepare or copy the set again") from None
    sources, groups = tuple(e.source for e in entries), tuple(e.group for e in entries)
    return ImageSet(card.name, images, sources, groups, card.groups_leak, card.substitute)


def read_card(folder: Path) -> Card:
    """The set's card; where there is none, the name is the folder's. Raises AgmError if it cannot be understood."""
    path = folder / CARD
    try:
        fields = files.read_yaml(path)
    except FileNotFoundError:
        return Card(folder.name, groups_leak=True)
    if not isinstance(fields, dict):
        raise AgmError(f"{path}: not a card; expected the fields name and groups_leak")
    if "sha256" in fields and not files.is_sealed(fields):  # older cards, and those made by hand, have none
        raise AgmError(f"{path}: damaged, its checksum does not match; prepare or copy the set again")
    name, leak, substitute = fields.get("name"), fields.get("groups_leak"), fields.get("substitute") or ""
    if not name or not isinstance(name, str):
        raise AgmError(f"{path}: name: {name!r} is not a name")
    if not isinstance(leak, bool):
        raise AgmError(f"{path}: groups_leak: {leak!r} is neither true nor false")
    if not isinstance(substitute, str):
        raise AgmError(f"{path}: substitute: {substitute!r} is not a name")
    return Card(name, leak, substitute, str(fields.get("manifest") or ""))


def read_manifest(path: Path) -> list[Entry]:
    """The rows of `manifest.csv`. Raises AgmError with the line number of the first mistake."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # without a byte-order mark
            rows = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
            if missing:
                raise AgmError(f"{path}: the columns {', '.join(missing)} are missing")
            entries = [_entry(row, f"{path}, line {rows.line_num}") for row in rows]
    except FileNotFoundError:
        raise AgmError(f"{path}: missing; a prepared set has {MANIFEST} beside {IMAGES}") from None
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise AgmError(f"{path}: cannot be read as CSV ({error})") from None
    if not entries:
        raise AgmError(f"{path}: lists no image")
    repeated = len(entries) - len({entry.index for entry in entries})
    if repeated:
        raise AgmError(f"{path}: {repeated} indices stand there twice")
    return entries


def _entry(row: dict[str, str | None], where: str) -> Entry:
    index, source, group, sha256 = (row[column] or "" for column in ("index", "source", "group", "sha256"))
    if not index.isascii() or not index.isdigit() or len(index) > 9:
        raise AgmError(f"{where}: index {index!r} is not a whole number")
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise AgmError(f"{where}: sha256 {sha256!r} is not 64 hexadecimal digits")
    return Entry(int(index), source, group or source, sha256)


def _read_member(
    archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], entry: Entry, path: Path
) -> np.ndarray:
    name = f"{entry.index:05d}.webp"
    info = members.get(name)
    if info is None:
        raise AgmError(f"{path}: {name} is in the manifest but not in the archive")
    member = archive.extractfile(info) if info.isreg() else None
    if member is None:
        raise AgmError(f"{path}: {name} is not a plain file")
    pixels = np.asarray(read_image(io.BytesIO(member.read()), f"{path}: {name}"))
    if pixels.shape != (SIZE, SIZE, 3):
        raise AgmError(f"{path}: {name} has {pixels.shape[1]} x {pixels.shape[0]} pixels, not {SIZE} x {SIZE}")
    if files.sha256(pixels.tobytes()) != entry.sha256:
        raise AgmError(f"{path}: {name} does not match its sha256 in the manifest")
    return pixels
