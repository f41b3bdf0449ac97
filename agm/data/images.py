"""Images in memory, and how one image becomes one of a set: colour mode, orientation, size."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from agm.data import tiffs
from agm.errors import AgmError

Pixels = NDArray[np.uint8]
SIXTEEN = ("I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's modes of 16-bit grey."""

DECODERS = (
    *("PNG", "JPEG", "MPO", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "JPEG2000", "PPM", "ICO", "PCX", "SGI", "QOI"),
    *("HEIF", "JXL"),
)
"""The allowed decoders, whatever a file is called: no other decoder of Pillow's, and no program, is ever started."""
BY_NAME = {".tga": "TGA", ".dib": "DIB"}
"""Formats that begin with nothing to know them by; only a file with this ending can be one."""
PLUGINS = {
    "HEIC": (re.compile(rb"....ftyp(hei|hev|mif1|msf1)", re.DOTALL), "pillow_heif.HeifImagePlugin", "pillow-heif"),
    "JPEG XL": (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL ", re.DOTALL), "pillow_jxl", "pillow-jxl-plugin"),
}
"""Formats that Pillow reads with a plug-in: how such files begin, the module that registers it, and its package."""


@dataclass(frozen=True)
class ImageSet:
    """A data set in memory.

    images: (N, S, S, 3) uint8; sources: where each came from; groups: what a split must not cut through, one label
    per image; `groups_leak` is False where the groups are mere labels that a split may cut (the classes of cars).
    `stand_in`: what to print on a figure when these images stand in for another data set; empty otherwise.
    """

    name: str
    images: Pixels
    sources: tuple[str, ...]
    groups: tuple[str, ...]
    groups_leak: bool = True
    stand_in: str = ""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def hashes(self) -> list[str]:
        """sha256 of each image's RGB bytes (rows, columns, channels)."""
        return [hashlib.sha256(image.tobytes()).hexdigest() for image in self.images]

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over all images in order: equal exactly where the pixels are."""
        return hashlib.sha256(self.images.tobytes()).hexdigest()


def read_image(source: Any, name: str, upright: bool = True) -> Image.Image:
    """Decode one image in RGB. `source` is a path or a binary file; `upright`: turned as its EXIF data ask.

    16-bit and floating-point grey images are scaled to 8 bits, transparency is laid on white.
    Raises AgmError naming the image if it is broken, no image, or suspiciously large.
    """
    with decoding(name), open_image(source, name) as image:
        image.load()
        if upright:
            turn(image)
        return to_rgb(image)


def open_image(source: Any, name: str) -> Image.Image:
    """`Image.open` with the decoders that are allowed. Raises what that does, and AgmError if a plug-in is missing."""
    try:
        image = Image.open(source, formats=_decoders(name))
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            tiffs.mend(image)
        return image
    except UnidentifiedImageError:
        start = _start(source)
        if start.startswith(tiffs.STARTS):
            return tiffs.read(source)
        if not _plugin(start, name):
            raise
        return Image.open(source, formats=_decoders(name))


def _start(source: Any) -> bytes:
    """The first bytes of a path's or a binary file's."""
    with contextlib.ExitStack() as opened:
        file = opened.enter_context(Path(source).open("rb")) if isinstance(source, str | Path) else source
        file.seek(0)
        start: bytes = file.read(12)
        file.seek(0)
    return start


def _decoders(name: str) -> list[str]:
    Image.init()  # HEIF and JXL are there only after their plug-ins were loaded
    by_name = BY_NAME.get(Path(name).suffix.lower())
    return [kind for kind in (*DECODERS, by_name) if kind in Image.OPEN]


def _plugin(start: bytes, name: str) -> bool:
    """Whether a plug-in was loaded that may read it. Raises AgmError if it is not installed."""
    for kind, (pattern, module, package) in PLUGINS.items():
        if pattern.match(start):
            try:
                importlib.import_module(module)
            except ImportError:
                raise AgmError(f"{name}: {kind} is read only with a plug-in; pip install {package}") from None
            return True
    return False


def turn(image: Image.Image) -> None:
    """Turn a loaded image upright, as its EXIF or XMP data ask.

    In place, since Pillow turns the pixels first: where it then cannot write the other data anew, they stay turned.
    """
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)


@contextlib.contextmanager
def decoding(name: str, larger: str = "") -> Iterator[None]:
    """Whatever a decoder raises -> AgmError naming the image. Not a word about odd metadata.

    `larger`: added to the refusal of a picture with too many pixels; it says how to read it all the same.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except AgmError as error:
        raise error if str(error).startswith(name) else AgmError(f"{name}: {error}") from None
    except UnidentifiedImageError:
        raise AgmError(f"{name}: not an image that can be read") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        limit = f"more than {Image.MAX_IMAGE_PIXELS:,} pixels"
        raise AgmError(f"{name}: {limit}, refused as a decompression bomb{larger}") from None
    except Exception as error:  # decoders raise almost anything on damaged files
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise AgmError(f"{name}: cannot be decoded ({reason})") from None


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode -> RGB. Raises AgmError for grey of more than 16 bits."""
    if image.mode in (*SIXTEEN, "I"):
        table = (np.arange(65536) / 65535 * 255).round().astype(np.uint8)
        return Image.fromarray(table[deep_grey(image)]).convert("RGB")
    if image.mode == "F":
        grey, white = real_grey(image)
        # A few rows at a time: 64-bit copies of a large picture take gigabytes.
        blocks = (grey[y : y + 64].astype(np.float64) / white for y in range(0, len(grey), 64))
        return Image.fromarray(np.vstack([(block * 255).round().astype(np.uint8) for block in blocks])).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def deep_grey(image: Image.Image) -> NDArray[np.uint16]:
    """(H, W) of 16-bit grey, black as 0 and white as 65535 whatever its file says. Raises AgmError for more bits."""
    tags: Any = getattr(image, "tag_v2", {})
    grey, white = np.asarray(image), 65535
    if image.mode in SIXTEEN:
        white = 2 ** tags.get(258, (16,))[0] - 1
    elif grey.size and not 0 <= grey.min() <= grey.max() <= white:
        raise AgmError("grey values beyond 16 bits are not known here; scale them to 0 ... 65535")
    if white < 65535:
        grey = (grey.astype(np.uint32) * 65535 + white // 2) // white
    grey = grey.astype(np.uint16)  # in the machine's own order of bytes
    return 65535 - grey if tags.get(262) == 0 else grey  # white is zero, which Pillow knows of 8 bits alone


def real_grey(image: Image.Image) -> tuple[NDArray[np.float32], float]:
    """(H, W) of floats in [0, white], and white; what is negative or no number is black."""
    values = np.asarray(image)
    white = tiffs.white_of(values)
    values = np.nan_to_num(values, posinf=0.0).clip(0, white)
    return (np.float32(white) - values if getattr(image, "tag_v2", {}).get(262) == 0 else values), white


def square(image: Image.Image, size: int) -> Pixels:
    """The largest centred square, resized by Pillow's antialiased bicubic kernel -> (size, size, 3)."""
    return resize(np.asarray(image.crop(centre_square(image))), size)


def centre_square(image: Image.Image) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of the largest centred square, in pixels, end exclusive."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return left, top, left + side, top + side


def resize(pixels: Pixels, size: int) -> Pixels:
    """(H, W, 3) -> (size, size, 3), Pillow bicubic on 8-bit values, as the paper's authors would have done it."""
    if pixels.shape[:2] == (size, size):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC))


