"""A key-value cache beside another head's answers, in the manner of Tip-Adapter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.transfer.heads import Matrix

Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class KeyValueCache:
    """Remembers the items themselves: an item is answered like those that look like it.

    It is no `Head`, for its answers are not linear in the features, and `fit` does not try it: on ten monkeys
    it was as good as class means alone (1, 4, 16 shots: 0.741, 0.939, 0.972; means 0.741, 0.937, 0.970), and
    beside what the names say worse than class means there (0.770, 0.852, 0.946; means 0.817, 0.939, 0.962).
    For use from Python.

    Args:
        keys: Directions of the items' features, seen from `middle`, float64 [items, d].
        values: One-hot classes, float64 [items, classes].
        middle: The mean of the features, float64 [d].
        share: How much the cache counts beside the other head's logits, float. Defaults to 1.
        sharpness: How fast an item is forgotten with the distance, float. Defaults to 5.5, the paper's.

    References:
        Zhang et al., "Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification", ECCV 2022.

    Example:
        >>> cache = KeyValueCache.of(np.eye(2, dtype=np.float32), np.array([0, 1]), 2)
        >>> cache.logits(np.array([[1.0, 0.0]], np.float32)).argmax()
        np.int64(0)
    """

    keys: Floats
    values: Floats
    middle: Floats
    share: float = 1.0
    sharpness: float = 5.5

    @classmethod
    def of(
        cls,
        rows: Matrix,
        y: NDArray[np.int64],
        classes: int,
        *,
        share: float = 1.0,
        sharpness: float = 5.5,
    ) -> KeyValueCache:
        """Remember some items.

        Args:
            rows: Their features, float32 [n, d].
            y: Their classes, int [n].
            classes: Number of classes, int.
            share: As for the class. Defaults to 1.
            sharpness: As for the class. Defaults to 5.5.
        """
        middle = rows.mean(0, np.float64)
        return cls(_direction(rows - middle), np.eye(classes)[y], middle, share, sharpness)

    def logits(self, rows: Matrix, other: Floats | float = 0.0) -> Floats:
        """Return what the cache says, added to another head's logits.

        Args:
            rows: Features, float32 [n, d].
            other: Logits of another head, float [n, classes]. Defaults to 0: the cache alone.

        Returns:
            float64 [n, classes].
        """
        near = _direction(rows - self.middle) @ self.keys.T
        found: Floats = other + self.share * (np.exp(-self.sharpness * (1 - near)) @ self.values)
        return found


def _direction(rows: Floats) -> Floats:
    found: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return found
