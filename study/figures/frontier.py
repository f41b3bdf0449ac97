"""Quality against time: one mark per image that is there, ours joined by lines, the unbeaten ones by steps."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study import frontier, measured
from study.figures import style
from study.measured import Measured

LOOKS: dict[str, dict[str, Any]] = {
    "bicubic": {"color": style.GREY, "marker": "o"},
    "espcn": {"color": style.BLACK, "marker": "s"},
    "fsrcnn": {"color": style.GREEN, "marker": "^"},
    "imdn-small": {"color": style.PURPLE, "marker": "v"},
    "imdn": {"color": style.ORANGE, "marker": "P"},
    "srfbn-s": {"color": style.SKY, "marker": "X"},
    "span": {"color": style.BLACK, "marker": "D", "markerfacecolor": "white"},
    frontier.OURS: {"color": style.VERMILLION, "marker": ".", "linestyle": "-"},
    frontier.SAME_TIME: {"color": style.BLUE, "marker": ".", "linestyle": "--"},
}


def draw(found: Measured | None) -> Figure:
    """Two panels: the images' PSNR over the milliseconds until each is there; and quality averaged over deadlines."""
    with style.context():
        fig = style.figure(6.4)
        axes = fig.subplots(2, 1, height_ratios=(3, 2))
        if found is None:
            axes[0].text(0.5, 0.5, frontier.NOT_YET.replace("`", ""), ha="center")
            return fig
        _images(axes[0], found)
        style.title(axes[0], "a", "PSNR on Set5, dB")
        _scores(axes[1], found)
        style.title(axes[1], "b", "averaged over deadlines, dB")
        handles, labels = axes[0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=style.SMALL)
        style.write_stamp(fig, measured.stamp(found))
    return fig


def _images(ax: Axes, found: Measured) -> None:
    points = frontier.points(found)
    for name, group in points.groupby("name", sort=False):
        look: dict[str, Any] = {"linestyle": "", "markersize": 7} | LOOKS[str(name)]
        ax.plot(group.ms, group.set5, label=str(name), zorder=4, **look)
    unbeaten = points[points.unbeaten].sort_values("ms")
    ax.step(unbeaten.ms, unbeaten.set5, where="post", color=style.FAINT, linewidth=1, zorder=1, label="unbeaten")
    ax.set_xscale("log")
    ax.set_xlabel("milliseconds until the image is there")


def _scores(ax: Axes, found: Measured) -> None:
    scores = frontier.scores(found)[::-1]
    colours = [LOOKS.get(str(name), {"color": style.GREY})["color"] for name in scores.index]
    ax.barh(scores.index, scores, color=colours)
    ax.set_xlim(scores.min() - 0.1, scores.max() + 0.1)
