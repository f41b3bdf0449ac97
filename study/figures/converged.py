"""All 16 ORL configurations on the lighter base, trained to the end, without AEL and with it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats

from agm.config import GeneratorConfig
from agm.networks.complexity import macs_per_iteration, parameters
from agm.networks.generator import Generator
from agm.runs import Run
from agm.schedule import Schedule
from study import aggregate
from study.aggregate import Numbers, by
from study.claims.evidence import SEVERAL
from study.figures import style
from study.profiles import Profile

WITHOUT, WITH = "NOAEL", "AEL"
LOOKS: dict[str, dict[str, Any]] = {
    WITHOUT: {"color": style.BLUE, "marker": "o", "markerfacecolor": "white"},
    WITH: {"color": style.VERMILLION, "marker": "X"},
}
LEVEL = 0.05
"""Differences that chance gives more rarely than this count."""


def split(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs without AEL, and those with it."""
    groups: dict[str, list[Run]] = {WITHOUT: [], WITH: []}
    for run in runs:
        everything = all(all(mask) for mask in Schedule.parse(run.config.training.schedule).masks)
        groups[WITHOUT if everything else WITH].append(run)
    return groups


def last_psnr(runs: Sequence[Run]) -> dict[str, list[float]]:
    """Model -> the PSNR of the last picture in dB, for each seed."""
    return {layers: [float(run.test("psnr")[-1]) for run in same] for layers, same in by(runs, "layers").items()}


def ranked(values: dict[str, list[float]]) -> list[str]:
    """The models by their mean over the seeds, the best first."""
    return sorted(values, key=lambda layers: -float(np.mean(values[layers])))


def seed_spread(values: dict[str, list[float]]) -> tuple[float, int]:
    """Standard deviation over the seeds of a model, pooled over the models, and its degrees of freedom."""
    freedom = sum(map(len, values.values())) - len(values)
    squares = sum(float(np.var(each)) * len(each) for each in values.values())
    return (math.sqrt(squares / freedom) if freedom else math.nan), freedom


def as_good_as_best(values: dict[str, list[float]]) -> list[str]:
    """The best model and those that cannot be told from it, best first: the Tukey-Kramer test.

    It takes models of one seed along with those of several.
    """
    first, *others = ranked(values)
    best, (spread, freedom) = values[first], seed_spread(values)
    found = [first]
    for name in others:
        error = spread * math.sqrt((1 / len(best) + 1 / len(values[name])) / 2)
        apart = float(np.mean(best) - np.mean(values[name])) / error
        if not stats.studentized_range.sf(apart, len(values), freedom) <= LEVEL:  # NaN where no model has two seeds
            found.append(name)
    return found


def seconds(run: Run, schedule: str = "") -> list[float]:
    """Seconds until each picture, under all layers by default; a run timed its schedules in turns, after training."""
    return list(run.summary["seconds_by_schedule"][schedule or f"xxxx ({run.config.generator.iterations})"])


def first_shares(runs: Sequence[Run]) -> list[float]:
    """For each run with AEL, the time of its first picture over that with all layers."""
    return [seconds(run, run.config.training.schedule)[0] / seconds(run)[0] for run in split(runs)[WITH]]


def numbers(runs: Sequence[Run], rates: Sequence[Run], short: Sequence[Run]) -> Numbers:
    """The numbers of the chapter. PSNR is that of the last picture, in dB, averaged over seeds.

    `rates`: runs with other learning rates. `short`: runs of the paper's base, trained for minutes, whose learning
    curves are compared.
    """
    groups = split(runs)
    values = last_psnr(groups[WITHOUT])
    found: Numbers = {
        "bicubic_psnr": aggregate.bicubic(runs, "psnr"),
        "repeated": sum(len(each) > 1 for each in values.values()),
    }
    late = late_gains(groups[WITHOUT])
    found |= {"late_gain": float(np.mean(late)), "late_gain_most": max(late)}
    found |= _rates(by_rate(runs, rates))
    found["short_late_gain"] = float(np.mean(late_gains(short)))
    found |= _differences(values, found["rrrr_any_rate"]) | _recurrent(values) | _pictures(groups[WITHOUT])
    return found | _with_ael(groups, first_shares(runs), found["gain"])


def receptive_field(config: GeneratorConfig, pictures: int) -> int:
    """Side in pixels of the part of the input that a pixel of the last of so many pictures depends on."""
    network, side = Generator(config), 128
    for weights in network.parameters():
        torch.nn.init.uniform_(weights, 0.01, 0.02)  # D starts at zero, and would hide what is behind it
    x = torch.rand(1, 3, side, side, requires_grad=True)
    network(x, f"xxxx ({pictures})")[-1, 0, :, side, side].sum().backward()
    assert x.grad is not None
    return int((x.grad.abs().sum(dim=(0, 1, 2)) > 0).sum())