def read_even(path: Path, least: int, what: str) -> Pixels:
    """An RGB image, cropped to even sides.

    Raises AgmError if a side is shorter than `least` pixels; `what` names that size in the message.
    """
    pixels = np.asarray(read_image(path, str(path)))
    height, width = (side // 2 * 2 for side in pixels.shape[:2])
    if min(height, width) < least:
        raise AgmError(f"{path}: {width} x {height} pixels, smaller than {what}")
    return pixels[:height, :width]


def halved(pixels: Pixels) -> Pixels:
    """(H, W, 3) of even sides -> (H/2, W/2, 3), Pillow bicubic on 8-bit values."""
    height, width = pixels.shape[:2]
    return np.asarray(Image.fromarray(pixels).resize((width // 2, height // 2), Image.Resampling.BICUBIC))


def resize_all(images: Pixels, size: int) -> Pixels:
    """(N, H, W, 3) -> (N, size, size, 3)."""
    return np.stack([resize(image, size) for image in images]) if len(images) else images


LOCKED = "that cannot be looked into"


def survey(folder: Path, without: Path | None = None) -> tuple[list[Path], dict[str, list[Path]]]:
    """The pictures in a folder and below, ordered by relative path, and everything else by what it is.

    Pictures are told by their content. A file with a picture's ending that cannot be decoded counts as broken, among
    the pictures. `without`: a folder, resolved, that is not looked into.
    """
    pictures, others = list[Path](), defaultdict[str, list[Path]](list)
    for here, folders, names in os.walk(folder, onerror=lambda error: others[LOCKED].append(Path(error.filename))):
        apart = [name for name in folders if name.startswith(".") or Path(here, name).is_symlink()]
        folders[:] = [name for name in folders if name not in apart and Path(here, name).resolve() != without]
        for path in (Path(here, name) for name in (*names, *apart)):
            kind = _kind(path)
            (others[kind] if kind else pictures).append(path)
    pictures.sort(key=lambda path: path.relative_to(folder).as_posix())
    return pictures, {kind: sorted(paths) for kind, paths in sorted(others.items())}


def _kind(path: Path) -> str:
    """What a file is if it is no picture, else nothing."""
    if path.name.startswith("."):
        return "hidden"
    if not path.is_file():
        return "linked" if path.is_dir() else "that can be no pictures"
    try:
        with decoding(str(path)), open_image(path, path.name):
            return ""
    except AgmError as error:
        unknown = isinstance(error.__context__, UnidentifiedImageError)
        return "no pictures" if unknown and path.suffix.lower() not in _endings() else ""


def _endings() -> set[str]:
    """Those by which a file says that it is a picture."""
    known = {ending for ending, kind in Image.registered_extensions().items() if kind in DECODERS}
    return {*known, *BY_NAME, ".heic", ".heif", ".jxl"}


def image_files(folder: Path) -> list[Path]:
    """Every picture in `folder` and below, hidden ones left out, ordered by relative path."""
    return survey(folder)[0]
