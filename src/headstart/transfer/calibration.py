"""From logits to honest probabilities, prediction sets with a promised coverage, and when to stay silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from headstart.data.items import Target

Floats = NDArray[np.float64]

_LEVEL = 0.9
_ACCURACY = 0.99
_FEW = 5  # a threshold of its own needs this many items that have the label, and that do not


@dataclass(frozen=True)
class Conformal:
    """Prediction sets that hold the true label as often as promised.

    Args:
        level: The promised coverage, float in (0, 1).
        threshold: A label is in the set when its probability is at least this, float.

    References:
        Sadinle, Lei and Wasserman, "Least ambiguous set-valued classifiers", JASA 2019.
    """

    level: float
    threshold: float

    def sets(self, probabilities: Floats) -> NDArray[np.bool_]:
        """Return which labels are in each item's set, bool [n, classes]."""
        return probabilities >= self.threshold

    @classmethod
    def of(cls, probabilities: Floats, y: NDArray[np.int64], level: float = _LEVEL) -> Conformal:
        """Find the threshold on items the head has not been fitted on.

        Args:
            probabilities: float [n, classes].
            y: True classes, int [n].
            level: The coverage to promise. Defaults to 0.9.
        """
        true = np.sort(probabilities[np.arange(len(y)), y])
        # The finite-sample rule of split conformal prediction: rank ⌊(n + 1)(1 − level)⌋ from below.
        rank = int(np.floor((len(true) + 1) * (1 - level)))
        return cls(level, float(true[rank - 1]) if rank >= 1 else 0.0)


