"""Picture files in and out: orientation, colours, metadata, and what a format cannot hold."""

from __future__ import annotations

import contextlib
import io
import logging
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from agm.anytime.metadata import Metadata
from agm.data.images import SIXTEEN, decoding, deep_grey, open_image, real_grey, turn
from agm.errors import AgmError, one_line, unknown

logger = logging.getLogger(__name__)

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
"""The formats that can be written, by file ending."""
PIPE = Path("-")
"""Standard input or output."""
QUALITY = 95
BYTES_PER_PIXEL = 60
"""Memory for each pixel of an 8-bit input, in `agm upscale`, beside the network's."""
_SPACES = {"L": b"GRAY", "LA": b"GRAY", "I;16": b"GRAY", "RGB": b"RGB ", "RGBA": b"RGB "}
"""Mode -> the colour space that a profile for it names."""
_PRIMARIES = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
"""Of sRGB, as a PNG's cHRM says them."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture, upright, and what its file said about it.

    `white`: by what floats were divided to lie in [0, 1]. `lossless`: whether it was a lossless WebP.
    """

    image: Image.Image
    metadata: Metadata = field(default_factory=Metadata)
    profile: bytes | None = None
    white: float = 1.0
    lossless: bool = False


def format_of(path: Path) -> str:
    """The format that a file's ending asks for. Raises AgmError if it cannot be written."""
    if path.suffix.lower() not in FORMATS:
        raise unknown("picture format", path.suffix or path.name, FORMATS)
    return FORMATS[path.suffix.lower()]


def read(path: Path, large: bool = False) -> Picture:
    """The first picture in a file, or in standard input. Says which of its pixels or metadata are not kept.

    `large`: however many pixels it has. Raises AgmError naming the file if it is missing, broken, no image, or
    suspiciously large.
    """
    name = one_line(str(path))
    limit = _unlimited() if large else contextlib.nullcontext()
    hint = f"; --large takes it, and {BYTES_PER_PIXEL} bytes of memory for each pixel"
    with limit, decoding(name, hint):
        content = sys.stdin.buffer.read() if path == PIPE else path.read_bytes()
        with open_image(io.BytesIO(content), str(path)) as image:
            return _decoded(image, content, name)


@contextlib.contextmanager
def _unlimited() -> Iterator[None]:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _decoded(image: Image.Image, content: bytes, name: str) -> Picture:
    if getattr(image, "n_frames", 1) > 1:
        logger.warning("%s: only the first of %d pictures is taken", name, image.n_frames)  # type: ignore[attr-defined]
    bits = _bits(image, content)
    if bits > 8:
        logger.warning("%s: colours of more than 8 bits are read as 8 bits", name)
    image.load()
    _mend_key(image, bits)
    turn(image)
    metadata = Metadata.of(image, content, name)
    profile = image.info.get("icc_profile")
    profile = profile if isinstance(profile, bytes) and profile else None
    if image.mode == "CMYK":
        return Picture(_from_cmyk(image, profile, name), metadata)
    pixels, white = _scaled(image, name)
    # One lossy file in thousands holds these four bytes by chance; it is then written without loss, too.
    lossless = image.format == "WEBP" and b"VP8L" in content
    return Picture(pixels, metadata, profile, white, lossless)


def _bits(image: Image.Image, content: bytes) -> int:
    """Bits of a colour in the file, of which Pillow makes 8: 16 stands for all that are more where they are unknown."""
    tiles = [(tile[0], tile[3]) for tile in getattr(image, "tile", ())]
    if image.mode in SIXTEEN or image.mode in ("I", "F"):
        return 8  # Pillow reads all
    if "bits" in image.info:
        return int(image.info["bits"])
    if image.format == "JPEG2000":  # its bits less one are in the third byte of its size marker's first component
        return (content[content.find(b"\xff\x4f\xff\x51") + 42] & 127) + 1
    if image.format == "AVIF":
        return 16 if content[content.find(b"av1C") + 6] & 64 else 8
    if image.format == "PPM":
        return 16 if any(codec.startswith("ppm") and arguments[1] > 255 for codec, arguments in tiles) else 8
    if any(codec == "SGI16" or ";16" in str(arguments) for codec, arguments in tiles):
        return 16
    return next((int(mode[2:]) for _, mode in tiles if mode in ("L;2", "L;4")), 8)


def _mend_key(image: Image.Image, bits: int) -> None:
    """The colour that is transparent, in the numbers that Pillow gives the pixels."""
    key = image.info.get("transparency")
    if isinstance(key, int) and image.mode == "L" and bits < 8:
        image.info["transparency"] = key * 255 // (2**bits - 1)
    elif isinstance(key, tuple) and bits > 8:
        image.info["transparency"] = tuple(value >> 8 for value in key)


