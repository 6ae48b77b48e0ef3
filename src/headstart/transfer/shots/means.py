"""The nearest class mean by cosine: what a handful of items a class can carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from headstart.data.items import Target
from headstart.transfer.heads import Head, Kind, Matrix
from headstart.transfer.selection import Labelled

_ABSENT = -30.0
_SCALE = 10.0
"""Logit of a row of average length that lies in a mean's direction: training may go on from such a head."""


@dataclass(frozen=True)
class ClassMeans(Labelled):
    """Features with their items' classes, whose linear heads point to the class means.

    Every other kind of head is fitted as by `Labelled`.

    Args:
        features: Rows of the items, Features.
        y: Class of each item, int [items].
        classes: Number of classes, int.
    """

    target: ClassVar[Target] = "label"

    def fit(self, kind: Kind, strength: float, class_weight: str | None, seed: int) -> Head:
        """Fit a head on all rows."""
        if kind != "linear":
            return super().fit(kind, strength, class_weight, seed)
        item = self.features.item
        return class_means(self.features.X, self.y[item], self.classes, self.weight_of(item))

    def strengths(self, kind: Kind) -> tuple[float, ...]:
        """Return the strengths that are worth trying: class means have none."""
        return (1.0,) if kind == "linear" else tuple(super().strengths(kind))


def class_means(
    rows: Matrix, y: NDArray[np.int64], classes: int, weight: NDArray[np.floating] | None = None
) -> Head:
    """Return the head whose answer is the class whose mean lies most nearly in a row's direction.

    Directions are seen from the mean of all rows. The length of a row only says how sure it is, so that it
    need not be divided by, and the head is linear.

    Args:
        rows: float32 [n, d].
        y: Class of each row, int [n].
        classes: Number of classes, int; one without rows never wins.
        weight: How much each row counts, float [n]. Defaults to None: all the same.

    Returns:
        The head, reading raw features.

    References:
        Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning", NeurIPS 2017. Wang, Chao,
        Weinberger and van der Maaten, "SimpleShot: Revisiting Nearest-Neighbor Classification for Few-Shot
        Learning", 2019, for centring and the cosine.

    Example:
        >>> rows = np.array([[1, 0], [2, 0], [0, 1]], np.float32)
        >>> class_means(rows, np.array([0, 0, 1]), 2).logits(np.array([[9, 0]])).argmax()
        np.int64(0)
    """
    counts = np.ones(len(y)) if weight is None else np.asarray(weight, np.float64)
    middle = np.average(rows, 0, counts)
    length = float(np.average(np.linalg.norm(rows - middle, axis=1), weights=counts))
    head = np.zeros((rows.shape[1], classes))
    bias = np.full(classes, _ABSENT)
    for label in np.unique(y):
        own = y == label
        towards = np.average(rows[own], 0, counts[own]) - middle
        head[:, label] = _SCALE * towards / max(float(np.linalg.norm(towards)) * length, 1e-12)
        bias[label] = -middle @ head[:, label]
    return Head("linear", ((head.astype(np.float32), bias.astype(np.float32)),))
