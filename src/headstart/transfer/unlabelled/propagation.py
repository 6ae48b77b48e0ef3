"""Few labels spread to many items: along a graph that links each item with its nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart.errors import DataError, OptionError
from headstart.transfer.calibration import fit_temperature, softmax

if TYPE_CHECKING:
    from scipy.sparse import csr_array

NEIGHBOURS = 30
STAY = 0.95
"""How far labels travel: the share of an item's answer that comes from its neighbours (α in the papers)."""
_SHARPNESS = 3  # cosines to this power, as in Iscen et al.: the nearest count most
_TOLERANCE, _STEPS = 1e-4, 100
_FOLDS = 5

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class NeighbourGraph:
    """Items, each linked with its nearest neighbours by the cosine of their features.

    Args:
        links: How strong, sparse symmetric float32 [items, items], at least 0.

    Example:
        >>> rows = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], np.float32)
        >>> found = NeighbourGraph.of(rows, 1).spread(np.array([0, 2]), np.array([0, 1]), 2)
        >>> found.argmax(1)
        array([0, 0, 1, 1])
    """

    links: csr_array

    @classmethod
    def of(cls, rows: NDArray[np.floating], neighbours: int = NEIGHBOURS) -> NeighbourGraph:
        """Link items.

        Args:
            rows: One for each item, float [n, d].
            neighbours: How many each is linked with, at least, int. Defaults to 30.

        Raises:
            DataError: There are fewer than two items.
        """
        from scipy.sparse import csr_array
        from sklearn.neighbors import NearestNeighbors
        from sklearn.preprocessing import normalize

        if len(rows) < 2:
            raise DataError("at least two items to link", str(len(rows)), "add items")
        directions = normalize(np.asarray(rows, np.float32))
        count = min(neighbours, len(rows) - 1)
        # Of unit vectors the nearest by distance are the nearest by cosine: |a − b|² = 2 − 2 cos.
        distance, place = NearestNeighbors(n_neighbors=count).fit(directions).kneighbors()
        strength = np.maximum(1 - distance**2 / 2, 0) ** _SHARPNESS
        starts = np.arange(0, len(rows) * count + 1, count)
        one_way = csr_array((strength.ravel().astype(np.float32), place.ravel(), starts), (len(rows),) * 2)
        return cls(((one_way + one_way.T) / 2).tocsr())

    def __len__(self) -> int:
        return int(self.links.shape[0])

    def take(self, items: Places) -> NeighbourGraph:
        """Return the graph of some items: links with all others are cut."""
        return NeighbourGraph(self.links[items][:, items].tocsr())

    def spread(
        self,
        known: Places,
        y: NDArray[np.int64],
        classes: int,
        stay: float = STAY,
        share: Floats | None = None,
    ) -> Floats:
        """Let labels spread until nothing changes: solves (I − α D^-½ W D^-½) F = Y.

        Args:
            known: The items whose class is known, int [k].
            y: Their classes, int [k].
            classes: Number of classes, int.
            stay: α, from 0 (labels stay where they are) to below 1. Defaults to 0.95.
            share: How frequent each class is, float64 [classes]. Defaults to None: as among the known items.

        Returns:
            How much of each class arrives at each item, float64 [items, classes], at least 0. An item that no
            label reaches has zeros.

        Raises:
            OptionError: α is not in its range.

        References:
            Zhou et al., "Learning with local and global consistency", NeurIPS 2003; the classes' masses are
            made even as in Zhu, Ghahramani and Lafferty, "Semi-supervised learning using Gaussian fields and
            harmonic functions", ICML 2003; conjugate gradients as in Iscen et al., "Label propagation for
            deep semi-supervised learning", CVPR 2019.
        """
        from scipy.sparse import dia_array, eye_array
        from scipy.sparse.linalg import cg

        if not 0 <= stay < 1:
            raise OptionError("α from 0 to below 1", str(stay), "use 0.95")
        size = len(self)
        degree = self.links.sum(1)
        scale = dia_array((1 / np.sqrt(np.maximum(degree, 1e-12))[None], [0]), (size, size))
        system = (eye_array(size) - stay * (scale @ self.links @ scale)).tocsr()
        found = np.zeros((size, classes))
        for label in np.unique(y):
            start = np.zeros(size)
            start[known[y == label]] = 1 / np.sum(y == label)
            found[:, label], _ = cg(system, start, rtol=_TOLERANCE, maxiter=_STEPS)
        found = np.maximum(found, 0)
        share = np.bincount(y, minlength=classes) / len(y) if share is None else share
        mass = found.sum(0)
        return found * np.where(mass > 0, share / np.maximum(mass, 1e-300), 0)


