"""The tables that notebooks and pages show. Numbers with names are in `study.findings`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from agm import runs
from agm.config import GeneratorConfig, Statistics
from agm.networks.complexity import parameters
from agm.runs import Run
from study import aggregate
from study.aggregate import bicubic, by, last, score, select, spikiness_of
from study.findings import (
    COLOURS,
    PAPER_TABLE_1,
    curve_numbers,
    fig5_numbers,
    fig7_numbers,
    last_psnr,
    recorded,
    table_1_errors,
)
from study.profiles import Profile

NOTHING = float("nan")
"""An empty cell, shown as a dash."""


def styled(table: pd.DataFrame) -> Styler:
    """A table as a page shows it: errors with four decimals, decibels and milliseconds with two, counts whole."""
    formats: dict[Any, Any] = {}
    for column in table.columns:
        name = " ".join(column) if isinstance(column, tuple) else str(column)
        if name.startswith("parameters"):
            formats[column] = "{:,.0f}"
        elif "rank" in name:
            formats[column] = "{:g}"
        elif "PSNR" in name or ", ms" in name or name.endswith("ratio"):
            formats[column] = "{:.2f}"
        elif name.endswith("share"):
            formats[column] = "{:.0%}"
        elif "spikiness" in name:
            formats[column] = "{:.3f}"
    return table.style.format(formats, precision=4, na_rep="–")


def models(finished: Sequence[Run]) -> pd.DataFrame:
    """A row per model and reading: test MSE, how far its seeds lie apart, the last validation MSE, spikiness."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for layers, group in by(finished, "layers").items():
        for kind in aggregate.shown(finished, curves=True):
            scores = [score([run], "mse", kind) for run in group]
            rows[layers, kind] = {
                "test MSE": score(group, "mse", kind),
                "between seeds": np.ptp(scores) if len(group) > 1 else NOTHING,
                "last validation MSE": last(group, kind),
                "spikiness": spikiness_of(group, kind),
            }
    level = bicubic(finished, "mse", "validation")
    rows["bicubic", ""] = {"test MSE": bicubic(finished), "last validation MSE": level}
    return pd.DataFrame.from_dict(rows, orient="index")


