"""What the feedback store keeps: answers that were given, what waits for review, what people said."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.prediction import Prediction
from headstart.data.items import Answer
from headstart.evaluation.drift import halved
from headstart.files import digest_bytes

COLUMNS = "model, version, at, label, confidence, margin, rivals, answers, features, digest, content"
"""Of a row of traffic, as `row_of` makes it."""


@dataclass(frozen=True)
class Waiting:
    """An item of the review queue.

    Args:
        id: Its number in the store, int.
        at: When it was asked about, seconds since 1970, float.
        version: Which version answered, str.
        label: What it answered, str.
        confidence: How sure it was, float.
        margin: How far ahead of the second best answer that was, float.
        rivals: How many labels could not be ruled out, or how many different answers versions gave, int.
        probabilities: In the order of the model's labels, tuple of float.
    """

    id: int
    at: float
    version: str
    label: str
    confidence: float
    margin: float
    rivals: int
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Correction:
    """What a person or a machine said about an item; the last word on it.

    Args:
        digest: SHA-256 of the content, str.
        answer: The right label, labels or number.
        content: The item, bytes (a text in UTF-8).
        reviewer: Who said so, str.
        at: When, seconds since 1970, float.
        version: The version that had answered, str; None where none had.
        label: What it had answered, str or None.
        confidence: How sure it was, float or None.
    """

    digest: str
    answer: Answer
    content: bytes
    reviewer: str
    at: float
    version: str | None
    label: str | None
    confidence: float | None


@dataclass(frozen=True, eq=False)
class Traffic:
    """Answers that were given, the oldest first.

    Args:
        at: When, seconds since 1970, float64 [n].
        labels: What was answered, str [n].
        confidence: How sure the model was, float64 [n].
        answers: Probabilities in the order of the labels, or numbers, float32 [n, columns].
        embeddings: What the first network said, float32 [n, d]; None where it was not kept of all.
    """

    at: NDArray[np.float64]
    labels: tuple[str, ...]
    confidence: NDArray[np.float64]
    answers: NDArray[np.float32]
    embeddings: NDArray[np.float32] | None

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True, eq=False)
class Observed:
    """An answer that was just given.

    Args:
        model: The model's name, str.
        version: Which version answered, str.
        item: What was asked about.
        prediction: The answer.
        features: What the first network said, float [d], or None.
        at: When, seconds since 1970, float.
    """

    model: str
    version: str
    item: bytes | str
    prediction: Prediction
    features: NDArray[np.floating] | None
    at: float


def row_of(seen: Observed, *, keep: bool) -> tuple[Any, ...]:
    """Return a row of traffic: answer and features; digest and content only where they may be kept."""
    prediction = seen.prediction
    values = [prediction.value] if prediction.value is not None else [*prediction.probabilities.values()]
    answers = np.array(values, np.float32)
    content = as_bytes(seen.item) if keep else None
    return (
        seen.model,
        seen.version,
        seen.at,
        _said(prediction),
        *_doubt(prediction, answers),
        answers.tobytes(),
        None if seen.features is None else halved(np.asarray(seen.features)).tobytes(),
        None if content is None else digest_bytes(content),
        content,
    )


def as_bytes(item: bytes | str) -> bytes:
    """Return an item as it is kept: a text in UTF-8."""
    return item.encode("utf-8", "replace") if isinstance(item, str) else bytes(item)


def answer_of(kept: str) -> Answer:
    """Return an answer from the JSON that it is kept as."""
    value = json.loads(kept)
    return tuple(value) if isinstance(value, list) else float(value) if isinstance(value, int) else value


def _said(prediction: Prediction) -> str:
    if prediction.value is not None:
        return f"{prediction.value:g}"
    if prediction.labels is not None:
        return " | ".join(prediction.labels)
    # Also where the answer was withheld: this is what it would have been.
    return max(prediction.probabilities, key=prediction.probabilities.__getitem__, default="")


def _doubt(prediction: Prediction, answers: NDArray[np.float32]) -> tuple[float, float, int]:
    """Return confidence, margin and the number of labels that cannot be ruled out."""
    if prediction.value is not None:
        return 1.0, 1.0, 1
    if prediction.labels is not None:
        sure = np.maximum(answers, 1 - answers)
        return float(sure.mean()), float(2 * sure.min(initial=1.0) - 1), int((sure < 0.9).sum())
    ordered = np.sort(answers)
    return float(ordered[-1]), float(ordered[-1] - ordered[-2]), len(prediction.labels_set)
