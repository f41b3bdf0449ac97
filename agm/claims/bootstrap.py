"""Intervals: how far a number would move with other test images and, where there are several, other seeds."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy import stats

Array = np.ndarray
Statistic = Callable[[Array], Array]
"""Means of K quantities, (K, ...) -> (...)."""

Interval = tuple[float, float]

RESAMPLES = 4999
BATCH = 250
"""Resamples computed at a time: bounds the memory."""


def interval(values: Array, statistic: Statistic, confidence: float = 0.95) -> Interval | None:
    """Percentile bootstrap of a statistic of means: (K quantities, S seeds, N images) -> low and high end.

    Paired: a resample takes the same seeds and the same images for all quantities. Seeds and images are drawn
    independently of each other, since all seeds are tested on the same images. An axis of length one is not drawn
    from; None if both are. Deterministic. Ends are not finite where the statistic is not.
    """
    _, seeds, images = values.shape
    drawn = [np.arange(size) for size in (seeds, images) if size > 1]
    if not drawn:
        return None

    def resampled(*indices: Array, axis: int = -1) -> Array:
        given = [_shares(drawn_indices) for drawn_indices in indices]
        of_seeds = given[0] if seeds > 1 else np.ones((len(given[0]), 1))
        of_images = given[-1] if images > 1 else np.ones((len(given[0]), 1))
        by_seed = values @ of_images.T  # (K, S, resamples)
        return statistic((by_seed * of_seeds.T).sum(axis=1))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # where all are equal, so are the ends
        found = stats.bootstrap(
            drawn,
            resampled,
            n_resamples=RESAMPLES,
            batch=BATCH,
            vectorized=True,
            axis=-1,
            confidence_level=widened(confidence, seeds if seeds > 1 else images),
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
    return float(found.low), float(found.high)


def widened(confidence: float, n: int) -> float:
    """The confidence to ask for instead, since plain percentiles of so few values are too close to each other.

    The expanded percentile interval of Hesterberg (2015, The American Statistician 69:371): as much wider as Student's
    t interval is. With a handful of values it takes in all resamples.
    """
    t = stats.t.ppf((1 + confidence) / 2, n - 1) * np.sqrt(n / (n - 1))
    return min(1 - 2 * float(stats.norm.sf(t)), 1 - 1e-9)


def _shares(indices: Array) -> Array:
    """Drawn indices, (resamples, n) -> how large a part of each draw every index is: (resamples, n)."""
    resamples, size = indices.shape
    places = indices + size * np.arange(resamples)[:, None]
    shares: Array = np.bincount(places.ravel(), minlength=resamples * size).reshape(resamples, size) / size
    return shares


def ratio(means: Array) -> Array:
    """The first over the second."""
    return np.asarray(means[0] / means[1])


def ratio_of_ratios(means: Array) -> Array:
    """The first over the second, over the third over the fourth."""
    return np.asarray(means[0] / means[1] / (means[2] / means[3]))


def halves(means: Array) -> Array:
    """Geometric mean of the first half over that of the second."""
    first, second = np.split(np.log(means), 2)
    return np.asarray(np.exp(first.mean(axis=0) - second.mean(axis=0)))


def tau(means: Array) -> Array:
    """Kendall's tau-b between the first half and the second; NaN where all of one half are equal."""
    first, second = np.split(means, 2)
    upper = np.triu_indices(len(first), 1)
    x, y = (np.sign(half[upper[0]] - half[upper[1]]) for half in (first, second))
    with np.errstate(invalid="ignore"):
        return np.asarray((x * y).sum(axis=0) / np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0)))
