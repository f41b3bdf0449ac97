"""The effect of changing a choice that the paper leaves open, beside the spread of our own choice over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from agm.config import Statistics
from agm.runs import Run
from study import aggregate
from study.aggregate import Numbers, by, field
from study.figures import style
from study.profiles import Profile

CHOICES = {
    "adversarial_weight": "no critic",
    "lipschitz": "gradient penalty",
    "signs": "signs as printed",
    "critic_output": "sigmoid critic",
    "upsampling": "bilinear C.2",
    "peephole": "peepholes",
    "forget_bias": "forget gate at 0",
    "feedback": "bicubic first frame",
    "fraction": "quarter of the images",
    "epochs": "the same, equal steps",
}
"""The field in which a run differs from our own choice, and its name. Where `epochs` differs, `fraction` does too."""

COVERAGE = 0.95


def choice_of(run: Run, profile: Profile) -> str:
    """The last of CHOICES in which a run differs from the profile; empty where it does not."""
    ours = profile.run("cars")
    return next((name for name in reversed(CHOICES) if field(run.config, name) != field(ours, name)), "")


def chance(errors: Sequence[float], seeds: int = 1) -> float:
    """The factor by which so many more seeds may differ from the geometric mean of these, 95 times in 100.

    A prediction interval of Student's t on logarithms, for the mean of `seeds`: exp(t s sqrt(1/seeds + 1/n)).
    """
    logs = np.log(np.asarray(errors, dtype=float))
    spread = float(logs.std(ddof=1)) * math.sqrt(1 / seeds + 1 / len(logs))
    return math.exp(float(stats.t.ppf((1 + COVERAGE) / 2, len(logs) - 1)) * spread)


def measured(runs: Sequence[Run], profile: Profile) -> pd.DataFrame:
    """A row per model, choice and reading: `ratio` of its test MSE to our geometric mean, `chance`, `seeds`, `beyond`.

    `beyond`: whether the ratio lies outside what as many more seeds of ours give.
    """
    rows = []
    for layers, group in sorted(by(runs, "layers").items()):
        for reading, kind in zip(("precise", "shared"), aggregate.both(runs), strict=True):
            rows += [{"model": layers, "reading": reading, **row} for row in _of_model(group, kind, profile)]
    return pd.DataFrame(rows)


def _of_model(group: Sequence[Run], kind: Statistics, profile: Profile) -> list[dict[str, object]]:
    errors: dict[str, list[float]] = {}
    for run in group:
        errors.setdefault(choice_of(run, profile), []).append(float(run.test("mse", kind).mean()))
    own = errors.pop("")
    mean, one_more = float(stats.gmean(own)), chance(own)
    found = []
    for name in filter(errors.__contains__, CHOICES):
        ratio = float(stats.gmean(errors[name])) / mean
        seeds, factor = len(errors[name]), chance(own, len(errors[name]))
        row = {"choice": name, "ratio": ratio, "chance": factor, "seeds": seeds, "ours": mean, "one more": one_more}
        found.append(row | {"beyond": abs(math.log(ratio)) > math.log(factor)})
    return found


def numbers(runs: Sequence[Run], profile: Profile) -> Numbers:
    """`measured` in words. `signs_precise`: the ratio of each model with its 95 % interval; `signs_precise_nnnr`: of
    one; `precise_band`: what seeds alone give; `precise_beyond`: the choices that do more than chance;
    `precise_reading`: the kind it is.
    """
    rows = measured(runs, profile)
    found: Numbers = {"precise_reading": aggregate.STATISTICS_NAMES[aggregate.both(runs)[0]], "comparisons": len(rows)}
    for reading, some in rows.groupby("reading"):
        beyond = some[some["beyond"]]
        found[f"{reading}_beyond"] = ", ".join(beyond["choice"].map(CHOICES) + " (" + beyond["model"] + ")") or "none"
        seeds = some.drop_duplicates("model")
        found[f"{reading}_band"] = _listed(seeds["model"], [_range(1.0, factor) for factor in seeds["one more"]])
        for name, same in some.groupby("choice"):
            effects = [
                f"{ratio:.2f} [{_range(ratio, factor, ', ')}]"
                for ratio, factor in zip(same["ratio"], same["chance"], strict=True)
            ]
            found[f"{name}_{reading}"] = _listed(same["model"], effects)
            found |= {f"{name}_{reading}_{m}": effect for m, effect in zip(same["model"], effects, strict=True)}
    return found


def _range(ratio: float, factor: float, between: str = " to ") -> str:
    return f"{ratio / factor:.2f}{between}{ratio * factor:.2f}"


def _listed(models: Iterable[str], texts: Iterable[str]) -> str:
    return ", ".join(f"{text} ({model})" for model, text in zip(models, texts, strict=True))


def table(runs: Sequence[Run], profile: Profile) -> pd.DataFrame:
    """A row per model and choice: whether it matters beyond chance, the ratio and what chance gives, per reading."""
    rows = measured(runs, profile)
    rows["choice"] = rows["choice"].map(CHOICES)
    rows["more than chance"] = rows["beyond"].map({True: "yes", False: "no"})
    rows["chance"] = [_range(1.0, factor) for factor in rows["chance"]]
    columns = ["more than chance", "ratio", "chance"]
    wide = rows.pivot(index=["model", "choice"], columns="reading", values=columns).swaplevel(axis=1)
    order = pd.MultiIndex.from_product([["precise", "shared"], columns])
    return wide.reindex(columns=order).reindex(pd.MultiIndex.from_frame(rows[["model", "choice"]].drop_duplicates()))


def draw(runs: Sequence[Run], profile: Profile) -> Figure:
    """A panel per model: the ratio of each choice under both readings, and its interval (`chance`)."""
    rows = measured(runs, profile)
    models = list(dict.fromkeys(rows["model"]))
    names = [name for name in CHOICES if name in set(rows["choice"])][::-1]
    with style.context():
        fig = style.figure(1.9 + 0.36 * len(names))
        axes = fig.subplots(1, len(models), sharex=True, sharey=True, squeeze=False)
        for ax, letter, layers in zip(axes.flat, "abcd", models, strict=False):
            _panel(ax, rows[rows["model"] == layers], names)
            style.title(ax, letter, layers)
            ax.set_xlabel("test MSE, ratio")
        style.legend(fig, axes[0, 0], 2)
        style.stamp(fig, runs, profile)
    return fig


def _panel(ax: Axes, rows: pd.DataFrame, names: Sequence[str]) -> None:
    looks = {"precise": (style.BLUE, "o", 0.12), "shared": (style.VERMILLION, "X", -0.12)}
    for reading, (colour, marker, shift) in looks.items():
        some = rows[rows["reading"] == reading]
        places = [names.index(name) + shift for name in some["choice"]]
        ax.hlines(places, some["ratio"] / some["chance"], some["ratio"] * some["chance"], color=colour, linewidth=1.2)
        ax.plot(some["ratio"], places, color=colour, marker=marker, linestyle="none", label=reading)
    ax.axvline(1.0, color=style.FAINT, linewidth=1.0)
    ax.set_xscale("log")
    ax.set_xticks([0.25, 0.5, 1, 2], ["0.25", "0.5", "1", "2"])
    ax.minorticks_off()
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.set_yticks(range(len(names)), [CHOICES[name] for name in names])
