"""Beyond the paper: the kind of batch-norm statistics, and spiky curves."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from agm.runs import Run
from study import aggregate
from study.aggregate import Numbers, bicubic, by, last, median, spikiness_of
from study.experiments import LAST_PLAIN, LAST_RECURRENT
from study.figures import curves
from study.profiles import Profile


def numbers(runs: Sequence[Run]) -> Numbers:
    """Validation MSE after the last epoch and spikiness, with each kind of statistics.

    Medians over the models by their last layer (`shared_r_spikiness`), and of each (`nnnr_shared_spikiness`).
    """
    measures = measured(runs)
    found: Numbers = {"bicubic_validation_mse": bicubic(runs, "mse", "validation")}
    for kind in aggregate.readings(runs):
        rows = measures.xs(kind, level="statistics")
        for end in "rn":
            some = rows[rows.index.str.endswith(end)]
            found |= {f"{kind}_{end}_{measure}": median(some[measure]) for measure in rows.columns}
        for layers in rows.index:
            found |= {f"{layers}_{kind}_{measure}": float(rows.loc[layers, measure]) for measure in rows.columns}
    return found


def measured(runs: Sequence[Run]) -> pd.DataFrame:
    """Per model and kind of batch statistics (rows): last validation MSE and spikiness."""
    rows = {}
    for layers, group in by(runs, "layers").items():
        for kind in aggregate.readings(runs):
            rows[layers, kind] = {"validation_mse": last(group, kind), "spikiness": spikiness_of(group, kind)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["layers", "statistics"])


def table(runs: Sequence[Run]) -> pd.DataFrame:
    """A row per model, each beside its twin with the other last layer; columns (measure, kind of statistics)."""
    found = measured(runs).rename(columns={"validation_mse": "validation MSE"})
    wide = found.pivot_table(index="layers", columns="statistics", values=["validation MSE", "spikiness"], dropna=False)
    kinds = list(aggregate.readings(runs))
    wide = wide.reindex(columns=kinds, level=1).sort_index(ascending=False)
    level = bicubic(runs, "mse", "validation")
    wide.loc["bicubic"] = pd.Series({("validation MSE", kind): level for kind in kinds})
    return wide


def draw(runs: Sequence[Run], profile: Profile) -> Figure:
    """A row per kind of batch statistics; left the models whose last layer is r, right those whose last layer is n."""
    panels = [
        [
            (f"{aggregate.STATISTICS_NAMES[kind]}, last layer {end}", curves.of_models(runs, models), kind)
            for end, models in (("r", LAST_RECURRENT), ("n", LAST_PLAIN))
            if curves.of_models(runs, models)
        ]
        for kind in aggregate.validated(runs)
    ]
    return curves.figure(panels, 0.8 + 2.8 * len(panels), runs, profile, sharey=True)
