"""A small lazy pipeline: shuffle, map on threads, cache, batch, prefetch, with memory that stays flat."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from headstart.errors import DataError, OptionError
from headstart.files import atomic_file, storage_errors

T = TypeVar("T")
U = TypeVar("U")

_MOST_BATCHES = 8
_END: Any = object()


class Pipeline(Generic[T]):
    """Steps from a source to batches, done only when somebody iterates, and again on every pass.

    Each method returns a new pipeline; the order of the results never depends on the number of
    threads. Leaving a pass early (a break, an error, Ctrl-C) stops its threads: each finishes the
    one item it is at, and nothing is left running.

    "auto" is a measured rule: a window of items in flight starts at two, and grows by one each time
    the consumer asks for a result that is not ready yet, up to twice the cores (map) or 8 (prefetch).
    A consumer that never waits costs no more threads or memory.

    Args:
        source: A sequence, or a function without arguments that returns a fresh iterator.

    Raises:
        OptionError: The source can be read only once (an iterator).

    Example:
        >>> list(Pipeline(range(5)).map(lambda x: x * x).batch(2).prefetch())
        [[0, 1], [4, 9], [16]]
    """

    def __init__(self, source: Sequence[T] | Callable[[], Iterator[T]]) -> None:
        if hasattr(source, "__next__"):
            fix = "give a sequence, or a function that makes the iterator"
            raise OptionError("a source that can be read again", type(source).__name__, fix)
        self._source = source

    def __iter__(self) -> Generator[T, None, None]:
        # A generator: it can be closed, and `yield from` closes the steps before it, too.
        yield from self._source() if callable(self._source) else self._source

    def shuffle(self, buffer: int, seed: int) -> Pipeline[T]:
        """Mix the items by drawing each from a buffer that is filled as it empties.

        Args:
            buffer: How many items are held, int; one as large as the source mixes evenly.
            seed: The order, int. The same seed gives the same order on every pass: use another seed
                for another epoch.

        Returns:
            The pipeline with the step.

        Raises:
            OptionError: The buffer is smaller than 1.
        """
        _at_least_one(buffer, "a shuffle buffer")
        return Pipeline(lambda: _shuffled(self, buffer, seed))

    def map(
        self,
        function: Callable[[T], U],
        workers: int | Literal["auto"] = "auto",
        *,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Pipeline[U]:
        """Apply a function on threads, keeping the order.

        Threads help where the function waits or releases the interpreter's lock (reading files,
        decoding, NumPy). At most `workers` items are in flight.

        Args:
            function: From one item to one result; called on several threads at once.
            workers: The number of threads, int. Defaults to "auto" (see the class).
            on_error: Whether an exception of the function ends the pass at its item ("raise") or
                takes the place of the result ("return"). Defaults to "raise".

        Returns:
            The pipeline with the step.

        Raises:
            OptionError: workers is smaller than 1.
        """
        most = min(32, 2 * _cores()) if workers == "auto" else workers
        _at_least_one(most, "workers")
        keep = on_error == "return"
        return Pipeline(
            lambda: _mapped(self, function, _Window(2 if workers == "auto" else most, most), keep)
        )

    def cache(self, file: Path | None = None) -> Pipeline[T]:
        """Keep the items of the first whole pass, and replay them on later ones.

        Args:
            file: Where arrays are kept, Path; a file that exists is replayed, whatever the source.
                Defaults to None (in memory, any kind of item).

        Returns:
            The pipeline with the step.

        Raises:
            OptionError: An item that is to be kept in a file is no array (while iterating).
            StorageError: The disk is full or the file cannot be written (while iterating).
        """
        if file is not None:
            return Pipeline(lambda: _filed(self, file))
        kept: list[list[T]] = []
        return Pipeline(lambda: _kept(self, kept))

    def batch(self, size: int) -> Pipeline[list[T]]:
        """Put items together in lists of some size; the last may be shorter.

        Raises:
            OptionError: The size is smaller than 1.
        """
        _at_least_one(size, "a batch size")
        return Pipeline(lambda: _batched(self, size))

    def prefetch(self, depth: int | Literal["auto"] = "auto") -> Pipeline[T]:
        """Work ahead on a thread of its own, while the consumer is busy with earlier results.

        Args:
            depth: How many results are held ready at most, int. Defaults to "auto" (see the class).

        Returns:
            The pipeline with the step.

        Raises:
            OptionError: depth is smaller than 1.
        """
        most = _MOST_BATCHES if depth == "auto" else depth
        _at_least_one(most, "a depth")
        return Pipeline(lambda: _prefetched(self, _Window(2 if depth == "auto" else most, most)))


class _Window:
    """How many items may be in flight: grows by one whenever the consumer has to wait."""

    def __init__(self, size: int, most: int) -> None:
        self.size = min(size, most)
        self.most = most

    def take(self, waiting: deque[Future[U]]) -> Future[U]:
        """Return the oldest future, widening the window if it is not done."""
        oldest = waiting.popleft()
        if not oldest.done():
            self.size = min(self.size + 1, self.most)
        return oldest


class _HeldError:
    """Holds back an error of the source until the results before it are out."""

    error: Exception | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, Exception):
            self.error = error
        return isinstance(error, Exception)


def _mapped(
    source: Pipeline[T], function: Callable[[T], U], window: _Window, keep_errors: bool
) -> Iterator[Any]:
    waiting: deque[Future[U]] = deque()
    held = _HeldError()
    pool = ThreadPoolExecutor(window.most, "headstart-map")
    with closing(iter(source)) as items:

        def fill() -> None:
            while len(waiting) < window.size and held.error is None:
                item: Any = _END
                with held:
                    item = next(items, _END)
                if item is _END:
                    return
                waiting.append(pool.submit(function, item))

        try:
            fill()
            while waiting:
                future = window.take(waiting)
                error = future.exception()
                fill()  # before the result is handed over: the threads work while the consumer does
                yield error if keep_errors and isinstance(error, Exception) else future.result()
            if held.error is not None:
                raise held.error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _prefetched(source: Pipeline[T], window: _Window) -> Iterator[T]:
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(1, "headstart-prefetch")  # one thread: the pulls stay in order
    with closing(iter(source)) as items:

        def fill() -> None:
            while len(waiting) < window.size:
                waiting.append(pool.submit(next, items, _END))

        try:
            fill()
            while (result := window.take(waiting).result()) is not _END:
                fill()
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _shuffled(source: Pipeline[T], buffer: int, seed: int) -> Iterator[T]:
    rng = np.random.default_rng(seed)
    held: list[T] = []
    with closing(iter(source)) as items:
        for item in items:
            if len(held) < buffer:
                held.append(item)
                continue
            place = int(rng.integers(buffer))
            drawn, held[place] = held[place], item
            yield drawn
    for place in rng.permutation(len(held)):
        yield held[place]


def _batched(source: Pipeline[T], size: int) -> Iterator[list[T]]:
    batch: list[T] = []
    with closing(iter(source)) as items:
        for item in items:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
    if batch:
        yield batch


def _kept(source: Pipeline[T], kept: list[list[T]]) -> Iterator[T]:
    """Replay what is kept; else keep it, but only if the pass reaches the end."""
    if kept:
        yield from kept[0]
        return
    passed: list[T] = []
    with closing(iter(source)) as items:
        for item in items:
            passed.append(item)
            yield item
    kept[:] = [passed]


def _filed(source: Pipeline[T], file: Path) -> Iterator[Any]:
    """Replay the arrays in a file, one behind the other; else write them, whole or not at all."""
    if file.exists():
        end = file.stat().st_size
        with file.open("rb") as stream:
            while stream.tell() < end:
                yield _load(stream, file)
        return
    with closing(iter(source)) as items, atomic_file(file) as temporary, temporary.open("wb") as stream:
        for item in items:
            if not isinstance(item, np.ndarray) or item.dtype.hasobject:
                fix = "cache in memory, or after a step that makes arrays"
                raise OptionError("arrays of numbers to cache in a file", type(item).__name__, fix)
            with storage_errors(file):
                np.save(stream, item, allow_pickle=False)
            yield item


def _load(stream: BinaryIO, file: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(stream, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataError(
            f"a whole file '{file}'", f"a damaged one ({error})", "remove it; it is made again"
        ) from error
    return array


def _cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _at_least_one(value: int, what: str) -> None:
    if value < 1:
        raise OptionError(f"{what} of at least 1", str(value), "use a larger number")
