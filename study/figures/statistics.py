"""Beyond the paper: the kind of batch-norm statistics, spiky curves, and the order of the models."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from agm.runs import Run
from study import aggregate
from study.aggregate import Numbers, bicubic, by, extremes, last, median, spikiness_of
from study.experiments import LAST_PLAIN, LAST_RECURRENT
from study.figures import curves, ranks
from study.profiles import Profile


def numbers(runs: Sequence[Run]) -> Numbers:
    """Validation MSE after the last epoch and spikiness, with each kind of statistics; and `ranking_numbers`.

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
    return found | ranking_numbers(runs)


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


def ranking(runs: Sequence[Run], profile: Profile) -> Figure:
    """Test MSE and rank of each model with each kind of batch statistics."""
    return ranks.draw({None: _mse(runs).rename(columns=aggregate.STATISTICS_NAMES)}, runs, profile)


def ranking_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Rank, 1 is best, and test MSE of each model by kind of batch statistics, and bicubic upsampling."""
    return ranks.table(_mse(runs).sort_values("iteration"), runs)


def ranking_numbers(runs: Sequence[Run]) -> Numbers:
    """By test MSE: `shared_best`, `shared_beat_bicubic` (how many do), `nnnr_shared_rank`; how far two orders agree."""
    mse = _mse(runs)
    found: Numbers = {}
    for kind in mse.columns:
        found[f"{kind}_best"] = extremes({str(layers): float(error) for layers, error in mse[kind].items()})[0]
        found[f"{kind}_beat_bicubic"] = int((mse[kind] < bicubic(runs)).sum())
        found |= {f"{layers}_{kind}_rank": float(rank) for layers, rank in mse[kind].rank().items()}
    return found | ranks.agreement(mse)


def _mse(runs: Sequence[Run]) -> pd.DataFrame:
    """Test MSE of each model (rows), evaluated with each kind of batch statistics (columns)."""
    return pd.DataFrame({kind: aggregate.scores(runs, kind) for kind in aggregate.readings(runs)})
