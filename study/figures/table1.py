"""Table I: the best models by their number of recurrent layers, parameters and test MSE."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.polynomial import Polynomial
from scipy.stats import f_oneway

from agm.config import GeneratorConfig, Statistics
from agm.networks.complexity import fewer, parameters
from agm.runs import Run
from study import aggregate
from study.aggregate import Numbers, bicubic, by, score
from study.paper import COLOURS, PAPER_TABLE_1


def numbers(runs: Sequence[Run]) -> Numbers:
    """Numbers quoted in the book: counts, then errors under both readings."""
    found: Numbers = {"bicubic_mse": bicubic(runs)}
    for layers in by(runs, "layers"):
        found[f"{layers}_parameters"], found[f"{layers}_fewer"] = parameters(GeneratorConfig(layers)), fewer(layers)
    found["chance_rrrr_worst"] = chance_of_worst(4, 6, 4)  # models with one, two and three r
    found["batch_differ_p"] = of_reading(runs, "batch")["differ_p"]
    return found | aggregate.twice(runs, of_reading)


def of_reading(runs: Sequence[Run], statistics: Statistics) -> Numbers:
    """Test MSE of each model, mean over the iterations; their order, and how many beat bicubic upsampling.

    `nnnr_first_mse`, `nnnr_last_mse`: of its first and its last image; `last_beat_bicubic`: how many last images do.
    `nnnr_over_printed`: a model's over the paper's; `nnnr_summed_over_printed`: if that is a sum over the colours.
    `differ_p`: p-value of an analysis of variance over the seeds that the models do not differ.
    """
    scores = aggregate.scores(runs, statistics)
    found: Numbers = {f"{layers}_mse": mse for layers, mse in scores.items()}
    ratios = {m: scores[m] / mse for m, (_, mse) in PAPER_TABLE_1.items() if m in scores}
    found |= {f"{layers}_over_printed": ratio for layers, ratio in ratios.items()}
    found |= {f"{layers}_summed_over_printed": COLOURS * ratio for layers, ratio in ratios.items()}
    found["order"] = ", ".join(sorted(scores, key=lambda layers: scores[layers]))
    last = {layers: aggregate.of_last_image(same, statistics) for layers, same in by(runs, "layers").items()}
    found |= {f"{layers}_last_mse": mse for layers, mse in last.items()}
    found |= {f"{m}_first_mse": aggregate.of_image(same, statistics, 0) for m, same in by(runs, "layers").items()}
    found["beat_bicubic"] = sum(mse < bicubic(runs) for mse in scores.values())
    found["last_beat_bicubic"] = sum(mse < bicubic(runs) for mse in last.values())
    logs = [np.log(errors) for errors in _of_seeds(runs, statistics).values()]
    several = min(map(len, logs)) > 1 and np.isfinite(np.concatenate(logs)).all()
    found["differ_p"] = float(f_oneway(*logs).pvalue) if several and len(logs) > 1 else math.nan
    return found


def _of_seeds(runs: Sequence[Run], statistics: Statistics) -> dict[str, list[float]]:
    """The test MSE of each seed by model."""
    return {m: [score([run], "mse", statistics) for run in group] for m, group in by(runs, "layers").items()}


def chance_of_worst(*counts: int) -> float:
    """The probability that a model is worse than the best of each of several groups, if all models are equally good.

    `counts`: how many models each group has. It is the integral of the product of 1 - v^k over [0, 1].
    """
    product = math.prod((1 - Polynomial.basis(count) for count in counts), start=Polynomial([1.0]))
    return float(product.integ()(1))


def table(runs: Sequence[Run]) -> pd.DataFrame:
    """MSE of these runs and of the paper, parameters, then what else there is of these runs; bicubic.

    *Summed*: the MSE by the paper's formula read literally, which sums over the colours.
    """
    models = [*by(runs, "layers"), "bicubic"]
    printed = pd.DataFrame(PAPER_TABLE_1, index=["parameters (paper)", "MSE (paper)"]).T
    precise, shared = aggregate.both(runs)
    found = pd.DataFrame({f"MSE, {precise}": _scores(runs, "mse", precise)}, index=models)
    found["MSE (paper)"] = printed["MSE (paper)"]
    counted = {layers: parameters(GeneratorConfig(layers)) for layers in models[:-1]}
    found["parameters"] = pd.Series(counted, dtype=float)
    found["parameters (paper)"] = printed["parameters (paper)"]
    found[f"MSE, {shared}"] = pd.Series(_scores(runs, "mse", shared))
    found[f"MSE, summed, {precise}"] = COLOURS * found[f"MSE, {precise}"]
    for metric in ("psnr", "ssim"):
        found[f"{metric.upper()}, {precise}"] = pd.Series(_scores(runs, metric, precise))
    return found


def seeds(runs: Sequence[Run]) -> pd.DataFrame:
    """A row per kind of statistics: each model's lowest and highest test MSE over its seeds, and the p-value."""
    rows = {}
    for kind in aggregate.readings(runs):
        row = {m: f"{np.min(errors):.4f} to {np.max(errors):.4f}" for m, errors in _of_seeds(runs, kind).items()}
        rows[kind] = row | {"p": f"{of_reading(runs, kind)['differ_p']:.2g}"}
    return pd.DataFrame.from_dict(rows, orient="index")


def _scores(group: Sequence[Run], metric: str, statistics: Statistics) -> dict[str, float]:
    return aggregate.scores(group, statistics, metric) | {"bicubic": bicubic(group, metric)}
