"""Pictures for the training loop: decoded once, distorted anew in every epoch."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.backbones.card import Preprocess
from headstart.data.items import Item
from headstart.data.pipeline import Pipeline
from headstart.errors import DecodeError, OptionError
from headstart.files import cache_dir, storage_errors
from headstart.images.augment import augment
from headstart.images.augmentation import LIGHT, Augmentation, canvas
from headstart.images.decode import Pixels
from headstart.images.preprocess import prepare_canvas

MEMORY = 2 << 30
"""Bytes of decoded pictures that are kept in memory; more go to a file that nobody sees."""


class Canvases:
    """The pictures of a data set, each decoded when it is first wanted and then kept as uint8.

    Phases and threads share one object. What exceeds `memory` lies in a temporary file in headstart's
    cache, which is gone when the object or the process is, however it ends.

    Args:
        items: The pictures.
        spec: What the network wants.
        memory: Most bytes to keep in memory, int. Defaults to 2 GiB.
        workers: Threads that decode, int. Defaults to "auto".

    Raises:
        StorageError: There is no room for the temporary file.

    Example:
        >>> canvases = Canvases([Item("grey", np.full((90, 80, 3), 127, np.uint8))], Preprocess(size=56))
        >>> canvases[np.array([0])].shape
        (1, 64, 64, 3)
    """

    def __init__(
        self,
        items: Sequence[Item],
        spec: Preprocess,
        *,
        memory: int = MEMORY,
        workers: int | Literal["auto"] = "auto",
    ) -> None:
        self.spec = spec
        self._items = items
        self._workers: int | Literal["auto"] = workers
        side = canvas(spec).size
        shape = (len(items), side, side, 3)
        self._rows = np.empty(shape, np.uint8) if np.prod(shape) <= memory else _file_of(shape)
        self._there = np.zeros(len(items), bool)
        self._lock = threading.Lock()  # the loop's next batch and its validation may want the same picture

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, positions: NDArray[np.int64]) -> Pixels:
        """Return some pictures' canvases.

        Args:
            positions: Which, int64 [n]; one may occur twice.

        Returns:
            The canvases, uint8 [n, side, side, 3], a copy.

        Raises:
            DecodeError: One cannot be read; the message names the item.
        """
        with self._lock:
            absent = np.unique(positions[~self._there[positions]]).tolist()
            with closing(iter(Pipeline(absent).map(self._decoded, self._workers))) as decoded:
                for position, pixels in zip(absent, decoded, strict=True):
                    self._rows[position] = pixels
                    self._there[position] = True
        rows: Pixels = np.asarray(self._rows[positions])
        return rows

    def _decoded(self, position: int) -> Pixels:
        item = self._items[position]
        try:
            return prepare_canvas(item.source, self.spec)
        except DecodeError as error:
            raise DecodeError(
                f"{error.expected} in the item '{item.name}'", error.received, error.fix
            ) from error


def _file_of(shape: tuple[int, ...]) -> Pixels:
    """Return an array in a file without a name, whose room on the disk is already taken."""
    folder, size = cache_dir(), int(np.prod(shape))
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            # Writing to a mapped page that the disk has no room for would kill the process.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, np.uint8, "r+", shape=shape)


class PixelInputs:
    """Pictures as the network sees them: the plain view, or one distorted at random in each epoch.

    A view depends on the seed, the epoch and the item alone, not on the batch. To prepare the next batch
    while one is trained on: `Pipeline(batches).map(lambda items: inputs.batch(items, epoch), workers=1)`.

    Args:
        canvases: The pictures.
        augmentation: What may happen to them. Defaults to None (every view is plain).
        seed: Of everything random, int, 0 or more. Defaults to 0.

    Raises:
        OptionError: The seed is negative.

    Example:
        >>> canvases = Canvases([Item("grey", np.full((90, 80, 3), 127, np.uint8))], Preprocess(size=56))
        >>> PixelInputs(canvases, LIGHT, seed=1).batch(np.array([0, 0]), epoch=3).shape
        torch.Size([2, 56, 56, 3])
    """

    start: str | None = None

    def __init__(self, canvases: Canvases, augmentation: Augmentation | None = None, seed: int = 0) -> None:
        if seed < 0:
            raise OptionError("a seed of 0 or more", str(seed), "use another seed")
        self._canvases = canvases
        self._augmentation = augmentation
        self._seed = seed

    def batch(self, items: NDArray[np.int64], epoch: int | None) -> Tensor:
        """Return one batch.

        Args:
            items: Positions in the data set, int64 [n].
            epoch: Which of the random views is wanted, int. None asks for the plain view: exactly the pixels
                that the image modality's `inputs` gives with torch's kernel.

        Returns:
            The pixels, uint8 [n, size, size, 3].

        Raises:
            DecodeError: A picture cannot be read; the message names the item.
        """
        return self._view(items, epoch, self._augmentation)

    def tta_views(self, views: int) -> list[Callable[[NDArray[np.int64]], Tensor]]:
        """Return the views of test-time augmentation, whose probabilities the caller averages.

        Args:
            views: How many, int: the plain one, its mirror image, then lightly distorted ones.

        Returns:
            A function from items, int64 [n], to pixels, uint8 [n, size, size, 3], for each view.

        Raises:
            OptionError: Fewer than one view.
        """
        if views < 1:
            raise OptionError("at least one view", str(views), "ask for more")

        def light(number: int) -> Callable[[NDArray[np.int64]], Tensor]:
            return lambda items: self._view(items, number, LIGHT)

        plain_and_mirrored = [
            lambda items: self.batch(items, None),
            lambda items: self.batch(items, None).flip(2),
        ]
        return [*plain_and_mirrored, *map(light, range(2, views))][:views]

    def _view(self, items: NDArray[np.int64], epoch: int | None, augmentation: Augmentation | None) -> Tensor:
        rows, size = torch.from_numpy(self._canvases[items]), self._canvases.spec.size
        if epoch is None or augmentation is None:
            edge = (rows.shape[1] - size) // 2
            return rows[:, edge : edge + size, edge : edge + size].contiguous()
        return augment(rows, augmentation, [(self._seed, epoch, item) for item in items.tolist()], size)
