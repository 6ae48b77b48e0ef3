"""Transferability scores: how well features will do for a task, told without training a network on it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.errors import DataError

Rows = NDArray[np.floating[Any]]
_ITERATIONS = 30
_CLOSE = 1e-4
_TINY = 1e-12


def logme(features: Rows, y: NDArray[Any]) -> float:
    """Return LogME: the largest log evidence, an item, of a Bayesian linear model from features to targets.

    The precision of the weights' prior (alpha) and that of the noise (beta) are found by MacKay's fixed-point
    iteration. Of classes each is one target of 0 and 1, and the mean over the classes is returned.

    Args:
        features: One row an item, float [n, d].
        y: Classes, int [n]; or numbers, float [n] or [n, targets].

    Returns:
        Nats an item, float; higher is better. It does not depend on the features' scale.

    Raises:
        DataError: Fewer than two items, or as many targets as there are none of.

    References:
        You, Liu, Wang and Long, "LogME: Practical Assessment of Pre-trained Models for Transfer Learning",
        ICML 2021; the faster iteration: "Ranking and Tuning Pre-trained Models", JMLR 2022.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(200, 5))
        >>> logme(x, x[:, 0]) > logme(x, np.roll(x[:, 0], 1))
        True
    """
    f = np.asarray(features, np.float64)
    targets = _targets(y)
    _check(f, targets)
    u, sigma = _left_vectors(f)
    x2 = (u.T @ targets) ** 2
    outside = np.maximum((targets**2).sum(0) - x2.sum(0), 0)  # what no weights can explain
    evidences = [_evidence(sigma, x2[:, k], outside[k], len(f)) for k in range(targets.shape[1])]
    return float(np.mean(evidences))


def _targets(y: NDArray[Any]) -> NDArray[np.float64]:
    y = np.asarray(y)
    if y.dtype.kind in "iub":
        return np.asarray(y[:, None] == np.unique(y), np.float64)
    return np.asarray(y.reshape(len(y), -1), np.float64)


def _left_vectors(f: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the left singular vectors [n, k] of features and the squared singular values [k] that count."""
    n, d = f.shape
    gram = f @ f.T if n <= d else f.T @ f
    sigma, vectors = np.linalg.eigh(gram)
    counts = sigma > max(n, d) * np.finfo(np.float64).eps * max(float(sigma[-1]), _TINY)
    sigma, vectors = sigma[counts], vectors[:, counts]
    left: NDArray[np.float64] = vectors if n <= d else f @ vectors / np.sqrt(sigma)
    return left, sigma


def _evidence(sigma: NDArray[np.float64], x2: NDArray[np.float64], outside: float, n: int) -> float:
    """Return the log evidence, an item, at the best alpha and beta; empty dimensions cancel out."""
    alpha, beta = float(sigma.mean()) if len(sigma) else 1.0, 1.0  # a start that follows the features' scale
    for _ in range(_ITERATIONS):
        t = alpha / beta
        effective = float((sigma / (sigma + t)).sum())
        weights2 = float((sigma * x2 / (sigma + t) ** 2).sum())
        misfit = float((x2 * (t / (sigma + t)) ** 2).sum()) + outside
        alpha = max(effective, _TINY) / max(weights2, _TINY)
        beta = max(n - effective, _TINY) / max(misfit, _TINY)
        if abs(alpha / beta - t) <= _CLOSE * t:
            break
    t = alpha / beta
    weights2 = float((sigma * x2 / (sigma + t) ** 2).sum())
    misfit = float((x2 * (t / (sigma + t)) ** 2).sum()) + outside
    logs = len(sigma) * math.log(alpha) - float(np.log(alpha + beta * sigma).sum())
    fit = n * math.log(beta / (2 * math.pi)) - beta * misfit - alpha * weights2
    return (logs + fit) / (2 * n)


def h_score(features: Rows, y: NDArray[np.int64]) -> float:
    """Return the regularised H-score: how far apart the classes' means are, in units of the features' spread.

    The covariance of the features is shrunk as Ledoit and Wolf found best, without which the score says
    nothing where items are fewer than dimensions.

    Args:
        features: One row an item, float [n, d].
        y: Classes, int [n].

    Returns:
        From 0 to the number of classes less one, float; higher is better.

    Raises:
        DataError: Fewer than two items.

    References:
        Bao et al., "An Information-Theoretic Approach to Transferability in Task Transfer Learning", ICIP
        2019; Ibrahim, Ponomareva and Mazumder, "Newer is not always better", ECML PKDD 2022 (the shrinkage).

    Example:
        >>> x = np.random.default_rng(0).normal(size=(90, 4))
        >>> y = np.arange(90) % 3
        >>> h_score(x + 5 * np.eye(3, 4)[y], y) > h_score(x, y)
        True
    """
    from sklearn.covariance import ledoit_wolf

    f = np.asarray(features, np.float64)
    _check(f, np.asarray(y))
    f = f - f.mean(0)
    classes, position, counts = np.unique(y, return_inverse=True, return_counts=True)
    covariance, shrinkage = ledoit_wolf(f, assume_centered=True)
    if not np.trace(covariance) > 0:
        return 0.0  # features that are the same for every item
    means = np.zeros((len(classes), f.shape[1]))
    np.add.at(means, position, f)
    means *= np.sqrt(counts / len(f))[:, None] / counts[:, None]  # so that meansᵀ means is their covariance
    solved = np.linalg.lstsq(covariance, means.T, rcond=None)[0]  # a dead feature makes it singular
    return float((1 - shrinkage) * (means.T * solved).sum())


def leep(source: Rows, y: NDArray[np.int64]) -> float:
    """Return LEEP: the log likelihood, an item, of classes guessed from the source network's own answers.

    Args:
        source: The source classifier's probabilities, float [n, source classes].
        y: Classes, int [n].

    Returns:
        Nats an item, float ≤ 0; higher is better.

    Raises:
        DataError: Fewer than two items.

    References:
        Nguyen et al., "LEEP: A New Measure to Evaluate Transferability of Learned Representations", ICML
        2020.

    Example:
        >>> round(leep(np.eye(2)[[0, 0, 1, 1]], np.array([0, 0, 1, 1])), 6)
        0.0
    """
    p = np.asarray(source, np.float64)
    _check(p, np.asarray(y))
    _, position = np.unique(y, return_inverse=True)
    joint = np.zeros((position.max() + 1, p.shape[1]))
    np.add.at(joint, position, p / len(p))
    conditional = joint / np.maximum(joint.sum(0), _TINY)
    likelihood = (p @ conditional.T)[np.arange(len(p)), position]
    return float(np.log(np.maximum(likelihood, _TINY)).mean())


def _check(rows: NDArray[np.float64], y: NDArray[Any]) -> None:
    if rows.ndim != 2 or len(rows) < 2 or len(rows) != len(y):
        raise DataError(
            "rows of features and as many targets, two at least",
            f"{rows.shape} and {y.shape}",
            "label more items",
        )
    if not np.isfinite(rows).all():
        raise DataError("finite features", "NaN or infinity among them", "compute the features again")
