"""The feature store's files: append-only shards of rows, how they are written, mapped and gathered."""

from __future__ import annotations

import os
import time
import uuid
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args

import numpy as np
from numpy.typing import DTypeLike, NDArray

from headstart.errors import OptionError, StorageError
from headstart.files import storage_errors

if TYPE_CHECKING:
    from headstart.transfer.store import FeatureStore

Kind = Literal["float32", "float16", "uint8"]
"""What a shard's numbers are."""
SUFFIXES: dict[str, str] = {"float32": ".f32", "float16": ".f16", "uint8": ".u8"}
_COMMIT_EVERY = 256


@dataclass(frozen=True)
class Place:
    """Where an item's rows are: `count` rows from `start` on in `shard`."""

    shard: str
    start: int
    count: int
    crc: int


class Rows:
    """The rows of some items, one each, left on the disk until a batch of them is asked for.

    Args:
        maps: Each shard's rows, {name: memory map}.
        places: Where each item's row is; None for an item that has none.

    Raises:
        OptionError: An item has several rows.
    """

    def __init__(self, maps: Mapping[str, NDArray[Any]], places: Sequence[Place | None]) -> None:
        if any(place is not None and place.count != 1 for place in places):
            raise OptionError("items of one row each", "one of several rows", "read them with store.read")
        names = sorted({place.shard for place in places if place is not None})
        number = {name: n for n, name in enumerate(names)}
        self._maps = [maps[name] for name in names]
        self._shard = np.array([-1 if p is None else number[p.shard] for p in places], np.int64)
        self._start = np.array([0 if p is None else p.start for p in places], np.int64)
        self.missing = np.flatnonzero(self._shard < 0).tolist()

    def __len__(self) -> int:
        return len(self._shard)

    def __getitem__(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """Return a copy of the rows of some items, [n, width], as they are stored.

        Raises:
            StorageError: One of them has no row.
        """
        shards, starts = self._shard[positions], self._start[positions]
        used = np.unique(shards)
        if len(used) and used[0] < 0:
            raise StorageError("a stored row for each item", "none for some", "compute them again")
        if len(used) == 1:
            return np.asarray(self._maps[used[0]][starts])
        gathered = np.empty((len(starts), self._maps[0].shape[1] if self._maps else 0), self.dtype)
        for shard in used:
            here = shards == shard
            gathered[here] = self._maps[shard][starts[here]]
        return gathered

    @property
    def dtype(self) -> np.dtype[Any]:
        """What the numbers are stored as."""
        return self._maps[0].dtype if self._maps else np.dtype(np.float32)


def map_shard(path: Path, width: int, kind: str) -> NDArray[Any]:
    """Return a shard's whole rows, memory-mapped; none where the file is gone or cut off."""
    size = width * np.dtype(kind).itemsize
    rows = path.stat().st_size // size if path.is_file() else 0
    if rows == 0:
        return np.empty((0, width), kind)
    return np.memmap(path, kind, "r", shape=(rows, width))


def intact(rows: NDArray[Any], place: Place) -> bool:
    """Return whether rows are all there and as they were written."""
    return len(rows) == place.count and zlib.crc32(rows.tobytes()) == place.crc


def gather(maps: Mapping[str, NDArray[Any]], places: Sequence[Place]) -> NDArray[Any]:
    """Return the rows of some places, memory-mapped where they lie in one piece."""
    if not places:
        return np.empty((0, 0), np.float32)
    first, last = places[0], places[-1]
    follows = all(b.shard == a.shard and b.start == a.start + a.count for a, b in pairwise(places))
    if follows:
        return maps[first.shard][first.start : last.start + last.count]
    pieces = (maps[place.shard][place.start : place.start + place.count] for place in places)
    return np.concatenate(list(pieces))


class Writer:
    """Appends items' rows to a shard of its own; use it as a context manager.

    Args:
        store: Whose shard it is.
        space: Of the rows, from `store.space`.
        width: Numbers in a row, int.
        dtype: What they are stored as: float32, float16 or uint8. Defaults to float32. What float16 cannot
            hold (beyond ±65,504) is stored as the largest that it can.

    Raises:
        OptionError: Another dtype.
    """

    def __init__(self, store: FeatureStore, space: str, width: int, dtype: DTypeLike = np.float32) -> None:
        self._dtype = np.dtype(dtype)
        if self._dtype.name not in SUFFIXES:
            raise OptionError(f"rows of {', '.join(get_args(Kind))}", self._dtype.name, "use one of them")
        self._store, self._space, self._width = store, space, width
        self._shard = f"{space}/{uuid.uuid4().hex}{SUFFIXES[self._dtype.name]}"
        self._file: BinaryIO | None = None
        self._rows = 0
        self._pending: list[tuple[str, str, str, int, int, int]] = []

    def put(self, digest: str, rows: NDArray[Any]) -> None:
        """Append an item's rows, [count, width]; durable after the next commit.

        Raises:
            StorageError: The disk is full; what was committed before stays.
        """
        data = self._stored(rows).reshape(-1, self._width).tobytes()
        count = len(data) // (self._width * self._dtype.itemsize)
        with storage_errors(self._store.folder):
            if self._file is None:
                self._file = self._begin()
            self._file.write(data)
        self._pending.append((self._space, digest, self._shard, self._rows, count, zlib.crc32(data)))
        self._rows += count
        if len(self._pending) >= _COMMIT_EVERY:
            self.commit()

    def _stored(self, rows: NDArray[Any]) -> NDArray[Any]:
        if self._dtype == np.float16:
            limit = np.finfo(np.float16).max  # infinities would spoil every sum that they enter
            rows = np.clip(rows, -limit, limit)
        return np.ascontiguousarray(rows, self._dtype)

    def _begin(self) -> BinaryIO:
        path = self._store.folder / self._shard
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("xb")
        self._store.add_shard(self._shard, self._space, self._width, self._dtype.name)
        return file

    def commit(self) -> None:
        """Flush the rows to the disk, then make the index point at them."""
        if self._file is None or not self._pending:
            return
        with storage_errors(self._store.folder):
            self._file.flush()
            os.fsync(self._file.fileno())
        self._store.add_rows(self._pending)
        self._pending.clear()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None or not issubclass(kind, StorageError):
                self.commit()  # also on Ctrl-C: what was computed stays computed
        finally:
            if self._file is not None:
                self._file.close()


def orphans(folder: Path, known: Iterable[str], older_than: float) -> list[Path]:
    """Return the shards that no index knows: of a run that was killed, or of an index that was set aside.

    Args:
        folder: The store's folder.
        known: Names of the shards in the index.
        older_than: Seconds; a younger one may be about to enter the index.

    Returns:
        Their Paths.
    """
    names = set(known)
    found = [path for suffix in SUFFIXES.values() for path in folder.glob(f"*/*{suffix}")]
    strange = [path for path in found if f"{path.parent.name}/{path.name}" not in names]
    return [path for path in strange if time.time() - path.stat().st_mtime > older_than]
