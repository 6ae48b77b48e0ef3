"""What a model answers about one item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.transfer.calibration import AnyCalibration, Interval, Thresholds


@dataclass(frozen=True)
class Prediction:
    """The answer to one input.

    Args:
        input: What was asked about, str: the path, or "input 3" for the third when it has no name.
        label: The most probable class; None where the input could not be read, the answer is withheld, or
            the model gives several labels or a number.
        confidence: Its probability, float; 0 where there is no such label.
        probabilities: Every class's or label's, {label: float}; empty for a number, or where the input could
            not be read.
        labels_set: Classes that cannot be ruled out at the promised coverage, tuple of str.
        error: Why the input could not be read, str. Defaults to None.
        labels: The labels it has, tuple of str, maybe (), from a model with several labels an item.
            Defaults to None.
        value: The number, float, from a model for numbers. Defaults to None.
        interval: (low, high) between which the number is as often as promised. Defaults to None.
        share_as_far: How new the item is: the share of known items that are as far from the others, float.
            Defaults to None: nobody asked.

    Example:
        >>> Prediction("a.jpg", "cat", 0.9, {"cat": 0.9, "dog": 0.1}, ("cat",)).to_json()["label"]
        'cat'
        >>> Prediction("a.jpg", value=3.5, interval=(3.0, 4.0)).to_json()
        {'input': 'a.jpg', 'value': 3.5, 'interval': [3.0, 4.0]}
    """

    input: str
    label: str | None = None
    confidence: float = 0.0
    probabilities: dict[str, float] = field(default_factory=dict)
    labels_set: tuple[str, ...] = ()
    error: str | None = None
    labels: tuple[str, ...] | None = None
    value: float | None = None
    interval: tuple[float, float] | None = None
    share_as_far: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object: the answer, or only the input and its error."""
        if self.error is not None:
            return {"input": self.input, "error": self.error}
        far = {} if self.share_as_far is None else {"share_as_far": self.share_as_far}
        return {**self._answer(), **far}

    def _answer(self) -> dict[str, Any]:
        if self.value is not None:
            return {"input": self.input, "value": self.value, "interval": list(self.interval or ())}
        if self.labels is not None:
            labels = list(self.labels)
            return {"input": self.input, "labels": labels, "probabilities": dict(self.probabilities)}
        return {
            "input": self.input,
            "label": self.label,
            "confidence": self.confidence,
            "probabilities": dict(self.probabilities),
            "labels_set": list(self.labels_set),
        }


def predicted(
    name: str,
    answers: NDArray[np.float64],
    labels: Sequence[str],
    calibration: AnyCalibration,
    abstain: bool = False,
) -> Prediction:
    """Put an answer into words.

    Args:
        name: What was asked about, str.
        answers: What the calibration made of the logits, float [columns].
        labels: What the columns are called.
        calibration: What decides between them.
        abstain: Whether to withhold a label that is too uncertain. Defaults to False.

    Returns:
        The prediction.
    """
    if isinstance(calibration, Interval):
        value = float(answers[0])
        return Prediction(name, value=value, interval=(value - calibration.width, value + calibration.width))
    probabilities = dict(zip(labels, answers.tolist(), strict=True))
    if isinstance(calibration, Thresholds):
        chosen = _named(labels, calibration.chosen(answers))
        return Prediction(name, probabilities=probabilities, labels=chosen)
    best = int(answers.argmax())
    confidence = float(answers[best])
    withheld = abstain and confidence < calibration.abstention.confidence
    inside = _named(labels, calibration.conformal.sets(answers[None])[0])
    return Prediction(name, None if withheld else labels[best], confidence, probabilities, inside)


def _named(labels: Sequence[str], chosen: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(label for label, kept in zip(labels, chosen.tolist(), strict=True) if kept)
