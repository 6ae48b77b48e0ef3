"""How good a ranking is: nDCG, precision, and how many true neighbours a quick search finds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headstart.errors import OptionError

Floats = NDArray[np.float64]
Positions = NDArray[np.int64]


def ndcg(relevance: NDArray[np.generic], ranked: Positions, k: int = 10) -> Floats:
    """Return the normalised discounted cumulative gain of some rankings: 1 is the best possible order.

    Args:
        relevance: Gain of every item for every query, bool or number ≥ 0 [queries, items].
        ranked: Positions of the items found, best first, int [queries, found]; -1 where nothing was found.
        k: How many places count, int. Defaults to 10.

    Returns:
        float64 [queries]; 0 for a query to which nothing is relevant.

    Raises:
        OptionError: k is less than 1.

    References:
        Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002.

    Example:
        >>> ndcg(np.array([[1, 0, 1]]), np.array([[0, 1, 2]]), k=2).round(3)
        array([0.613])
    """
    gains = _found(relevance, ranked, k)
    best = -np.sort(-np.asarray(relevance, np.float64), axis=1)[:, :k]
    ideal = best @ _discounts(best.shape[1])
    reached = gains @ _discounts(gains.shape[1])
    return np.divide(reached, ideal, out=np.zeros(len(ideal)), where=ideal > 0)


def precision(relevance: NDArray[np.generic], ranked: Positions, k: int = 10) -> Floats:
    """Return the share of relevant items among the first k; a place that is not filled counts as wrong.

    Args:
        relevance: As for `ndcg`; more than 0 is relevant.
        ranked: As for `ndcg`.
        k: As for `ndcg`. Defaults to 10.

    Returns:
        float64 [queries].

    Raises:
        OptionError: k is less than 1.

    Example:
        >>> precision(np.array([[1, 0, 1]]), np.array([[0, 1, 2]]), k=2)
        array([0.5])
    """
    shares: Floats = (_found(relevance, ranked, k) > 0).sum(1) / k
    return shares


def neighbour_recall(found: Positions, exact: Positions) -> float:
    """Return the share of the exact neighbours that a quick search has found, in any order.

    Args:
        found: Positions of the neighbours found, int [queries, n]; -1 where nothing was found.
        exact: Positions of the true neighbours, int [queries, n].

    Returns:
        float from 0 to 1.

    Example:
        >>> neighbour_recall(np.array([[3, 1]]), np.array([[1, 2]]))
        0.5
    """
    if exact.size == 0:
        return 1.0
    hits = sum(len(np.intersect1d(mine, true)) for mine, true in zip(found, exact, strict=True))
    return hits / exact.size


def _found(relevance: NDArray[np.generic], ranked: Positions, k: int) -> Floats:
    """Return the gains of the first k places, 0 where nothing was found."""
    if k < 1:
        raise OptionError("k of at least 1", repr(k), "use 10")
    first = ranked[:, :k]
    gains = np.take_along_axis(np.asarray(relevance, np.float64), np.maximum(first, 0), axis=1)
    return np.where(first >= 0, gains, 0.0)


def _discounts(places: int) -> Floats:
    return 1 / np.log2(np.arange(2, places + 2))
