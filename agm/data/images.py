"""Images in memory, and how one image becomes one of a set: colour mode, orientation, size."""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from agm.errors import AgmError

Pixels = NDArray[np.uint8]


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

    @property
    def fingerprint(self) -> str:
        """sha256 over all images in order: equal exactly where the pixels are."""
        return hashlib.sha256(self.images.tobytes()).hexdigest()


def read_image(source: Any, name: str, upright: bool = True) -> Image.Image:
    """Decode one image in RGB. `source` is a path or a binary file; `upright`: turned as its EXIF data ask.

    16-bit and floating-point grey images are scaled to 8 bits, transparency is laid on white.
    Raises AgmError naming the image if it is broken, no image, or suspiciously large.
    """
    with decoding(name), Image.open(source) as image:
        image.load()
        return to_rgb(ImageOps.exif_transpose(image) if upright else image)


@contextlib.contextmanager
def decoding(name: str) -> Iterator[None]:
    """Whatever a decoder raises -> AgmError naming the image. Not a word about odd metadata."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except AgmError:
        raise
    except UnidentifiedImageError:
        raise AgmError(f"{name}: not an image that can be read") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise AgmError(
            f"{name}: more than {Image.MAX_IMAGE_PIXELS:,} pixels, refused as a decompression bomb"
        ) from None
    except Exception as error:  # decoders raise almost anything on damaged files
        raise AgmError(f"{name}: cannot be decoded ({str(error) or type(error).__name__})") from None


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode -> RGB."""
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        return Image.fromarray(_to_bytes(np.asarray(image), image.mode == "F")).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _to_bytes(grey: NDArray[Any], floating: bool) -> Pixels:
    """Grey of 16 bits, or floating-point grey whose largest number, at least 1, is white -> 8 bits."""
    # A few rows at a time: 64-bit copies of a large picture take gigabytes.
    blocks = (grey[y : y + 64] for y in range(0, len(grey), 64))
    if not floating:
        table = (np.arange(65536) / 65535 * 255).round().astype(np.uint8)
        return np.vstack([table[block.clip(0, 65535)] for block in blocks])
    top = max(float(grey.max(initial=0.0, where=np.isfinite(grey))), 1.0)
    known = (np.nan_to_num(block.astype(np.float64), posinf=0.0).clip(0, top) for block in blocks)
    return np.vstack([(block / top * 255).round().astype(np.uint8) for block in known])


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


def halved(pixels: Pixels) -> Pixels:
    """(H, W, 3) of even sides -> (H/2, W/2, 3), Pillow bicubic on 8-bit values."""
    height, width = pixels.shape[:2]
    return np.asarray(Image.fromarray(pixels).resize((width // 2, height // 2), Image.Resampling.BICUBIC))


def resize_all(images: Pixels, size: int) -> Pixels:
    """(N, H, W, 3) -> (N, size, size, 3)."""
    return np.stack([resize(image, size) for image in images]) if len(images) else images


def image_files(folder: Path) -> Iterator[Path]:
    """Every file below `folder` whose ending Pillow can read, hidden ones left out, ordered by relative path."""
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    for path in sorted(folder.rglob("*"), key=lambda p: p.relative_to(folder).as_posix()):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in endings and not hidden and path.is_file():
            yield path
