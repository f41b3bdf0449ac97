"""One network for any schedule: its last image under each, beside those of networks trained for one."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study import ablation, measured
from study.figures import style
from study.measured import Measured

LOOKS: dict[str, dict[str, Any]] = {
    ablation.ANY: {"color": style.VERMILLION, "marker": "D"},
    "NOAEL": {"color": style.BLUE, "marker": "o"},
    "A": {"color": style.GREEN, "marker": "s"},
}
"""By the schedule for which a network was trained."""


def draw(found: Measured) -> Figure:
    """A panel per model, with and without bicubic upsampling beneath: PSNR of the last image under each schedule."""
    networks = list(ablation.last(found).groupby(level=["layers", "over bicubic"]))
    with style.context():
        fig = style.figure(0.9 + 2.6 * ((len(networks) + 1) // 2))
        axes = fig.subplots((len(networks) + 1) // 2, 2, sharex=True, sharey=True, squeeze=False)
        for ax, letter, ((layers, residual), group) in zip(axes.flat, "abcdefgh", networks, strict=False):
            panel(ax, group.droplevel(["layers", "over bicubic"]))
            style.title(ax, letter, f"{layers}{' over bicubic' if residual == 'yes' else ''}")
        for ax in axes.flat[len(networks) :]:
            ax.set_visible(False)
        for ax in axes[:, 0]:
            ax.set_ylabel("PSNR, dB")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=2)
        style.write_stamp(fig, measured.stamp(found))
    return fig


def panel(ax: Axes, group: pd.DataFrame) -> None:
    """Hollow markers: half the epochs, which takes as long as a training for one schedule with all of them."""
    epochs = group.index.get_level_values("epochs")
    for (name, count), (_, series) in zip(group.index.to_list(), group.iterrows(), strict=True):
        half: dict[str, Any] = {"markerfacecolor": "white"} if count < epochs.max() else {}
        look = LOOKS[name] | half | {"linestyle": ":" if half else "-"}
        ax.plot(range(len(series)), series, label=f"trained for {name}, {count} epochs", linewidth=1.2, **look)
    ax.set_xticks(range(len(group.columns)), [name.removesuffix(" (10)") for name in group.columns], family="monospace")
    ax.tick_params(axis="x", rotation=60)
