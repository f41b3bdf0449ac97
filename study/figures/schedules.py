"""One network for any schedule beside networks trained for one, as measured by `benchmarks/schedules.py`."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.aggregate import Numbers, schedule_name
from study.figures import style
from study.measured import Measured, stamp

NETWORK = ["layers", "trained for", "epochs"]
ANY = "any schedule"

LOOKS: dict[str, dict[str, Any]] = {
    ANY: {"color": style.VERMILLION, "marker": "D"},
    "NOAEL": {"color": style.BLUE, "marker": "o"},
    "A": {"color": style.GREEN, "marker": "s"},
}
"""Look of a network, by the schedule it was trained for."""


def numbers(measured: Measured) -> Numbers:
    """Results in dB of networks for any schedule, by model.

    `nnnr_NOAEL_loss` and `nnnr_A_loss`: distance to a network trained for that schedule alone for as many epochs.
    `nnnr_any_worst`, `nnnr_one_worst`: the worst last image of the network for any schedule, and of those for one.
    """
    found = table(measured)
    result: Numbers = {}
    for layers, group in found.groupby(level="layers"):
        epochs = group.index.get_level_values("epochs")
        full = group[epochs == epochs.max()].droplevel(["layers", "epochs"])
        single = full.drop(index=ANY)
        for schedule in single.index:
            result[f"{layers}_{schedule}_loss"] = float(single.loc[schedule, schedule] - full.loc[ANY, schedule])
        worst = {"any_worst": float(full.loc[ANY].min()), "one_worst": float(single.min(axis=None))}
        result |= {f"{layers}_{name}": psnr for name, psnr in worst.items()}
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
    rows["trained for"] = rows.trained_schedule.map(lambda text: ANY if text == "any" else schedule_name(text))
    rows["schedule"] = rows.schedule.map(schedule_name)
    found: pd.DataFrame = rows.set_index([*NETWORK, "schedule"])[metric].unstack("schedule")
    return found[list(dict.fromkeys(rows.schedule))]


def shown(measured: Measured, metric: str = "psnr") -> pd.DataFrame:
    """The table as a page shows it: the worst schedule first, and what a network is in words."""
    found = table(measured, metric)
    worst = found.max(axis=1) if metric == "mse" else found.min(axis=1)
    found.insert(0, "worst", worst)
    names = [(layers, f"{trained}, {epochs} epochs") for layers, trained, epochs in found.index]
    return found.set_axis(pd.MultiIndex.from_tuples(names, names=["network", "trained for"])).rename_axis(columns=None)


def draw(found: Measured) -> Figure:
    """A panel per model: PSNR of the last image under each schedule."""
    models = list(table(found).groupby(level="layers"))
    with style.context():
        fig = style.figure(3.5)
        axes = fig.subplots(1, len(models), sharey=True, squeeze=False)[0]
        for ax, letter, (layers, group) in zip(axes, "abcdefgh", models, strict=False):
            panel(ax, group.droplevel("layers"))
            style.title(ax, letter, str(layers))
        axes[0].set_ylabel("PSNR, dB")
        style.legend(fig, axes[0], 2, title="trained for")
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
