"""Clusters: items without labels, put together by what a backbone says about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.errors import DataError, OptionError
from headstart.transfer.heads import Scaler

TRIED = (*range(2, 13), 15, 20, 25, 30)
"""Numbers of clusters that are tried where none is given."""
_COMPONENTS = 50
_SAMPLE = 2_000  # silhouettes compare all pairs
_STARTS = 4
_FEWEST = 4

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Clusters:
    """Which cluster each item is in. The largest cluster is number 0.

    Args:
        cluster: Of each item, int [items].
        closeness: Cosine of each item with the centre of its cluster, float32 [items].
        silhouettes: How well each number of clusters that was tried parts the items, from −1 to 1:
            {number: silhouette}.

    Example:
        >>> rows = np.random.default_rng(0).normal(0, 0.1, (40, 3)).astype(np.float32)
        >>> rows[:25, 0] += 1
        >>> rows[25:, 1] += 1
        >>> find_clusters(rows).sizes
        [25, 15]
    """

    cluster: NDArray[np.int64]
    closeness: Matrix
    silhouettes: dict[int, float]

    @property
    def sizes(self) -> list[int]:
        """How many items each cluster has."""
        found: list[int] = np.bincount(self.cluster).tolist()
        return found

    def members(self, number: int) -> NDArray[np.int64]:
        """Return the items of a cluster, those nearest its centre first."""
        inside = np.flatnonzero(self.cluster == number)
        return inside[np.argsort(-self.closeness[inside], kind="stable")]


def find_clusters(rows: NDArray[np.floating], count: int | None = None, *, seed: int = 0) -> Clusters:
    """Put items together by k-means on the directions of their standardised features.

    Args:
        rows: One for each item, float [items, d].
        count: How many clusters, int ≥ 2. Defaults to None: the number with the best silhouette, of at most
            30 and so that a cluster has two items on average at least.
        seed: Of the starting points, int. Defaults to 0.

    Returns:
        The clusters, the largest first.

    Raises:
        DataError: There are too few items, or all are alike.
        OptionError: That many clusters cannot be made.

    References:
        Rousseeuw, "Silhouettes", Journal of Computational and Applied Mathematics 1987. Hornik et al.,
        "Spherical k-means clustering", JSS 2012, for directions.
    """
    if len(rows) < _FEWEST:
        raise DataError(f"at least {_FEWEST} items to cluster", str(len(rows)), "add items")
    if count is not None and not 2 <= count <= len(rows):
        fix = "name a number in between, or leave it out"
        raise OptionError(f"a number of clusters from 2 to {len(rows)}", str(count), fix)
    rows = np.asarray(rows, np.float32)
    distinct = len(np.unique(rows, axis=0))
    if distinct < max(2, count or 2):
        fix = "check the files: headstart inspect"
        raise DataError(f"at least {max(2, count or 2)} items that differ", str(distinct), fix)
    x = _directions(rows, seed)
    numbers = [count] if count else [n for n in TRIED if n <= min(len(rows) // 2, distinct - 1)] or [2]
    found = {number: _kmeans(x, number, seed) for number in numbers}
    scores = {number: _silhouette(x, cluster, seed) for number, cluster in found.items()}
    best = max(scores, key=lambda number: scores[number])
    return _sorted(x, found[best], scores)


def _directions(rows: Matrix, seed: int) -> Matrix:
    """Standardise, keep the 50 widest principal components, and bring each item to length one."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import normalize

    x = Scaler.of(rows).apply(rows)
    kept = min(_COMPONENTS, *x.shape)
    reduced: Matrix = normalize(PCA(kept, random_state=seed).fit_transform(x).astype(np.float32))
    return reduced


def _kmeans(x: Matrix, count: int, seed: int) -> NDArray[np.int64]:
    from sklearn.cluster import KMeans

    found: NDArray[np.int64] = (
        KMeans(count, n_init=_STARTS, random_state=seed).fit_predict(x).astype(np.int64)
    )
    return found


def _silhouette(x: Matrix, cluster: NDArray[np.int64], seed: int) -> float:
    from sklearn.metrics import silhouette_score

    generator = np.random.default_rng(seed)
    part = np.arange(len(x)) if len(x) <= _SAMPLE else generator.choice(len(x), _SAMPLE, replace=False)
    if not 2 <= len(np.unique(cluster[part])) < len(part):
        return 0.0
    return float(silhouette_score(x[part], cluster[part]))


def _sorted(x: Matrix, cluster: NDArray[np.int64], scores: dict[int, float]) -> Clusters:
    """Number the clusters by size, and measure how near each item is to the centre of its own."""
    sizes = np.bincount(cluster)
    order: Sequence[int] = np.argsort(-sizes, kind="stable").tolist()
    renumbered = np.empty(len(sizes), np.int64)
    renumbered[order] = np.arange(len(sizes))
    cluster = renumbered[cluster]
    centres = np.stack([x[cluster == n].mean(0) for n in range(cluster.max() + 1)])
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    return Clusters(cluster, (x * centres[cluster]).sum(1).astype(np.float32), scores)
