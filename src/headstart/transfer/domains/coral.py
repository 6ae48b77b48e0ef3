"""CORAL: the source's features get the target's covariance before the head is fitted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from headstart.transfer.domains.domains import Domains, OnFeatures, rows_of
from headstart.transfer.heads import Head, Matrix

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Coral(OnFeatures):
    """Whiten the source's features, colour them as the target's are, and fit an ordinary head on them.

    The head reads raw target features. Means are aligned too.

    Args:
        shrinkage: The share of the mean variance that is added to every variance, float above 0: covariances
            of more features than items have no inverse. Defaults to 0.1.

    References:
        Sun, Feng and Saenko, "Return of frustratingly easy domain adaptation", AAAI 2016.

    Example:
        >>> from headstart.transfer.features import Features
        >>> from headstart.transfer.selection import Labelled
        >>> X, item = np.array([[-1], [1], [9], [13]], np.float32), np.arange(4)
        >>> data = Labelled(Features(X, item, item), np.array([0, 1, -1, -1]), 2)
        >>> domains = Domains(data, item[:2], item[2:])
        >>> domains.target_view.logits(Coral().fit(domains, 1.0, 0)).argmax(1)
        array([0, 1])
    """

    name = "CORAL"
    shrinkage: float = 0.1

    def fit_view(self, domains: Domains, strength: float, seed: int) -> Head:
        """Fit on the source as the target would have it; see `Method`."""
        view = domains.data.take(domains.labelled)
        own = np.isin(domains.labelled, domains.target)[view.features.item]
        rows = rows_of(view)[0].copy()
        rows[~own] = align(rows[~own], rows_of(domains.target_view)[0], self.shrinkage)
        head: Head = replace(view, features=replace(view.features, X=rows)).fit(
            "linear", strength, None, seed
        )
        return head


def align(source: Matrix, target: Matrix, shrinkage: float) -> Matrix:
    """Return source rows with the mean and the covariance of the target.

    Args:
        source: float32 [n, d].
        target: float32 [m, d].
        shrinkage: As for `Coral`.

    Returns:
        float32 [n, d].

    Example:
        >>> chance = np.random.default_rng(0)
        >>> source, target = chance.normal(size=(500, 2)), chance.normal(5, 3, (500, 2))
        >>> moved = align(source, target, 1e-6)
        >>> bool(np.allclose(np.cov(moved.T), np.cov(target.T), rtol=1e-3, atol=1e-3))
        True
    """
    ours, theirs = _covariance(source, shrinkage), _covariance(target, shrinkage)
    change = _power(ours, -0.5) @ _power(theirs, 0.5)
    centred = np.asarray(source, np.float64) - source.mean(0, dtype=np.float64)
    moved: Matrix = (centred @ change + target.mean(0, dtype=np.float64)).astype(np.float32)
    return moved


def _covariance(rows: Matrix, shrinkage: float) -> Floats:
    centred = np.asarray(rows, np.float64) - rows.mean(0, dtype=np.float64)
    covariance: Floats = centred.T @ centred / max(len(rows) - 1, 1)
    # Identical rows have no variance at all, and still need an inverse.
    added = max(shrinkage * float(np.trace(covariance)) / len(covariance), 1e-12)
    return covariance + added * np.eye(len(covariance))


def _power(symmetric: Floats, exponent: float) -> Floats:
    values, vectors = np.linalg.eigh(symmetric)
    raised: Floats = (vectors * np.maximum(values, 1e-12) ** exponent) @ vectors.T
    return raised
