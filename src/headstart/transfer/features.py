"""Features: rows of numbers, which item each row belongs to, and which group each item belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Features:
    """What a backbone said about some items. A picture has one row; a recording or a long text has several.

    Args:
        X: Feature rows, float32 [rows, d]; may be memory-mapped.
        item: The item each row belongs to, int64 [rows], ascending.
        group: The group each item belongs to, int64 [items]: groups never straddle a split.

    Example:
        >>> import numpy as np
        >>> f = Features(np.eye(3, dtype=np.float32), np.array([0, 0, 1]), np.array([5, 6]))
        >>> f.pool(f.X)
        array([[0.5, 0.5, 0. ],
               [0. , 0. , 1. ]], dtype=float32)
    """

    X: NDArray[np.float32]
    item: NDArray[np.int64]
    group: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.group)

    @property
    def one_row_each(self) -> bool:
        """Whether every item has exactly one row."""
        return len(self.item) == len(self.group)

    def take(self, items: NDArray[np.int64]) -> Features:
        """Return the features of some items, by ascending position."""
        if self.one_row_each:
            return Features(self.X[items], np.arange(len(items)), self.group[items])
        kept = np.isin(self.item, items)
        position = np.searchsorted(items, self.item[kept])
        return Features(self.X[kept], position, self.group[items])

    def pool(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the mean of each item's rows.

        Args:
            rows: One line for each feature row, float32 [rows, k].

        Returns:
            float32 [items, k].
        """
        if self.one_row_each:
            return rows
        total = np.zeros((len(self.group), rows.shape[1]), np.float32)
        np.add.at(total, self.item, rows)
        count = np.bincount(self.item, minlength=len(self.group))
        return (total / np.maximum(count, 1)[:, None]).astype(np.float32)
