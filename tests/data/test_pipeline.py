"""The pipeline: order, flat memory, errors in their place, and no thread left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.data.pipeline import Pipeline
from headstart.errors import DataError, OptionError


def own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("headstart-")]


@pytest.fixture(autouse=True)
def _nothing_left_running() -> Iterator[None]:
    yield
    assert own_threads() == []


class Meter:
    """A source and a function that count what is between being read and being received."""

    def __init__(self, count: int, delay: float = 0.0) -> None:
        self.count, self.delay = count, delay
        self.read = self.received = self.most = self.running = self.most_running = 0
        self.lock = threading.Lock()

    def source(self) -> Iterator[int]:
        for item in range(self.count):
            with self.lock:
                self.read += 1
                self.most = max(self.most, self.read - self.received)
            yield item

    def work(self, item: int) -> int:
        with self.lock:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        time.sleep(self.delay * (1 + item % 3))
        with self.lock:
            self.running -= 1
        return item

    def receive(self, count: int = 1) -> None:
        with self.lock:
            self.received += count


@settings(deadline=None, max_examples=40)
@given(
    count=st.integers(0, 40),
    workers=st.one_of(st.just("auto"), st.integers(1, 6)),
    size=st.integers(1, 7),
    depth=st.one_of(st.just("auto"), st.integers(1, 4)),
)
def test_order_never_depends_on_the_threads(count: int, workers: Any, size: int, depth: Any) -> None:
    def work(item: int) -> int:
        time.sleep(0.0005 * (item % 3))
        return item * item

    pipeline = Pipeline(range(count)).map(work, workers).batch(size).prefetch(depth)
    wanted = [[i * i for i in range(start, min(start + size, count))] for start in range(0, count, size)]
    assert list(pipeline) == wanted
    assert list(pipeline) == wanted  # a second pass reads the source again


@pytest.mark.parametrize("slow_consumer", [False, True])
@pytest.mark.parametrize("workers", [1, 3])
def test_memory_is_flat(workers: int, slow_consumer: bool) -> None:
    meter = Meter(200, 0.0005)
    for batch in Pipeline(meter.source).map(meter.work, workers).batch(4).prefetch(2):
        time.sleep(0.004 if slow_consumer else 0)
        meter.receive(len(batch))
    assert meter.received == 200
    # In flight: the map's window, two batches that are ready, one being received, one being filled.
    assert meter.most <= (workers + 1) + 4 * (2 + 1 + 1)
    assert meter.most_running <= workers


def test_map_alone_holds_no_more_than_its_workers() -> None:
    meter = Meter(100)
    for _ in Pipeline(meter.source).map(meter.work, 5):
        meter.receive()
    assert meter.most <= 5 + 1


def test_auto_uses_more_threads_only_for_a_consumer_that_waits() -> None:
    waits, relaxed = Meter(60, 0.003), Meter(30, 0.0002)
    for _ in Pipeline(waits.source).map(waits.work):
        waits.receive()
    for _ in Pipeline(relaxed.source).map(relaxed.work):
        time.sleep(0.01)
        relaxed.receive()
    assert waits.most_running >= 3
    assert relaxed.most <= 5


def test_threads_really_work_at_the_same_time() -> None:
    barrier = threading.Barrier(4, timeout=10)
    assert len(list(Pipeline(range(8)).map(lambda _: barrier.wait(), 4))) == 8


def test_prefetch_works_while_the_consumer_is_busy() -> None:
    made: list[int] = []
    passing = iter(Pipeline(range(10)).map(noting(made), 1).prefetch(3))
    assert next(passing) == 0
    deadline = time.monotonic() + 10
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert made[:4] == [0, 1, 2, 3]
    assert list(passing) == list(range(1, 10))


def noting(into: list[int]) -> Callable[[int], int]:
    def work(item: int) -> int:
        into.append(item)
        return item

    return work


def bad(item: int) -> int:
    if item % 5 == 3:
        raise ValueError(f"item {item}")
    return item


def received_until_error(pipeline: Pipeline[Any]) -> tuple[list[Any], str]:
    got: list[Any] = []
    try:
        for item in pipeline:
            got.append(item)
    except ValueError as error:
        return got, str(error)
    return got, "no error"


@pytest.mark.parametrize("workers", [1, 4, "auto"])
def test_errors_come_in_their_place(workers: Any) -> None:
    plain = Pipeline(range(10)).map(bad, workers)
    for pipeline in (
        plain,
        plain.prefetch(2),
        plain.map(lambda x: x, 4),
        plain.map(str, 2).map(int, 3).prefetch(),
    ):
        assert received_until_error(pipeline) == ([0, 1, 2], "item 3")
    assert received_until_error(plain.batch(3)) == ([[0, 1, 2]], "item 3")


def test_an_error_of_the_source_comes_in_its_place() -> None:
    def source() -> Iterator[int]:
        yield from (0, 1)
        raise ValueError("item 2")

    assert received_until_error(Pipeline(source).map(lambda x: x, 4)) == ([0, 1], "item 2")
    # The source's own errors are not results, even where the function's are.
    assert received_until_error(Pipeline(source).map(lambda x: x, 4, on_error="return")) == ([0, 1], "item 2")


def test_errors_as_values_stop_nothing() -> None:
    (got,) = Pipeline(range(10)).map(bad, 3, on_error="return").batch(10).prefetch()
    assert [x if isinstance(x, int) else str(x) for x in got] == [0, 1, 2, "item 3", 4, 5, 6, 7, "item 8", 9]


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_leaving_early_stops_threads_promptly(taken: int) -> None:
    closed = []

    def source() -> Iterator[int]:
        try:
            yield from range(10_000)
        finally:
            closed.append(True)

    def work(item: int) -> int:
        time.sleep(0.01)
        return item

    passing: Any = iter(Pipeline(source).shuffle(3, 0).map(work, 4).batch(2).map(sum, 2).prefetch(3))
    for _ in range(taken):
        next(passing)
    started = time.monotonic()
    passing.close()
    assert time.monotonic() - started < 2
    assert own_threads() == []
    assert closed == [True] * bool(taken)


def test_an_error_of_the_consumer_stops_threads() -> None:
    def consume() -> None:
        for item in Pipeline(range(1000)).map(lambda x: x, 4).prefetch():
            if item == 5:
                raise KeyError(item)

    with pytest.raises(KeyError):
        consume()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_ends_the_process_at_once() -> None:
    code = (
        "import time\nfrom headstart.data.pipeline import Pipeline\n"
        "def work(x):\n    time.sleep(0.02)\n    return x\n"
        "for x in Pipeline(range(10**6)).map(work, 4).batch(2).prefetch():\n    print(x, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "[0, 1]"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert errors.strip().endswith("KeyboardInterrupt")
    assert process.returncode in (-signal.SIGINT, 1, 130)


@settings(deadline=None, max_examples=60)
@given(count=st.integers(0, 50), buffer=st.integers(1, 60), seed=st.integers(0, 1000))
def test_shuffle_loses_nothing_and_follows_its_seed(count: int, buffer: int, seed: int) -> None:
    pipeline = Pipeline(range(count)).shuffle(buffer, seed)
    mixed = list(pipeline)
    assert sorted(mixed) == list(range(count))
    assert mixed == list(pipeline)
    for place, item in enumerate(mixed):
        assert item <= place + buffer  # never drawn before it was read
    if buffer == 1:
        assert mixed == list(range(count))


def test_a_full_buffer_mixes_evenly_and_seeds_differ() -> None:
    firsts = Counter(next(iter(Pipeline(range(5)).shuffle(5, seed))) for seed in range(1000))
    assert set(firsts) == set(range(5))
    assert all(140 < times < 260 for times in firsts.values())
    assert list(Pipeline(range(50)).shuffle(50, 1)) != list(Pipeline(range(50)).shuffle(50, 2))


def test_cache_in_memory_reads_once_but_only_whole_passes_count() -> None:
    read: list[int] = []
    pipeline = Pipeline(range(6)).map(noting(read), 1).cache()
    passing: Any = iter(pipeline)
    next(passing)
    passing.close()
    read.clear()
    assert list(pipeline) == list(range(6))
    assert read == list(range(6))
    assert list(pipeline) == list(pipeline.shuffle(1, 0)) == list(range(6))
    assert len(read) == 6


def test_cache_in_a_file(tmp_path: Path) -> None:
    read: list[int] = []

    def work(item: int) -> np.ndarray[Any, Any]:
        read.append(item)
        return np.full((item, 2), item, np.float32)

    file = tmp_path / "deep" / "cache.npy"
    pipeline = Pipeline(range(4)).map(work, 2).cache(file)
    passing: Any = iter(pipeline)
    next(passing)
    passing.close()
    assert not file.exists()
    assert list(file.parent.iterdir()) == []
    read.clear()
    first = list(pipeline)
    again: list[Any] = list(Pipeline(range(0)).cache(file))
    assert sorted(read) == [0, 1, 2, 3]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [array.shape for array in again] == [(0, 2), (1, 2), (2, 2), (3, 2)]


@pytest.mark.parametrize("item", ["text", np.array([{}], dtype=object)])
def test_only_arrays_of_numbers_go_into_a_file(tmp_path: Path, item: Any) -> None:
    with pytest.raises(OptionError, match="arrays"):
        list(Pipeline([item]).cache(tmp_path / "c.npy"))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_cut_is_an_error_not_fewer_items(tmp_path: Path) -> None:
    file = tmp_path / "c.npy"
    list(Pipeline([np.zeros(100)] * 3).cache(file))
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(DataError, match="whole file"):
        list(Pipeline([np.zeros(100)] * 3).cache(file))


def test_impossible_steps() -> None:
    pipeline = Pipeline([1])
    for make in (
        lambda: pipeline.shuffle(0, 0),
        lambda: pipeline.map(str, 0),
        lambda: pipeline.batch(0),
        lambda: pipeline.prefetch(0),
    ):
        with pytest.raises(OptionError, match="at least 1"):
            make()
    with pytest.raises(OptionError, match="read again"):
        Pipeline(iter([1]))  # type: ignore[arg-type]
