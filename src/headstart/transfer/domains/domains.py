"""A source whose classes are known, a target that asks for its own, and what every method between them is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from headstart.errors import DataError
from headstart.transfer.heads import Head, Matrix, Scaler
from headstart.transfer.selection import Labelled
from headstart.transfer.stacking import Stacked, StackedHead

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Domains:
    """Items of a source, whose classes are known, and of a target, which ask for theirs.

    Args:
        data: All items of both domains; the class of a target item is −1 where it is unknown (NaN where
            numbers are asked for).
        source: Positions of the source's items, int, ascending.
        target: Positions of the target's items, int, ascending.

    Raises:
        DataError: One of the domains is empty, they overlap, or a source item has no class.

    Example:
        >>> from headstart.transfer.features import Features
        >>> four = np.arange(4)
        >>> data = Labelled(Features(np.eye(4, dtype=np.float32), four, four), np.array([0, 1, -1, 1]), 2)
        >>> domains = Domains(data, four[:2], four[2:])
        >>> domains.known, domains.labelled
        (array([3]), array([0, 1, 3]))
    """

    data: Labelled
    source: Positions
    target: Positions

    def __post_init__(self) -> None:
        if not len(self.source) or not len(self.target):
            received = f"{len(self.source)} items of the source and {len(self.target)} of the target"
            raise DataError("items of two domains", received, "name a source and a target")
        if len(np.intersect1d(self.source, self.target)):
            raise DataError("two domains without common items", "items that are in both", "separate them")
        if not self._answered(self.source).all():
            raise DataError("a class for every source item", "items without one", "leave them out")

    @property
    def source_view(self) -> Labelled:
        """The source's items."""
        return self.data.take(self.source)

    @property
    def target_view(self) -> Labelled:
        """The target's items, known or not."""
        return self.data.take(self.target)

    @property
    def known(self) -> Positions:
        """Positions of the target's items whose classes are known."""
        return self.target[self._answered(self.target)]

    @property
    def labelled(self) -> Positions:
        """Positions of all items whose classes are known, of both domains."""
        return np.sort(np.concatenate([self.source, self.known]))

    def with_data(self, data: Labelled) -> Self:
        """Return the same domains of another view of the items."""
        return replace(self, data=data)

    def _answered(self, items: Positions) -> NDArray[np.bool_]:
        y = self.data.y[items]
        answered: NDArray[np.bool_] = np.isfinite(y) if y.dtype.kind == "f" else y >= 0
        return answered


class Method(Protocol):
    """A way to carry what the source knows over to the target."""

    @property
    def name(self) -> str:
        """What it is called in a report."""

    @property
    def needs_features(self) -> bool:
        """Whether it works on dense features only; of a stack it adapts these parts and leaves the others."""

    @property
    def needs_known(self) -> bool:
        """Whether it works only where the classes of some target items are known."""

    def fit(self, domains: Domains, strength: float, seed: int) -> Any:
        """Fit a head that answers for the target's items: `domains.target_view.logits(head)`.

        Args:
            domains: Both domains.
            strength: Inverse regularisation of the head, float; a stack has those of its parts.
            seed: Of all that is drawn, int.
        """


class OnFeatures(ABC):
    """A `Method` that works on dense features: of a stack it adapts these parts and leaves the others."""

    needs_features: ClassVar[bool] = True
    needs_known: ClassVar[bool] = False

    def fit(self, domains: Domains, strength: float, seed: int) -> Any:
        """Fit on whatever the view has of features; see `Method`."""
        return fit_dense(domains, strength, seed, self.fit_view)

    @abstractmethod
    def fit_view(self, domains: Domains, strength: float, seed: int) -> Head:
        """Fit where the view is one of features; see `Method.fit`."""


FitDense = Callable[[Domains, float, int], Head]


