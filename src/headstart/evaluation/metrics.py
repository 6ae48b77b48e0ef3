"""How good a classifier is, from its probabilities: the field's standard figures, equal to scikit-learn's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headstart.errors import DataError
from headstart.evaluation.curves import one_against_rest
from headstart.evaluation.resampling import share_interval
from headstart.evaluation.results import (
    Abstention,
    Bin,
    Calibration,
    ClassScore,
    Confusion,
    Evaluation,
    Loss,
    Sets,
)

BINS = 15
_KEPT_LOSSES = 48
_KEPT_PAIRS = 30


def evaluate(
    labels: Sequence[str],
    y: ArrayLike,
    probabilities: ArrayLike,
    *,
    names: Sequence[str],
    uncalibrated: ArrayLike | None = None,
    conformal: NDArray[np.bool_] | None = None,
    abstain_below: float | None = None,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
) -> Evaluation:
    """Measure the answers to a set of labelled items.

    Args:
        labels: The classes, k of str, at least two.
        y: True class of each item, int [n], indices into `labels`; classes may be absent.
        probabilities: The model's, float [n, k]; rows sum to one.
        names: The items, n of str.
        uncalibrated: The probabilities before calibration, float [n, k]. Defaults to None.
        conformal: Which classes each item's conformal set holds, bool [n, k]. Defaults to None.
        abstain_below: The confidence below which the model gives no answer, float. Defaults to None.
        groups: The group of each item, for the accuracy's interval. Defaults to None (independent items).
        seed: Of the bootstrap, int. Defaults to 0.

    Returns:
        The Evaluation.

    Raises:
        DataError: Shapes do not fit, there is no item, or the probabilities are not probabilities.

    Example:
        >>> evaluation = evaluate(["cat", "dog"], [0, 1], [[0.9, 0.1], [0.6, 0.4]], names=["a.jpg", "b.jpg"])
        >>> evaluation.accuracy, evaluation.losses[0].name
        (0.5, 'b.jpg')
    """
    p = _probabilities(probabilities, len(names), len(labels))
    truth = _truth(y, len(names), len(labels))
    answers = p.argmax(axis=1)
    right = answers == truth
    confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(confusion, (truth, answers), 1)
    curves = one_against_rest(labels, truth, p)
    before = None if uncalibrated is None else _probabilities(uncalibrated, len(names), len(labels))
    return Evaluation(
        labels=tuple(labels),
        names=tuple(names),
        y=truth,
        probabilities=p,
        accuracy=float(right.mean()),
        accuracy_interval=share_interval(right, groups, seed=seed),
        **_averages(confusion),
        top5=float((_rank(truth, p) < 5).mean()) if len(labels) > 5 else None,
        brier=_brier(truth, p),
        auc=curves.roc[0].area if curves.roc else None,
        average_precision=curves.pr[0].area if curves.pr else None,
        per_class=_per_class(labels, confusion, curves.roc_areas, curves.pr_areas),
        confusion=confusion,
        roc=curves.roc,
        pr=curves.pr,
        calibration=calibration(truth, p),
        uncalibrated=None if before is None else calibration(truth, before),
        confused=_confused(labels, confusion),
        losses=_losses(labels, names, truth, p),
        sets=None if conformal is None else _sets(truth, conformal),
        abstention=None if abstain_below is None else _abstention(abstain_below, p, right),
    )


def item_losses(y: NDArray[np.intp], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cross-entropy of each item in nats, float [n]; a probability of 0 counts as 2e-16."""
    tiny = np.finfo(np.float64).eps
    true = probabilities[np.arange(len(y)), y]
    return -np.log(np.clip(true, tiny, 1 - tiny))


