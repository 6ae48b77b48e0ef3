"""Importance weights: source items that look like the target's count for more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from headstart.transfer.calibration import fit_temperature, softmax
from headstart.transfer.domains.domains import Domains
from headstart.transfer.selection import Labelled, select
from headstart.transfer.stacking import Stacked

Floats = NDArray[np.float64]

_MOST = 20.0
"""So many times the mean is the most that one item counts: few heavy items would be all there is."""


@dataclass(frozen=True)
class ImportanceWeights:
    """Fit on the source with the weights that a classifier of domains gives.

    Args:
        power: Of the density ratio, float from 0 (no weights) to 1 (unbiased, and noisy). Defaults to 0.5.

    References:
        Shimodaira, "Improving predictive inference under covariate shift", JSPI 2000, for the power. Bickel,
        Brückner and Scheffer, "Discriminative learning under covariate shift", JMLR 2009.

    Example:
        >>> from headstart.transfer.features import Features
        >>> X, item = np.array([[-1], [1], [-2], [2], [-3], [3]], np.float32), np.arange(6)
        >>> data = Labelled(Features(X, item, item), np.array([0, 1, 0, 1, -1, -1]), 2)
        >>> domains = Domains(data, item[:4], item[4:])
        >>> domains.target_view.logits(ImportanceWeights().fit(domains, 1.0, 0)).argmax(1)
        array([0, 1])
    """

    power: float = 0.5
    name: str = "importance weights"
    needs_features: bool = False
    needs_known: bool = False

    def fit(self, domains: Domains, strength: float, seed: int) -> Any:
        """Fit with weights; see `Method`."""
        return fit_weighted(domains, density_ratio(domains, seed) ** self.power, strength, seed)


def fit_weighted(domains: Domains, ratio: Floats, strength: float, seed: int) -> Any:
    """Fit on all that is labelled, the source's items with weights.

    Args:
        domains: Both domains.
        ratio: What each source item counts, float [source]; scaled to mean 1.
        strength: As for `Method.fit`.
        seed: As for `Method.fit`.
    """
    weight = np.ones(len(domains.data.y))
    weight[domains.source] = bounded(ratio)
    view = domains.data.relabel(domains.data.y, weight).take(domains.labelled)
    return view.fit("linear", strength, None, seed)


def bounded(ratio: Floats) -> Floats:
    """Return weights of mean 1, none above twenty times the mean.

    Example:
        >>> bounded(np.array([1.0, 3.0]))
        array([0.5, 1.5])
    """
    mean = float(ratio.mean())
    if mean <= 0:
        return np.ones(len(ratio))
    weight = np.minimum(ratio, _MOST * mean)
    return np.asarray(weight / weight.mean(), np.float64)


def density_ratio(domains: Domains, seed: int) -> Floats:
    """Return target density over source density at each source item, by a classifier of domains.

    Its answers are out of fold and calibrated. Of a stack the view with features is asked.

    Args:
        domains: Both domains.
        seed: Of the folds, int.

    Returns:
        float [source], at least 0.
    """
    both = np.sort(np.concatenate([domains.source, domains.target]))
    theirs = np.isin(both, domains.target).astype(np.int64)
    view = _asking(domains.data).take(both)
    view = replace(view, y=theirs, classes=2, weight=None)
    found = select(view, "linear", folds=5, seed=seed)
    said = softmax(found.logits, fit_temperature(found.logits, theirs))
    odds = said[:, 1] / np.maximum(said[:, 0], 1e-9)
    ours: Floats = odds[theirs == 0] * (len(domains.source) / len(domains.target))
    return ours


def _asking(data: Labelled) -> Labelled:
    """Return the view that tells domains apart: features where there are some."""
    views = data.views if isinstance(data, Stacked) else (data,)
    dense = [view for view in views if view.features.X.shape[1]]
    return Labelled(dense[0].features, data.y, data.classes) if dense else views[0]


class OnRows(ABC):
    """A `Method` that weighs source items by comparing standardised rows of both domains, one row an item."""

    needs_features: ClassVar[bool] = True
    needs_known: ClassVar[bool] = False

    def fit(self, domains: Domains, strength: float, seed: int) -> Any:
        """Fit with weights; see `Method`."""
        from sklearn.decomposition import PCA

        items = np.sort(np.concatenate([domains.source, domains.target]))
        view = _asking(domains.data).take(items)
        pooled = view.features.pool(view.features.X)
        z = (pooled - pooled.mean(0)) / np.maximum(pooled.std(0), 1e-6)
        most = min(_DIMENSIONS, *z.shape)
        points = np.asarray(PCA(most, random_state=seed).fit_transform(z), np.float64)
        theirs = np.isin(items, domains.target)
        return fit_weighted(domains, self.ratio(points[~theirs], points[theirs], seed), strength, seed)

    @abstractmethod
    def ratio(self, source: Floats, target: Floats, seed: int) -> Floats:
        """Return target density over source density at each source point, from float [n, k] and [m, k]."""


_DIMENSIONS = 32
"""Kernels tell nothing among more dimensions: all points are equally far apart there."""
