"""Fig. 2: adaptively expanding layers, drawn from a schedule."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from agm.config import GeneratorConfig
from agm.networks.complexity import macs_per_iteration
from agm.networks.layers import KINDS
from agm.schedule import LAYERS, Schedule
from study.figures import style
from study.figures.drawing import PLAIN, RECURRENT


def milestones(schedule: Schedule) -> tuple[int | None, int | None]:
    """k and k + h: the first iterations, from 1, with at least three and with all four layers active."""
    active = [sum(mask) for mask in schedule]
    first = (next((t for t, n in enumerate(active, 1) if n >= wanted), None) for wanted in (LAYERS - 1, LAYERS))
    return next(first), next(first)


def draw(schedule: Schedule, config: GeneratorConfig) -> Figure:
    """Draw iterations from left to right and layers from the bottom; above them the cost of each iteration in percent.

    100 % are the multiply-accumulate operations of all layers of the network of `config`.
    """
    with style.context():
        fig = style.figure(4.4)
        above, grid = fig.subplots(2, 1, sharex=True, height_ratios=(1, 2.4))
        _costs(above, schedule, config)
        for t, mask in enumerate(schedule, 1):
            for i, active in enumerate(mask):
                _cell(grid, t, i + 1, config.layers[i] if active else "")
        grid.set(xlim=(0.4, len(schedule) + 0.6), ylim=(0.4, LAYERS + 0.6), xlabel="iteration")
        _iterations(grid, schedule)
        grid.set_yticks(range(1, LAYERS + 1), [f"layer {i}" for i in range(1, LAYERS + 1)])
        grid.grid(False)
        grid.tick_params(length=0)
        style.write_stamp(fig, f"{schedule} · costs of {config.layers}")
    return fig


def _costs(ax: Axes, schedule: Schedule, config: GeneratorConfig) -> None:
    whole = macs_per_iteration(config)
    costs = {mask: 100 * macs_per_iteration(config, mask=mask) / whole for mask in set(schedule)}
    iterations, heights = range(1, len(schedule) + 1), [costs[mask] for mask in schedule]
    bars = ax.bar(iterations, heights, color=RECURRENT, edgecolor=style.BLACK, linewidth=0.8)
    ax.bar_label(bars, fmt="%.0f", fontsize=style.SMALL, padding=1)
    ax.set(ylabel="cost, %", ylim=(0, 125), yticks=[])
    ax.grid(False)
    ax.spines["left"].set_visible(False)
    ax.tick_params(bottom=False, labelbottom=False)


def _cell(ax: Axes, t: int, layer: int, letter: str) -> None:
    """Draw an active layer as a box with its letter, an inactive one as a line that passes through."""
    look: dict[str, Any] = {"facecolor": PLAIN, "edgecolor": style.GREY, "linestyle": (0, (3, 2))}
    if letter:
        look = {"facecolor": RECURRENT if KINDS[letter].recurrent else PLAIN, "edgecolor": style.BLACK}
    else:
        ax.plot([t, t], [layer - 0.5, layer + 0.5], color=style.GREY, linewidth=1.2, zorder=3)
    ax.add_patch(Rectangle((t - 0.4, layer - 0.38), 0.8, 0.76, linewidth=1.0, zorder=2, **look))
    ax.text(t, layer, letter, ha="center", va="center", zorder=4, family="DejaVu Sans Mono", weight="bold")


def _iterations(ax: Axes, schedule: Schedule) -> None:
    """Label the iterations, and mark k and k + h, where the network grows."""
    k, whole = milestones(schedule)
    names = {t: name for t, name in ((k, "k"), (whole, "k + h")) if t is not None}
    step = 1 if len(schedule) <= 16 else 5
    labels = [f"{t}\n{names.get(t, '')}" if t in names or t % step == 0 else "" for t in range(1, len(schedule) + 1)]
    ax.set_xticks(range(1, len(schedule) + 1), labels)
    for t in names:
        ax.get_xticklabels()[t - 1].set(color=style.VERMILLION, weight="bold")
        ax.axvline(t - 0.5, color=style.VERMILLION, linewidth=1.8, zorder=1)
