"""Images of any kind as numbers for the network, and back: Pillow's or numpy's, grey or colour, 8 or 16 bits, alpha."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor

from agm.anytime.tiles import Tile
from agm.data.images import SIXTEEN, deep_grey
from agm.errors import AgmError
from agm.networks.generator import SCALE

Array = NDArray[Any]
AnyImage = Image.Image | Array


@dataclass(frozen=True)
class Pixels:
    """colour: (H, W, 1) or (H, W, 3); alpha: (H, W). Both uint8, uint16, or floats in [0, 1].

    `flat`: a grey array came without its axis of channels. `pillow`: it came, and goes back, as Pillow's image.
    `repeated`: grey that came as colours, three times the same. `straight`: the colours as they came where some pixels
    are transparent; in `colour`, those of invisible pixels then continue their neighbours'.
    """

    colour: Array
    alpha: Array | None
    pillow: bool
    flat: bool = False
    repeated: bool = False
    straight: Array | None = None

    @classmethod
    def of(cls, image: AnyImage) -> Pixels:
        """Raises AgmError if it is no image, is empty, or has numbers outside its range."""
        pillow = isinstance(image, Image.Image)
        array = _to_array(image) if isinstance(image, Image.Image) else image
        if not isinstance(array, np.ndarray):
            raise AgmError(f"expected a Pillow image or a numpy array, got {type(image).__name__}")
        flat = array.ndim == 2
        whole = array[..., None] if flat else array
        if whole.ndim != 3 or whole.shape[2] not in (1, 2, 3, 4):
            raise AgmError(f"expected (H, W) or (H, W, C) with 1 to 4 channels, got {array.shape}")
        if 0 in whole.shape:
            raise AgmError(f"an image of {whole.shape[1]} x {whole.shape[0]} pixels is empty")
        if whole.dtype not in (np.uint8, np.uint16) and whole.dtype.kind != "f":
            raise AgmError(f"expected uint8, uint16 or floats in [0, 1], got {whole.dtype}")
        if whole.dtype.kind == "f" and not (whole.min() >= 0 and whole.max() <= 1):  # not: NaN compares false
            raise AgmError("floating-point images must have values in [0, 1]")
        colours = 1 if whole.shape[2] < 3 else 3
        alpha = whole[..., colours] if whole.shape[2] > colours else None
        colour = whole[..., :colours]
        repeated = colours == 3 and all(np.array_equal(colour[..., 0], colour[..., i]) for i in (1, 2))
        colour = colour[..., :1] if repeated else colour
        if alpha is None or alpha.min() == cls._top(alpha.dtype):
            return cls(colour, alpha, pillow, flat, repeated)
        return cls(_filled(colour, alpha), alpha, pillow, flat, repeated, colour)

    @staticmethod
    def _top(dtype: np.dtype[Any]) -> float:
        return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)

    @property
    def height(self) -> int:
        return int(self.colour.shape[0])

    @property
    def width(self) -> int:
        return int(self.colour.shape[1])

    @property
    def top(self) -> float:
        """The number that means white."""
        return self._top(self.colour.dtype)

    def tensor(self, tile: Tile) -> Tensor:
        """The network's input for a tile: (1, 3, h, w) in [0, 1], grey repeated three times."""
        window = self.colour[tile.seen].astype(np.float32)
        # Laid out in memory as agm.data.to_tensor does it: convolutions round differently otherwise.
        x = torch.from_numpy(window[None]).permute(0, 3, 1, 2) / self.top  # (1, h, w, C) -> (1, C, h, w)
        return x if x.shape[1] == 3 else x.repeat(1, 3, 1, 1)

    def bicubic(self) -> Array:
        """Bicubic upsampling of the colours by Pillow, (2H, 2W, C): iteration 0."""
        return np.stack([_enlarge(self.colour[..., i]) for i in range(self.colour.shape[2])], axis=-1)

    def place(self, out: Array, tiles: Sequence[Tile], images: Sequence[Tensor]) -> None:
        """Write the parts that tiles give, of their (1, 3, 2h, 2w), into the (2H, 2W, C) of the whole image.

        Where there are no images, out stays as it is.
        """
        for tile, image in zip(tiles, images, strict=False):
            part = image[0, :, *tile.inside].clamp(0, 1).permute(1, 2, 0).cpu().numpy()  # (C, h, w) -> (h, w, C)
            part = part.mean(axis=2, keepdims=True) if self.colour.shape[2] == 1 else part
            out[tile.given] = _quantise(part * self.top, self.colour.dtype)

    def mend(self, out: Array) -> None:
        """Give the (2H, 2W, C) of a network the colours that this image has, averaged over squares of 4 x 4 pixels.

        A network need not keep them, while no picture that is twice as large has others.
        """
        for i, plane in enumerate(np.moveaxis(out, 2, 0)):
            wanted = _means(self.colour[..., i], 4)
            for _ in range(3):  # what is cut at black or white is missing again
                missing = wanted - _means(plane, 4 * SCALE)
                if np.abs(missing).max() < self.top / 512:
                    break
                _add(plane, missing, 4 * SCALE)

    def restore(self, colour: Array) -> AnyImage:
        """(2H, 2W, C) -> an image of the kind that came, with its alpha upsampled."""
        if self.alpha is not None:
            alpha = _enlarge(self.alpha)
            if self.straight is not None:
                colour = self._visible(colour)
            colour = np.concatenate([colour, alpha[..., None]], axis=2)
        if self.repeated:
            colour = np.concatenate([colour[..., :1]] * 2 + [colour], axis=2)
        if not self.pillow:
            return colour[..., 0] if self.flat else colour
        return Image.fromarray(np.ascontiguousarray(colour[..., 0] if colour.shape[2] == 1 else colour))

    def _visible(self, colour: Array) -> Array:
        """Premultiplied upsampling, and beside it what the network adds to plain upsampling: (2H, 2W, C)."""
        assert self.alpha is not None
        assert self.straight is not None
        planes = []
        large = _resized(self.alpha)
        for i in range(colour.shape[2]):
            product = _resized(self.straight[..., i].astype(np.float32) * self.alpha)
            exact = np.divide(product, large, out=_resized(self.colour[..., i]), where=large > self.top / 1024)
            added = colour[..., i].astype(np.float32) - _enlarge(self.colour[..., i])
            planes.append(_quantise(exact.clip(0, self.top) + added, colour.dtype))
        return np.stack(planes, axis=-1)


