"""Images side by side, and their PSNR."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from agm import data, metrics
from agm.data.images import Pixels
from study.figures import style


def versions(pixels: Pixels) -> tuple[Tensor, Tensor, Tensor]:
    """A photograph at half its size, as a network sees it; bicubic upsampling of that; the original. (3, H, W) each."""
    part = data.Part(np.zeros(1, dtype=int), pixels[None])
    low, enlarged, high = (data.to_tensor(images.copy())[0] for images in (part.low, part.bicubic, part.high))
    return low, enlarged, high


def psnr(image: Tensor, original: Tensor) -> float:
    """PSNR in dB; at most 100, so that it can be drawn."""
    return min(100.0, float(metrics.psnr(image, original)))


def strip(pictures: Sequence[Tensor], captions: Sequence[str], columns: int = 4) -> Figure:
    """Images of (3, H, W) in [0, 1], clamped, row by row, with a caption under each."""
    lines = 1 + max(caption.count("\n") for caption in captions)
    rows = (len(pictures) + columns - 1) // columns
    with style.context():
        fig = style.figure(0.5 + rows * (lines * 0.19 + style.WIDTH / columns))
        axes = fig.subplots(rows, columns, squeeze=False)
        for ax in axes.flat:
            ax.set_axis_off()
        for ax, picture, caption in zip(axes.flat, pictures, captions, strict=False):
            pixels = picture.detach().clamp(0, 1).permute(1, 2, 0)  # (3, H, W) -> (H, W, 3)
            ax.imshow(pixels.numpy(), interpolation="none")
            ax.text(0.5, -0.06, caption, transform=ax.transAxes, ha="center", va="top", fontsize=style.SMALL)
    return fig
