"""Which passage of a text is read when, and several as one batch."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.text.passages import drawn, together


@settings(deadline=None, max_examples=50)
@given(count=st.integers(1, 9), seed=st.integers(0, 2**40), turn=st.integers(0, 5))
def test_each_passage_comes_once_before_any_comes_again(count: int, seed: int, turn: int) -> None:
    passages = [np.array([100 + n], np.int32) for n in range(count)]
    seen = [int(drawn(passages, seed, turn * count + n)[0]) for n in range(count)]
    assert sorted(seen) == [100 + n for n in range(count)]
    assert seen == [int(drawn(passages, seed, turn * count + n)[0]) for n in range(count)]


def test_the_order_depends_on_seed_turn_and_text() -> None:
    def order(first: int, seed: int, turn: int) -> list[int]:
        passages = [np.array([first + n], np.int32) for n in range(8)]
        return [int(drawn(passages, seed, 8 * turn + n)[0]) - first for n in range(8)]

    assert len({tuple(order(*key)) for key in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (50, 0, 0)]}) == 4


@settings(deadline=None, max_examples=50)
@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=6), pad=st.integers(0, 3))
def test_a_batch_is_filled_up_to_its_longest_passage(lengths: list[int], pad: int) -> None:
    passages = [np.arange(10, 10 + length, dtype=np.int32) for length in lengths]
    batch = together(passages, pad)
    assert batch.shape == (len(lengths), max(lengths))
    for row, passage in zip(batch, passages, strict=True):
        np.testing.assert_array_equal(row[: len(passage)], passage)
        assert (row[len(passage) :] == pad).all()
