"""Novelty: how far an item is from all that is known, as the share of known items that are as far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from headstart.errors import ArtefactError, DataError

NEIGHBOURS = 5
MOST = 5_000
"""So many known items are kept: more make the file larger and hardly change the score."""
_AT_ONCE = 512

Matrix = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Novelty:
    """What items of a kind look like: known items, and how far each is from its nearest ones.

    Answers with NumPy alone.

    Args:
        known: Directions of known items, of length one, float32 [known, d].
        distances: The distance of each known item from the others, ascending, float32 [known].

    References:
        Ramaswamy, Rastogi and Shim, "Efficient algorithms for mining outliers from large data sets", SIGMOD
        2000, for the distance to the nearest neighbours. Laxhammar and Falkman, "Conformal prediction for
        distribution-independent anomaly detection", FUSION 2010, for the share.

    Example:
        >>> rows = np.random.default_rng(0).normal(1, 0.1, (200, 8)).astype(np.float32)
        >>> known = Novelty.of(rows)
        >>> near, far = known.share_as_far(np.array([[1] * 8, [1, -1] * 4], np.float32))
        >>> round(far, 3), near > 0.5
        (np.float64(0.005), np.True_)
    """

    known: Matrix
    distances: Matrix

    @classmethod
    def of(cls, rows: NDArray[np.floating], *, seed: int = 0) -> Self:
        """Learn what is known.

        Args:
            rows: Features, one for each item, float [items, d]; of more than 5,000 a random sample is kept.
            seed: Of the sample, int. Defaults to 0.

        Raises:
            DataError: There are fewer than 10 items: then no share means anything.
        """
        if len(rows) < 2 * NEIGHBOURS:
            raise DataError(f"at least {2 * NEIGHBOURS} known items", str(len(rows)), "add items")
        if len(rows) > MOST:
            rows = rows[np.random.default_rng(seed).permutation(len(rows))[:MOST]]
        known = _unit(rows)
        found = cls(known, np.zeros(0, np.float32))
        return cls(known, np.sort(found._away(known, itself=True)))

    def distance(self, rows: NDArray[np.floating]) -> Matrix:
        """Return how far items are: 1 − the mean cosine with the 5 nearest known items.

        Args:
            rows: float [items, d].

        Returns:
            float32 [items], from 0 to 2.
        """
        return self._away(_unit(rows), itself=False)

    def share_as_far(self, rows: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the share of known items that are at least as far from the others: 0.01 is one of a hundred.

        For items of the known kind it is uniform: below 0.05 in a twentieth of all cases.

        Args:
            rows: float [items, d].

        Returns:
            float64 [items], above 0, at most 1.
        """
        count = len(self.distances)
        farther = count - np.searchsorted(self.distances, self.distance(rows), side="left")
        return np.asarray((1 + farther) / (1 + count), np.float64)

    def tensors(self) -> dict[str, Matrix]:
        """Return what is known by name, for a safetensors file."""
        return {"known": self.known, "distances": self.distances}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Matrix]) -> Self:
        """Build it from what `tensors` returned.

        Raises:
            ArtefactError: Something is missing, or the shapes do not fit each other.
        """
        shapes = {name: value.shape for name, value in tensors.items()}
        if set(shapes) != {"known", "distances"} or shapes["distances"] != shapes["known"][:1]:
            fix = "save it again, or get an undamaged copy"
            raise ArtefactError("the tensors known [n, d] and distances [n]", str(shapes), fix)
        return cls(tensors["known"], tensors["distances"])

    def _away(self, directions: Matrix, *, itself: bool) -> Matrix:
        """Return the distances; an item that is itself known is no neighbour of its own."""
        found = np.empty(len(directions), np.float32)
        for start in range(0, len(directions), _AT_ONCE):
            cosine = directions[start : start + _AT_ONCE] @ self.known.T
            if itself:
                rows = np.arange(len(cosine))
                cosine[rows, start + rows] = -np.inf
            nearest = np.partition(cosine, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
            found[start : start + _AT_ONCE] = 1 - nearest.mean(1)
        return found


def _unit(rows: NDArray[np.floating]) -> Matrix:
    x = np.asarray(rows, np.float32)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(length > 0, length, 1), np.float32)
