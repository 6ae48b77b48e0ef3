"""The floor of every adaptation: what the source alone says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headstart.transfer.domains.domains import Domains


@dataclass(frozen=True)
class SourceOnly:
    """Fit on the source and answer for the target as if it were the same.

    Example:
        >>> import numpy as np
        >>> from headstart.transfer.features import Features
        >>> from headstart.transfer.selection import Labelled
        >>> X, item = np.array([[-1], [1], [-2], [2]], np.float32), np.arange(4)
        >>> data = Labelled(Features(X, item, item), np.array([0, 1, -1, -1]), 2)
        >>> domains = Domains(data, item[:2], item[2:])
        >>> domains.target_view.logits(SourceOnly().fit(domains, 1.0, 0)).argmax(1)
        array([0, 1])
    """

    name: str = "source only"
    needs_features: bool = False
    needs_known: bool = False

    def fit(self, domains: Domains, strength: float, seed: int) -> Any:
        """Fit on the source; see `Method`."""
        return domains.source_view.fit("linear", strength, None, seed)
