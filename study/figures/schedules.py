"""One network for any schedule beside networks trained for one, as measured by `benchmarks/schedules.py`."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.aggregate import Numbers, schedule_name
from study.figures import style
from study.measured import Measured, stamp

NETWORK = ["layers", "over bicubic", "trained for", "epochs"]
ANY = "any schedule"

LOOKS: dict[str, dict[str, Any]] = {
    ANY: {"color": style.VERMILLION, "marker": "D"},
    "NOAEL": {"color": style.BLUE, "marker": "o"},
    "A": {"color": style.GREEN, "marker": "s"},
}
"""Look of a network, by the schedule it was trained for."""


def numbers(measured: Measured) -> Numbers:
    """Results in dB of networks for any schedule, by model and by whether it corrects bicubic upsampling (`nnnr_no`).

    `_NOAEL_loss` and `_A_loss`: distance to a network trained for that schedule alone for as many epochs.
    `_any_worst`, `_one_worst`: the worst last image of the network for any schedule, and of those for one.
    """
    found = table(measured)
    result: Numbers = {}
    for (layers, residual), group in found.groupby(level=["layers", "over bicubic"]):
        epochs = group.index.get_level_values("epochs")
        full = group[epochs == epochs.max()].droplevel(["layers", "over bicubic", "epochs"])
        single = full.drop(index=ANY)
        name = f"{layers}_{residual}"
        for schedule in single.index:
            result[f"{name}_{schedule}_loss"] = float(single.loc[schedule, schedule] - full.loc[ANY, schedule])
        result |= {f"{name}_any_worst": float(full.loc[ANY].min()), f"{name}_one_worst": float(single.min(axis=None))}
    return result


def table(measured: Measured, metric: str = "psnr") -> pd.DataFrame:
    """The last image's quality: a row per network, a column per schedule under which it is run.

    A network for any schedule keeps the batch-norm statistics of its training. The others know those of one schedule
    only, so theirs are measured anew under each.
    """
    rows = pd.DataFrame(measured["rows"])
    trained_for_any = rows.trained_schedule == "any"
    rows = rows[(rows.statistics == "mixed") == trained_for_any]
    rows = rows[rows.iteration == rows.iteration.max()]
    rows["over bicubic"] = rows.residual.map({True: "yes", False: "no"})
    rows["trained for"] = rows.trained_schedule.map(lambda text: ANY if text == "any" else schedule_name(text))
    rows["schedule"] = rows.schedule.map(schedule_name)
    found: pd.DataFrame = rows.set_index([*NETWORK, "schedule"])[metric].unstack("schedule")
    return found[list(dict.fromkeys(rows.schedule))]


def shown(measured: Measured, metric: str = "psnr") -> pd.DataFrame:
    """The table as a page shows it: the worst schedule first, and what a network is in words."""
    found = table(measured, metric)
    worst = found.max(axis=1) if metric == "mse" else found.min(axis=1)
    found.insert(0, "worst", worst)
    names = [
        (f"{layers} over bicubic" if over == "yes" else layers, f"{trained}, {epochs} epochs")
        for layers, over, trained, epochs in found.index
    ]
    return found.set_axis(pd.MultiIndex.from_tuples(names, names=["network", "trained for"])).rename_axis(columns=None)


def draw(found: Measured) -> Figure:
    """A panel per model, with and without the bicubic base: PSNR of the last image under each schedule."""
    networks = list(table(found).groupby(level=["layers", "over bicubic"]))
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
        style.legend(fig, axes[0, 0], 2, title="trained for")
        style.write_stamp(fig, stamp(found))
    return fig


def panel(ax: Axes, group: pd.DataFrame) -> None:
    """Draw one model. Hollow markers: half the epochs, which take as long as full training for one schedule."""
    epochs = group.index.get_level_values("epochs")
    for (name, count), (_, series) in zip(group.index.to_list(), group.iterrows(), strict=True):
        half: dict[str, Any] = {"markerfacecolor": "white"} if count < epochs.max() else {}
        look = LOOKS[name] | half | {"linestyle": ":" if half else "-"}
        ax.plot(range(len(series)), series, label=f"{name}, {count} epochs", linewidth=1.2, **look)
    ax.set_xticks(range(len(group.columns)), [name.removesuffix(" (10)") for name in group.columns], family="monospace")
    ax.tick_params(axis="x", rotation=60)
