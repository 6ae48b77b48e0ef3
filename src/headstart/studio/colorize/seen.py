"""What the frozen encoder gives for views of photographs, computed once and read again in later epochs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.files import storage_errors
from headstart.studio.colorize.photographs import Floats, Photographs

BUDGET = 4 * 2**30
"""Bytes on the disk that views may take."""

Halves = NDArray[np.float16]
See = Callable[[Floats], tuple[Floats, ...]]
"""From lightness [n, 1, size, size] to what the frozen encoder gives, float32 [n, …] each."""


@dataclass(frozen=True, eq=False)
class Batch:
    """What a network learns from in a step.

    Args:
        seen: What the encoder gives, float16 [n, …] each.
        ab: The colours, float16 [n, size / 4, size / 4, 2].
    """

    seen: tuple[Halves, ...]
    ab: Halves


class Stream:
    """Batches of views as the encoder sees them: the same ones for the same seed and step.

    Each photograph has a few views, taken in turns, an epoch each. Where they fit on the disk, each is
    encoded once; otherwise every epoch takes views of its own. The file has no name, and goes with the
    process: what an interruption loses is computed again, to the same bits.

    Args:
        photographs: What is looked at.
        see: The encoder.
        batch: Views in a batch, int.
        views: Of each photograph, int.
        folder: Where the file goes.
        budget: Bytes that it may take, int. Defaults to 4 GiB.
    """

    def __init__(
        self,
        photographs: Photographs,
        see: See,
        batch: int,
        views: int,
        folder: Path,
        budget: int = BUDGET,
    ) -> None:
        self._photographs, self._see, self._batch = photographs, see, batch
        self.epoch = -(-len(photographs) // batch)
        """Steps in which about all photographs are seen once."""
        first = self._encoded(0, 0)
        self._shapes = [part.shape for part in first]
        self._bytes = sum(part.nbytes for part in first)
        fitting = budget // (self._bytes * len(photographs))
        self.views = min(views, fitting) or None
        """Views of each photograph that are kept; None where every epoch has its own."""
        self._there: set[tuple[int, int]] = set()
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 — closed with the stream

    def batch(self, step: int) -> Batch:
        """Return the views of a step.

        Raises:
            DataError: No photograph can be read any more.
            StorageError: The disk is full.
        """
        numbers = range(step * self._batch, (step + 1) * self._batch)
        parts = [self._row(*divmod(number, len(self._photographs))) for number in numbers]
        *seen, ab = (np.stack(part) for part in zip(*parts, strict=True))
        return Batch(tuple(seen), ab)

    def batches(self, first: int, last: int) -> Iterator[Batch]:
        """Yield the views of the steps from `first` to before `last`, prepared one step ahead."""
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(self.batch, first)
            for step in range(first, last):
                ready = ahead.result()
                if step + 1 < last:
                    ahead = pool.submit(self.batch, step + 1)
                yield ready

    def close(self) -> None:
        """Give the disk's room back."""
        self._file.close()

    def _row(self, epoch: int, place: int) -> Sequence[Halves]:
        photograph = self._photographs.order(epoch)[place]
        if self.views is None:
            return self._encoded(photograph, epoch)
        view = epoch % self.views
        at = (photograph * self.views + view) * self._bytes
        if (photograph, view) not in self._there:
            with storage_errors(self._folder):
                self._file.seek(at)
                self._file.write(b"".join(part.tobytes() for part in self._encoded(photograph, view)))
            self._there.add((photograph, view))
        self._file.seek(at)
        return self._split(self._file.read(self._bytes))

    def _encoded(self, photograph: int, view: int) -> list[Halves]:
        lightness, ab = self._photographs.view(photograph, view)
        return [part.astype(np.float16) for part in (*(each[0] for each in self._see(lightness[None])), ab)]

    def _split(self, row: bytes) -> list[Halves]:
        parts, start = [], 0
        for shape in self._shapes:
            count = int(np.prod(shape))
            parts.append(np.frombuffer(row, np.float16, count, 2 * start).reshape(shape))
            start += count
        return parts


def seen_by(see: See, lightness: Floats) -> tuple[Any, ...]:
    """Return what the encoder gives, rounded as it is kept, float16 each."""
    return tuple(part.astype(np.float16) for part in see(lightness))
