"""How sure a mean is: the percentile bootstrap, by item or by group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2_000
_DRAWS_AT_ONCE = 4_000_000


def mean_interval(
    values: NDArray[np.float64],
    groups: Sequence[str | None] | NDArray[np.generic] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a bootstrap interval for a mean, from 2,000 resamples (Efron 1979, percentile method).

    Items of one group (one author, one session) are not independent; where groups are given, whole groups are
    drawn, which makes the interval as wide as it should be.

    Args:
        values: One value for each item, float [n].
        groups: The group of each item, n of them; None in it is a group of its own. Defaults to None (every
            item is its own group).
        level: How much of the distribution the interval holds, float. Defaults to 0.95.
        seed: Of the resampling, int. Defaults to 0.

    Returns:
        (low, high), float.

    Example:
        >>> low, high = mean_interval(np.array([1.0, 0.0] * 50))
        >>> 0.39 <= low < 0.5 < high <= 0.61
        True
    """
    codes = group_codes(groups, len(values))
    sums = np.bincount(codes, weights=values)
    sizes = np.bincount(codes)
    count = len(sums)
    rng = np.random.default_rng(seed)
    rows = max(1, _DRAWS_AT_ONCE // count)
    means = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, rows):
        drawn = rng.integers(count, size=(min(rows, RESAMPLES - start), count))
        means[start : start + len(drawn)] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return percentiles(means, level)


def draws(
    count: int,
    groups: Sequence[str | None] | NDArray[np.generic] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return how often each item is in each bootstrap sample: for figures that are not means.

    Args:
        count: Number of items, int.
        groups: As for `mean_interval`. Defaults to None.
        resamples: How many samples, int; fewer where the table would be too large. Defaults to 2,000.
        seed: As for `mean_interval`. Defaults to 0.

    Returns:
        float64 [resamples, count], whole numbers.

    Example:
        >>> draws(3, resamples=2).sum(1)
        array([3., 3.])
    """
    codes = group_codes(groups, count)
    units = int(codes.max()) + 1
    rng = np.random.default_rng(seed)
    number = max(2, min(resamples, 2 * _DRAWS_AT_ONCE // count))
    drawn = rng.multinomial(units, np.full(units, 1 / units), size=number)
    return drawn.astype(np.float64)[:, codes]


def percentiles(values: NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """Return the ends between which a share `level` of the values is, (low, high), float."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def share_interval(
    hits: NDArray[np.bool_],
    groups: Sequence[str | None] | NDArray[np.generic] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return an interval for a share of hits: the bootstrap, and the exact bound where all or none are hits.

    Resampling 50 hits of 50 can only give 50 hits again, an interval of no width that promises too much.
    There the exact binomial bound is used (Clopper and Pearson 1934), with the number of groups as the number
    of trials.

    Args:
        hits: Whether each item is a hit, bool [n].
        groups: As for `mean_interval`. Defaults to None.
        level: As for `mean_interval`. Defaults to 0.95.
        seed: As for `mean_interval`. Defaults to 0.

    Returns:
        (low, high), float from 0 to 1.

    Example:
        >>> low, high = share_interval(np.ones(50, dtype=bool))
        >>> round(low, 3), high
        (0.929, 1.0)
    """
    if hits.all() or not hits.any():
        trials = len(set(group_codes(groups, len(hits)).tolist()))
        bound = ((1 - level) / 2) ** (1 / trials)
        return (bound, 1.0) if hits.all() else (0.0, 1 - bound)
    return mean_interval(hits.astype(float), groups, level, seed)


def group_codes(groups: Sequence[str | None] | NDArray[np.generic] | None, count: int) -> NDArray[np.intp]:
    """Return the number of each item's group, int [n], from 0 without gaps; None is a group of its own."""
    if groups is None:
        return np.arange(count)
    numbers: dict[object, int] = {}
    keys = ((position, None) if group is None else group for position, group in enumerate(groups))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)
