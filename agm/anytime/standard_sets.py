"""Quality on a standard set, as super-resolution papers report it: a folder of high-resolution images.

Each image is cropped to even sides and halved by Pillow's bicubic kernel on 8 bits, upscaled, and rounded to 8 bits.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from skimage.color import rgb2ycbcr

from agm import metrics
from agm.anytime.upscaler import AnytimeUpscaler
from agm.data.images import Pixels, halved, image_files, read_even
from agm.errors import AgmError

SHAVED = 2
"""Pixels that are left out at each border where the luma is compared, as the factor is 2."""
LEAST = 24
"""Smallest side in pixels, for SSIM's window."""


def psnr_luma(image: Pixels, target: Pixels) -> float:
    """PSNR in dB of BT.601 luma, for a peak of 255, without SHAVED pixels at each border; infinite for equal images."""
    inside = slice(SHAVED, -SHAVED)
    error = (rgb2ycbcr(image) - rgb2ycbcr(target))[inside, inside, 0]
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(255**2 / np.square(error).mean()))


def measure(upscaler: AnytimeUpscaler, folder: Path) -> pd.DataFrame:
    """A row per image and iteration (0 is bicubic): psnr_luma and psnr (of RGB) in dB, ssim.

    From now on the upscaler holds all of an image in memory, so that large ones have every iteration, too. Raises
    AgmError for a folder without images, and for an image that is broken or too small.
    """
    upscaler.group_pixels = sys.maxsize
    paths = {path.relative_to(folder).as_posix(): path for path in image_files(folder)}
    rows = [{"image": name} | row for name, path in paths.items() for row in _rows(upscaler, path)]
    if not rows:
        raise AgmError(f"{folder}: no image in this folder or below it")
    return pd.DataFrame(rows)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """The mean over the images, a row per iteration."""
    return rows.groupby("iteration")[["psnr_luma", "psnr", "ssim"]].mean()


def read_pair(path: Path) -> tuple[Pixels, Pixels]:
    """An image cropped to even sides, and its half. Raises AgmError if it is broken or too small."""
    target = read_even(path, LEAST, f"the {LEAST} x {LEAST} that are needed")
    return target, halved(target)


def _rows(upscaler: AnytimeUpscaler, path: Path) -> Iterator[dict[str, float]]:
    target, low = read_pair(path)
    for streamed in upscaler.stream(Image.fromarray(low)):
        image = np.asarray(streamed.image)
        x, y = (torch.from_numpy(array.copy()).permute(2, 0, 1).double() / 255 for array in (image, target))
        found = {
            "psnr_luma": psnr_luma(image, target),
            "psnr": float(metrics.psnr(x, y)),
            "ssim": float(metrics.ssim(x, y)),
        }
        yield {"iteration": streamed.iteration, **found}
