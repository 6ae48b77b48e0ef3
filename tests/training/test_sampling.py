"""The order of the items: a function of seed, phase and epoch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import OptionError
from headstart.training.sampling import batches, order

keys = st.tuples(st.integers(-5, 5), st.integers(0, 3), st.integers(0, 9))


@settings(deadline=None, max_examples=50)
@given(count=st.integers(1, 60), key=keys)
def test_shuffling_sees_each_item_once_and_is_repeatable(count: int, key: tuple[int, int, int]) -> None:
    items = np.arange(10, 10 + count)
    first = order(items, np.zeros(100, int), key, "shuffle")
    np.testing.assert_array_equal(np.sort(first), items)
    np.testing.assert_array_equal(first, order(items, np.zeros(100, int), key, "shuffle"))


def test_epochs_phases_and_seeds_differ() -> None:
    items, y = np.arange(50), np.arange(50) % 3
    for sampling in ("shuffle", "balanced"):
        orders = [order(items, y, key, sampling) for key in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0))]
        assert len({found.tobytes() for found in orders}) == 4


@settings(deadline=None, max_examples=50)
@given(counts=st.lists(st.integers(1, 30), min_size=1, max_size=5), key=keys)
def test_balanced_sampling_draws_classes_equally_and_members_evenly(
    counts: list[int], key: tuple[int, int, int]
) -> None:
    y = np.repeat(np.arange(len(counts)), counts)
    items = np.random.default_rng(0).permutation(len(y))
    drawn = order(items, y, key, "balanced")
    assert len(drawn) == len(y)
    by_class = np.bincount(y[drawn], minlength=len(counts))
    assert by_class.max() - by_class.min() <= 1
    for c in range(len(counts)):
        seen = np.bincount(drawn, minlength=len(y))[y == c]
        assert seen.max() - seen.min() <= 1


def test_balanced_sampling_needs_one_class_an_item() -> None:
    with pytest.raises(OptionError, match="shuffle"):
        order(np.arange(4), np.zeros((4, 2), np.float32), (0, 0, 0), "balanced")
    with pytest.raises(OptionError, match="shuffle"):
        order(np.arange(4), np.zeros(4, np.float32), (0, 0, 0), "balanced")


@settings(deadline=None, max_examples=60)
@given(count=st.integers(1, 200), batch=st.integers(1, 64), accumulate=st.integers(1, 5))
def test_batches_hold_every_item_once_and_are_even(count: int, batch: int, accumulate: int) -> None:
    steps = batches(np.arange(count), batch, accumulate)
    flat = [part for step in steps for part in step]
    np.testing.assert_array_equal(np.concatenate(flat), np.arange(count))
    sizes = [len(part) for part in flat]
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1
    assert len(flat) == -(-count // batch)
    assert all(len(step) == accumulate for step in steps[:-1])
    assert 1 <= len(steps[-1]) <= accumulate
