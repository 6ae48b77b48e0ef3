"""What a captioner sees of photographs: the grid of a frozen network, computed once for each view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart import backbones
from headstart.backbones.card import Card, Preprocess
from headstart.data.items import Dataset, Problem
from headstart.engines.choosing import Choice, choose
from headstart.errors import DataError, OptionError
from headstart.images.augmentation import Augmentation
from headstart.transfer.passes import Output, View, extract
from headstart.transfer.shards import Rows
from headstart.transfer.store import FeatureStore

_MIRRORED = View(Augmentation(flip=1.0), 0, 0)
_CROPPED = Augmentation(flip=0.5, crop=0.6, brightness=0.2, contrast=0.2, saturation=0.2)


@dataclass(frozen=True)
class Eyes:
    """A frozen network that looks at whole photographs.

    Args:
        card: Its card, with the preprocessing that is used here.
        shape: Of the grid: channels, rows, columns.
        choice: What runs it.
    """

    card: Card
    shape: tuple[int, int, int]
    choice: Choice


def open_eyes(name: str, size: int | None = None, *, offline: bool = False) -> Eyes:
    """Open a backbone to look at photographs, the whole of them: nothing is cut off.

    Args:
        name: Of the backbone, str.
        size: Side of what it sees, int, in pixels. Defaults to None: what it learned with.
        offline: Whether to stay off the network. Defaults to False.

    Raises:
        OptionError: It is no backbone for pictures.
        BackboneError: Its weights cannot be had.
    """
    card = backbones.card(name)
    if not isinstance(card.preprocess, Preprocess):
        raise OptionError("a backbone for pictures", repr(name), "see headstart backbones list")
    spec = replace(card.preprocess, size=size or card.preprocess.size, resize="squash", crop=1.0)
    network = backbones.load(name, offline=offline)
    network.card = card = replace(network.card, preprocess=spec)
    with torch.inference_mode():
        channels, rows, columns = network(network.example())[0].shape[1:]
    return Eyes(card, (channels, rows, columns), choose(card, lambda: network))


class Seen:
    """The grids of some photographs.

    Args:
        views: Stored rows of each view, the plain one first.
        shape: Of a grid: channels, rows, columns.
    """

    def __init__(self, views: Sequence[Rows], shape: tuple[int, int, int]) -> None:
        self._views, self._shape = tuple(views), shape

    def __len__(self) -> int:
        return len(self._views[0])

    def batch(self, positions: NDArray[np.int64], view: int = 0) -> Tensor:
        """Return the grids of some photographs, float32 [n, cells, channels].

        Args:
            positions: Which photographs, int64 [n].
            view: Which view of them, int, modulo their number. Defaults to 0, the plain one.
        """
        rows = self._views[view % len(self._views)][positions]
        return as_grid(rows, self._shape)


def as_grid(rows: NDArray[np.generic], shape: tuple[int, int, int]) -> Tensor:
    """Return stored rows [n, channels · rows · columns] as a grid, float32 [n, cells, channels]."""
    return torch.from_numpy(rows.astype(np.float32)).reshape(len(rows), shape[0], -1).transpose(1, 2)


def look(
    eyes: Eyes, photographs: Dataset, store: FeatureStore, *, more: int = 0, progress: bool = True
) -> tuple[Seen, list[Problem]]:
    """Look at photographs, or recall what was seen of them before.

    Args:
        eyes: What looks.
        photographs: At what.
        store: Where the grids are kept.
        more: Views beyond the plain one, int: the mirror image, then crops drawn at random, each the same
            every time. Defaults to 0.
        progress: Whether to draw a progress bar. Defaults to True.

    Returns:
        The grids, and the photographs that cannot be read, with the reason; these have no grid.

    Raises:
        DataError: None of them can be read.
    """
    output = Output("grid", int(np.prod(eyes.shape)), "float16")
    views = (None, _MIRRORED, *(View(_CROPPED, 0, number) for number in range(1, more)))[: 1 + more]
    start = cache(eyes.choice.start)
    done = extract(
        photographs, store, eyes.card, eyes.choice.key, start, output=output, views=views, progress=progress
    )
    problems = [
        Problem(item.name, facts.error)
        for item, facts in zip(photographs, done.facts, strict=True)
        if facts.error is not None
    ]
    if len(problems) == len(photographs):
        fix = "name other photographs"
        raise DataError("photographs that can be read", f"{problems[0].name}: {problems[0].reason}", fix)
    digests = [facts.digest for facts in done.facts]
    return Seen([store.rows(space, digests) for space in done.spaces], eyes.shape), problems
