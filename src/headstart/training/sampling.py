"""Which items are seen when: a pure function of seed, phase and epoch."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from headstart.errors import OptionError

Items = NDArray[np.int64]


def order(
    items: Items, y: NDArray[np.generic], key: tuple[int, int, int], sampling: Literal["shuffle", "balanced"]
) -> Items:
    """Return the items of one epoch in the order in which they are seen.

    Args:
        items: Positions in the data set, int64 [n].
        y: Class of every item of the data set, int64 [all]; of use to "balanced" only.
        key: Seed, phase and epoch.
        sampling: "shuffle": each item once; "balanced": each class equally often, n draws in all, the items
            of rare classes several times.

    Returns:
        int64 [n].

    Raises:
        OptionError: Balanced sampling of items that have no single class.

    Example:
        >>> y = np.array([0, 0, 0, 0, 0, 1])
        >>> np.bincount(y[order(np.arange(6), y, (0, 0, 0), "balanced")]).tolist()
        [3, 3]
    """
    chance = np.random.default_rng([abs(part) for part in key])
    if sampling == "shuffle":
        return chance.permutation(items)
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise OptionError("one class for each item", "other targets", "set sampling to 'shuffle'")
    classes = np.unique(y[items])
    chance.shuffle(classes)  # where n is no multiple of the classes, chance decides who gets one less
    drawn = [_draw(items[y[items] == c], share, chance) for c, share in _shares(classes, len(items))]
    return chance.permutation(np.concatenate(drawn))


def batches(ordered: Items, batch: int, accumulate: int = 1) -> list[list[Items]]:
    """Cut an epoch into steps, and each step into the batches whose gradients are added up.

    The batches of an epoch differ in size by one at most: no batch of a single item upsets BatchNorm at the
    end.

    Args:
        ordered: As `order` returns them.
        batch: Most items in a batch, int.
        accumulate: Most batches in a step, int. Defaults to 1.

    Returns:
        For each step its batches, int64 arrays.

    Example:
        >>> [[len(b) for b in step] for step in batches(np.arange(10), batch=4, accumulate=2)]
        [[4, 3], [3]]
    """
    parts = np.array_split(ordered, -(-len(ordered) // batch))
    return [parts[first : first + accumulate] for first in range(0, len(parts), accumulate)]


def _shares(classes: NDArray[np.generic], n: int) -> list[tuple[int, int]]:
    least, more = divmod(n, len(classes))
    return [(int(c), least + (place < more)) for place, c in enumerate(classes)]


def _draw(members: Items, count: int, chance: np.random.Generator) -> Items:
    """Return as many items of a class: all of them as often as they go, then some at random."""
    rounds = [chance.permutation(members) for _ in range(-(-count // len(members)))]
    return np.concatenate([*rounds, members[:0]])[:count]
