"""Picture files in and out: orientation, colour profile, metadata, and what a format cannot hold."""

from __future__ import annotations

import contextlib
import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps

from agm.anytime.pixels import SIXTEEN
from agm.data.images import decoding
from agm.errors import AgmError, unknown

logger = logging.getLogger(__name__)

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
"""What can be written, by the file's ending."""
_KEPT = (
    *(ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.DateTime),
    *(ExifTags.Base.Artist, ExifTags.Base.Copyright),
)
_OUTDATED = (
    *(ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight),
    *(ExifTags.Base.MakerNote, ExifTags.Base.ExifInteroperabilityOffset),  # offsets into a file that is no more
)
_SPACES = {"L": b"GRAY", "LA": b"GRAY", "I;16": b"GRAY", "RGB": b"RGB ", "RGBA": b"RGB "}
"""Mode -> the colour space that a profile for it names."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture, upright, and what its file said about it."""

    image: Image.Image
    exif: Image.Exif
    profile: bytes | None


def format_of(path: Path) -> str:
    """The format that a file's ending asks for. Raises AgmError if it cannot be written."""
    if path.suffix.lower() not in FORMATS:
        raise unknown("picture format", path.suffix or path.name, FORMATS)
    return FORMATS[path.suffix.lower()]


def read(path: Path) -> Picture:
    """The first picture in a file.

    Raises AgmError naming the file if it is missing, broken, no image, or suspiciously large.
    """
    with decoding(str(path)), _open(path) as image:
        if getattr(image, "n_frames", 1) > 1:
            logger.warning("%s: only the first of %d pictures is taken", path, image.n_frames)  # type: ignore[attr-defined]
        if image.mode in ("RGB", "RGBA") and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())):
            logger.warning("%s: 16-bit colours are read as 8 bits", path)
        image.load()
        upright: Image.Image = image
        with contextlib.suppress(Exception):  # damaged EXIF data are no reason to refuse the picture
            upright = ImageOps.exif_transpose(image)
        profile = image.info.get("icc_profile")
        return Picture(upright, _exif(image), profile if isinstance(profile, bytes) else None)


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except FileNotFoundError:
        raise AgmError(f"{path}: missing") from None


def encode(path: Path, image: Image.Image, original: Picture) -> bytes:
    """A file with an image, in the format of the path's ending, with the original's metadata.

    Raises AgmError if the format cannot hold it.
    """
    kind = format_of(path)
    image = _fitting(image, kind, path)
    extras: dict[str, Any] = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    if len(original.exif):
        extras["exif"] = original.exif
    elif kind == "TIFF":
        extras["compression"] = "tiff_adobe_deflate"  # which Pillow cannot have together with EXIF data
    if original.profile and original.profile[16:20] == _SPACES.get(image.mode):
        extras["icc_profile"] = original.profile
    buffer = io.BytesIO()
    try:
        image.save(buffer, kind, **extras)
    except (OSError, ValueError, OverflowError, RuntimeError) as error:  # such as the sides that a format allows
        raise AgmError(f"{path}: cannot be written as {kind} ({error}); try another format") from None
    return buffer.getvalue()


def _fitting(image: Image.Image, kind: str, path: Path) -> Image.Image:
    """What the format can hold of an image; says what is lost."""
    if (image.mode in SIXTEEN and kind not in ("PNG", "TIFF")) or (image.mode == "F" and kind != "TIFF"):
        logger.warning("%s: %s holds 8 bits, the rest is lost", path, kind)
        top = 1.0 if image.mode == "F" else 65535.0
        image = Image.fromarray((np.asarray(image, dtype=np.float64) / top * 255).round().astype(np.uint8))
    if image.mode in ("LA", "RGBA") and kind == "JPEG":
        logger.warning("%s: JPEG has no transparency, laid on white", path)
        rgba = image.convert("RGBA")
        solid = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
        image = solid.convert("L" if image.mode == "LA" else "RGB")
    return image


def _exif(image: Image.Image) -> Image.Exif:
    """Who, when, where and with what; neither sizes nor orientation, which have changed, nor the thumbnail."""
    kept = Image.Exif()
    with contextlib.suppress(Exception):  # damaged EXIF data are left out
        given = image.getexif()
        entries = {int(tag): given[tag] for tag in _KEPT if tag in given}
        for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            inner = {tag: value for tag, value in given.get_ifd(ifd).items() if tag not in _OUTDATED}
            if inner:
                entries[int(ifd)] = inner
        kept.update(entries)
        loaded = Image.Exif()
        loaded.load(kept.tobytes())  # Pillow saves a TIFF only with EXIF data that it has read
        return loaded
    return Image.Exif()
