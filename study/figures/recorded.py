"""Recorded runs beside the paper and this machine's runs: quality by iteration, with two kinds of statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from agm.runs import Run
from study import aggregate
from study.aggregate import Numbers, bicubic, by, score, select
from study.figures import style
from study.figures.style import NOTHING
from study.paper import PAPER_TABLE_1
from study.profiles import Profile

COLOURS = {"NOAEL": (style.BLUE, "o"), "A": (style.VERMILLION, "X"), "B": (style.GREEN, "D")}
"""Colour and marker by AEL configuration."""

LINES: tuple[Any, Any] = ("-", (0, (1.2, 1.3)))
"""Solid for the reading that counts, dotted for shared statistics."""


def numbers(runs: Sequence[Run]) -> Numbers:
    """Numbers quoted in the book: test MSE such as `nnnr_noael_precise_mse`, bicubic upsampling, and the critic's sign.

    `critic_positive`: of `critic_epochs`, in how many the critic's mean loss is positive, so that generated images
    score above real ones.
    """
    kinds = dict(zip(("precise", "shared"), aggregate.both(runs), strict=True))
    found: Numbers = {"bicubic_mse": bicubic(runs), "bicubic_psnr": bicubic(runs, "psnr")}
    for text, group in by(runs, "schedule").items():
        for reading, kind in kinds.items():
            name = f"{aggregate.schedule_name(text).lower()}_{reading}_mse"
            found |= {f"{layers}_{name}": mse for layers, mse in aggregate.scores(group, kind).items()}
    critic = pd.concat([run.metrics.groupby("epoch").critic_loss.first() for run in runs])
    return found | {"critic_epochs": len(critic), "critic_positive": int((critic > 0).sum())}


def table(runs: Sequence[Run], here: Sequence[Run], profile: str) -> pd.DataFrame:
    """MSE of recorded runs and of the paper, last PSNR of recorded runs, this machine's MSE; bicubic."""
    rows, (precise, shared) = {}, aggregate.both(runs)
    for layers, group in by(runs, "layers").items():
        for text, same in by(group, "schedule").items():
            name = aggregate.schedule_name(text)
            own = select(here, layers=layers, schedule=text)
            rows[layers, name] = {
                f"MSE, {precise}": score(same, "mse", precise),
                "MSE, paper": PAPER_TABLE_1[layers][1] if name == "NOAEL" else NOTHING,
                f"MSE, {shared}": score(same, "mse", shared),
                f"last PSNR, {precise}": aggregate.of_last_image(same, precise, "psnr"),
                f"last PSNR, {shared}": aggregate.of_last_image(same, shared, "psnr"),
                f"MSE here ({profile}), {precise}": score(own, "mse", precise),
                f"MSE here ({profile}), {shared}": score(own, "mse", shared),
            }
    found = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["model", "schedule"])
    mse, psnr, own_mse = bicubic(runs), bicubic(runs, "psnr"), bicubic(here)
    found.loc[("bicubic", ""), :] = [mse, NOTHING, mse, psnr, psnr, own_mse, own_mse]
    return found


def draw(runs: Sequence[Run], profile: Profile) -> Figure:
    """A panel per model: test MSE of each iteration's image under each schedule, bicubic, and the MSE of Table I."""
    models = sorted(by(runs, "layers").items(), reverse=True)
    rows = (len(models) + 1) // 2
    with style.context():
        fig = style.figure(1.2 + 2.4 * rows)
        axes = fig.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
        for ax, letter, (layers, group) in zip(axes.flat, "abcdefgh", models, strict=False):
            _panel(ax, group, PAPER_TABLE_1.get(layers))
            style.title(ax, letter, layers)
        for ax in axes.flat[len(models) :]:
            ax.set_visible(False)
        style.label(fig, axes, "iteration", "test MSE")
        style.legend(fig, axes[0, 0], 2)
        style.stamp(fig, runs, profile)
    return fig


def _panel(ax: Axes, runs: Sequence[Run], printed: tuple[int, float] | None) -> None:
    for text, group in by(runs, "schedule").items():
        name = aggregate.schedule_name(text)
        colour, marker = COLOURS.get(name, (style.PURPLE, "s"))
        for kind, dashes in zip(aggregate.both(runs), LINES, strict=True):
            mse = np.mean([run.test("mse", kind) for run in group], axis=0)
            label = f"{name}, {aggregate.STATISTICS_NAMES[kind]}"
            ax.plot(range(1, len(mse) + 1), mse, color=colour, marker=marker, linestyle=dashes, label=label)
    style.baseline(ax, bicubic(runs))
    if printed is not None:
        ax.axhline(printed[1], color=style.PURPLE, linewidth=1.0, label="Table I of the paper", zorder=1.4)
    style.log_axis(ax)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
