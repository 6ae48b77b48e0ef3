"""How much answers about the target are worth, told without a label: by neighbours, or by clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headstart.transfer.heads import Matrix, Scaler

Floats = NDArray[np.float64]
_NEAREST = 10
_MOST = 2000
"""Items: more tell no better, and all pairs of them are compared."""
_MARGIN = 2.0
"""How far the best answer's logit is ahead of the second on average, once logits are on one scale."""
Neighbours = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Positions of some items, and those of the nearest ones of each, [n] and [n, k]."""


def neighbours_of(rows: Matrix, seed: int = 0) -> Neighbours:
    """Return the nearest other items of each item, by the cosine of standardised features.

    Args:
        rows: One row an item, float32 [n, d]; of more than 2,000 as many are drawn.
        seed: Of the draw, int. Defaults to 0.

    Example:
        >>> rows = np.array([[0, 1], [0.1, 1], [1, 0], [1, 0.1]], np.float32)
        >>> neighbours_of(rows)[1][:, 0]
        array([1, 0, 3, 2])
    """
    items = np.sort(np.random.default_rng(seed).permutation(len(rows))[:_MOST])
    z = Scaler.of(rows[items]).apply(rows[items])
    z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-9)
    alike = z @ z.T
    np.fill_diagonal(alike, -np.inf)
    nearest = np.argsort(-alike, axis=1, kind="stable")[:, : max(1, min(_NEAREST, len(items) - 1))]
    return items, items[nearest]


def agreement(answers: NDArray[np.int64], neighbours: Neighbours) -> float:
    """Return how much an item's answer tells about those of its neighbours: their mutual information.

    Nothing where answers have nothing to do with likeness, nor where all are the same.

    Args:
        answers: Class of each item, int [n].
        neighbours: As `neighbours_of` returns them.

    Returns:
        Nats, from 0 to ln(classes).

    Example:
        >>> near = np.arange(4), np.array([[1], [0], [3], [2]])
        >>> [round(agreement(np.array(each), near), 3) for each in ([0, 0, 1, 1], [1, 1, 1, 1])]
        [0.693, 0.0]
    """
    items, nearest = neighbours
    classes = int(answers.max()) + 1
    both = np.zeros((classes, classes))
    np.add.at(both, (answers[items][:, None], answers[nearest]), 1.0)
    both += both.T
    both /= both.sum()
    alone = both.sum(1)
    present = both > 0
    told = both[present] * np.log(both[present] / np.outer(alone, alone)[present])
    return max(float(told.sum()), 0.0)


def information(logits: Matrix) -> float:
    """Return how much answers say about the items: the entropy of their mean less their mean entropy.

    Logits are brought to one scale first, so that boldness alone is worth nothing: what counts is whether
    items stand apart in clusters, none of which is empty.

    Args:
        logits: float32 [n, classes].

    Returns:
        Nats, from 0 to ln(classes).

    References:
        Bridle, Heading and MacKay, "Unsupervised classifiers, mutual information and phantom targets",
        NeurIPS 1991. Shi and Sha, "Information-theoretical learning of discriminative clusters for
        unsupervised domain adaptation", ICML 2012.

    Example:
        >>> sure = np.array([[9, -9], [-9, 9]], np.float32)
        >>> information(sure) > information(sure[[0, 0]])
        True
    """
    z = np.asarray(logits, np.float64)
    first = np.sort(z, axis=1)
    ahead = float((first[:, -1] - first[:, -2]).mean()) if z.shape[1] > 1 else 0.0
    if ahead <= 0:
        return 0.0
    z = (z - z.max(1, keepdims=True)) * (_MARGIN / ahead)
    said = np.exp(z)
    said /= said.sum(1, keepdims=True)
    return _entropy(said.mean(0)) - float(np.mean([_entropy(each) for each in said]))


def _entropy(shares: Floats) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log(present)).sum())
