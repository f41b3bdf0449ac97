"""The playground's pictures: what is there by the deadline, and quality as time goes by."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from study.explore import Step
from study.figures import pictures, style


def curve(found: Sequence[Step], bicubic: float, deadline: float) -> Figure:
    """PSNR over milliseconds, a mark per iteration: filled in time, hollow too late. `deadline` in seconds."""
    with style.context():
        fig = style.figure(3.2)
        ax = fig.subplots()
        late = [step.seconds > deadline for step in found]
        x, y = [1000 * step.seconds for step in found], [step.psnr for step in found]
        ax.plot(x, y, color=style.BLUE, zorder=2)
        faces = ["white" if one else style.BLUE for one in late]
        ax.scatter(x, y, c=faces, edgecolors=style.BLUE, zorder=3)
        style.baseline(ax, bicubic)
        ax.axvline(1000 * deadline, color=style.VERMILLION, label="deadline")
        ax.set(xlabel="milliseconds", ylabel="PSNR, dB", xlim=(0, max([1100 * deadline, *(1.05 * end for end in x)])))
        ax.legend()
    return fig


def row(images: Sequence[Tensor], captions: Sequence[str]) -> Figure:
    """Pictures side by side."""
    return pictures.strip(images, captions, columns=len(images))
