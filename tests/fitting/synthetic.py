"""Items whose features are drawn, not computed: splits, copies and heads need no pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headstart import backbones
from headstart.data.facts import Facts
from headstart.data.items import Dataset, Item
from headstart.fitting.gathering import Gathered
from headstart.transfer.features import Features


def blobs(y: Sequence[int], *, spread: float = 1.0, width: int = 24, seed: int = 0) -> NDArray[np.float32]:
    """Features around a centre for each class; the larger the spread, the harder to tell apart."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(0, 1, (max(y) + 1, width))
    return (centres[list(y)] + generator.normal(0, spread, (len(y), width))).astype(np.float32)


def gathered(items: Sequence[Item], X: NDArray[np.float32], digests: Sequence[str] | None = None) -> Gathered:
    """What `gather` would return for these items and features."""
    names = digests or [f"digest {n}" for n in range(len(items))]
    order = np.arange(len(items))
    return Gathered(
        Dataset(tuple(items), "image"),
        Features(X, order, order),
        [Facts(name) for name in names],
        backbones.card("efficientnet_lite0"),
        {"engine": "none", "version": "0", "precision": "fp32"},
        0,
    )


def labelled(y: Sequence[int], **columns: Sequence[str | None]) -> list[Item]:
    """Items named by their position, of the classes c0, c1, …, with split, group or fold where given."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)] or [
        {}
    ] * len(y)
    return [Item(f"{n:04d}", b"", f"c{k}", **row) for n, (k, row) in enumerate(zip(y, rows, strict=True))]  # type: ignore[arg-type]
