"""Labels that are probably wrong, from probabilities of models that had not seen the item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headstart.errors import DataError


@dataclass(frozen=True)
class LabelIssue:
    """One item, and how suspicious its label is.

    Args:
        name: The item, str.
        given: The label it has, str.
        suggested: The label the model would give instead, str.
        score: From 0 (surely right) to 1 (surely wrong), float.
        likely: Whether confident learning counts it as a label error, bool.
    """

    name: str
    given: str
    suggested: str
    score: float
    likely: bool


def find_label_issues(
    labels: Sequence[str], y: ArrayLike, probabilities: ArrayLike, *, names: Sequence[str]
) -> list[LabelIssue]:
    """Rank all items by how likely their label is wrong.

    Confident learning (Northcutt, Jiang and Chuang 2021): an item is a likely error when the probability of
    another class reaches what is usual for items that carry that class's label, and that class is the
    likelier one. Likely errors come first; within both parts the normalised margin decides,
    (1 − p[given] + max p[other]) / 2.

    Args:
        labels: The classes, k of str.
        y: Given class of each item, int [n].
        probabilities: Out of fold, float [n, k]: from models that were not fitted on the item.
        names: The items, n of str.

    Returns:
        One LabelIssue for each item, the most suspicious first.

    Raises:
        DataError: The shapes do not fit.

    Example:
        >>> p = [[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.95, 0.05]]
        >>> find_label_issues(["cat", "dog"], [0, 0, 1, 1], p, names=list("abcd"))[0]
        LabelIssue(name='d', given='dog', suggested='cat', score=0.95, likely=True)
    """
    p, given = np.asarray(probabilities, dtype=float), np.asarray(y)
    if p.shape != (len(names), len(labels)) or given.shape != (len(names),):
        raise DataError(
            f"{len(names)} labels and probabilities of shape ({len(names)}, {len(labels)})",
            f"shapes {given.shape} and {p.shape}",
            "give one row for each item and one column for each label",
        )
    rows = np.arange(len(given))
    others = p.copy()
    others[rows, given] = -1.0
    suggested = others.argmax(axis=1)
    score = (1 - p[rows, given] + others[rows, suggested]) / 2
    likely = _confident_errors(given, p)
    order = np.lexsort((-score, ~likely))
    return [
        LabelIssue(
            names[i], labels[given[i]], labels[suggested[i]], round(float(score[i]), 6), bool(likely[i])
        )
        for i in order
    ]


def _confident_errors(given: NDArray[np.intp], p: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which items lie off the diagonal of the confident joint."""
    usual = np.full(p.shape[1], np.inf)  # a class that no item carries is never suggested
    for position in np.unique(given):
        usual[position] = p[given == position, position].mean()
    confident = np.where(p >= usual, p, -1.0)
    found = confident.argmax(axis=1)
    return np.asarray((confident.max(axis=1) >= 0) & (found != given), dtype=np.bool_)


def apply_review(
    rows: Sequence[Mapping[str, str]], decisions: Mapping[str, str | None]
) -> list[dict[str, str]]:
    """Apply a person's decisions to a manifest.

    Args:
        rows: The manifest; each row has "path" and "label", other columns stay as they are.
        decisions: The new label of an item by its path, or None to leave it out. Items that are not named
            keep their label.

    Returns:
        The rows that remain, in order.

    Raises:
        DataError: A decision is about an item that the manifest does not have.

    Example:
        >>> rows = [{"path": "a.jpg", "label": "cat"}, {"path": "b.jpg", "label": "cat"}]
        >>> apply_review(rows, {"a.jpg": "dog", "b.jpg": None})
        [{'path': 'a.jpg', 'label': 'dog'}]
    """
    unknown = set(decisions) - {row["path"] for row in rows}
    if unknown:
        raise DataError(
            "decisions about items of this manifest",
            f"{len(unknown)} about others, the first of them {min(unknown)!r}",
            "use the manifest that the review page was made from",
        )
    reviewed = []
    for row in rows:
        label = decisions.get(row["path"], row["label"])
        if label is not None:
            reviewed.append({**row, "label": label})
    return reviewed
