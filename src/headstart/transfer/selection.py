"""Cross-validation on cached features: chooses a head's strength and gives out-of-fold answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from headstart.data.items import Target
from headstart.data.splits import Stratum, make_folds
from headstart.engines.openvino_engine import available_cores
from headstart.errors import DataError
from headstart.transfer.calibration import AnyCalibration, Calibration, fit_temperature, softmax
from headstart.transfer.features import Features
from headstart.transfer.heads import Head, Kind, Matrix, fit_head, silent_solvers

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
_SEARCH_ITEMS = 4000
"""The strength is searched for on at most this many items: the best one hardly depends on the number."""


@dataclass(frozen=True)
class Labelled:
    """Features with their items' classes and groups: all that fitting a head looks at.

    Where items have several labels or a number, `LabelSets` and `Numbers` take its place.

    Args:
        features: Rows of the items, Features.
        y: Class of each item, int [items].
        classes: Number of classes, int.
        weight: How much each item counts in fitting, float [items]. Defaults to None: all the same.
    """

    target: ClassVar[Target] = "label"
    most_folds: ClassVar[int] = 5
    """So many folds cross-validation has at most, where nobody says how many."""
    features: Features
    y: NDArray[Any]
    classes: int
    weight: NDArray[np.floating] | None = field(default=None, kw_only=True)

    def take(self, items: NDArray[np.int64]) -> Self:
        """Return the part with these items, by position."""
        return replace(
            self, features=self.features.take(items), y=self.y[items], weight=self.weight_of(items)
        )

    def weight_of(self, items: NDArray[np.int64]) -> NDArray[np.floating] | None:
        """Return how much some items count, by position."""
        return None if self.weight is None else self.weight[items]

    def relabel(self, y: NDArray[Any], weight: NDArray[np.floating] | None = None) -> Self:
        """Return the same items with other classes and weights."""
        return replace(self, y=y, weight=weight)

    def fit(self, kind: Kind, strength: float, class_weight: str | None, seed: int) -> Head:
        """Fit a head on all rows."""
        item = self.features.item
        return fit_head(
            kind,
            self.features.X,
            self.y[item],
            self.classes,
            strength=strength,
            class_weight=class_weight,
            weight=self.weight_of(item),
            seed=seed,
        )

    def logits(self, head: Any) -> Matrix:
        """Return each item's logits by what `fit` returned: the mean of its rows' logits."""
        return self.features.pool(head.logits(self.features.X))

    def strengths(self, kind: Kind) -> Sequence[float]:
        """Return the strengths that are worth trying. A centroid has none, an MLP keeps the default one."""
        return STRENGTHS if kind == "linear" else (0.01,)

    def counts(self) -> list[int]:
        """Return how many items each class has."""
        found: list[int] = np.bincount(self.y, minlength=self.classes).tolist()
        return found

    def strata(self) -> list[Stratum]:
        """Return what every fold should have its share of, for each item."""
        return list(self.y.astype(str).tolist())

    def calibrate(self, logits: Matrix) -> AnyCalibration:
        """Return the calibration that logits of these items, by heads not fitted on them, ask for."""
        return Calibration.of(logits, self.y)

    def loss(self, logits: Matrix) -> float:
        """Return how bad such logits are: the log loss after a temperature."""
        probabilities = softmax(logits, fit_temperature(logits, self.y))
        return float(-np.log(np.maximum(probabilities[np.arange(len(self.y)), self.y], 1e-12)).mean())


@dataclass(frozen=True)
class Selection:
    """What cross-validation found.

    Args:
        strength: The chosen inverse regularisation, float.
        losses: `Labelled.loss` of each strength that was tried, {strength: loss}.
        folds: Fold of each item, int [items].
        logits: Out-of-fold logits of each item at the chosen strength, float32 [items, classes].
    """

    strength: float
    losses: dict[float, float]
    folds: NDArray[np.int64]
    logits: Matrix

    def accuracies(self, y: NDArray[np.int64]) -> list[float]:
        """Return the accuracy of each fold."""
        right = self.logits.argmax(1) == y
        return [float(right[self.folds == fold].mean()) for fold in np.unique(self.folds)]


@contextmanager
def one_core_each() -> Iterator[None]:
    """Keep BLAS to one thread: solvers run side by side, and their matrices are too small for its own to pay.

    Measured on 2,000 × 1,280 features and two busy cores: 20 fits in 0.3 s instead of 7 s.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        yield


