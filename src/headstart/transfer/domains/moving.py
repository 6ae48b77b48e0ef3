"""What a method makes of the features of two domains, and how far apart that leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from headstart.transfer.domains.coral import Coral, align
from headstart.transfer.domains.dann import Dann
from headstart.transfer.domains.distance import proxy_a_distance
from headstart.transfer.domains.domains import Domains, Method
from headstart.transfer.domains.mcc import Mcc
from headstart.transfer.domains.self_training import SelfTraining
from headstart.transfer.domains.statistics import OwnStatistics
from headstart.transfer.domains.subspace import SubspaceAlignment, principal
from headstart.transfer.heads import Head, Matrix, Scaler
from headstart.transfer.selection import Labelled
from headstart.transfer.stacking import Stacked, StackedHead

FEWEST = 10
"""Items of each domain that the proxy A-distance asks for."""
Both = tuple[Matrix, Matrix]
"""One row for each source item and for each target item."""


def dense_part(view: Labelled, head: Any) -> tuple[Labelled, Any] | None:
    """Return the first part of a view that has features, with its head; None where there are only terms."""
    parts: Sequence[tuple[Labelled, Any]] = [(view, head)]
    if isinstance(view, Stacked):
        heads = head.heads if isinstance(head, StackedHead) else (None,) * len(view.views)
        parts = list(zip(view.views, heads, strict=True))
    return next(((its, each) for its, each in parts if its.features.X.shape[1]), None)


def features_of(domains: Domains) -> Both | None:
    """Return the pooled features of both domains; None where there are only terms."""
    part = dense_part(domains.data, None)
    if part is None:
        return None
    features = part[0].features
    pooled = features.pool(np.asarray(features.X, np.float32))
    return pooled[domains.source], pooled[domains.target]


def moved(domains: Domains, method: Method, head: Any) -> Both | None:
    """Return what a method makes of the features of both domains, on the way to its answers.

    Args:
        domains: Both domains, as the method saw them.
        method: The method.
        head: What it fitted.

    Returns:
        Of each item what the last layer reads; None where the method leaves features as they are.
    """
    both, part = features_of(domains), dense_part(domains.data, head)
    if both is None or part is None:
        return None
    source, target = both
    if isinstance(method, Coral):
        return align(source, target, method.shrinkage), target
    own = isinstance(method, SelfTraining) and method.own
    if not (own or isinstance(method, OwnStatistics | SubspaceAlignment | Mcc | Dann)):
        return None
    ours, theirs = Scaler.of(source), Scaler.of(target)
    z, zt = ours.apply(source), theirs.apply(target)
    if isinstance(method, SubspaceAlignment):
        most = min(method.dimensions, len(z) - 1, len(zt) - 1, z.shape[1])
        basis, aim = principal(z, most), principal(zt, most)
        return (z @ (basis @ (basis.T @ aim))).astype(np.float32), (zt @ aim).astype(np.float32)
    its = part[1]
    if isinstance(its, Head) and len(its.layers) > 1:
        # The head reads raw target features, so the source's are given the target's mean and spread.
        as_target = (z / theirs.scale + theirs.mean).astype(np.float32)
        return _hidden(its, as_target), _hidden(its, target)
    return z, zt


def _hidden(head: Head, rows: Matrix) -> Matrix:
    """Return what the last layer of a head reads."""
    x = rows
    for weight, bias in head.layers[:-1]:
        x = np.maximum(x @ weight + bias, 0)
    return x


def distance(both: Both | None, seed: int) -> float | None:
    """Return the proxy A-distance; None where there are no features, or too few items to tell."""
    if both is None or min(len(both[0]), len(both[1])) < FEWEST:
        return None
    return round(proxy_a_distance(*both, seed), 4)