def _pictures(runs: Sequence[Run]) -> Numbers:
    """Each picture's mean gain over the one before it, in dB; the receptive field of the first, and inputs in training.

    `field`: the smallest of any model, in pixels; `side`: of the inputs it is trained on.
    """
    gains = np.mean([np.diff(run.test("psnr")) for run in runs], axis=0)
    found: Numbers = {f"gain_{number}": float(gain) for number, gain in enumerate(gains, 2)}
    found["gain"] = float(gains.sum())
    fields = [receptive_field(GeneratorConfig(layers, 2, base="light"), 1) for layers in by(runs, "layers")]
    return found | {"field": min(fields), "side": runs[0].config.data.image_size // 2}


def _differences(values: dict[str, list[float]], own_rate: float) -> Numbers:
    """The best and the worst model, the models that cannot be told from the best, and two tests over all of them.

    `told_apart`: the smallest difference in dB at which Tukey's test tells two models apart. `differ`: "Yes" if both
    tests say so, of values (F) and of ranks (Kruskal and Wallis).
    `own_rate`: PSNR of rrrr with its own best learning rate, which whatever is called better has to beat.
    """
    means = {layers: float(np.mean(each)) for layers, each in values.items()}
    order, best = ranked(values), as_good_as_best(values)
    found: Numbers = {"best": order[0], "worst": order[-1], "models": len(order)}
    found |= {f"{layers}_psnr": mean for layers, mean in means.items()}
    found |= {"best_psnr": means[order[0]], "worst_psnr": means[order[-1]]}
    (found["spread"], freedom), seeds = seed_spread(values), min(map(len, values.values()))
    apart = stats.studentized_range.isf(LEVEL, len(values), freedom) if seeds > 1 else math.nan
    found["told_apart"] = float(apart * found["spread"] / math.sqrt(seeds))
    found |= {"p": float(stats.f_oneway(*values.values()).pvalue), "as_good": _in_words(best, order)}
    found["rank_p"] = float(stats.kruskal(*values.values()).pvalue)
    several = sum(found[name] <= LEVEL for name in ("p", "rank_p"))
    found |= {"rrrr_rank": order.index("rrrr") + 1, "differ": ("That is not shown", "Hardly", "Yes")[several]}
    fair = values if means["rrrr"] > own_rate else values | {"rrrr": [own_rate]}
    found["orl"] = "supported" if "rrrr" not in as_good_as_best(fair) else "inconclusive"
    found["nnnr_best"] = "contradicted" if "nnnr" not in best else "supported" if best == ["nnnr"] else "inconclusive"
    return found


def _in_words(best: Sequence[str], order: Sequence[str]) -> str:
    """The best models, or if they are more than half of all, the others."""
    others = [layers for layers in order if layers not in best]
    if len(best) <= len(order) / 2:
        return ", ".join(best)
    return f"all but {', '.join(others)}" if others else "all"


def _recurrent(values: dict[str, list[float]]) -> Numbers:
    """Mean PSNR by the number of recurrent layers, and the rank correlation of the two."""
    count = {layers: layers.count("r") for layers in values}
    means = pd.Series({layers: np.mean(each) for layers, each in values.items()})
    found: Numbers = {f"{n}r_psnr": float(means[[m for m in count if count[m] == n]].mean()) for n in range(5)}
    test = stats.spearmanr([count[layers] for layers in means.index], means)
    return found | {"recurrent_rho": float(test.statistic), "recurrent_p": float(test.pvalue)}


def late_gains(runs: Sequence[Run]) -> list[float]:
    """Each run gained so many dB in the last fifth of its epochs: validation PSNR, in the reading that counts."""
    kind, _ = aggregate.both(runs, curves=True)
    curves = [run.curve("psnr", kind) for run in runs]
    return [float(curve.iloc[-1] - curve.iloc[round(0.8 * len(curve)) - 1]) for curve in curves]


def priced(groups: dict[str, list[Run]], measure: Callable[[Run], float]) -> pd.DataFrame:
    """A measure without AEL and with it: a row per model that was trained both ways, the mean over the same seeds."""
    columns: dict[str, dict[tuple[str, int], float]] = {}
    for name, runs in groups.items():
        columns[name] = {(run.config.generator.layers, run.config.seed): measure(run) for run in runs}
    return pd.DataFrame(columns).dropna().groupby(level=0).mean()


def equal_times(groups: dict[str, list[Run]]) -> np.ndarray:
    """How far AEL is ahead whenever NOAEL finishes a picture, in dB: (T,), the mean over the models.

    The last picture of a network with AEL by then, less that of the same network and seed without AEL.
    """
    without = {(run.config.generator.layers, run.config.seed): run for run in groups[WITHOUT]}
    ahead = []
    for run in groups[WITH]:
        if (other := without.get((run.config.generator.layers, run.config.seed))) is None:
            continue
        done = np.searchsorted(seconds(run, run.config.training.schedule), seconds(run), side="right")
        psnr = np.concatenate([[np.nan], run.test("psnr")])
        ahead.append(psnr[done] - other.test("psnr"))
    return np.mean(ahead, axis=0) if ahead else np.full(groups[WITHOUT][0].config.generator.iterations, np.nan)


def seed_tau(runs: Sequence[Run]) -> float:
    """Kendall's tau between the orders of two seeds, the mean over all pairs; NaN with fewer than two."""
    orders = [
        {run.config.generator.layers: float(run.test("psnr")[-1]) for run in same} for same in by(runs, "seed").values()
    ]
    taus = []
    for first, second in itertools.combinations(orders, 2):
        models = sorted(set(first) & set(second))
        taus.append(stats.kendalltau([first[m] for m in models], [second[m] for m in models]).statistic)
    return float(np.mean(taus)) if taus else math.nan


def _with_ael(groups: dict[str, list[Run]], shares: list[float], gain: float) -> Numbers:
    """AEL's price and gain, and how the orders agree, over the models that were trained both ways.

    `gain`: what all later pictures bring over the first without AEL, in dB. `price_of_all`: the price against the mean
    of all seeds without AEL, not of those alone that were trained both ways. AEL *works* if the first picture is sooner
    and the last loses less than half of that.
    """
    both = priced(groups, lambda run: float(run.test("psnr")[-1]))
    tau, price = stats.kendalltau(both[WITHOUT], both[WITH]), both[WITHOUT] - both[WITH]
    low, high = stats.ttest_1samp(price, 0).confidence_interval()
    found: Numbers = {"tau": float(tau.statistic), "tau_p": float(tau.pvalue), "ael_models": len(both)}
    found["pairs"] = math.comb(len(both), 2)
    found["swapped"] = round((1 - np.nan_to_num(tau.statistic)) / 2 * found["pairs"])
    every = {layers: float(np.mean(each)) for layers, each in last_psnr(groups[WITHOUT]).items()}
    found["price_of_all"] = float((pd.Series(every)[both.index] - both[WITH]).mean())
    found["seed_tau"] = seed_tau(groups[WITHOUT])
    found |= {"price": float(price.mean()), "price_low": float(low), "price_high": float(high)}
    found |= {f"ahead_{number}": float(ahead) for number, ahead in enumerate(equal_times(groups), 1)}
    for name, share in (("early", 0.2), ("late", 1.0)):
        validated = priced(groups, partial(_validated_last, share=share))
        then = validated[WITHOUT] - validated[WITH]
        ends = stats.ttest_1samp(then, 0).confidence_interval()
        found |= {f"{name}_price": float(then.mean()), f"{name}_low": float(ends.low), f"{name}_high": float(ends.high)}
    found |= {"ael_runs": len(shares), "first_share": float(np.median(shares))}
    related = "inconclusive" if tau.pvalue > LEVEL else "supported" if tau.statistic > 0 else "contradicted"
    slowest = max(shares)
    fails = low > gain / 2 or slowest > 1
    ael = "supported" if high < gain / 2 and slowest < 1 else "contradicted" if fails else "inconclusive"
    found |= {"orders_related": related, "ael": ael, "ael_sooner": "supported" if slowest < 1 else "contradicted"}
    few = len(both) < SEVERAL
    return found | (dict.fromkeys(("ael", "ael_sooner", "orders_related"), "untested") if few else {})


def _validated_last(run: Run, share: float) -> float:
    """Validation PSNR of the last picture after a share of the epochs."""
    rows = run.metrics[run.metrics.iteration == run.config.generator.iterations]
    curve = rows[rows.statistics == run.config.generator.statistics].psnr
    return float(curve.iloc[round(share * len(curve)) - 1])


def table(runs: Sequence[Run]) -> pd.DataFrame:
    """A row per model, the best first: PSNR of the last picture, what it costs, and the same with AEL.

    Operations are multiply-adds of one iteration per pixel of the input, in thousands. Milliseconds are those of all
    pictures of a batch, the fewest that any run of the model took.
    """
    groups = split(runs)
    values, with_ael = last_psnr(groups[WITHOUT]), last_psnr(groups[WITH])
    best, rows = as_good_as_best(values), {}
    for layers, group in by(groups[WITHOUT], "layers").items():
        config, mean = group[0].config.generator, float(np.mean(values[layers]))
        rows[layers] = {
            "PSNR": mean,
            "not told from the best": "yes" if layers in best else "no",
            "seeds' lowest PSNR": min(values[layers]),
            "seeds' highest PSNR": max(values[layers]),
            "PSNR with AEL": float(np.mean(with_ael.get(layers, [np.nan]))),
            "parameters": parameters(config),
            "operations": macs_per_iteration(config, 64) / 32**2 / 1000,
            "milliseconds": 1000 * min(seconds(run)[-1] for run in by(runs, "layers")[layers]),
        }
    return pd.DataFrame.from_dict(rows, orient="index").sort_values("PSNR", ascending=False)


def by_rate(runs: Sequence[Run], rates: Sequence[Run]) -> pd.DataFrame:
    """PSNR of the last picture, in dB, with seed 0, on test and on validation photographs, which choose a rate.

    A row per learning rate, two columns per model of `rates`.
    """
    models = by(rates, "layers")
    own = [run for run in split(runs)[WITHOUT] if run.config.seed == 0 and run.config.generator.layers in models]
    rows: dict[float, dict[str, float]] = {}
    for rate, same in by([*own, *rates], "learning_rate").items():
        rows[rate] = {run.config.generator.layers: float(run.test("psnr")[-1]) for run in same}
        rows[rate] |= {_validated(run.config.generator.layers): float(run.curve("psnr").iloc[-1]) for run in same}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="learning rate")
    return table[[*models, *map(_validated, models)]].sort_index()


