"""Pictures side by side: what the iterations of one image look like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from agm import data, metrics
from agm.config import Statistics
from agm.data.images import Pixels
from agm.networks.generator import Generator
from agm.schedule import Schedule
from study.figures import style


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
            ax.imshow(
                picture.detach().clamp(0, 1).permute(1, 2, 0).numpy(), interpolation="none"
            )  # (3, H, W) -> (H, W, 3)
            ax.text(0.5, -0.06, caption, transform=ax.transAxes, ha="center", va="top", fontsize=style.SMALL)
    return fig


def filmstrip(
    generator: Generator,
    schedule: Schedule,
    original: Pixels,
    statistics: Statistics,
    shown: Sequence[int] = (1, 2, 5, 10),
) -> Figure:
    """A photograph of any even size, (H, W, 3): input, bicubic, original, and what the iterations make of the input."""
    part = data.Part(np.zeros(1, dtype=int), original[None])
    low, high, enlarged = (data.to_tensor(pixels) for pixels in (part.low, part.high, part.bicubic))
    with torch.no_grad():
        outputs = list(generator.iterate(low, schedule, statistics))
    pictures = {f"iteration {t}\n{_quality(outputs[t - 1][0], high[0])}": outputs[t - 1][0] for t in shown}
    others = {"input": low[0], f"bicubic\n{_quality(enlarged[0], high[0])}": enlarged[0], "original": high[0]}
    return strip([*pictures.values(), *others.values()], [*pictures, *others], columns=len(shown))


def _quality(picture: Tensor, original: Tensor) -> str:
    return f"{float(np.clip(metrics.psnr(picture, original).item(), 0, 100)):.1f} dB"
