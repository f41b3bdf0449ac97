"""Quality against time: one mark per image that is there, ours joined by lines, the unbeaten ones by steps."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agm import frontier, measured
from agm.figures import style
from agm.measured import Measured

RIVALS: dict[str, dict[str, Any]] = {
    "bicubic": {"color": style.GREY, "marker": "o"},
    "espcn": {"color": style.BLACK, "marker": "s"},
    "fsrcnn": {"color": style.GREEN, "marker": "^"},
    "imdn-small": {"color": style.PURPLE, "marker": "v"},
    "imdn": {"color": style.ORANGE, "marker": "P"},
    "srfbn-s": {"color": style.SKY, "marker": "X"},
}
"""How a rival is drawn; over bicubic upsampling it has the same look, hollow."""

OURS = (style.BLUE, style.VERMILLION)
"""Under NOAEL and under another schedule."""

RESIDUAL = "-residual"


def draw(found: Measured, size: int, metrics: tuple[str, ...] = ("psnr", "ssim")) -> Figure:
    """A panel per metric: the image's quality over the milliseconds until it is there."""
    points = frontier.points(found, size)
    with style.context():
        fig = style.figure(4.2 * len(metrics))
        axes = fig.subplots(len(metrics), 1, sharex=True, squeeze=False)[:, 0]
        for ax, letter, metric in zip(axes, "ab", metrics, strict=False):
            panel(ax, points, metric)
            style.title(ax, letter, {"psnr": "PSNR, dB", "ssim": "SSIM"}[metric])
        axes[-1].set_xlabel(f"milliseconds until the image is there, input {size} x {size}")
        handles, labels = axes[0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=style.SMALL)
        style.write_stamp(fig, measured.stamp(found["timing"][str(size)]))
    return fig


def panel(ax: Axes, points: pd.DataFrame, metric: str) -> None:
    for name, group in points.groupby("name", sort=False):
        if group.ours.all():
            _ours(ax, str(name), group, metric)
        else:
            _rival(ax, str(name), group, metric)
    unbeaten = points[points.unbeaten].sort_values("ms")
    if metric == "psnr":
        ax.step(unbeaten.ms, unbeaten[metric], where="post", color=style.FAINT, linewidth=1, zorder=1, label="unbeaten")
    ax.set_xscale("log")


def _rival(ax: Axes, name: str, group: pd.DataFrame, metric: str) -> None:
    hollow: dict[str, Any] = {"markerfacecolor": "white"} if name.endswith(RESIDUAL) else {}
    look = RIVALS[name.removesuffix(RESIDUAL)] | hollow
    ax.plot(group.ms, group[metric], linestyle="", markersize=7, label=name, zorder=4, **look)


def _ours(ax: Axes, name: str, group: pd.DataFrame, metric: str) -> None:
    """Wider networks have thicker lines."""
    layers, width, schedule, *residual = name.split("-")
    look: dict[str, Any] = {"color": OURS[schedule != "NOAEL"], "linestyle": "-" if residual else ":"}
    look |= {"linewidth": 0.6 + int(width) / 16, "label": f"{layers} {width} {schedule}"}
    ax.plot(group.ms, group[metric], marker=".", markersize=5, zorder=3, **look)
