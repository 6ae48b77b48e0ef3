"""Subspace alignment: the source's principal directions are turned into the target's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.transfer.domains.domains import Domains, OnFeatures, reading, rows_of
from headstart.transfer.heads import Head, Matrix, Scaler, fit_head

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SubspaceAlignment(OnFeatures):
    """Fit in the target's principal subspace on source items that are aligned with it.

    Each domain is standardised by itself.

    Args:
        dimensions: Of the subspaces, int at least 1; fewer where there are fewer features or items. Defaults
            to 64.

    References:
        Fernando, Habrard, Sebban and Tuytelaars, "Unsupervised visual domain adaptation using subspace
        alignment", ICCV 2013.

    Example:
        >>> from headstart.transfer.features import Features
        >>> from headstart.transfer.selection import Labelled
        >>> X, item = np.array([[-1], [1], [9], [13]], np.float32), np.arange(4)
        >>> data = Labelled(Features(X, item, item), np.array([0, 1, -1, -1]), 2)
        >>> domains = Domains(data, item[:2], item[2:])
        >>> domains.target_view.logits(SubspaceAlignment().fit(domains, 1.0, 0)).argmax(1)
        array([0, 1])
    """

    name = "subspace alignment"
    dimensions: int = 64

    def fit_view(self, domains: Domains, strength: float, seed: int) -> Head:
        """Fit in the subspace; see `Method`."""
        source, y = rows_of(domains.source_view)
        known, its_y = rows_of(domains.data.take(domains.known))
        target = rows_of(domains.target_view)[0]
        ours, theirs = Scaler.of(source), Scaler.of(target)
        z, zt = ours.apply(source), theirs.apply(target)
        most = min(self.dimensions, len(z) - 1, len(zt) - 1, z.shape[1])
        basis, aim = principal(z, most), principal(zt, most)
        rows = np.concatenate([z @ (basis @ (basis.T @ aim)), theirs.apply(known) @ aim])
        head = fit_head(
            "linear",
            np.asarray(rows, np.float32),
            np.concatenate([y, its_y]),
            domains.data.classes,
            strength=strength,
            seed=seed,
        )
        return reading(head, theirs, aim)


def principal(rows: Matrix, dimensions: int) -> Floats:
    """Return the directions of most variance of standardised rows, float64 [d, dimensions].

    Example:
        >>> line = np.outer(np.arange(-2, 3), [3, 4])
        >>> np.abs(principal(line, 1)).round(2).ravel()
        array([0.6, 0.8])
    """
    from scipy.linalg import eigh

    z = np.asarray(rows, np.float64)
    size = z.shape[1]
    vectors = eigh(z.T @ z, subset_by_index=(size - dimensions, size - 1))[1]
    return np.asarray(vectors[:, ::-1], np.float64)
