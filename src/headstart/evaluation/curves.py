"""ROC and precision-recall curves and the areas under them, for two classes or one against the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

_POINTS = 201
MEAN = "mean of all classes"


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve: what it is of, its points (at most 201 of them) and the area under it.

    Args:
        label: The class it is of, str, or `MEAN`.
        x: float [m], false positive rate or recall.
        y: float [m], true positive rate or precision.
        area: Of the full curve (ROC AUC, average precision), float.
    """

    label: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    area: float

    def to_json(self) -> dict[str, Any]:
        """Return the curve as JSON values, coordinates rounded to four decimals."""
        points = {"x": self.x.round(4).tolist(), "y": self.y.round(4).tolist()}
        return {"label": self.label, "area": self.area, **points}


@dataclass(frozen=True)
class Curves:
    """All curves of an evaluation; the first of `roc` and `pr` stands for all. Areas are by class."""

    roc: tuple[Curve, ...]
    pr: tuple[Curve, ...]
    roc_areas: tuple[float | None, ...]
    pr_areas: tuple[float | None, ...]


def one_against_rest(
    labels: Sequence[str], y: NDArray[np.intp], probabilities: NDArray[np.float64]
) -> Curves:
    """Compute the curves of each class against the rest.

    With two classes there is one curve of each kind, that of the second class. With more, a mean curve comes
    first; its area is the mean of the areas. A class that no item has, or that all have, has no curves.

    Args:
        labels: The classes, k of str.
        y: True class of each item, int [n].
        probabilities: float [n, k].

    Returns:
        The Curves.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
        >>> one_against_rest(["cat", "dog"], np.array([0, 1, 1]), p).roc[0].area
        1.0
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

    roc: dict[int, Curve] = {}
    pr: dict[int, Curve] = {}
    for position, label in enumerate(labels):
        positive, score = y == position, probabilities[:, position]
        if positive.all() or not positive.any():
            continue
        false_rate, true_rate, _ = roc_curve(positive, score)
        precision, recall, _ = precision_recall_curve(positive, score, drop_intermediate=True)
        roc[position] = _curve(label, false_rate, true_rate, roc_auc_score(positive, score))
        pr[position] = _curve(label, recall[::-1], precision[::-1], average_precision_score(positive, score))
    return Curves(
        roc=_headline_first(roc, len(labels)),
        pr=_headline_first(pr, len(labels)),
        roc_areas=tuple(roc[i].area if i in roc else None for i in range(len(labels))),
        pr_areas=tuple(pr[i].area if i in pr else None for i in range(len(labels))),
    )


def label_pr_curves(
    labels: Sequence[str], y: NDArray[np.bool_], probabilities: NDArray[np.float64]
) -> tuple[Curve, ...]:
    """Compute the precision-recall curve of each label that some but not all items have.

    Args:
        labels: The labels, k of str.
        y: Which labels each item has, bool [n, k].
        probabilities: float [n, k].

    Returns:
        The curves; with more than one, their mean comes first; its area is the mean of the areas.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    found: dict[int, Curve] = {}
    for position, label in enumerate(labels):
        positive, score = y[:, position], probabilities[:, position]
        if positive.any() and not positive.all():
            precision, recall, _ = precision_recall_curve(positive, score, drop_intermediate=True)
            area = average_precision_score(positive, score)
            found[position] = _curve(label, recall[::-1], precision[::-1], area)
    if len(found) < 2:
        return tuple(found.values())
    mean, *single = _mean_first(found)
    return replace(mean, label="mean of all labels"), *single


def _curve(label: str, x: NDArray[np.float64], y: NDArray[np.float64], area: float) -> Curve:
    kept = np.unique(np.linspace(0, len(x) - 1, _POINTS).round().astype(int))
    return Curve(label, x[kept].astype(np.float64), y[kept].astype(np.float64), float(area))


def _headline_first(curves: dict[int, Curve], classes: int) -> tuple[Curve, ...]:
    if classes == 2 or not curves:
        return tuple(curve for position, curve in curves.items() if position == 1)
    return _mean_first(curves)


def _mean_first(curves: dict[int, Curve]) -> tuple[Curve, ...]:
    grid = np.linspace(0, 1, 101)
    heights = np.mean([np.interp(grid, curve.x, curve.y) for curve in curves.values()], axis=0)
    mean = Curve(MEAN, grid, heights, float(np.mean([curve.area for curve in curves.values()])))
    return mean, *curves.values()
