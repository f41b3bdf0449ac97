"""One network for any schedule against networks trained for one: what `benchmarks/schedules.py` measured."""

from __future__ import annotations

import pandas as pd

from study.aggregate import Numbers, schedule_name
from study.measured import Measured, stamp

NETWORK = ["layers", "over bicubic", "trained for", "epochs"]
ANY = "any schedule"


def last(measured: Measured, metric: str = "psnr") -> pd.DataFrame:
    """The last image's quality: a row per network, a column per schedule under which it is run.

    A network for any schedule keeps the batch-norm statistics that its training left; the others, which have them of
    one schedule alone, get them measured anew under each.
    """
    rows = pd.DataFrame(measured["rows"])
    trained_for_any = rows.trained_schedule == "any"
    rows = rows[(rows.statistics == "mixed") == trained_for_any]
    rows = rows[rows.iteration == rows.iteration.max()]
    rows["over bicubic"] = rows.residual.map({True: "yes", False: "no"})
    rows["trained for"] = rows.trained_schedule.map(lambda text: ANY if text == "any" else schedule_name(text))
    rows["schedule"] = rows.schedule.map(schedule_name)
    table: pd.DataFrame = rows.set_index([*NETWORK, "schedule"])[metric].unstack("schedule")
    return table[list(dict.fromkeys(rows.schedule))]


def numbers(measured: Measured) -> Numbers:
    """By model and whether it is over bicubic upsampling (`nnnr_no`): how a network for any schedule does, in dB.

    `_NOAEL_loss` and `_A_loss`: behind a network trained for that schedule alone, after as many epochs.
    `_any_worst`, `_one_worst`: the worst last image of the network for any schedule, and of those for one.
    """
    found = last(measured)
    result: Numbers = {"stamp": stamp(measured)}
    for (layers, residual), group in found.groupby(level=["layers", "over bicubic"]):
        epochs = group.index.get_level_values("epochs")
        full = group[epochs == epochs.max()].droplevel(["layers", "over bicubic", "epochs"])
        single = full.drop(index=ANY)
        name = f"{layers}_{residual}"
        for schedule in single.index:
            result[f"{name}_{schedule}_loss"] = float(single.loc[schedule, schedule] - full.loc[ANY, schedule])
        result |= {f"{name}_any_worst": float(full.loc[ANY].min()), f"{name}_one_worst": float(single.min(axis=None))}
    return result