@dataclass(frozen=True)
class Propagated:
    """What labels that spread say about all items of a graph.

    Args:
        probabilities: float64 [items, classes]; known items have theirs, items that no label reaches the same
            for all classes.
        temperature: What makes the probabilities honest, float: fitted on known items whose label was hidden.
    """

    probabilities: Floats
    temperature: float

    @property
    def y(self) -> NDArray[np.int64]:
        """The most probable class of each item, int [items]."""
        best: NDArray[np.int64] = self.probabilities.argmax(1)
        return best

    @property
    def confidence(self) -> Floats:
        """How certain each item's class is: 1 − entropy / log(classes), float64 [items], as in Iscen 2019."""
        p = self.probabilities
        entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(1)
        certain: Floats = np.clip(1 - entropy / np.log(p.shape[1]), 0, 1)
        return certain


def propagate(
    graph: NeighbourGraph,
    known: Places,
    y: NDArray[np.int64],
    classes: int,
    *,
    stay: float = STAY,
    seed: int = 0,
) -> Propagated:
    """Give every item of a graph a class, and say how sure that is.

    Args:
        graph: Of all items.
        known: The items whose class is known, int [k].
        y: Their classes, int [k].
        classes: Number of classes, int, at least 2.
        stay: As for `NeighbourGraph.spread`. Defaults to 0.95.
        seed: Decides whose labels are hidden together when certainty is measured, int. Defaults to 0.

    Returns:
        Probabilities of all items.

    Raises:
        DataError: No item is known.

    Example:
        >>> rows = np.random.default_rng(0).normal(0, 0.1, (40, 3)).astype(np.float32)
        >>> rows[:20, 0] += 1
        >>> rows[20:, 1] += 1
        >>> found = propagate(NeighbourGraph.of(rows, 5), np.array([0, 1, 20, 21]), np.array([0, 0, 1, 1]), 2)
        >>> (found.y == np.repeat([0, 1], 20)).all()
        np.True_
    """
    if len(known) == 0:
        raise DataError("at least one item with a label", "none", "label some items of each class")
    held = _hidden(graph, known, y, classes, stay, seed)
    temperature = fit_temperature(_logs(held), y)
    found = softmax(_logs(graph.spread(known, y, classes, stay)), temperature).astype(np.float64)
    found[known] = np.eye(classes)[y]
    return Propagated(found, temperature)


def _hidden(
    graph: NeighbourGraph, known: Places, y: NDArray[np.int64], classes: int, stay: float, seed: int
) -> Floats:
    """Return what arrives at each known item when its own label, and those of its fold, are hidden."""
    found = np.zeros((len(known), classes))
    # Of each class its share, and classes count as without hiding: else what is hidden would seem rarer.
    order = np.random.default_rng(seed).permutation(len(known))
    fold = np.empty(len(known), np.int64)
    fold[order[np.argsort(y[order], kind="stable")]] = np.arange(len(known)) % _FOLDS
    share = np.bincount(y, minlength=classes) / len(y)
    for number in range(min(_FOLDS, len(known))):
        shown, hidden = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if len(shown):
            found[hidden] = graph.spread(known[shown], y[shown], classes, stay, share)[known[hidden]]
    return found


def _logs(scores: Floats) -> Floats:
    """Return the logarithms of shares; where nothing arrives, the same for all classes."""
    total = scores.sum(1, keepdims=True)
    share = np.where(total > 0, scores / np.maximum(total, 1e-300), 1 / scores.shape[1])
    logs: Floats = np.log(np.maximum(share, 1e-6))
    return logs