def fit_dense(domains: Domains, strength: float, seed: int, fit: FitDense) -> Any:
    """Fit by a method that needs dense features, on whatever the view has of them.

    A part of a stack without features is fitted on what is labelled. A part that was adapted keeps the spread
    of logits that its share in the stack was fitted for.

    Args:
        domains: Both domains.
        strength: As for `Method.fit`.
        seed: As for `Method.fit`.
        fit: The method, for a view with features.

    Returns:
        A head for the view: of a stack, a `StackedHead`.
    """
    data = domains.data
    if not isinstance(data, Stacked):
        if data.features.X.shape[1] == 0:
            return data.take(domains.labelled).fit("linear", strength, None, seed)
        return fit(domains, strength, seed)
    plain: Any = domains.source_view.fit("linear", strength, None, seed)
    heads = []
    for view, its, old in zip(data.views, data.chosen, plain.heads, strict=True):
        same = not view.features.X.shape[1] and not len(domains.known)
        heads.append(old if same else fit_dense(domains.with_data(view), its, seed, fit))
    return keeping_spread(domains, plain, heads)


def keeping_spread(domains: Domains, before: StackedHead, heads: Sequence[Any]) -> StackedHead:
    """Return a stack's new heads, whose logits get the spread that the shares in the stack were fitted for.

    Args:
        domains: Both domains, of a stack.
        before: The head of the stack as it was, on the source.
        heads: The new heads of its views.
    """
    target = domains.target_view
    views = target.views if isinstance(target, Stacked) else ()
    weights = []
    for view, old, new, weight in zip(views, before.heads, heads, before.weights, strict=True):
        factor = 1.0 if new is old else spread(view.logits(old)) / max(spread(view.logits(new)), 1e-12)
        weights.append(weight * factor)
    return StackedHead(tuple(heads), tuple(weights))


def reading(head: Head, scaler: Scaler, matrix: NDArray[np.floating] | None = None) -> Head:
    """Return a head on raw features that says what another says of standardised, projected ones.

    Args:
        head: The other one.
        scaler: How the features were standardised.
        matrix: How they were projected then, float [features, dimensions]. Defaults to None: not at all.
    """
    (weight, bias), *rest = head.layers
    first = scaler.fold(weight if matrix is None else matrix @ weight, bias)
    return Head(head.kind, (first, *rest))


@dataclass(frozen=True)
class OwnScales:
    """Rows of both domains, each standardised by its own mean and spread.

    Args:
        rows: Labelled rows of both domains, float32 [n, d].
        y: Their classes, int [n].
        weight: How much each counts, float [n]; None where all count the same.
        target: The target's rows, labelled or not, float32 [m, d].
        scaler: The target's.
    """

    rows: Matrix
    y: NDArray[np.int64]
    weight: NDArray[np.floating] | None
    target: Matrix
    scaler: Scaler

    @classmethod
    def of(cls, domains: Domains) -> OwnScales:
        """Standardise."""
        parts = domains.source_view, domains.data.take(domains.known)
        (source, y), (known, its_y) = map(rows_of, parts)
        target, _ = rows_of(domains.target_view)
        ours, theirs = Scaler.of(source), Scaler.of(target)
        item = np.concatenate([domains.source[parts[0].features.item], domains.known[parts[1].features.item]])
        weight = domains.data.weight_of(item)
        rows = np.concatenate([ours.apply(source), theirs.apply(known)])
        return cls(rows, np.concatenate([y, its_y]), weight, theirs.apply(target), theirs)


def rows_of(view: Labelled) -> tuple[Matrix, NDArray[Any]]:
    """Return a view's feature rows, float32 [rows, d], and the class of each, [rows]."""
    return np.asarray(view.features.X, np.float32), view.y[view.features.item]


def spread(logits: Matrix) -> float:
    """Return how far logits are from each other within items, as a root mean square."""
    return float(np.sqrt(np.mean((logits - logits.mean(1, keepdims=True)) ** 2, dtype=np.float64)))
