"""Several views of the same items, each with a model of its own, answering together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from headstart.transfer.calibration import fit_temperature
from headstart.transfer.heads import Kind, Matrix
from headstart.transfer.selection import Labelled, Selection, folds_of, select

STACK = "stack"


@dataclass(frozen=True)
class StackedHead:
    """What was fitted on each view.

    Args:
        heads: One for each view, as the view's own `fit` returned it.
        weights: How much the logits of each count, float each, at least 0.
    """

    heads: tuple[Any, ...]
    weights: tuple[float, ...]
    kind: Kind = "linear"


@dataclass(frozen=True)
class Stacked(Labelled):
    """Several views of the same items, whose weighted logits are summed: a logarithmic opinion pool.

    Each view keeps the strength that was chosen for it alone; the weights were fitted on out-of-fold answers.

    Args:
        features: The first view's: who is in a group with whom, Features.
        y: Class of each item, int [items].
        classes: Number of classes, int.
        views: The views, all of the same items in the same order.
        chosen: The strength of each view, float.
        weights: The weight of each view, float.

    References:
        Wolpert, "Stacked generalization", Neural Networks 1992. Breiman, "Stacked regressions", Machine
        Learning 1996, for weights of at least 0. Heskes, "Selecting weighting factors in logarithmic opinion
        pools", NeurIPS 1997.
    """

    views: tuple[Labelled, ...] = ()
    chosen: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()

    def take(self, items: NDArray[np.int64]) -> Self:
        """Return the part with these items, by position."""
        views = tuple(view.take(items) for view in self.views)
        weight = self.weight_of(items)
        return replace(self, features=views[0].features, y=self.y[items], weight=weight, views=views)

    def relabel(self, y: NDArray[Any], weight: NDArray[np.floating] | None = None) -> Self:
        """Return the same items with other classes and weights, in every view."""
        views = tuple(view.relabel(y, weight) for view in self.views)
        return replace(self, y=y, weight=weight, views=views)

    def fit(  # type: ignore[override]
        self, kind: Kind, strength: float, class_weight: str | None, seed: int
    ) -> StackedHead:
        """Fit every view's own model; the one strength that is named has no meaning here."""
        del strength
        pairs = zip(self.views, self.chosen, strict=True)
        heads = tuple(view.fit(kind, its, class_weight, seed) for view, its in pairs)
        return StackedHead(heads, self.weights)

    def logits(self, head: StackedHead) -> Matrix:
        """Return each item's logits: the weighted sum of what the views say."""
        said = [view.logits(part) for view, part in zip(self.views, head.heads, strict=True)]
        return weighted(said, head.weights)

    def strengths(self, kind: Kind) -> Sequence[float]:
        """Return the strengths that are worth trying: they are chosen already."""
        del kind
        return (1.0,)


def select_view(
    views: Mapping[str, Sequence[Labelled]],
    items: NDArray[np.int64],
    kind: Kind,
    *,
    folds: int | NDArray[np.int64] | None = None,
    class_weight: str | None = None,
    seed: int = 0,
) -> tuple[Labelled, Selection, dict[str, float]]:
    """Choose the view that answers best by cross-validated loss, or several of them together.

    Args:
        views: By name, each with its alternatives (a network's depths, say), of which the best is taken.
        items: The items to choose on, int [n].
        kind: As for `select`.
        folds: As for `select`, of these items. Defaults to None: as many as all views allow.
        class_weight: As for `select`. Defaults to None.
        seed: As for `select`. Defaults to 0.

    Returns:
        The chosen view (all items), its selection, and the least loss of each, `STACK` for all together.
    """
    first = next(iter(views.values()))[0].take(items)
    if folds is None:
        folds = min(view.most_folds for alternatives in views.values() for view in alternatives)
    if isinstance(folds, int):
        folds = folds_of(first, folds, seed)
    chosen: dict[str, Labelled] = {}
    found: dict[str, Selection] = {}
    for name, alternatives in views.items():
        tried = [
            select(view.take(items), kind, folds=folds, class_weight=class_weight, seed=seed)
            for view in alternatives
        ]
        place = int(np.argmin([first.loss(selection.logits) for selection in tried]))
        chosen[name], found[name] = alternatives[place], tried[place]
    losses = {name: first.loss(selection.logits) for name, selection in found.items()}
    best = min(losses, key=lambda name: losses[name])
    if len(views) == 1:
        return chosen[best], found[best], {}
    said = [selection.logits for selection in found.values()]
    any_view = next(iter(chosen.values()))
    stacked = Stacked(
        any_view.features,
        any_view.y,
        any_view.classes,
        tuple(chosen.values()),
        tuple(selection.strength for selection in found.values()),
        fit_weights(said, first.y),
    )
    logits = cross_weighted(said, first.y, folds)
    losses[STACK] = first.loss(logits)
    if losses[STACK] < losses[best] and np.count_nonzero(stacked.weights) > 1:
        return stacked, Selection(1.0, {1.0: losses[STACK]}, folds, logits), losses
    return chosen[best], found[best], losses


