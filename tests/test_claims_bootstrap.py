"""Intervals against normal theory, plain loops and hand computation; statistics against scipy's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from agm.claims import bootstrap
from agm.claims.bootstrap import interval, ratio


def mean(means: np.ndarray) -> np.ndarray:
    return np.asarray(means[0])


def test_the_interval_of_a_mean_is_that_of_normal_theory() -> None:
    values = np.random.default_rng(1).normal(3, 2, size=(1, 1, 900))
    error = values.std() / 30
    found = interval(values, mean)
    assert found == pytest.approx(values.mean() + np.array([-1.96, 1.96]) * error, abs=0.15 * error)
    wider = interval(values, mean, 0.99)
    assert wider == pytest.approx(values.mean() + np.array([-2.576, 2.576]) * error, abs=0.3 * error)
    assert found == interval(values, mean)


def test_the_interval_of_a_ratio_of_paired_means_is_that_of_the_delta_method() -> None:
    rng = np.random.default_rng(2)
    second = rng.uniform(1, 2, size=900)
    first = 0.8 * second + rng.normal(0, 0.1, size=900)
    value = first.mean() / second.mean()
    error = (first - value * second).std() / 30 / second.mean()
    found = interval(np.stack([first, second])[:, None], ratio)
    assert found == pytest.approx(value + np.array([-1.96, 1.96]) * error, abs=0.15 * error)
    unpaired = np.hypot(first.std() / first.mean(), second.std() / second.mean()) / 30 * value
    assert error < 0.5 * unpaired  # so the pairing is what the test sees


def test_what_is_common_to_both_cancels() -> None:
    values = np.random.default_rng(3).uniform(1, 9, size=(1, 4, 50))
    assert interval(np.concatenate([2 * values, values]), ratio) == pytest.approx((2, 2))


def test_seeds_and_images_are_both_drawn() -> None:
    """Against two loops that draw rows and columns; the widening for few seeds is taken account of."""
    rng = np.random.default_rng(4)
    values = rng.normal(0, 1, size=(1, 8, 1)) + rng.normal(0, 2, size=(1, 1, 40)) + 10
    drawn = []
    for _ in range(4000):
        rows, columns = rng.integers(0, 8, 8), rng.integers(0, 40, 40)
        drawn.append(values[0][rows][:, columns].mean())
    tail = (1 - bootstrap.widened(0.95, 8)) / 2
    assert interval(values, mean) == pytest.approx(np.quantile(drawn, [tail, 1 - tail]), abs=0.15)
    one_seed = interval(values[:, :1], mean)
    assert one_seed is not None
    assert one_seed[1] - one_seed[0] < 0.8 * np.ptp(interval(values, mean))  # type: ignore[arg-type]


def test_a_handful_of_seeds_by_hand() -> None:
    """Of the 27 equally likely draws of three, one is all the smallest and one all the largest."""
    values = np.array([1.0, 2.0, 6.0]).reshape(1, 3, 1)
    draws = sorted(np.mean(draw) for draw in itertools.product([1, 2, 6], repeat=3))
    assert interval(values, mean) == pytest.approx((draws[0], draws[-1])) == (1, 6)


def test_one_number_has_no_interval() -> None:
    assert interval(np.ones((2, 1, 1)), ratio) is None


def test_widening_by_hand() -> None:
    assert bootstrap.widened(0.95, 100_000) == pytest.approx(0.95, abs=1e-4)
    expected = 1 - 2 * stats.norm.sf(2.776 * np.sqrt(5 / 4))  # Student's t for four degrees of freedom, from a table
    assert bootstrap.widened(0.95, 5) == pytest.approx(expected, abs=1e-5)


def test_few_seeds_are_rarely_wrong() -> None:
    """Six draws around zero: their interval leaves zero out about once in twenty times, not more than in ten."""
    rng = np.random.default_rng(5)
    missed = 0
    for _ in range(200):
        low, high = interval(rng.normal(size=(1, 6, 1)), mean) or (0, 0)
        missed += not low < 0 < high
    assert missed <= 20


def test_statistics_by_hand() -> None:
    means = np.array([6.0, 2.0, 3.0, 4.0])
    assert bootstrap.ratio(means) == 3
    assert bootstrap.ratio_of_ratios(means) == 4
    assert bootstrap.halves(means) == pytest.approx(1)  # sqrt(6 * 2) / sqrt(3 * 4)


@pytest.mark.parametrize("seed", range(5))
def test_tau_is_scipys_ties_included(seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 4, size=(10, 7)).astype(float)
    expected = [stats.kendalltau(column[:5], column[5:]).statistic for column in values.T]
    assert bootstrap.tau(values) == pytest.approx(expected, nan_ok=True)
