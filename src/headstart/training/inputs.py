"""What the training loop reads: batches of network inputs, from wherever they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


class Inputs(Protocol):
    """Batches of one set of items, for the network from block `start` on.

    The same seed, epoch and items give the same numbers, in whatever order and however often they are asked
    for: that is what makes an interrupted run go on as if nothing had happened.
    """

    start: str | None
    """The first block that runs on what `batch` returns; None where it returns pixels or tokens."""

    def batch(self, items: NDArray[np.int64], epoch: int | None) -> Tensor:
        """Return one batch.

        Args:
            items: Positions in the data set, int64 [n].
            epoch: Which of the random views is wanted, int. None asks for the plain view, as in evaluation.

        Returns:
            Pixels, uint8 [n, side, side, 3], token numbers, int32 [n, tokens], or what block `start` expects,
            float [n, …]. In the plain view an item may have several rows, all items equally many, one after
            the other.
        """