def select(
    data: Labelled,
    kind: Kind,
    *,
    folds: int | NDArray[np.int64] | None = None,
    strengths: Sequence[float] | None = None,
    class_weight: str | None = None,
    seed: int = 0,
) -> Selection:
    """Choose a head's strength by cross-validated loss.

    Args:
        data: Features, classes (or label sets, or numbers), groups.
        kind: The kind of head.
        folds: Number of folds, int (fewer where there are fewer groups), or each item's fold, int [items].
            Defaults to None: `data.most_folds`.
        strengths: What to try. Defaults to None: what `data.strengths` says.
        class_weight: As in `fit_head`. Defaults to None.
        seed: For the folds and the MLP, int. Defaults to 0.

    Returns:
        The selection, with out-of-fold logits at the chosen strength.

    Raises:
        DataError: All items belong to one group.
    """
    folds = data.most_folds if folds is None else folds
    assigned = folds_of(data, folds, seed) if isinstance(folds, int) else folds
    if strengths is None:
        strengths = data.strengths(kind)
    subset = _search_subset(data, seed) if len(strengths) > 1 else np.arange(0)
    if len(strengths) == 1:
        losses = {strengths[0]: float("nan")}
        best = strengths[0]
    else:
        part, part_folds = data.take(subset), assigned[subset]
        answers = {s: _out_of_fold(part, part_folds, kind, s, class_weight, seed) for s in strengths}
        losses = {s: part.loss(logits) for s, logits in answers.items()}
        best = min(losses, key=lambda s: losses[s])
        if len(subset) == len(data.y):
            return Selection(best, losses, assigned, answers[best])
    return Selection(best, losses, assigned, _out_of_fold(data, assigned, kind, best, class_weight, seed))


def folds_of(data: Labelled, most: int, seed: int) -> NDArray[np.int64]:
    """Return as many folds as are wished for, or as there are groups.

    Raises:
        DataError: All items belong to one group.
    """
    groups = len(np.unique(data.features.group))
    if groups < 2:
        fix = "add items, or name fewer of them as one group"
        raise DataError("items that do not all belong together", "a single group of them", fix)
    return assign_folds(data, min(most, groups), seed)


def assign_folds(data: Labelled, folds: int, seed: int) -> NDArray[np.int64]:
    """Return stratified grouped folds; see `make_folds`."""
    return np.asarray(
        make_folds(data.strata(), data.features.group.tolist(), folds=folds, seed=seed),
        np.int64,
    )


def _search_subset(data: Labelled, seed: int) -> NDArray[np.int64]:
    if len(data.y) <= _SEARCH_ITEMS:
        return np.arange(len(data.y))
    return np.sort(np.random.default_rng(seed).permutation(len(data.y))[:_SEARCH_ITEMS])


def _out_of_fold(
    data: Labelled, folds: NDArray[np.int64], kind: Kind, strength: float, class_weight: str | None, seed: int
) -> Matrix:
    logits = np.zeros((len(data.y), data.classes), np.float32)

    def one(fold: int) -> None:
        held = np.flatnonzero(folds == fold)
        head = data.take(np.flatnonzero(folds != fold)).fit(kind, strength, class_weight, seed)
        part = data.take(held)
        logits[held] = part.logits(head)

    with silent_solvers(), ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(one, np.unique(folds)))
    return logits
