"""Several rankings of the same items become one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SMOOTHING = 60
"""The constant of the paper: how little the first places count more than the next ones."""


def reciprocal_rank_fusion(
    rankings: Sequence[NDArray[np.int64]], weights: Sequence[float] | None = None, k: int = SMOOTHING
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Fuse rankings by place alone, so that scores of different kinds need no common scale.

    An item gets weight / (k + place) from each ranking that it is in. The best have the largest sum; of
    equal ones the first in the first ranking goes first.

    Args:
        rankings: Positions of items, best first, each int [n] without repeats.
        weights: How much each ranking counts, float. Defaults to None: all alike.
        k: Smoothing, int. Defaults to 60.

    Returns:
        Positions, int64 [m], best first, and their sums, float64 [m].

    References:
        Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
        Learning Methods", SIGIR 2009.

    Example:
        >>> items, scores = reciprocal_rank_fusion([np.array([7, 3]), np.array([3, 5])])
        >>> items
        array([3, 7, 5])
    """
    if not rankings:
        return np.zeros(0, np.int64), np.zeros(0)
    items = np.concatenate(rankings).astype(np.int64)
    shares = [
        weight / (k + np.arange(1, len(ranking) + 1))
        for ranking, weight in zip(rankings, weights or [1.0] * len(rankings), strict=True)
    ]
    found, first, inverse = np.unique(items, return_index=True, return_inverse=True)
    scores = np.bincount(inverse, np.concatenate(shares), len(found)).astype(np.float64)
    order = np.lexsort((first, -scores))
    return found[order], scores[order]
