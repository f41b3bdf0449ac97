"""Prepared sets: a folder with `images.tar` (lossless WebP, 64 x 64), `manifest.csv` and, mostly, `card.yml`."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from agm import files
from agm.data.images import ImageSet, Pixels, read_image
from agm.data.official import SIZE
from agm.errors import AgmError

IMAGES, MANIFEST, CARD = "images.tar", "manifest.csv", "card.yml"
COLUMNS = ("index", "source", "width", "height", "x1", "y1", "x2", "y2", "group", "sha256")


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
    rows = read_manifest(folder / MANIFEST)
    if card.manifest and files.sha256((folder / MANIFEST).read_bytes()) != card.manifest:
        raise AgmError(f"{folder / MANIFEST}: damaged, it is not what {CARD} says; prepare or copy the set again")
    images = np.empty((len(rows), SIZE, SIZE, 3), dtype=np.uint8)
    path = folder / IMAGES
    try:
        with tarfile.open(path, "r:") as archive:
            members = {info.name: info for info in archive if info.isreg()}
            wanted = zip(rows["index"], rows.sha256, strict=True)
            bar = tqdm(wanted, f"reading {folder.name}", len(rows), unit="image", disable=None, leave=False)
            for row, (index, sha256) in enumerate(bar):
                images[row] = _read_member(archive, members, f"{index:0>5}.webp", sha256, path)
    except FileNotFoundError:
        raise AgmError(f"{path}: missing; a prepared set has {IMAGES} beside {MANIFEST}") from None
    except (tarfile.TarError, EOFError, OSError) as error:
        raise AgmError(f"{path}: damaged or cut short ({error}); prepare or copy the set again") from None
    return ImageSet(card.name, images, tuple(rows.source), tuple(rows.group), card.groups_leak, card.substitute)


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
    if not (name and isinstance(name, str) and isinstance(leak, bool) and isinstance(substitute, str)):
        said = f"name: {name!r}, groups_leak: {leak!r}, substitute: {substitute!r}"
        raise AgmError(f"{path}: {said}; expected a name, true or false, and a name or nothing")
    return Card(name, leak, substitute, str(fields.get("manifest") or ""))


def read_manifest(path: Path) -> pd.DataFrame:
    """The rows of `manifest.csv`, as text; an image without a group is its own. Raises AgmError for a mistake."""
    try:
        rows = pd.read_csv(path, usecols=list(COLUMNS), dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError:
        raise AgmError(f"{path}: missing; a prepared set has {MANIFEST} beside {IMAGES}") from None
    except (ValueError, OSError) as error:
        raise AgmError(f"{path}: cannot be read as CSV with the columns {', '.join(COLUMNS)} ({error})") from None
    rows = rows.fillna("")  # a row that is too short
    if rows.empty:
        raise AgmError(f"{path}: lists no image")
    return rows.assign(group=rows.group.where(rows.group != "", rows.source))


def _read_member(
    archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str, sha256: str, path: Path
) -> Pixels:
    if name not in members:
        raise AgmError(f"{path}: {name} is in the manifest, but the archive has no such file")
    member = archive.extractfile(members[name])
    assert member is not None  # it is a plain file
    pixels = np.asarray(read_image(io.BytesIO(member.read()), f"{path}: {name}"))
    if pixels.shape != (SIZE, SIZE, 3) or files.sha256(pixels.tobytes()) != sha256:
        raise AgmError(f"{path}: {name} does not match its sha256 in the manifest")
    return pixels
