"""Two domains small enough to be understood: blobs that moved, moons that turned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headstart.transfer.domains.domains import Domains
from headstart.transfer.features import Features
from headstart.transfer.selection import Labelled


def domains_of(
    source: NDArray[np.floating],
    y: NDArray[np.int64],
    target: NDArray[np.floating],
    known: dict[int, int] | None = None,
    classes: int | None = None,
) -> Domains:
    """Return domains of one row an item; `known` gives the class of some target items, by position."""
    rows = np.concatenate([source, target]).astype(np.float32)
    item = np.arange(len(rows))
    answers = np.concatenate([y, np.full(len(target), -1)])
    for place, one in (known or {}).items():
        answers[len(source) + place] = one
    data = Labelled(Features(rows, item, item), answers, classes or int(y.max()) + 1)
    return Domains(data, item[: len(source)], item[len(source) :])


def blobs(
    count: int = 150, classes: int = 3, width: int = 8, shift: float = 3.0, seed: int = 0
) -> tuple[Domains, NDArray[np.int64]]:
    """Return clusters whose target lies elsewhere and is wider, and the target's classes."""
    chance = np.random.default_rng(seed)
    centres = chance.normal(0, 3, (classes, width))
    y, truth = np.arange(count) % classes, np.arange(count) % classes
    source = centres[y] + chance.normal(0, 1, (count, width))
    target = 1.5 * (centres[truth] + chance.normal(0, 1, (count, width))) + shift
    return domains_of(source, y, target), truth


def accuracy(domains: Domains, head: object, truth: NDArray[np.int64]) -> float:
    """Return the share of the target's items that are answered rightly."""
    return float(np.mean(domains.target_view.logits(head).argmax(1) == truth))
