"""Table I: the best models by their number of recurrent layers, parameters and test MSE."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.polynomial import Polynomial
from scipy import stats

from agm.config import GeneratorConfig, Statistics
from agm.networks.complexity import fewer, parameters
from agm.runs import Run
from study import aggregate
from study.aggregate import Numbers, bicubic, by, score
from study.claims.comparisons import mean_of
from study.claims.evidence import pooled
from study.claims.verdicts import LEVEL
from study.paper import COLOURS, PAPER_TABLE_1


def numbers(runs: Sequence[Run]) -> Numbers:
    """Numbers quoted in the book: counts, then errors under both readings.

    `critic_positive`: of `critic_epochs`, in how many the critic's mean loss is positive, so that generated images
    score above real ones.
    """
    found: Numbers = {"bicubic_mse": bicubic(runs), "bicubic_psnr": bicubic(runs, "psnr")}
    for layers in by(runs, "layers"):
        found[f"{layers}_parameters"], found[f"{layers}_fewer"] = parameters(GeneratorConfig(layers)), fewer(layers)
    found["chance_rrrr_worst"] = chance_of_worst(4, 6, 4)  # models with one, two and three r
    critic = pd.concat([run.metrics.groupby("epoch").critic_loss.first() for run in runs])
    found |= {"critic_epochs": len(critic), "critic_positive": int((critic > 0).sum())}
    return found | aggregate.twice(runs, of_reading)


def of_reading(runs: Sequence[Run], statistics: Statistics) -> Numbers:
    """Test MSE of each model, mean over the iterations; their order, and how many beat bicubic upsampling.

    `nnnr_first_mse`, `nnnr_last_mse`: of its first and its last image; `last_beat_bicubic`: how many last images do.
    `nnnr_over_printed`: a model's over the paper's; `nnnr_summed_over_printed`: if that is a sum over the colours.
    `differ_p`, `best`, `as_good`, `rrrr_over_others`: see `differences`.
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
    return found | differences(_of_seeds(runs, statistics))


def differences(errors: Mapping[str, Mapping[int, float]]) -> Numbers:
    """Whether models differ by more than seeds do: an analysis of variance of the logarithms, with seeds as blocks.

    `differ_p`: the p-value if they do not differ; NaN without two seeds that all have. `best`: the model with the
    lowest error; `as_good`: the others that Tukey's test cannot tell from it. `rrrr_over_others`: the error of
    rrrr over the geometric mean of the others, with its 95 % interval, `rrrr_over_others_low` and `_high`. `errors`:
    test MSE by model and seed.
    """
    found: Numbers = {"differ_p": math.nan}
    shared = sorted(set.intersection(*(set(of_model) for of_model in errors.values())))
    logs = np.log([[of_model[seed] for seed in shared] for of_model in errors.values()])
    if min(logs.shape) < 2 or not np.isfinite(logs).all():
        return found
    noise = pooled({model: dict(enumerate(row)) for model, row in enumerate(logs)})
    assert noise is not None
    means = logs.mean(axis=1)
    between = len(shared) * float(means.var(ddof=1))
    found["differ_p"] = float(stats.f.sf(between / noise.spread**2, len(logs) - 1, noise.freedom))
    behind = (means - means.min()) / (noise.spread / math.sqrt(len(shared)))
    alike = stats.studentized_range.sf(behind, len(logs), noise.freedom) > LEVEL
    ranked = sorted(zip(means, errors, alike, strict=True))
    found |= {"best": ranked[0][1], "as_good": ", ".join(model for _, model, same in ranked[1:] if same) or "none"}
    if "rrrr" in errors:
        weights = [1.0 if model == "rrrr" else -1 / (len(logs) - 1) for model in errors]
        ratio = mean_of(logs, weights, noise)
        low, high = ratio.interval()
        found |= {"rrrr_over_others": math.exp(ratio.mean)}
        found |= {"rrrr_over_others_low": math.exp(low), "rrrr_over_others_high": math.exp(high)}
    return found


def _of_seeds(runs: Sequence[Run], statistics: Statistics) -> dict[str, dict[int, float]]:
    """The test MSE of each model by seed."""
    return {
        layers: {run.config.seed: score([run], "mse", statistics) for run in group}
        for layers, group in by(runs, "layers").items()
    }


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
        errors = {layers: list(of_model.values()) for layers, of_model in _of_seeds(runs, kind).items()}
        row = {layers: f"{np.min(listed):.4f} to {np.max(listed):.4f}" for layers, listed in errors.items()}
        rows[kind] = row | {"p": f"{of_reading(runs, kind)['differ_p']:.2g}"}
    return pd.DataFrame.from_dict(rows, orient="index")


def _scores(group: Sequence[Run], metric: str, statistics: Statistics) -> dict[str, float]:
    return aggregate.scores(group, statistics, metric) | {"bicubic": bicubic(group, metric)}
