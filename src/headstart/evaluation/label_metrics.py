"""How good answers with several labels an item are; the figures equal scikit-learn's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headstart.errors import DataError
from headstart.evaluation.curves import Curve, label_pr_curves
from headstart.evaluation.resampling import draws, percentiles, share_interval

_KEPT_LOSSES = 48
_WORK = 60_000_000  # how many item-label pairs a bootstrap may look at: a second or two


@dataclass(frozen=True)
class LabelScore:
    """The figures of one label; None where a figure is undefined (no such item, or no such answer).

    Args:
        label: Its name, str.
        support: Number of items that have it, int.
        average_precision: Area under its precision-recall curve, float.
        precision: Of the items that were said to have it, how many have, float.
        recall: Of the items that have it, how many were said to, float.
        f1: Harmonic mean of the two, float.
        threshold: The probability from which on the model says so, float.
    """

    label: str
    support: int
    average_precision: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    threshold: float | None


@dataclass(frozen=True)
class LabelMistake:
    """One item, what it has, what was missed and what was added, and the log loss summed over labels."""

    name: str
    true: tuple[str, ...]
    missed: tuple[str, ...]
    added: tuple[str, ...]
    loss: float


@dataclass(frozen=True, eq=False)
class LabelsEvaluation:
    """Everything that is known about answers with several labels; `evaluate_labels` makes it.

    Args:
        labels: The labels, k of str.
        names: The items, n of str.
        y: Which labels each item has, bool [n, k].
        probabilities: The model's, float [n, k].
        chosen: Which labels the model says each item has, bool [n, k].
        mean_average_precision: Mean over the labels that some item has, float; None if none has any.
        map_interval: Its 95 % bootstrap interval, (low, high), or None.
        micro: {"precision", "recall", "f1"} of all item-label pairs together, float.
        macro: The same, averaged over the labels that occur among the truths or the answers, float.
        micro_f1_interval: The 95 % bootstrap interval of micro F1, (low, high).
        subset_accuracy: Share of items whose labels are all right, none missed, none added, float.
        subset_interval: Its 95 % bootstrap interval, (low, high).
        hamming_loss: Share of item-label pairs that are wrong, float.
        log_loss: Mean binary cross-entropy of all pairs, nats, float.
        per_label: The figures of each label, k of LabelScore.
        pr: Precision-recall curve of each label that some but not all items have.
        losses: The items with the largest loss.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    y: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    chosen: NDArray[np.bool_]
    mean_average_precision: float | None
    map_interval: tuple[float, float] | None
    micro: dict[str, float]
    macro: dict[str, float]
    micro_f1_interval: tuple[float, float]
    subset_accuracy: float
    subset_interval: tuple[float, float]
    hamming_loss: float
    log_loss: float
    per_label: tuple[LabelScore, ...]
    pr: tuple[Curve, ...]
    losses: tuple[LabelMistake, ...]

    @property
    def figures(self) -> dict[str, Any]:
        """The figures that people ask for first, by name."""
        return {
            "items": len(self.y),
            "mean_average_precision": self.mean_average_precision,
            "map_interval": self.map_interval,
            "micro_f1": self.micro["f1"],
            "macro_f1": self.macro["f1"],
            "micro_precision": self.micro["precision"],
            "micro_recall": self.micro["recall"],
            "subset_accuracy": self.subset_accuracy,
            "hamming_loss": self.hamming_loss,
            "log_loss": self.log_loss,
        }

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "target": "labels",
            **{name: list(v) if isinstance(v, tuple) else v for name, v in self.figures.items()},
            "micro_f1_interval": list(self.micro_f1_interval),
            "subset_interval": list(self.subset_interval),
            "labels": list(self.labels),
            "per_label": {
                score.label: {k: v for k, v in asdict(score).items() if k != "label"}
                for score in self.per_label
            },
            "top_losses": [
                {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(loss).items()}
                for loss in self.losses
            ],
            "pr": [curve.to_json() for curve in self.pr],
        }


