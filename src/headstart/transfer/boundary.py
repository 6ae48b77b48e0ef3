"""Boundary caching: what the frozen blocks say about an item is computed once, not in every epoch."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headstart.audio.augmentation import AudioAugmentation
from headstart.backbones import tensors
from headstart.backbones.backbone import Backbone
from headstart.backbones.card import Tokens, Waves
from headstart.data.items import Dataset
from headstart.engines.choosing import choose
from headstart.engines.precision import Precision
from headstart.errors import DataError, OptionError
from headstart.images.augmentation import Augmentation
from headstart.text.tokens import MULTIPLE
from headstart.training.plan import HEAD, minutes_in_words
from headstart.transfer.passes import Output, View, extract
from headstart.transfer.shards import Rows
from headstart.transfer.store import FeatureStore

DEFAULT_BUDGET = 4 * 2**30
_SHARE_OF_DISK = 4
Storage = Literal["float16", "float32"]


class Boundary(nn.Module):
    """What the frozen blocks hand on, as it is stored: grids channels last, passages of equal length.

    A batch of stored grids is then a channels_last tensor without being copied. Passages are filled up with
    padding (zeros, also in the place that says so) to the most tokens that the network reads.

    Args:
        backbone: Whose blocks are run; shared, not copied.
        stop: Name of the last frozen block, str. When it is the last of all, the head alone is trained, and
            what is handed on is the features.
    """

    def __init__(self, backbone: Backbone, stop: str) -> None:
        super().__init__()
        self.start = _behind(backbone, stop)
        """The first block that is not frozen, or "new-head"."""
        self.backbone = backbone.cut(stop)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return float [n, h, w, c], tokens [n, t, d] or features [n, d] of pixels or token numbers."""
        x = self.backbone.run_blocks(self.backbone.normalise(pixels))
        if self.start == HEAD:
            return cast(Tensor, self.backbone.pool(x)[1])
        if isinstance(self.backbone.card.preprocess, Tokens):
            size = self.backbone.card.preprocess.size
            # More than is needed, then cut: a graph whose lengths are free is spared arithmetic with them.
            return torch.cat([x, torch.zeros_like(x[:, :1]).expand(-1, size, -1)], 1)[:, :size]
        return x.permute(0, 2, 3, 1) if x.ndim == 4 else x

    def shape(self) -> tuple[int, ...]:
        """Return the shape of one item's output, found out with one example."""
        with torch.inference_mode():
            return tuple(self(self.backbone.example().to(self.backbone.mean.device)).shape[1:])


@dataclass(frozen=True)
class CacheCost:
    """What a boundary cache takes.

    Args:
        views: Of each training item, int; 0 where items are used as they are.
        bytes: On the disk, int.
        seconds: To compute, float; what the store already had costs nothing.
    """

    views: int
    bytes: int
    seconds: float

    def words(self) -> str:
        """Return the cost as a person would say it.

        Example:
            >>> CacheCost(3, 1_250_000_000, 95).words()
            '3 views of each item through the frozen blocks, once: 1.2 GB on the disk, 2 minutes'
        """
        what = f"{self.views} views of each item" if self.views > 1 else "each item"
        time_taken = minutes_in_words(self.seconds / 60)
        return f"{what} through the frozen blocks, once: {_size(self.bytes)} on the disk, {time_taken}"


