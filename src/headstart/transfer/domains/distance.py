"""How far two domains are from each other, as far as a linear classifier can tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headstart.errors import DataError
from headstart.transfer.heads import Scaler, silent_solvers

_MOST = 1000
_FOLDS = 5


def proxy_a_distance(source: NDArray[np.floating], target: NDArray[np.floating], seed: int = 0) -> float:
    """Return the proxy A-distance, 2 (1 − 2 · the error of telling the domains apart).

    The error is a linear classifier's, cross-validated, on as many items of each domain (at most 1,000).

    Args:
        source: float [n, d].
        target: float [m, d].
        seed: Of the sample and the folds, int. Defaults to 0.

    Returns:
        float from 0 (they look alike) to 2 (they share nothing).

    Raises:
        DataError: A domain has fewer than 10 items.

    References:
        Ben-David, Blitzer, Crammer and Pereira, "Analysis of representations for domain adaptation", NeurIPS
        2006.

    Example:
        >>> chance = np.random.default_rng(0)
        >>> proxy_a_distance(chance.normal(0, 1, (200, 3)), chance.normal(9, 1, (200, 3)))
        2.0
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    count = min(len(source), len(target), _MOST)
    if count < 2 * _FOLDS:
        raise DataError(f"at least {2 * _FOLDS} items of each domain", str(count), "add items")
    chance = np.random.default_rng(seed)
    rows = np.concatenate([side[chance.permutation(len(side))[:count]] for side in (source, target)])
    x = Scaler.of(np.asarray(rows, np.float32)).apply(np.asarray(rows, np.float32))
    domain = np.repeat([0, 1], count)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    with silent_solvers():
        right = cross_val_score(LogisticRegression(C=0.01, max_iter=200, tol=1e-2), x, domain, cv=folds)
    return float(max(2 * (1 - 2 * (1 - right.mean())), 0.0))