@dataclass(frozen=True)
class Abstention:
    """Below which confidence an answer is withheld.

    Args:
        accuracy: The share of given answers that was asked to be right, float.
        confidence: The threshold, float.
        answered: The share of items that are answered at this threshold, float.
    """

    accuracy: float
    confidence: float
    answered: float

    @classmethod
    def of(cls, probabilities: Floats, y: NDArray[np.int64], accuracy: float = _ACCURACY) -> Abstention:
        """Find the lowest threshold at which the answers given are right often enough.

        Where no threshold reaches the asked accuracy, the one with the most accurate answers that still
        answers a tenth of the items is taken.
        """
        confidence = probabilities.max(1)
        order = np.argsort(-confidence, kind="stable")
        right = (probabilities.argmax(1) == y)[order]
        share = np.cumsum(right) / np.arange(1, len(y) + 1)
        good = np.flatnonzero(share >= accuracy)
        # Items of equal confidence are answered together: only the last of a run is a possible threshold.
        ends = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True))
        good = np.intersect1d(good, ends)
        if len(good) == 0:
            possible = ends[ends >= max(len(y) // 10, 1) - 1]
            good = possible[[int(np.argmax(share[possible]))]]
        last = int(good[-1])
        if last == len(y) - 1:
            return cls(accuracy, 0.0, 1.0)
        return cls(accuracy, float(confidence[order][last]), (last + 1) / len(y))


@dataclass(frozen=True)
class Calibration:
    """What turns logits into probabilities, sets and silence, where an item has one label.

    Args:
        temperature: Logits are divided by it, float > 0.
        conformal: Prediction sets, Conformal.
        abstention: When to withhold an answer, Abstention.

    References:
        Temperature scaling: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """

    target: ClassVar[Target] = "label"
    temperature: float
    conformal: Conformal
    abstention: Abstention

    def probabilities(self, logits: NDArray[np.floating]) -> Floats:
        """Return calibrated probabilities, float64 [n, classes]."""
        return softmax(logits, self.temperature)

    def answers(self, logits: NDArray[np.floating]) -> Floats:
        """Return what the model says: here the probabilities."""
        return self.probabilities(logits)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Calibration:
        """Build from what `to_json` returned."""
        return cls(
            float(value["temperature"]), Conformal(**value["conformal"]), Abstention(**value["abstention"])
        )

    @classmethod
    def of(
        cls,
        logits: NDArray[np.floating],
        y: NDArray[np.int64],
        level: float = _LEVEL,
        temperature: float | None = None,
    ) -> Calibration:
        """Calibrate on logits of items that the head was not fitted on (out-of-fold logits).

        Args:
            logits: float [n, classes].
            y: True classes, int [n].
            level: Coverage of the prediction sets. Defaults to 0.9.
            temperature: What to divide by, float. Defaults to None: what fits best.
        """
        temperature = fit_temperature(logits, y) if temperature is None else temperature
        probabilities = softmax(logits, temperature)
        return cls(temperature, Conformal.of(probabilities, y, level), Abstention.of(probabilities, y))


@dataclass(frozen=True)
class Thresholds:
    """What turns logits into probabilities and labels, where an item has several labels or none.

    Args:
        temperature: Logits are divided by it, float > 0.
        thresholds: An item has a label when its probability is at least the label's, tuple of float.

    References:
        Lipton, Elkan and Narayanaswamy, "Optimal Thresholding of Classifiers to Maximize F1 Measure", 2014.
    """

    target: ClassVar[Target] = "labels"
    temperature: float
    thresholds: tuple[float, ...]

    def answers(self, logits: NDArray[np.floating]) -> Floats:
        """Return each label's probability, float64 [n, labels]; rows do not sum to one."""
        return sigmoid(logits, self.temperature)

    def chosen(self, probabilities: Floats) -> NDArray[np.bool_]:
        """Return which labels each item has, bool [n, labels]."""
        return probabilities >= np.asarray(self.thresholds)

    @classmethod
    def of(cls, logits: NDArray[np.floating], y: NDArray[np.bool_]) -> Thresholds:
        """Find the thresholds that maximise each label's F1 on items that the head was not fitted on.

        A label that fewer than five items have, or lack, gets the threshold that is best for all labels
        together: its own would be chance.

        Args:
            logits: float [n, labels].
            y: Which labels each item has, bool [n, labels].
        """
        temperature = _sigmoid_temperature(logits, y)
        p = sigmoid(logits, temperature)
        shared = best_threshold(p.ravel(), y.ravel())
        enough = np.minimum(y.sum(0), (~y).sum(0)) >= _FEW
        found = (best_threshold(p[:, k], y[:, k]) if enough[k] else shared for k in range(y.shape[1]))
        return cls(temperature, tuple(found))


@dataclass(frozen=True)
class Interval:
    """How far off a number may be.

    Args:
        level: The share of items whose number is to be inside, float in (0, 1).
        width: From the answer to either end of the interval, float.

    References:
        Barber, Candès, Ramdas and Tibshirani, "Predictive inference with the jackknife+", Annals of
        Statistics 2021: out-of-fold residuals, here around the answer of the head fitted on all items.
    """

    target: ClassVar[Target] = "number"
    level: float
    width: float

    def answers(self, logits: NDArray[np.floating]) -> Floats:
        """Return the numbers, float64 [n, 1]: what the head gives is the answer."""
        return np.asarray(logits, np.float64)

    @classmethod
    def of(cls, logits: NDArray[np.floating], y: NDArray[np.floating], level: float = _LEVEL) -> Interval:
        """Find the width on items that the head was not fitted on.

        Args:
            logits: The answers, float [n, 1].
            y: The true numbers, float [n].
            level: The coverage to promise. Defaults to 0.9; below 9 items it is the largest error, which
                promises less.

        Example:
            >>> Interval.of(np.zeros((99, 1)), np.arange(1.0, 100.0)).width
            90.0
        """
        errors = np.sort(np.abs(np.asarray(logits, np.float64)[:, 0] - y))
        # The finite-sample rule of split conformal prediction: rank ⌈(n + 1) level⌉ from below.
        rank = min(int(np.ceil((len(errors) + 1) * level)), len(errors))
        return cls(level, float(errors[rank - 1]))


AnyCalibration = Calibration | Thresholds | Interval
"""What turns a head's output into answers; its `target` says of which kind."""


def best_threshold(scores: Floats, y: NDArray[np.bool_]) -> float:
    """Return the threshold at which "the score is at least this" has the largest F1.

    Args:
        scores: float [n].
        y: bool [n].

    Returns:
        Half-way between the lowest score that is in and the highest that is not, float; 0.5 if no y is true.

    Example:
        >>> best_threshold(np.array([0.9, 0.6, 0.2, 0.1]), np.array([True, True, False, False]))
        0.4
    """
    if not y.any():
        return 0.5
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    f1 = 2 * np.cumsum(y[order]) / (np.arange(1, len(y) + 1) + y.sum())
    # Items of equal score are in together: only the last of a run is a possible end.
    f1[:-1][np.diff(ordered) == 0] = 0
    last = int(f1.argmax())
    return float((ordered[last] + (ordered[last + 1] if last + 1 < len(y) else 0.0)) / 2)


def sigmoid(logits: NDArray[np.floating], temperature: float = 1.0) -> Floats:
    """Return 1 / (1 + exp(−logits / temperature)), float64, without overflow."""
    result: Floats = np.exp(-np.logaddexp(0, -np.asarray(logits, np.float64) / temperature))
    return result


def label_log_loss(logits: NDArray[np.floating], y: NDArray[np.bool_], doubt: float = 0.0) -> float:
    """Return the mean binary cross-entropy in nats over all items and labels, from logits.

    Args:
        logits: float [n, labels].
        y: bool [n, labels].
        doubt: Targets are doubt and 1 − doubt instead of 0 and 1, float. Defaults to 0.
    """
    z = np.asarray(logits, np.float64)
    return float(np.mean(np.logaddexp(0, z) - np.where(y, 1 - doubt, doubt) * z))


def _sigmoid_temperature(logits: NDArray[np.floating], y: NDArray[np.bool_]) -> float:
    """Return the one temperature for all labels that minimises the log loss, with Platt's targets."""
    from scipy.optimize import minimize_scalar

    z, doubt = np.asarray(logits, np.float64), 1 / (len(y) + 2)
    found = minimize_scalar(
        lambda log_t: label_log_loss(z / np.exp(log_t), y, doubt),
        bounds=(np.log(0.05), np.log(20.0)),
        method="bounded",
    )
    return float(np.exp(found.x))


def softmax(logits: NDArray[np.floating], temperature: float = 1.0) -> Floats:
    """Return exp(logits / temperature), each row divided by its sum, float64 [n, classes]."""
    z = np.asarray(logits, np.float64) / temperature
    z = np.exp(z - z.max(1, keepdims=True))
    result: Floats = z / z.sum(1, keepdims=True)
    return result


def fit_temperature(logits: NDArray[np.floating], y: NDArray[np.int64]) -> float:
    """Return the temperature that minimises the log loss.

    The loss is convex in 1/temperature, so a bounded search over its logarithm finds it. Targets are not 1
    but 1 − 1/(n + 2), as Platt has it: a handful of items, all answered rightly, is no reason to be certain.

    Args:
        logits: float [n, classes].
        y: True classes, int [n].

    Returns:
        The temperature, float between 0.05 and 20.

    References:
        Platt, "Probabilistic outputs for support vector machines", 1999, for the targets.

    Example:
        >>> few = 9.0 * np.eye(2)[[0, 1, 0, 1]]
        >>> round(float(softmax(few, fit_temperature(few, np.array([0, 1, 0, 1]))).max()), 2)
        0.83
    """
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(y))
    doubt = 1 / (len(y) + 2)

    def loss(log_temperature: float) -> float:
        z = np.asarray(logits, np.float64) / np.exp(log_temperature)
        z -= z.max(1, keepdims=True)
        true = z[rows, y]
        others = (z.sum(1) - true) / max(z.shape[1] - 1, 1)
        return float(np.mean(np.log(np.exp(z).sum(1)) - (1 - doubt) * true - doubt * others))

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))
