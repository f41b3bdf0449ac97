"""Metadata of picture files: EXIF, XMP, text, density; and the part of it that another format can hold."""

from __future__ import annotations

import contextlib
import logging
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

logger = logging.getLogger(__name__)

_DENSITY = (ExifTags.Base.XResolution, ExifTags.Base.YResolution, ExifTags.Base.ResolutionUnit)
_KEPT = (
    *_DENSITY,
    *(ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.DateTime),
    *(ExifTags.Base.Artist, ExifTags.Base.Copyright, ExifTags.Base.DocumentName, ExifTags.Base.HostComputer),
    *(ExifTags.Base.XPTitle, ExifTags.Base.XPComment, ExifTags.Base.XPAuthor, ExifTags.Base.XPKeywords),
    *(ExifTags.Base.XPSubject, ExifTags.Base.Rating),
)
_OUTDATED = (
    *(ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight),
    ExifTags.Base.MakerNote,  # offsets into a file that is no more
)
_OUTDATED_XMP = rb"(?:tiff:(?:Orientation|ImageWidth|ImageLength)|exif:Pixel[XY]Dimension)"
_ELSEWHERE = (33723, 34377, 34665, 34675, 34853)
"""Tags of a TIFF for IPTC, Photoshop, EXIF, the colour profile and GPS."""
_XMP = 700
"""The TIFF tag for XMP."""
_COLOUR_CHUNKS = (b"gAMA", b"cHRM", b"sRGB", b"cICP")


@dataclass
class Metadata:
    """As it is to be kept. `chunks`: PNG's own words on its colours, by their names; `dpi`: pixels per inch, (x, y)."""

    exif: Image.Exif = field(default_factory=Image.Exif)
    xmp: bytes = b""
    text: dict[str, str] = field(default_factory=dict)
    comment: bytes = b""
    dpi: tuple[float, float] | None = None
    chunks: dict[bytes, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, image: Image.Image, content: bytes, name: str) -> Metadata:
        """Of an image that was turned upright, and the file that it came from. Says what is not kept."""
        info = image.info
        xmp = _bytes(info.get("xmp") or info.get("XML:com.adobe.xmp") or b"")
        for pattern in (_OUTDATED_XMP + rb'="[^"]*"', rb"<(" + _OUTDATED_XMP + rb")>[^<]*</\1>"):
            xmp = re.sub(pattern, b"", xmp)
        text = {k: str(v) for k, v in getattr(image, "text", {}).items() if not k.startswith(("XML:", "Raw profile"))}
        if "photoshop" in info or (hasattr(image, "tag_v2") and not {33723, 34377}.isdisjoint(image.tag_v2)):
            logger.warning("%s: IPTC data are not kept", name)
        if _odd_aspect(info):
            logger.warning("%s: that its pixels are not square is not kept", name)
        return cls(_exif(image, name), xmp, text, _bytes(info.get("comment", b"")), _density(info), _chunks(content))

    def extras(self, kind: str, name: str) -> dict[str, Any]:
        """Keyword arguments of `Image.save` for a format. Warns of what the format has no place for."""
        exif, extras = Image.Exif(), dict[str, Any]()
        exif.update(self.exif)
        if kind == "PNG":
            extras["pnginfo"] = self._png()
        elif self.text:
            logger.warning("%s: %s does not hold PNG's text (%s)", name, kind, ", ".join(self.text))
        if self.xmp and kind == "TIFF":
            exif[_XMP] = self.xmp
        elif self.xmp and kind != "PNG":
            extras["xmp"] = self.xmp
        if self.comment and kind == "JPEG":
            extras["comment"] = self.comment
        elif self.comment and kind != "PNG":
            logger.warning("%s: %s does not hold comments", name, kind)
        if self.dpi and kind != "WEBP":
            extras["dpi"] = self.dpi
        elif self.dpi:
            exif.update(dict(zip(_DENSITY, (*self.dpi, 2), strict=True)))  # 2: per inch
        if len(exif):  # Pillow saves a TIFF only with EXIF data that it has read
            extras["exif"] = Image.Exif()
            extras["exif"].load(exif.tobytes())
        return extras

    def _png(self) -> PngInfo:
        info = PngInfo()
        for chunk, content in self.chunks.items():
            info.add(chunk, content)
        for key, value in self.text.items():
            info.add_itxt(key, value)
        if self.comment:
            info.add_itxt("Comment", self.comment.decode(errors="replace"))
        if self.xmp:
            info.add_itxt("XML:com.adobe.xmp", self.xmp.decode(errors="replace"))
        return info


def _density(info: Mapping[Any, Any]) -> tuple[float, float] | None:
    with contextlib.suppress(TypeError, ValueError, ZeroDivisionError):
        x, y = (float(value) for value in info["dpi"]) if "dpi" in info else (0.0, 0.0)
        if 0 < x < 2**16 and 0 < y < 2**16:
            return x, y
    return None


def _odd_aspect(info: Mapping[Any, Any]) -> bool:
    """Whether a PNG or JPEG says how wide its pixels are for their height, without saying how large they are."""
    aspect = info.get("aspect") or (info.get("jfif_density") if info.get("jfif_unit") == 0 else None) or (1, 1)
    return bool(aspect[0] != aspect[1])


def _chunks(content: bytes) -> dict[bytes, bytes]:
    """What a PNG says about its colours, which Pillow reads in part."""
    found, position = {}, 8
    while content.startswith(b"\x89PNG") and position + 8 < len(content):
        length, name = struct.unpack_from(">I4s", content, position)
        if name == b"IDAT":
            break
        if name in _COLOUR_CHUNKS:
            found[name] = content[position + 8 : position + 8 + length]
        position += 12 + length
    return found


def _exif(image: Image.Image, name: str) -> Image.Exif:
    """Who, when, where and with what; neither sizes nor orientation, which have changed, nor the thumbnail.

    What Pillow cannot write, tag by tag, is left out.
    """
    kept = Image.Exif()
    given: Any = {}
    with contextlib.suppress(Exception):  # damaged EXIF data
        given = image.getexif()
    _take(kept, {int(tag): given[tag] for tag in _KEPT if tag in given}, name)
    if others := [tag for tag in given if tag >= 2**15 and tag not in (*_KEPT, *_ELSEWHERE)]:
        logger.warning("%s: not kept: %s", name, ", ".join(ExifTags.TAGS.get(tag, f"tag {tag}") for tag in others))
    for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        inner: dict[int, Any] = {}
        with contextlib.suppress(Exception):
            entries = dict(given.get_ifd(ifd))
            if ExifTags.IFD.Interop in entries:  # which says that colours are those of Adobe RGB
                entries[ExifTags.IFD.Interop] = dict(given.get_ifd(ExifTags.IFD.Interop))
            _take(inner, {tag: value for tag, value in entries.items() if tag not in _OUTDATED}, name, int(ifd))
        if inner:
            kept[int(ifd)] = inner
    return kept


def _take(kept: Any, entries: dict[int, Any], name: str, ifd: int | None = None) -> None:
    for tag, value in entries.items():
        alone = Image.Exif()
        alone[tag if ifd is None else ifd] = value if ifd is None else {tag: value}
        try:
            alone.tobytes()
        except Exception:  # Pillow raises almost anything on a value of a wrong type
            known = ExifTags.GPSTAGS if ifd == ExifTags.IFD.GPSInfo else ExifTags.TAGS
            logger.warning("%s: the EXIF tag %s is damaged and not kept", name, known.get(tag, tag))
        else:
            kept[tag] = value


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
