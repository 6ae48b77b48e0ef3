"""KLIEP: weights under which the source is closest to the target, in Kullback and Leibler's sense."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.transfer.domains.weights import OnRows

Floats = NDArray[np.float64]

_WIDTHS = (0.25, 0.5, 1.0, 2.0)
_FOLDS = 3


@dataclass(frozen=True)
class Kliep(OnRows):
    """Fit on the source, weighted by a density ratio that is a mixture of Gaussians around target items.

    Args:
        centres: At most so many, int. Defaults to 100.

    References:
        Sugiyama et al., "Direct importance estimation with model selection and its application to covariate
        shift adaptation", NeurIPS 2007.

    Example:
        >>> from headstart.transfer.domains.domains import Domains
        >>> from headstart.transfer.features import Features
        >>> from headstart.transfer.selection import Labelled
        >>> X, item = np.array([[-1], [1], [-2], [2], [-3], [3]], np.float32), np.arange(6)
        >>> data = Labelled(Features(X, item, item), np.array([0, 1, 0, 1, -1, -1]), 2)
        >>> domains = Domains(data, item[:4], item[4:])
        >>> domains.target_view.logits(Kliep().fit(domains, 1.0, 0)).argmax(1)
        array([0, 1])
    """

    name = "KLIEP"
    centres: int = 100

    def ratio(self, source: Floats, target: Floats, seed: int) -> Floats:
        """Return `kliep`."""
        return kliep(source, target, centres=self.centres, seed=seed)


def kliep(source: Floats, target: Floats, *, centres: int = 100, seed: int = 0) -> Floats:
    """Return target density over source density at each source point.

    The Gaussians' width is the one of highest likelihood on target points that are held out, among multiples
    of the median distance.

    Args:
        source: float [n, k].
        target: float [m, k].
        centres: At most so many, int. Defaults to 100.
        seed: Of the centres and folds, int. Defaults to 0.

    Returns:
        float [n], of mean 1.

    Example:
        >>> chance = np.random.default_rng(0)
        >>> ratio = kliep(chance.normal(0, 1, (200, 1)), chance.normal(0, 1, (200, 1)))
        >>> bool(abs(ratio.mean() - 1) < 1e-6)
        True
    """
    chance = np.random.default_rng(seed)
    chosen = target[chance.permutation(len(target))[:centres]]
    far, near = _squares(source, chosen), _squares(target, chosen)
    unit = float(np.median(near[near > 0])) if np.any(near > 0) else 1.0
    fold = chance.permutation(len(target)) % min(_FOLDS, len(target))

    def likelihood(width: float) -> float:
        kernel, held = np.exp(-near / (2 * unit * width**2)), np.exp(-far / (2 * unit * width**2))
        scores = []
        for one in np.unique(fold):
            rest = kernel[fold != one] if np.any(fold != one) else kernel
            alpha = _ascend(rest, held.mean(0))
            scores.append(np.log(np.maximum(kernel[fold == one] @ alpha, 1e-12)).mean())
        return float(np.mean(scores))

    width = max(_WIDTHS, key=likelihood)
    kernel, ours = np.exp(-near / (2 * unit * width**2)), np.exp(-far / (2 * unit * width**2))
    ratio: Floats = ours @ _ascend(kernel, ours.mean(0))
    return ratio / max(float(ratio.mean()), 1e-300)


def _squares(rows: Floats, centres: Floats) -> Floats:
    from scipy.spatial.distance import cdist

    return np.asarray(cdist(rows, centres, "sqeuclidean"), np.float64)


def _ascend(kernel: Floats, mean: Floats) -> Floats:
    """Maximise the mean logarithm of kernel @ α for α ≥ 0 with mean @ α = 1.

    Multiplicative steps as in expectation maximisation: α are, up to scale, shares of a mixture, and every
    step raises the likelihood.
    """
    usable = mean > 1e-12
    scaled = kernel[:, usable] / mean[usable]
    shares = np.full(scaled.shape[1], 1 / max(scaled.shape[1], 1))
    for _ in range(300):
        likelihood = np.maximum(scaled @ shares, 1e-300)
        moved = shares * (scaled / likelihood[:, None]).mean(0)
        moved /= moved.sum()
        done = float(np.abs(moved - shares).sum()) < 1e-6
        shares = moved
        if done:
            break
    alpha = np.zeros(kernel.shape[1])
    alpha[usable] = shares / mean[usable]
    return alpha
