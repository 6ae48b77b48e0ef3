"""What is learned about an item (one label, several, a number): the little that differs in a fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headstart.data.items import Dataset
from headstart.errors import DataError
from headstart.transfer.features import Features
from headstart.transfer.label_sets import LabelSets
from headstart.transfer.numbers import Numbers
from headstart.transfer.selection import Labelled

VALUE = "value"
"""What the one answer of a model for numbers is called."""


def answer_labels(dataset: Dataset) -> tuple[str, ...]:
    """Return the classes or labels in natural order; for numbers `VALUE` alone."""
    return (VALUE,) if dataset.target == "number" else dataset.classes


def describe(dataset: Dataset) -> str:
    """Say what a data set teaches: "of 3 classes", "with 14 labels", "with numbers from 1 to 9.5"."""
    if dataset.target == "number":
        numbers = [item.value for item in dataset if item.value is not None]
        return f"with numbers from {min(numbers):g} to {max(numbers):g}" if numbers else "without numbers"
    count = len(dataset.classes)
    return f"of {count} classes" if dataset.target == "label" else f"with {count} labels"


def labelled(dataset: Dataset, features: Features, labels: Sequence[str]) -> Labelled:
    """Join features with what is known about their items.

    Args:
        dataset: Items that all have an answer; labels other than those named are passed over.
        features: One entry for each item.
        labels: The columns of the answers.

    Returns:
        Labelled, LabelSets or Numbers, by the data set's target.
    """
    if dataset.target == "number":
        return Numbers(features, np.array([item.value for item in dataset], np.float64), 1)
    position = {label: number for number, label in enumerate(labels)}
    if dataset.target == "labels":
        y = np.zeros((len(dataset), len(labels)), np.bool_)
        for row, item in enumerate(dataset):
            y[row, [position[tag] for tag in item.tags if tag in position]] = True
        return LabelSets(features, y, len(labels))
    return Labelled(
        features, np.array([position[tag] for item in dataset for tag in item.tags], np.int64), len(labels)
    )


def require_two_answers(dataset: Dataset) -> None:
    """Raise `DataError` unless there is something to learn: items that differ in what is known about them."""
    if len({item.answer for item in dataset}) > 1:
        return _require_resolution(dataset)
    if dataset.target == "number":
        first = dataset.items[0].value if len(dataset) else None
        received = "none" if first is None else f"only {first:g}, {len(dataset)} times"
        fix = "add items with other numbers, or check the label column"
        raise DataError("at least two different numbers", received, fix)
    if dataset.target == "labels":
        received = " and ".join(map(repr, dataset.classes)) or "no label"
        fix = "add items with other labels; an empty cell means none of them"
        raise DataError("items with different labels", f"{received} for each item", fix)
    raise DataError(
        "at least two classes",
        f"only {', '.join(map(repr, dataset.classes)) or 'none'}",
        "add items of what it should be told apart from",
    )


def _require_resolution(dataset: Dataset) -> None:
    """Refuse numbers too large for their spread, such as dates in seconds: heads compute in 32 bits."""
    numbers = np.array([item.value for item in dataset if item.value is not None])
    if len(numbers) and numbers.std() < 1024 * np.finfo(np.float32).eps * np.abs(numbers).max():
        received = f"numbers around {numbers.mean():.6g} that differ by {numbers.std():.3g}"
        fix = "subtract a constant from the label column, and add it to the answers"
        raise DataError("numbers whose spread is not tiny beside their size", received, fix)


def require_variety(train: Labelled) -> None:
    """Raise `DataError` unless the training part can teach something."""
    if len(train.y) and len(np.unique(train.y, axis=0)) >= 2:
        return
    what = {"label": "classes", "labels": "sets of labels", "number": "numbers"}[train.target]
    raise DataError(
        f"at least two {what} in the training part",
        f"{len(train.y)} usable training items of {len(np.unique(train.y, axis=0))} {what}",
        f"add items of other {what} to train; headstart inspect lists copies and contradictions",
    )
