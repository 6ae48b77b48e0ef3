"""KMM: weights under which the source's mean in a kernel's space is the target's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.transfer.domains.weights import OnRows

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Kmm(OnRows):
    """Fit on the source with weights that match kernel means.

    Args:
        most: What one item counts at most, float. Defaults to 10.

    References:
        Huang, Smola, Gretton, Borgwardt and Schölkopf, "Correcting sample selection bias by unlabeled data",
        NeurIPS 2006.

    Example:
        >>> from headstart.transfer.domains.domains import Domains
        >>> from headstart.transfer.features import Features
        >>> from headstart.transfer.selection import Labelled
        >>> X, item = np.array([[-1], [1], [-2], [2], [-3], [3]], np.float32), np.arange(6)
        >>> data = Labelled(Features(X, item, item), np.array([0, 1, 0, 1, -1, -1]), 2)
        >>> domains = Domains(data, item[:4], item[4:])
        >>> domains.target_view.logits(Kmm().fit(domains, 1.0, 0)).argmax(1)
        array([0, 1])
    """

    name = "KMM"
    most: float = 10.0

    def ratio(self, source: Floats, target: Floats, seed: int) -> Floats:
        """Return `kmm`."""
        del seed
        return kmm(source, target, most=self.most)


def kmm(
    source: Floats, target: Floats, *, most: float = 10.0, width: float | None = None, steps: int = 500
) -> Floats:
    """Return weights of source points under which both kernel means are closest.

    Minimises ½ βᵀKβ − κᵀβ for 0 ≤ β ≤ `most` and a mean of 1, by Nesterov's projected gradient.

    Args:
        source: float [n, k].
        target: float [m, k].
        most: The largest weight, float above 1. Defaults to 10.
        width: Of the Gaussian kernel, float. Defaults to None: the median distance.
        steps: At most so many, int. Defaults to 500.

    Returns:
        float [n], of mean 1.

    Example:
        >>> kmm(np.array([[0.0], [5.0]]), np.array([[5.0], [5.1]]), width=1.0).round(2)
        array([0., 2.])
    """
    from scipy.spatial.distance import cdist

    between, within = cdist(source, target, "sqeuclidean"), cdist(source, source, "sqeuclidean")
    unit = width**2 if width else float(np.median(between)) or 1.0
    n = len(source)
    kernel = np.exp(-within / (2 * unit))
    wanted = np.exp(-between / (2 * unit)).mean(1) * n
    rate = 1 / float(np.linalg.norm(kernel, 1))  # no step may exceed 1 / the largest eigenvalue
    beta = ahead = np.ones(n)
    momentum = 1.0
    for _ in range(steps):
        moved = _mean_one(ahead - rate * (kernel @ ahead - wanted), most)
        faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / faster * (moved - beta)
        done = float(np.abs(moved - beta).max()) < 1e-6
        beta, momentum = moved, faster
        if done:
            break
    return beta


def _mean_one(beta: Floats, most: float) -> Floats:
    """Return the nearest weights between 0 and `most` whose mean is 1, by bisection."""
    low, high = float(beta.min()) - most, float(beta.max())
    for _ in range(60):
        shift = (low + high) / 2
        if float(np.clip(beta - shift, 0, most).mean()) > 1:
            low = shift
        else:
            high = shift
    return np.clip(beta - high, 0, most)