def _scaled(image: Image.Image, name: str) -> tuple[Image.Image, float]:
    """Deep grey with white where the network's is, and by what it was divided."""
    if image.mode in SIXTEEN:
        deep = Image.fromarray(deep_grey(image))
        if "transparency" not in image.info:
            return deep, 1.0
        logger.warning("%s: 16-bit grey with transparency is read as 8 bits", name)
        alpha = Image.fromarray((np.asarray(image) != image.info["transparency"]).astype(np.uint8) * 255)
        return Image.merge("LA", (Image.fromarray((np.asarray(deep) // 257).astype(np.uint8)), alpha)), 1.0
    if image.mode == "F":
        given, (values, white) = np.asarray(image), real_grey(image)
        if not (np.isfinite(given).all() and given.min(initial=0) >= 0):
            logger.warning("%s: what is negative or no number is read as black", name)
        return Image.fromarray(values / np.float32(white)), white
    return image.copy(), 1.0


def _from_cmyk(image: Image.Image, profile: bytes | None, name: str) -> Image.Image:
    """By its profile where it has one that can be used."""
    if profile is not None:
        try:
            return _converted(image, profile, "RGB")
        except (ImageCms.PyCMSError, OSError):
            logger.warning("%s: its colour profile cannot be used", name)
    else:
        logger.warning("%s: CMYK without a colour profile, its colours are estimated", name)
    return image.convert("RGB")


def _converted(image: Image.Image, profile: bytes, mode: str) -> Image.Image:
    """To sRGB. Raises PyCMSError or OSError."""
    given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    found = ImageCms.profileToProfile(image, given, ImageCms.createProfile("sRGB"), outputMode=mode)
    assert found is not None
    return found


def encode(
    path: Path, image: Image.Image, original: Picture, quality: int | None = None, lossless: bool = False
) -> bytes:
    """A file with an image, in the format of the path's ending, with as much of the original's metadata as it can hold.

    Raises AgmError if the format cannot hold the image.
    """
    kind, name = format_of(path), one_line(str(path))
    if lossless and kind == "JPEG":
        logger.warning("%s: JPEG is never without loss", name)
    image = _fitting(image, kind, original.white, name)
    image, colours = _coloured(image, kind, original, name)
    options: dict[str, Any] = {"subsampling": 0} if kind == "JPEG" else {}  # colours of the full size
    if kind in ("JPEG", "WEBP"):
        options["quality"] = QUALITY if quality is None else quality
    if kind == "WEBP":
        options["lossless"] = lossless or (original.lossless and quality is None)
    extras = original.metadata.extras(kind, name) | colours
    extras = {key: value for key, value in extras.items() if _held(key, value, kind, image.mode, name)}
    if kind == "TIFF" and "exif" not in extras:
        options["compression"] = "tiff_adobe_deflate"  # which Pillow cannot have together with EXIF data
    buffer = io.BytesIO()
    try:
        image.save(buffer, kind, **options, **extras)
    except (OSError, ValueError, OverflowError, RuntimeError) as error:  # such as the sides that a format allows
        raise AgmError(f"{path}: cannot be written as {kind} ({error}); try another format") from None
    return buffer.getvalue()


def _held(key: str, value: Any, kind: str, mode: str, name: str) -> bool:
    """Whether a format can hold this beside a picture, tried on a small one; if not, says so."""
    try:
        Image.new(mode, (1, 1)).save(io.BytesIO(), kind, **{key: value})
    except Exception as error:  # Pillow raises almost anything
        logger.warning("%s: %s cannot hold its %s (%s)", name, kind, key, error)
        return False
    return True


def _fitting(image: Image.Image, kind: str, white: float, name: str) -> Image.Image:
    """What the format can hold of an image; says what is lost."""
    if image.mode == "F" and kind == "TIFF":
        return Image.fromarray(np.asarray(image) * np.float32(white))
    if image.mode == "F" or (image.mode in SIXTEEN and kind not in ("PNG", "TIFF")):
        logger.warning("%s: %s holds 8 bits, the rest is lost", name, kind)
        top = 1.0 if image.mode == "F" else 65535.0
        image = Image.fromarray((np.asarray(image, dtype=np.float64) / top * 255).round().astype(np.uint8))
    if image.mode in ("LA", "RGBA") and kind == "JPEG":
        logger.warning("%s: JPEG has no transparency, laid on white", name)
        rgba = image.convert("RGBA")
        solid = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
        image = solid.convert("L" if image.mode == "LA" else "RGB")
    return image


def _coloured(image: Image.Image, kind: str, original: Picture, name: str) -> tuple[Image.Image, dict[str, Any]]:
    """An image whose numbers mean the original's colours in this format, and what has to be said of them."""
    profile, space = original.profile, (original.profile or b"")[16:20]
    if profile and kind == "WEBP" and image.mode in ("L", "LA") and space == b"GRAY":  # it has no grey
        grey, *alpha = image.split()
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            colours = _converted(grey, profile, "RGB").split()
            return Image.merge("RGBA" if alpha else "RGB", (*colours, *alpha)), {}
    if profile and space != _SPACES.get("RGB" if kind == "WEBP" else image.mode):
        logger.warning("%s: its colour profile is not for such pixels and left out", name)
    elif profile:
        return image, {"icc_profile": profile}
    chunks = original.metadata.chunks
    if kind == "PNG" or profile:
        return image, {}
    if b"cICP" in chunks or (b"sRGB" not in chunks and chunks.get(b"cHRM", _PRIMARIES) != _PRIMARIES):
        logger.warning("%s: %s does not hold the colour space that a PNG names without a profile", name, kind)
    if len(gamma := chunks.get(b"gAMA", b"")) == 4 and not {b"cICP", b"sRGB"} & chunks.keys():
        exponent = 100000 / 2.2 / max(int.from_bytes(gamma), 1)
        if abs(exponent - 1) > 0.02:
            logger.warning("%s: %s does not hold a gamma, converted to sRGB's", name, kind)
            return _curved(image, exponent), {}
    return image, {}


def _curved(image: Image.Image, exponent: float) -> Image.Image:
    """Each number of a PNG but those of the transparency to a power, white and black where they were."""
    values = np.array(image)
    top = np.iinfo(values.dtype).max
    # A table: numbers of 64 bits for each pixel would take eight times the memory.
    table = ((np.arange(top + 1) / top) ** exponent * top).round().astype(values.dtype)
    colours = values[..., :-1] if image.mode in ("LA", "RGBA") else values
    colours[...] = table[colours]
    return Image.fromarray(values)