def calibration(y: NDArray[np.intp], probabilities: NDArray[np.float64]) -> Calibration:
    """Measure how far confidence and accuracy agree.

    Args:
        y: True class of each item, int [n].
        probabilities: float [n, k].

    Returns:
        The Calibration.

    Example:
        >>> calibration(np.array([0, 0]), np.array([[0.75, 0.25], [0.25, 0.75]])).ece
        0.25
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == y
    edges = np.linspace(0, 1, BINS + 1)
    where = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, BINS - 1)
    counts = np.bincount(where, minlength=BINS)
    certain = np.bincount(where, weights=confidence, minlength=BINS)
    hits = np.bincount(where, weights=right, minlength=BINS)
    bins = tuple(
        Bin(
            low=float(edges[i]),
            high=float(edges[i + 1]),
            count=int(counts[i]),
            confidence=_ratio(certain[i], counts[i]),
            accuracy=_ratio(hits[i], counts[i]),
        )
        for i in range(BINS)
    )
    ece = float(np.abs(certain - hits).sum() / len(y))
    return Calibration(ece, float(item_losses(y, probabilities).mean()), bins)


def _probabilities(values: ArrayLike, items: int, classes: int) -> NDArray[np.float64]:
    p = np.asarray(values, dtype=np.float64)
    fix = "give the model's probabilities, one row for each item and one column for each label"
    if classes < 2:
        raise DataError(
            "at least two labels", f"{classes}", "evaluate a model that tells two classes or more apart"
        )
    if items == 0:
        raise DataError("at least one labelled item", "none", "name data that has labelled items")
    if p.shape != (items, classes):
        raise DataError(f"probabilities of shape ({items}, {classes})", f"shape {p.shape}", fix)
    if not np.isfinite(p).all() or (p < 0).any():
        raise DataError("probabilities from 0 to 1", "negative, infinite or undefined values", fix)
    totals = p.sum(axis=1, keepdims=True)
    if np.abs(totals - 1).max() > 1e-2:
        raise DataError(
            "rows that sum to one", f"a row that sums to {totals.flat[np.abs(totals - 1).argmax()]:.4g}", fix
        )
    return np.asarray(p / totals, dtype=np.float64)  # float32 rows sum to one only nearly


def _truth(values: ArrayLike, items: int, classes: int) -> NDArray[np.intp]:
    y = np.asarray(values)
    fix = "give the position of each item's label in the list of labels"
    if y.shape != (items,) or not np.issubdtype(y.dtype, np.integer):
        raise DataError(f"{items} whole numbers", f"{y.dtype} of shape {y.shape}", fix)
    if y.min() < 0 or y.max() >= classes:
        raise DataError(f"labels from 0 to {classes - 1}", f"labels from {y.min()} to {y.max()}", fix)
    return y.astype(np.intp)


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _rank(y: NDArray[np.intp], p: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return how many classes come before the true one; of equals the first comes first, as in argmax."""
    true = p[np.arange(len(y)), y][:, None]
    earlier = np.arange(p.shape[1])[None, :] < y[:, None]
    before: NDArray[np.intp] = ((p > true) | ((p == true) & earlier)).sum(axis=1)
    return before


def _averages(confusion: NDArray[np.int64]) -> dict[str, Any]:
    hits = np.diag(confusion).astype(float)
    support, answered = confusion.sum(axis=1), confusion.sum(axis=0)
    occurs = (support + answered) > 0
    scores = {
        "precision": hits / np.maximum(answered, 1),
        "recall": hits / np.maximum(support, 1),
        "f1": 2 * hits / np.maximum(support + answered, 1),
    }
    micro = float(hits.sum() / support.sum())
    averages: dict[str, Any] = {
        name: {
            "macro": float(score[occurs].mean()),
            "micro": micro,
            "weighted": float((score * support).sum() / support.sum()),
        }
        for name, score in scores.items()
    }
    return averages | {"balanced_accuracy": float(scores["recall"][support > 0].mean())}


def _per_class(
    labels: Sequence[str],
    confusion: NDArray[np.int64],
    roc_areas: Sequence[float | None],
    pr_areas: Sequence[float | None],
) -> tuple[ClassScore, ...]:
    support, answered = confusion.sum(axis=1), confusion.sum(axis=0)
    return tuple(
        ClassScore(
            label=label,
            precision=_ratio(confusion[i, i], answered[i]),
            recall=_ratio(confusion[i, i], support[i]),
            f1=_ratio(2 * confusion[i, i], support[i] + answered[i]),
            support=int(support[i]),
            roc_auc=roc_areas[i],
            average_precision=pr_areas[i],
        )
        for i, label in enumerate(labels)
    )


def _brier(y: NDArray[np.intp], p: NDArray[np.float64]) -> float:
    squares = ((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1)
    return float(squares.mean()) / (2 if p.shape[1] == 2 else 1)


def _confused(labels: Sequence[str], confusion: NDArray[np.int64]) -> tuple[Confusion, ...]:
    wrong = confusion - np.diag(np.diag(confusion))
    support = confusion.sum(axis=1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_KEPT_PAIRS]
    pairs = ((int(i), int(j)) for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True))
    return tuple(
        Confusion(labels[i], labels[j], int(wrong[i, j]), float(wrong[i, j] / support[i]))
        for i, j in pairs
        if wrong[i, j]
    )


def _losses(
    labels: Sequence[str], names: Sequence[str], y: NDArray[np.intp], p: NDArray[np.float64]
) -> tuple[Loss, ...]:
    losses = item_losses(y, p)
    return tuple(
        Loss(
            name=names[i],
            true=labels[y[i]],
            answer=labels[p[i].argmax()],
            confidence=float(p[i].max()),
            true_probability=float(p[i, y[i]]),
            loss=float(losses[i]),
        )
        for i in np.argsort(-losses, kind="stable")[:_KEPT_LOSSES]
    )


def _sets(y: NDArray[np.intp], conformal: NDArray[np.bool_]) -> Sets:
    sizes = conformal.sum(axis=1)
    covered = conformal[np.arange(len(y)), y]
    return Sets(float(covered.mean()), float(sizes.mean()), float((sizes == 1).mean()))


def _abstention(threshold: float, p: NDArray[np.float64], right: NDArray[np.bool_]) -> Abstention:
    answered = p.max(axis=1) >= threshold
    accuracy = float(right[answered].mean()) if answered.any() else None
    return Abstention(threshold, math.fsum(answered) / len(right), accuracy)
