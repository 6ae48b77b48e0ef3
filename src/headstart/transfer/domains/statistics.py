"""Each domain standardised by itself: what AdaBN does inside a network, done to its features."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.transfer.domains.domains import Domains, OnFeatures, OwnScales, reading
from headstart.transfer.heads import Head, fit_head


@dataclass(frozen=True)
class OwnStatistics(OnFeatures):
    """Standardise source and target each by its own mean and spread, and fit an ordinary head.

    References:
        Li, Wang, Shi, Liu and Hou, "Revisiting batch normalization for practical domain adaptation", 2016.

    Example:
        >>> import numpy as np
        >>> from headstart.transfer.features import Features
        >>> from headstart.transfer.selection import Labelled
        >>> X, item = np.array([[-1], [1], [9], [13]], np.float32), np.arange(4)
        >>> data = Labelled(Features(X, item, item), np.array([0, 1, -1, -1]), 2)
        >>> domains = Domains(data, item[:2], item[2:])
        >>> domains.target_view.logits(OwnStatistics().fit(domains, 1.0, 0)).argmax(1)
        array([0, 1])
    """

    name = "own statistics"

    def fit_view(self, domains: Domains, strength: float, seed: int) -> Head:
        """Fit on standardised features; see `Method`."""
        its = OwnScales.of(domains)
        head = fit_head(
            "linear", its.rows, its.y, domains.data.classes, strength=strength, weight=its.weight, seed=seed
        )
        return reading(head, its.scaler)
