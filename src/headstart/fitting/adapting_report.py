"""Where the items of two domains lie, before and after an adaptation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.evaluation.adaptation import DomainMap
from headstart.retrieval.maps import sample
from headstart.transfer.domains.moving import FEWEST, Both

_OF_EACH = 300


def places(
    before: Both | None,
    after: Both | None,
    names: tuple[str, str],
    labels: tuple[Sequence[str], Sequence[str]],
) -> Callable[[], DomainMap | None] | None:
    """Return what makes the maps from at most 300 items of each domain.

    Args:
        before: The model's features; None makes no map.
        after: What the kept method makes of them; None where it leaves them as they are.
        names: What the domains are called.
        labels: What each item is, of the source and of the target.
    """
    if before is None or sum(map(len, before)) < 2 * FEWEST:
        return None
    shown = [sample(len(side), _OF_EACH) for side in before]

    def cut(both: Both | None) -> NDArray[np.float32] | None:
        if both is None:
            return None
        return np.concatenate([side[part] for side, part in zip(both, shown, strict=True)])

    domains = [name for name, part in zip(names, shown, strict=True) for _ in part]
    tags = [its[n] for its, part in zip(labels, shown, strict=True) for n in part]
    first, second = cut(before), cut(after)
    return lambda: None if first is None else DomainMap(tuple(domains), tuple(tags), first, second)
