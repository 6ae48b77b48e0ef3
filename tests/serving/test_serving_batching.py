"""Micro-batches: what waits is answered together, and nothing waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import InternalServerError

from headstart.serving.batching import Batcher, Busy, Late
from headstart.serving.logs import LOGGER


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


class Gate:
    """Answers with the question doubled, once it is opened; remembers the batches."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.busy = threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, questions: Sequence[int]) -> list[int]:
        self.batches.append(list(questions))
        self.busy.set()
        assert self.open.wait(10)
        return [2 * question for question in questions]


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.lists(st.integers(), max_size=6), min_size=1, max_size=8),
    st.integers(min_value=1, max_value=5),
)
def test_everyone_gets_their_own_answers(requests: list[list[int]], most: int) -> None:
    sizes: list[int] = []
    batcher = Batcher[int, int](lambda questions: [2 * q for q in questions], most=most, seen=sizes.append)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda questions: batcher.ask(questions, soon()), requests))
    batcher.close()
    assert answers == [[2 * question for question in questions] for questions in requests]
    assert sum(sizes) == sum(map(len, requests))
    assert max(sizes, default=0) <= most


def test_nothing_waits_while_idle_and_batches_grow_while_busy() -> None:
    gate = Gate()
    batcher = Batcher[int, int](gate, most=4)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batcher.ask, [0], soon())
        assert gate.busy.wait(5)
        assert gate.batches == [[0]]  # alone: it did not wait for company
        later = [pool.submit(batcher.ask, [n], soon()) for n in range(1, 7)]
        while len(batcher._waiting) < 6:
            time.sleep(0.001)
        gate.open.set()
        assert [future.result(5) for future in (first, *later)] == [[2 * n] for n in range(7)]
    assert sorted(map(len, gate.batches)) == [1, 2, 4]


def test_who_is_late_is_told_and_not_answered() -> None:
    gate = Gate()
    batcher = Batcher[int, int](gate)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(batcher.ask, [0], soon())
        assert gate.busy.wait(5)
        with pytest.raises(Late):
            batcher.ask([1], soon(0.05))
        gate.open.set()
        assert first.result(5) == [0]
        assert batcher.ask([2], soon()) == [4]
    assert gate.batches == [[0], [2]]


def test_who_has_left_costs_nothing() -> None:
    gate = Gate()
    batcher = Batcher[int, int](gate)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(batcher.ask, [0], soon())
        assert gate.busy.wait(5)
        left = pool.submit(batcher.ask, [1], soon(), lambda: False)
        while not batcher._waiting:
            time.sleep(0.001)
        gate.open.set()
        assert first.result(5) == [0]
        with pytest.raises(InternalServerError):
            left.result(5)
    assert gate.batches == [[0]]


def test_places_are_bounded_and_given_back() -> None:
    batcher = Batcher[int, int](lambda questions: list(questions), places=4)
    with batcher.places(3):
        with pytest.raises(Busy) as busy, batcher.places(2):
            pass
        assert busy.value.get_response().headers["Retry-After"] == "1"
        with batcher.places(1):
            assert batcher.under_way == 4
    assert batcher.under_way == 0
    with batcher.places(9):  # more than there are, but nothing else is going on
        assert batcher.under_way == 9
    with pytest.raises(ZeroDivisionError), batcher.places(1):
        raise ZeroDivisionError
    assert batcher.under_way == 0


def test_a_failure_is_told_to_all_and_the_next_are_answered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(LOGGER, "propagate", True)

    def answer(questions: Sequence[int]) -> list[int]:
        return [1 // question for question in questions]

    batcher = Batcher[int, int](answer)
    with pytest.raises(InternalServerError):
        batcher.ask([1, 0], soon())
    assert batcher.ask([1], soon()) == [1]
    assert "division" in caplog.text  # the log has the reason
