"""TIFFs that Pillow does not know or mistakes: floats, colours, transparency and planes of any depth."""

from __future__ import annotations

import contextlib
import logging
from typing import Any, cast

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""The first bytes of a TIFF: little or big end first, classic or BigTIFF."""
_GREYS, _RGB, _CMYK = (0, 1), 2, 5


def mend(image: TiffImagePlugin.TiffImageFile) -> None:
    """The order of bytes of deep numbers, which Pillow mistakes if they are compressed.

    It mistakes raw planes of 16 bits, too: then raises UnidentifiedImageError.
    """
    planes = image.tag_v2.get(284) == 2 and image.tag_v2[258][0] == 16
    for i, tile in enumerate(image.tile):
        mode, *more = cast(Any, tile.args)
        if tile.codec_name == "libtiff":  # which gives them in this machine's order
            mode = mode.replace(";32B", ";32N").replace(";16BS", ";16NS")
            image.tile[i] = tile._replace(args=(mode, *more))
        elif planes:
            raise UnidentifiedImageError


def white_of(values: NDArray[Any]) -> float:
    """The number that stands for white in floats: 1, 255 or 65535 if the largest value is near it, else that value."""
    top = float(values.max(initial=0.0, where=np.isfinite(values)))
    return next((limit for limit in (1.0, 255.0, 65535.0) if top <= limit <= max(16 * top, 1)), top)


def read(source: Any) -> Image.Image:
    """The first picture of a TIFF by tifffile: deep grey as it is, all else in 8 bits, `info["bits"]` says of how many.

    Its tags are in `info["exif"]`. Raises almost anything if it is broken, UnidentifiedImageError if it is no picture.
    """
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is broken is said once, by what it raises
    with tifffile.TiffFile(source) as file:
        page: Any = file.pages[0]
        limit = Image.MAX_IMAGE_PIXELS or page.nbytes
        if max(page.imagewidth * page.imagelength, page.nbytes / 8) > limit:
            raise Image.DecompressionBombError
        image = _image(page)
        image.info["bits"] = 8 * page.dtype.itemsize
        tags: dict[int, Any] = {tag: page.tags[tag].value for tag in (700, 34675) if tag in page.tags}
        image.info |= {"icc_profile": tags.get(34675), "xmp": tags.get(700)}
        if 282 in page.tags:
            image.info["dpi"] = page.get_resolution(unit=2)
        with contextlib.suppress(AttributeError):
            cast(Any, image).n_frames = len(file.pages)
        file.filehandle.seek(0)
        image.info["exif"] = b"Exif\0\0" + file.filehandle.read()
    return image


def _image(page: Any) -> Image.Image:
    pixels, colours = page.asarray(), {_RGB: 3, _CMYK: 4}.get(page.photometric, 1)
    pixels = np.moveaxis(pixels, 0, -1) if page.axes == "SYX" else pixels
    pixels = pixels[..., None] if page.axes == "YX" else pixels
    if pixels.ndim != 3 or page.photometric not in (*_GREYS, _RGB, _CMYK) or pixels.shape[2] < colours:
        raise UnidentifiedImageError
    colour, alpha = pixels[..., :colours], pixels[..., colours : colours + 1]
    kind = page.extrasamples[0] if colours < 4 and page.extrasamples else 0  # 1: colours are premultiplied
    if colours == 1 and kind not in (1, 2) and (pixels.dtype.kind == "f" or page.bitspersample == 16):
        grey = _upright(colour[..., 0], page)
        return Image.fromarray(grey.astype(np.float32 if grey.dtype.kind == "f" else np.uint16))
    shares = _shares(_upright(colour, page), page)
    if kind in (1, 2):
        alpha = _shares(alpha, page)
        shares = np.divide(shares, alpha, out=np.zeros_like(shares), where=alpha > 0) if kind == 1 else shares
        shares = np.concatenate([shares, alpha], axis=2)
    numbers = (shares.clip(0, 1) * 255).round().astype(np.uint8)
    image = Image.fromarray(numbers if numbers.shape[2] > 1 else numbers[..., 0])
    return Image.merge("CMYK", image.split()) if page.photometric == _CMYK else image


def _white(values: NDArray[Any], page: Any) -> Any:
    kind = values.dtype
    return kind.type(
        white_of(values) if kind.kind == "f" else np.iinfo(kind).max >> 8 * kind.itemsize - page.bitspersample
    )


def _upright(colour: NDArray[Any], page: Any) -> NDArray[Any]:
    """With white as the largest number."""
    return _white(colour, page) - colour if page.photometric == 0 else colour


def _shares(values: NDArray[Any], page: Any) -> NDArray[np.float32]:
    """The values divided by white, as 32-bit floats; NaN and infinity become black."""
    known = np.nan_to_num(values.astype(np.float32), posinf=0.0)
    return known / np.float32(_white(values, page))