def _validated(layers: str) -> str:
    return f"{layers}, validation"


def _rates(table: pd.DataFrame) -> Numbers:
    """The rate that is best for both models together, and each model's PSNR with its own best rate.

    Gaps are rrrr less nnnn in dB: with half of that rate and twice of it for both, and with the best rate of each.
    """
    models = ("nnnn", "rrrr")
    chosen = table[[*map(_validated, models)]]
    best = {layers: float(table[layers].to_numpy()[chosen[_validated(layers)].argmax()]) for layers in models}
    gap = table["rrrr"] - table["nnnn"]
    rate = float(table.index.to_numpy()[chosen.mean(axis=1).argmax()])
    found: Numbers = {"rates": len(table), "best_rate": rate}
    found |= {f"{layers}_any_rate": psnr for layers, psnr in best.items()}
    found |= {"half_rate_gap": float(gap.get(rate / 2, math.nan)), "twice_rate_gap": float(gap.get(2 * rate, math.nan))}
    return found | {"any_rate_gap": best["rrrr"] - best["nnnn"]}


def draw(runs: Sequence[Run], profile: Profile) -> Figure:
    """Left: each run's last picture, a row per model. Right: learning curves by the number of recurrent layers."""
    groups = split(runs)
    with style.context():
        fig = style.figure(5.6)
        left, right = fig.subplots(1, 2, width_ratios=(1.0, 1.0))
        _models(left, groups)
        style.title(left, "a", "last picture")
        _curves(right, groups[WITHOUT])
        style.title(right, "b", "learning curves")
        left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2)
        right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2)
        style.stamp(fig, runs, profile)
    return fig


def _models(ax: Axes, groups: dict[str, list[Run]]) -> None:
    order = ranked(last_psnr(groups[WITHOUT]))[::-1]
    for name, look in LOOKS.items():
        points = [(value, order.index(layers)) for layers, each in last_psnr(groups[name]).items() for value in each]
        ax.plot(*zip(*points, strict=True), linestyle="none", label=name, **look)
    ax.set_yticks(range(len(order)), order, **style.MONOSPACE)
    ax.set_xlabel("test PSNR, dB")


def _curves(ax: Axes, runs: Sequence[Run]) -> None:
    colours = (style.GREEN, style.BLUE, style.ORANGE, style.VERMILLION, style.BLACK)
    for count, (colour, marker) in enumerate(zip(colours, "D^svo", strict=True)):
        curves = [run.curve("psnr") for run in runs if run.config.generator.layers.count("r") == count]
        mean = pd.concat(curves, axis=1).mean(axis=1)
        ax.plot(mean.index, mean, color=colour, marker=marker, markersize=4, label=f"{count} r")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("epoch")
    ax.set_ylabel("validation PSNR, dB")