def evaluate_labels(
    labels: Sequence[str],
    y: ArrayLike,
    probabilities: ArrayLike,
    chosen: ArrayLike,
    *,
    names: Sequence[str],
    thresholds: Sequence[float] | None = None,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
) -> LabelsEvaluation:
    """Measure answers with several labels an item.

    Args:
        labels: The labels, k of str, at least one.
        y: Which labels each item has, bool [n, k].
        probabilities: The model's, float [n, k], from 0 to 1.
        chosen: Which labels the model says each item has, bool [n, k].
        names: The items, n of str.
        thresholds: The probability from which on it says so, k of float, to be told. Defaults to None.
        groups: The group of each item, for the intervals. Defaults to None (independent items).
        seed: Of the bootstrap, int. Defaults to 0.

    Returns:
        The LabelsEvaluation.

    Raises:
        DataError: Shapes do not fit, there is no item, or the probabilities are not probabilities.

    Example:
        >>> p = np.array([[0.9, 0.2], [0.4, 0.7], [0.1, 0.6]])
        >>> found = evaluate_labels(["cat", "dog"], [[1, 0], [1, 1], [0, 0]], p, p > 0.5, names=list("abc"))
        >>> found.mean_average_precision, round(found.hamming_loss, 2), found.losses[0].missed
        (1.0, 0.33, ('cat',))
    """
    truth, p, said = _checked(y, probabilities, chosen, len(names), len(labels))
    hits, wrong, missed = truth & said, ~truth & said, truth & ~said
    counts = np.stack([hits, wrong, missed])
    areas = _average_precisions(p, truth, np.ones((1, len(truth))))[0]
    occurs = (truth | said).any(0)
    scores = _ratios(counts.sum(1))
    macro = {
        name: float(np.nan_to_num(score)[occurs].sum() / max(occurs.sum(), 1))
        for name, score in scores.items()
    }
    losses = _item_losses(truth, p)
    weights = draws(len(truth), groups, max(200, min(2000, _WORK // truth.size)), seed)
    exact = (truth == said).all(1)
    perfect = share_interval(np.ones(len(truth), np.bool_), groups)
    return LabelsEvaluation(
        labels=tuple(labels),
        names=tuple(names),
        y=truth,
        probabilities=p,
        chosen=said,
        mean_average_precision=None if np.isnan(areas).all() else float(np.nanmean(areas)),
        map_interval=_map_interval(p, truth, weights, perfect),
        micro={name: float(np.nan_to_num(score)) for name, score in _ratios(counts.sum((1, 2))).items()},
        macro=macro,
        micro_f1_interval=_f1_interval(counts, weights, perfect),
        subset_accuracy=float(exact.mean()),
        subset_interval=share_interval(exact, groups, seed=seed),
        hamming_loss=float((truth != said).mean()),
        log_loss=float(losses.mean()) / truth.shape[1],
        per_label=tuple(
            LabelScore(
                label=label,
                support=int(truth[:, k].sum()),
                average_precision=_defined(areas[k]),
                **{name: _defined(score[k]) for name, score in scores.items()},
                threshold=None if thresholds is None else float(thresholds[k]),
            )
            for k, label in enumerate(labels)
        ),
        pr=label_pr_curves(labels, truth, p),
        losses=_mistakes(labels, names, counts[1:], truth, losses),
    )


def _mistakes(
    labels: Sequence[str],
    names: Sequence[str],
    wrong_and_missed: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    losses: NDArray[np.float64],
) -> tuple[LabelMistake, ...]:
    wrong, missed = wrong_and_missed

    def named(row: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(label for label, has in zip(labels, row.tolist(), strict=True) if has)

    return tuple(
        LabelMistake(names[i], named(truth[i]), named(missed[i]), named(wrong[i]), float(losses[i]))
        for i in np.argsort(-losses, kind="stable")[:_KEPT_LOSSES].tolist()
    )


def _checked(
    y: ArrayLike, probabilities: ArrayLike, chosen: ArrayLike, items: int, labels: int
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.bool_]]:
    truth, said = np.asarray(y).astype(bool), np.asarray(chosen).astype(bool)
    p = np.asarray(probabilities, np.float64)
    if not items or not labels:
        raise DataError(
            "at least one item and one label", f"{items} items, {labels} labels", "name more data"
        )
    fix = "give truths, probabilities and answers with a row for each item and a column for each label"
    if not truth.shape == said.shape == p.shape == (items, labels):
        received = f"{truth.shape}, {p.shape} and {said.shape}"
        raise DataError(f"three tables of shape ({items}, {labels})", received, fix)
    if not ((p >= 0) & (p <= 1)).all():
        raise DataError("probabilities from 0 to 1", "negative, larger or undefined values", fix)
    return truth, p, said


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _ratios(counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return precision, recall and F1 of (hits, wrong, missed); NaN where there is nothing to divide by."""
    hits, wrong, missed = counts.astype(float)
    with np.errstate(invalid="ignore"):
        return {
            "precision": hits / (hits + wrong),
            "recall": hits / (hits + missed),
            "f1": 2 * hits / (2 * hits + wrong + missed),
        }


def _item_losses(y: NDArray[np.bool_], p: NDArray[np.float64]) -> NDArray[np.float64]:
    tiny = np.finfo(np.float64).eps
    right = np.clip(np.where(y, p, 1 - p), tiny, 1)
    losses: NDArray[np.float64] = -np.log(right).sum(1)
    return losses


def _average_precisions(
    p: NDArray[np.float64], y: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the average precision of each label under each weighting of the items, float [b, k].

    A bootstrap sample is a weighting, and the order of the scores is the same under all of them: one sort
    for each label serves every resample. NaN where no item of positive weight has the label.
    """
    result = np.full((len(weights), p.shape[1]), np.nan)
    for k in range(p.shape[1]):
        order = np.argsort(-p[:, k], kind="stable")
        ends = np.append(np.flatnonzero(np.diff(p[order, k])), len(p) - 1)  # equal scores come in together
        w = weights[:, order]
        seen = np.cumsum(w, 1)[:, ends]
        hits = np.cumsum(w * y[order, k], 1)[:, ends]
        gained = np.diff(hits, axis=1, prepend=0.0)
        with np.errstate(invalid="ignore"):
            result[:, k] = (gained * (hits / np.maximum(seen, 1e-12))).sum(1) / hits[:, -1]
    return result


def _map_interval(
    p: NDArray[np.float64],
    y: NDArray[np.bool_],
    weights: NDArray[np.float64],
    perfect: tuple[float, float],
) -> tuple[float, float] | None:
    """Return the bootstrap interval of mAP; `perfect` where all is right: resampling cannot tell then."""
    if not y.any():
        return None
    parts = np.array_split(weights, max(1, weights.size // 4_000_000))
    areas = np.concatenate([_average_precisions(p, y, part) for part in parts])
    means = np.nanmean(areas[~np.isnan(areas).all(1)], axis=1)
    return perfect if means.min() == 1 else percentiles(means)


def _f1_interval(
    counts: NDArray[np.bool_], weights: NDArray[np.float64], perfect: tuple[float, float]
) -> tuple[float, float]:
    if counts[0].any() and not counts[1:].any():
        return perfect
    hits, wrong, missed = (weights @ part.sum(1) for part in counts)
    return percentiles(2 * hits / np.maximum(2 * hits + wrong + missed, 1e-12))