def _filled(colour: Array, alpha: Array) -> Array:
    """(H, W, C) with the colour of the nearest visible pixel in invisible ones, if any is visible."""
    if not alpha.any():
        return colour
    rows, columns = ndimage.distance_transform_edt(alpha == 0, return_distances=False, return_indices=True)
    filled: Array = colour[rows, columns]
    return filled


def _means(plane: Array, side: int) -> Array:
    """(H, W) -> the means of its squares, those at the right and lower border perhaps smaller."""
    return np.asarray(Image.fromarray(plane.astype(np.float32)).reduce(side))


def _add(plane: Array, coarse: Array, side: int) -> None:
    """Add to (H, W), in place, what is given for squares, smoothly; some rows at a time, to save memory."""
    image = Image.fromarray(coarse)
    for top in range(0, len(plane), 256):
        rows = plane[top : top + 256]
        box = (0, top / side, plane.shape[1] / side, (top + len(rows)) / side)
        smooth = image.resize(rows.shape[::-1], Image.Resampling.BICUBIC, box)
        rows[...] = _quantise(rows + np.asarray(smooth), plane.dtype)


def _to_array(image: Image.Image) -> Array:
    """(H, W) or (H, W, C), of any of Pillow's modes."""
    if image.mode in (*SIXTEEN, "I"):
        return deep_grey(image)
    if image.mode == "F":
        return np.asarray(image)
    if image.mode == "La":  # Pillow converts it to nothing but LA
        return np.asarray(image.convert("LA"))
    grey = image.mode in ("1", "L", "LA")
    target = ("LA" if grey else "RGBA") if image.has_transparency_data else ("L" if grey else "RGB")
    if image.mode == target:
        return np.asarray(image)
    return np.asarray(image.convert("RGBA").convert("LA") if target == "LA" else image.convert(target))


def _enlarge(plane: Array) -> Array:
    """(H, W) -> (2H, 2W), in the plane's own type."""
    if plane.dtype == np.uint8:
        image = Image.fromarray(np.ascontiguousarray(plane))
        return np.asarray(image.resize((SCALE * image.width, SCALE * image.height), Image.Resampling.BICUBIC))
    return _quantise(_resized(plane), plane.dtype)


def _resized(plane: Array) -> Array:
    """(H, W) -> (2H, 2W) of 32-bit floats that may lie outside the range."""
    image = Image.fromarray(plane.astype(np.float32))
    return np.array(image.resize((SCALE * image.width, SCALE * image.height), Image.Resampling.BICUBIC))


def _quantise(values: Array, dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "f":
        return values.clip(0, 1).astype(dtype)
    return values.clip(0, np.iinfo(dtype).max).round().astype(dtype)