def placement(finished: Sequence[Run], profile: Profile) -> pd.DataFrame:
    """Fig. 5 in a row per data set and reading: the median spikiness by last layer, the best and the worst model."""
    rows = {}
    for role, group in aggregate.by_role(finished, profile).items():
        for kind in aggregate.shown(finished, curves=True):
            spiky, curves = fig5_numbers(group, kind), curve_numbers(group, kind)
            rows[aggregate.PAPER_NAMES.get(role, role), kind] = {
                "spikiness, last layer r": spiky["r_spikiness"],
                "spikiness, last layer n": spiky["n_spikiness"],
                "best": curves["best"],
                "its test MSE": curves[f"{curves['best']}_test_mse"] if curves["best"] != "none" else NOTHING,
                "worst": curves["worst"],
                "bicubic, test MSE": curves["bicubic_test_mse"],
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def fractions(finished: Sequence[Run]) -> pd.DataFrame:
    """Fig. 6: test MSE by the share of the training images, and the smallest share's over the largest's."""
    groups = by(finished, "fraction")
    names = {share: "MSE, all" if share == 1 else f"MSE, {share:g} of them" for share in groups}
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for layers in by(finished, "layers"):
        for kind in aggregate.shown(finished, curves=True):
            scores = {share: score(select(group, layers=layers), "mse", kind) for share, group in groups.items()}
            rows[layers, kind] = {names[share]: mse for share, mse in scores.items()}
            rows[layers, kind]["ratio"] = scores[min(scores)] / scores[max(scores)]
    rows["bicubic", ""] = {names[share]: bicubic(group) for share, group in groups.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def datasets(finished: Sequence[Run], profile: Profile) -> pd.DataFrame:
    """Fig. 7 in a row per data set and reading: the models compared with their test MSE, and rrrr's place."""
    rows = {}
    for role, group in aggregate.by_role(finished, profile).items():
        for kind in aggregate.shown(finished, curves=True):
            found = fig7_numbers(group, kind)
            row = {}
            for count in (1, 2, 3):
                name = found.get(f"best_{count}", "none")
                row[f"best with {count} r"] = (
                    f"{name} {found[f'best_{count}_test_mse']:.4f}" if name != "none" else name
                )
            row |= {"rrrr": score(select(group, layers="rrrr"), "mse", kind), "rrrr's rank": found["rrrr_rank"]}
            rows[aggregate.PAPER_NAMES.get(role, role), kind] = row | {"bicubic": bicubic(group)}
    return pd.DataFrame.from_dict(rows, orient="index")


def tradeoff(numbers: aggregate.Numbers, finished: Sequence[Run]) -> pd.DataFrame:
    """Fig. 8 or 9, from its numbers: when each model has its first image, and how good it becomes, by reading."""
    readings = dict(zip(("precise", "shared"), aggregate.shown(finished), strict=False))
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for layers in by(finished, "layers"):
        for reading, kind in readings.items():
            row = {f"first image, ms, {n}": numbers.get(f"{layers}_{s}_first_ms", NOTHING) for s, n in SERIES.items()}
            row["AEL's share"] = numbers[f"{layers}_first_ratio"]
            for measure, name in (("mse", "MSE"), ("last_psnr", "last PSNR")):
                for series, text in SERIES.items():
                    row[f"{name}, {text}"] = numbers.get(f"{layers}_{series}_{reading}_{measure}", NOTHING)
            rows[layers, kind] = row
    rows["bicubic", ""] = {f"MSE, {name}": numbers["bicubic_mse"] for name in SERIES.values()}
    rows["bicubic", ""] |= {f"last PSNR, {name}": numbers["bicubic_psnr"] for name in SERIES.values()}
    return pd.DataFrame.from_dict(rows, orient="index")


SERIES = {"noael": "NOAEL", "ael": "AEL"}


def ranks(finished: Sequence[Run]) -> pd.DataFrame:
    """Test MSE and rank of each model, 1 is best, by kind of batch statistics, and bicubic upsampling."""
    mse = aggregate.mse_by_statistics(finished)
    return _ranked(mse.sort_values("iteration"), finished)


def table_1(finished: Sequence[Run], profile: Profile) -> pd.DataFrame:
    """Table I: the paper's numbers, those of these runs and of recorded ones in both readings; bicubic at the end.

    *Summed*: the MSE as the paper's formula has it, read literally, summed over the colours.
    """
    models = [*by(finished, "layers"), "bicubic"]
    printed = pd.DataFrame(PAPER_TABLE_1, index=["parameters (paper)", "MSE (paper)"]).T
    table = pd.DataFrame(index=models).join(printed)
    counted = {layers: parameters(GeneratorConfig(layers)) for layers in models[:-1]}
    table.insert(0, "parameters", pd.Series(counted, dtype=float))
    precise, shared = aggregate.both(finished)
    for kind in (precise, shared):
        table[f"MSE ({profile.name}, {kind})"] = pd.Series(_scores(finished, "mse", kind))
    table[f"MSE, summed ({profile.name}, {precise})"] = COLOURS * table[f"MSE ({profile.name}, {precise})"]
    for metric in ("psnr", "ssim"):
        table[f"{metric.upper()} ({profile.name}, {precise})"] = pd.Series(_scores(finished, metric, precise))
    for name, group in recorded("table1").items():
        for kind in aggregate.both(group) if name != profile.name else ():
            table[f"MSE ({name}, recorded, {kind})"] = pd.Series(_scores(group, "mse", kind))
    return table


def seeds(finished: Sequence[Run]) -> pd.DataFrame:
    """A row per reading: of each model the lowest and the highest test MSE of its seeds, and whether models differ."""
    rows = {}
    for kind in aggregate.readings(finished):
        found = table_1_errors(finished, kind)
        models = by(finished, "layers")
        row = {m: f"{found[f'{m}_lowest_mse']:.4f} to {found[f'{m}_highest_mse']:.4f}" for m in models}
        rows[kind] = row | {"p": f"{found['differ_p']:.2g}"}
    return pd.DataFrame.from_dict(rows, orient="index")


def _scores(group: Sequence[Run], metric: str, statistics: Statistics) -> dict[str, float]:
    scores = {layers: score(same, metric, statistics) for layers, same in by(group, "layers").items()}
    return scores | {"bicubic": bicubic(group, metric)}


def order_table(finished: Sequence[Run]) -> pd.DataFrame:
    """Test MSE and rank of each model, 1 is best, under each schedule and reading, and bicubic upsampling."""
    tables = {kind: aggregate.mse_by_schedule(finished, kind) for kind in aggregate.shown(finished)}
    return pd.concat({kind: _ranked(mse, finished) for kind, mse in tables.items()}, axis=1)


def _ranked(mse: pd.DataFrame, finished: Sequence[Run]) -> pd.DataFrame:
    table = pd.concat({"test MSE": mse, "rank": mse.rank()}, axis=1)
    table.loc["bicubic"] = pd.Series({("test MSE", column): bicubic(finished) for column in mse.columns})
    return table


def twins_table(finished: Sequence[Run]) -> pd.DataFrame:
    """A row per model, each beside its twin with the other last layer; columns (measure, kind of statistics)."""
    table = aggregate.statistics_table(finished).rename(columns={"validation_mse": "validation MSE"})
    wide = table.pivot_table(index="layers", columns="statistics", values=["validation MSE", "spikiness"], dropna=False)
    kinds = list(aggregate.readings(finished))
    wide = wide.reindex(columns=kinds, level=1).sort_index(ascending=False)
    level = bicubic(finished, "mse", "validation")
    wide.loc["bicubic"] = pd.Series({("validation MSE", kind): level for kind in kinds})
    return wide


def recorded_table(finished: Sequence[Run], here: Sequence[Run], profile: str) -> pd.DataFrame:
    """The paper's MSE, then MSE, last PSNR and times of recorded runs, then this machine's MSE; bicubic below."""
    rows, (precise, shared) = {}, aggregate.both(finished)
    for layers, group in by(finished, "layers").items():
        for text, same in by(group, "schedule").items():
            times = same[0].summary["seconds_until_iteration"]
            name = aggregate.schedule_name(text)
            own = select(here, layers=layers, schedule=text)
            rows[layers, name] = {
                "MSE, paper": PAPER_TABLE_1[layers][1] if name == "NOAEL" else NOTHING,
                f"MSE, {precise}": score(same, "mse", precise),
                f"MSE, {shared}": score(same, "mse", shared),
                f"last PSNR, {precise}": last_psnr(same, precise),
                f"last PSNR, {shared}": last_psnr(same, shared),
                "first image, ms": 1000 * times[0],
                "all images, ms": 1000 * times[-1],
                f"MSE here ({profile}), {precise}": score(own, "mse", precise),
                f"MSE here ({profile}), {shared}": score(own, "mse", shared),
            }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["model", "schedule"])
    mse, psnr, own_mse, nothing = bicubic(finished), bicubic(finished, "psnr"), bicubic(here), NOTHING
    table.loc[("bicubic", ""), :] = [nothing, mse, mse, psnr, psnr, nothing, nothing, own_mse, own_mse]
    return table


def runs_table(finished: Sequence[Run]) -> Styler:
    """One row per run: the settings in which they differ, test metrics, training time, the name of its folder."""
    table = runs.table(finished)
    table["schedule"] = table["schedule"].map(aggregate.schedule_name)
    settings = ("dataset", "fraction", "width", "schedule", "seed", "epochs", "status")
    varied = [name for name in settings if table[name].nunique() > 1]
    table = table[["layers", *varied, "mse", "psnr", "ssim", "bicubic_mse", "seconds", "id"]]
    formats: dict[Any, Any] = {"psnr": "{:.2f}", "seconds": "{:.0f}", "fraction": "{:g}"}
    return table.style.hide().format({name: formats[name] for name in formats if name in table}, precision=4)
