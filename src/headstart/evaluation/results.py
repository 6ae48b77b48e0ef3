"""What an evaluation holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.evaluation.curves import Curve


@dataclass(frozen=True)
class ClassScore:
    """The figures of one class; None where a figure is undefined (no such item, or no such answer).

    Args:
        label: The class, str.
        precision: Of the items answered so, how many are, float.
        recall: Of the items that are, how many are answered so, float.
        f1: Harmonic mean of the two, float.
        support: Number of items that are, int.
        roc_auc: Area under its one-against-rest ROC curve, float.
        average_precision: Area under its precision-recall curve, float.
    """

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    roc_auc: float | None
    average_precision: float | None


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability diagram: the items whose confidence is in (low, high]."""

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Confusion:
    """How often one class was taken for another, and which share of the true class that is."""

    true: str
    answer: str
    count: int
    share: float


@dataclass(frozen=True)
class Loss:
    """One item and how surprised the model was by its true label (cross-entropy, in nats)."""

    name: str
    true: str
    answer: str
    confidence: float
    true_probability: float
    loss: float


@dataclass(frozen=True)
class Calibration:
    """How far confidence and accuracy agree.

    Args:
        ece: Expected calibration error (Guo et al. 2017): 15 bins of equal width of the answer's probability,
            the mean distance between confidence and accuracy, weighted by items, float.
        log_loss: Mean cross-entropy in nats, float.
        bins: The reliability diagram, 15 of Bin.
    """

    ece: float
    log_loss: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Sets:
    """How conformal sets did: the share that holds the true label, and how large they are."""

    coverage: float
    mean_size: float
    single: float


@dataclass(frozen=True)
class Abstention:
    """What happens when the model keeps quiet below a confidence."""

    threshold: float
    answered: float
    accuracy: float | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything that is known about the answers to a set of labelled items; `evaluate` makes it.

    Args:
        labels: The classes, k of str.
        names: The items, n of str.
        y: True class of each item, int [n].
        probabilities: The model's, float [n, k], rows sum to one.
        accuracy: Share of right answers, float.
        accuracy_interval: Its 95 % bootstrap interval, (low, high).
        balanced_accuracy: Mean recall of the classes that occur, float.
        precision, recall, f1: {"macro", "micro", "weighted"} to float; macro and weighted as scikit-learn
            does it, over the classes that occur among the truths or the answers.
        top5: Share of items whose true class is among the five likeliest, float; None with five classes or
            fewer.
        brier: Brier score, float: mean squared error of the probabilities, summed over classes (0 to 2); with
            two classes that of the second one (0 to 1), as scikit-learn has it.
        auc: Area under the ROC curve of the second of two classes, or the mean over classes of
            one-against-rest; None where undefined.
        average_precision: The same for precision-recall curves.
        per_class: k of ClassScore.
        confusion: Items by [true class, answer], int [k, k].
        roc: ROC curves; the first is the one that stands for all.
        pr: Precision-recall curves, likewise.
        calibration: Of these probabilities.
        uncalibrated: Of the probabilities before calibration, or None.
        confused: The most-confused pairs, most frequent first.
        losses: The items with the largest loss, largest first.
        sets: How conformal sets did, or None.
        abstention: What an abstention threshold does, or None.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    y: NDArray[np.intp]
    probabilities: NDArray[np.float64]
    accuracy: float
    accuracy_interval: tuple[float, float]
    balanced_accuracy: float
    precision: dict[str, float]
    recall: dict[str, float]
    f1: dict[str, float]
    top5: float | None
    brier: float
    auc: float | None
    average_precision: float | None
    per_class: tuple[ClassScore, ...]
    confusion: NDArray[np.int64]
    roc: tuple[Curve, ...]
    pr: tuple[Curve, ...]
    calibration: Calibration
    uncalibrated: Calibration | None
    confused: tuple[Confusion, ...]
    losses: tuple[Loss, ...]
    sets: Sets | None
    abstention: Abstention | None

    @property
    def answers(self) -> NDArray[np.intp]:
        """The class answered for each item, int [n]."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.intp)

    @property
    def confidence(self) -> NDArray[np.float64]:
        """The probability of each answer, float [n]."""
        return np.asarray(self.probabilities.max(axis=1), dtype=np.float64)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each answer is right, bool [n]."""
        return np.asarray(self.answers == self.y, dtype=np.bool_)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values: no arrays, no NaN, undefined ones are None.

        Returns:
            A dict; per-item probabilities are left out, of the curves only the first is in.
        """
        optional = {
            "top5": self.top5,
            "ece_uncalibrated": self.uncalibrated and self.uncalibrated.ece,
            "log_loss_uncalibrated": self.uncalibrated and self.uncalibrated.log_loss,
            "conformal": self.sets and asdict(self.sets),
            "abstention": self.abstention and asdict(self.abstention),
        }
        scores = {score.label: asdict(score) for score in self.per_class}
        return {
            "items": len(self.y),
            "accuracy": self.accuracy,
            "accuracy_interval": list(self.accuracy_interval),
            "macro_f1": self.f1["macro"],
            "log_loss": self.calibration.log_loss,
            "ece": self.calibration.ece,
            "balanced_accuracy": self.balanced_accuracy,
            "brier": self.brier,
            "auc": self.auc,
            "average_precision": self.average_precision,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            **{name: value for name, value in optional.items() if value is not None},
            "labels": list(self.labels),
            "per_class": {k: {f: v for f, v in s.items() if f != "label"} for k, s in scores.items()},
            "confusion": self.confusion.tolist(),
            "most_confused": [asdict(pair) for pair in self.confused],
            "top_losses": [asdict(loss) for loss in self.losses],
            "reliability": [asdict(bin_) for bin_ in self.calibration.bins],
            "roc": self.roc[0].to_json() if self.roc else None,
            "pr": self.pr[0].to_json() if self.pr else None,
        }