def cross_weighted(said: Sequence[Matrix], y: NDArray[np.int64], folds: NDArray[np.int64]) -> Matrix:
    """Return the weighted sum of logits, each fold's by weights that were fitted on the other folds.

    Args:
        said: As for `fit_weights`.
        y: As for `fit_weights`.
        folds: Fold of each item, int [n].

    Returns:
        float32 [n, classes]: a fold's answers know nothing of it.
    """
    logits = np.empty_like(said[0])
    for fold in np.unique(folds):
        inside, outside = folds == fold, folds != fold
        weights = fit_weights([each[outside] for each in said], y[outside])
        logits[inside] = weighted([each[inside] for each in said], weights)
    return logits


def weighted(said: Sequence[Matrix], weights: Sequence[float]) -> Matrix:
    """Return the weighted sum of logits.

    Example:
        >>> weighted([np.eye(2, dtype=np.float32), np.ones((2, 2), np.float32)], (2.0, 1.0))
        array([[3., 1.],
               [1., 3.]], dtype=float32)
    """
    total = sum(np.float32(weight) * each for weight, each in zip(weights, said, strict=True))
    return np.asarray(total, np.float32)


def fit_weights(said: Sequence[Matrix], y: NDArray[np.int64]) -> tuple[float, ...]:
    """Fit how much the logits of each view count, by log loss: at least 0, and small where one does nothing.

    Args:
        said: Out-of-fold logits of each view, float32 [n, classes].
        y: The classes, int [n].

    Returns:
        A weight for each.

    Example:
        >>> right = np.array([[2.0, 0.0], [0.0, 2.0], [0.0, 1.0]], np.float32)
        >>> noise = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]], np.float32)
        >>> fit_weights([right, noise], np.array([0, 1, 1]))[0] > 0
        True
    """
    from scipy.optimize import minimize

    # Brought to one scale first, so that the solver's steps mean the same for all.
    scales = [_scale(each, y) for each in said]
    z = np.stack([each.astype(np.float64) * scale for each, scale in zip(said, scales, strict=True)])
    rows = np.arange(len(y))

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        together = np.tensordot(weights, z, 1)
        logs = together - np.logaddexp.reduce(together, axis=1, keepdims=True)
        error = np.exp(logs)
        error[rows, y] -= 1
        return float(-logs[rows, y].mean()), np.einsum("nc,knc->k", error, z) / len(y)

    start = np.full(len(said), 1 / len(said))
    done = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, 10)] * len(said))
    return tuple(float(weight * scale) for weight, scale in zip(done.x, scales, strict=True))


def _scale(logits: Matrix, y: NDArray[np.int64]) -> float:
    """Return what makes logits as sure as they are right; 0 where all are alike."""
    spread = float(logits.std(dtype=np.float64))
    return 1 / (spread * fit_temperature(logits / np.float32(spread), y)) if spread else 0.0