class BoundaryInputs:
    """Batches of stored boundary outputs, for the blocks behind the boundary (`training.inputs.Inputs`).

    Args:
        start: Name of the first block that runs on a batch, str; "new-head" for the head alone.
        shape: Of one item's output, as it is stored.
        plain: Rows of the plain view; of texts and sounds several, of as many passages or patches.
        views: Rows of each distorted view; epoch e reads view e modulo their number. Defaults to none:
            every epoch reads the plain view.
        cost: What it took. Defaults to nothing.
        masked: Whether rows are passages, which say themselves where they end. Defaults to False.
    """

    def __init__(
        self,
        start: str,
        shape: tuple[int, ...],
        plain: Sequence[Rows | NDArray[np.float32]],
        views: Sequence[Rows] = (),
        cost: CacheCost = CacheCost(0, 0, 0.0),
        masked: bool = False,
    ) -> None:
        self.start: str | None = start
        self.shape = shape
        self.cost = cost
        self._plain, self._views, self._masked = tuple(plain), tuple(views), masked

    def batch(self, items: NDArray[np.int64], epoch: int | None) -> Tensor:
        """Return what the first block that is not frozen expects, float32.

        Grids [n, c, h, w] are channels_last in memory; tokens are [n, t, d], features [n, d]. Passages are as
        long as the longest of them, filled up to a multiple of 16.

        Args:
            items: Positions in the data set, int64 [n].
            epoch: Which view, int, modulo their number. None asks for the plain view.

        Raises:
            StorageError: An item was not computed in that view: training items have distorted views only.
        """
        plain = epoch is None or not self._views
        wanted = self._plain if plain else (self._views[int(epoch or 0) % len(self._views)],)
        found = wanted[0][items] if len(wanted) == 1 else np.stack([rows[items] for rows in wanted], 1)
        x = torch.from_numpy(found).float().reshape(-1, *self.shape)
        if self._masked:
            longest = int(x[..., -1].sum(1).max())
            x = x[:, : -(-longest // MULTIPLE) * MULTIPLE]
        return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def boundary_inputs(
    dataset: Dataset,
    store: FeatureStore,
    backbone: Backbone,
    stop: str,
    *,
    train: NDArray[np.int64],
    val: NDArray[np.int64],
    augmentation: Augmentation | AudioAugmentation | None = None,
    views: int = 1,
    plain: int = 1,
    seed: int = 0,
    engine: str = "auto",
    precision: Precision | None = None,
    storage: Storage = "float16",
    progress: bool = True,
) -> BoundaryInputs:
    """Run the frozen blocks over the items, once for each view that the store lacks.

    The store knows the frozen blocks by the digest of the weights that they have now, so blocks that an
    earlier phase trained are never mistaken for pretrained ones.

    Args:
        dataset: The items.
        store: Keeps the rows.
        backbone: The network that is trained; its blocks up to `stop` are frozen.
        stop: Name of the last frozen block, str.
        train: Positions of the items that are trained on, int64.
        val: Positions of the items that are only looked at, int64: they are stored in the plain view.
        augmentation: How training items are distorted. Defaults to None: not at all.
        views: How many distorted views (passages, patches) of each training item, int; see `choose_views`.
            Defaults to 1.
        plain: How many passages of a text or patches of a sound the plain view has, int. Defaults to 1.
        seed: Of the run, int. Defaults to 0.
        engine: "auto", "openvino" or "torch". Defaults to "auto".
        precision: "bf16" or "fp32". Defaults to None: the engine's own choice.
        storage: "float16", which saturates at ±65,504, or "float32". Defaults to "float16".
        progress: Whether to draw a progress bar. Defaults to True.

    Returns:
        The inputs; `inputs.cost` says what they took.

    Raises:
        DataError: An item cannot be read.
        OptionError: There is no such block, or a number of views below 1.
    """
    if views < 1:
        raise OptionError("at least one view to store", str(views), "run the frozen blocks in the loop")
    network = Boundary(backbone, stop)
    shape = network.shape()
    card = replace(network.backbone.card, digest=_digest(network.backbone))
    output = Output("boundary", int(np.prod(shape)), storage)
    choice = choose(card, lambda: network, engine=engine, precision=precision, outputs=("boundary",))
    engine_once = cache(choice.start)  # for both parts of the items
    started = time.monotonic()

    def rows(items: NDArray[np.int64], wanted: Sequence[View | None]) -> list[Rows]:
        some = dataset.take(items.tolist())
        for _ in range(2):  # again for rows that turn out to be damaged: the store forgets them
            done = extract(
                some, store, card, choice.key, engine_once, output=output, views=wanted, progress=progress
            )
            digests = [""] * len(dataset)
            for item, facts in zip(items.tolist(), done.facts, strict=True):
                digests[item] = facts.digest
            found = [store.rows(space, digests) for space in done.spaces]
            missing = {item for each in found for item in each.missing}.intersection(items.tolist())
            if not missing:
                return found
        name = dataset.items[min(missing)].name
        raise DataError("items that can be read", f"{name!r}, which cannot", "leave it out")

    texts, parts = isinstance(card.preprocess, Tokens), isinstance(card.preprocess, Tokens | Waves)
    distorted: list[Rows] = []
    if parts or augmentation not in (None, Augmentation()):
        distorted = rows(train, [View(augmentation, seed, number) for number in range(views)])
        seen = rows(val, [View(None, seed, number) for number in range(plain)] if parts else [None])
    else:
        seen = rows(np.union1d(train, val), [None])
    count = len(train) * max(1, len(distorted)) + len(val) * len(seen)
    stored = count * output.width * np.dtype(storage).itemsize
    cost = CacheCost(len(distorted), stored, time.monotonic() - started)
    return BoundaryInputs(network.start, shape, seen, distorted, cost, texts and network.start != HEAD)


def row_bytes(backbone: Backbone, stop: str, storage: Storage = "float16") -> int:
    """Return what the stored output of the block `stop` takes for one view of one item, in bytes."""
    return int(np.prod(Boundary(backbone, stop).shape())) * np.dtype(storage).itemsize


def budget(folder: Path) -> int:
    """Return how many bytes a cache in a folder may take: 4 GiB, and a quarter of the free disk at most."""
    return min(DEFAULT_BUDGET, shutil.disk_usage(folder).free // _SHARE_OF_DISK)


def choose_views(items: int, row_bytes: int, epochs: int, budget_bytes: int = DEFAULT_BUDGET) -> int:
    """Return how many distorted views of each training item to store.

    As many as fit, so that every view is met twice: the first time costs a pass through the frozen blocks,
    the second nothing.

    Args:
        items: Training items, int.
        row_bytes: Of one view of one item, int; see the function of that name.
        epochs: How often each item will be used, int.
        budget_bytes: How much disk may be taken, int; see `budget`. Defaults to 4 GiB.

    Returns:
        The number of views, int; 0 when not even one fits: the frozen blocks then run in the loop.

    Example:
        >>> choose_views(2000, 166_000, epochs=8), choose_views(2000, 166_000, epochs=40)
        (4, 12)
    """
    fits = budget_bytes // max(1, items * row_bytes)
    return int(min(fits, (epochs + 1) // 2))


def _behind(backbone: Backbone, stop: str) -> str:
    blocks = list(backbone.card.blocks)
    if stop not in blocks:
        raise OptionError(
            f"a block of {backbone.card.name!r}", repr(stop), f"choose one of {', '.join(blocks)}"
        )
    return [*blocks, HEAD][blocks.index(stop) + 1]


def _digest(frozen: Backbone) -> str:
    """Return the digest of the frozen weights as they are now."""
    state = frozen.state_dict()
    return tensors.digest({n: t for n, t in state.items() if not n.endswith("num_batches_tracked")})


def _size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{max(1, round(number / 1e6))} MB"
