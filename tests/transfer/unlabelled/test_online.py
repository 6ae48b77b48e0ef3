"""Heads that go on learning: as good as fitting again, nearly, and ordinary heads at any time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import DataError, OptionError
from headstart.transfer.heads import Head, fit_head
from headstart.transfer.unlabelled.online import OnlineHead


def drawn(count: int, seed: int = 0, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = generator.integers(classes, size=count)
    centres = np.random.default_rng(77).normal(0, 1, (classes, 20))
    return (3 + centres[y] + generator.normal(0, 1.5, (count, 20))).astype(np.float32), y


def right(head: Head) -> float:
    rows, y = drawn(2000, 99)
    return float((head.logits(rows).argmax(1) == y).mean())


def test_item_by_item_is_nearly_as_good_as_all_at_once() -> None:
    rows, y = drawn(400)
    start = fit_head("linear", rows[:15], y[:15], 3)
    online = OnlineHead(start, rows[:15])
    for row, label in zip(rows[15:], y[15:], strict=True):
        online.update(row, int(label))
    whole = right(fit_head("linear", rows, y, 3))
    assert right(start) < whole - 0.05
    assert right(online.head) > whole - 0.02
    assert online.seen == 385


def test_before_the_first_update_it_is_the_head_it_started_from() -> None:
    rows, y = drawn(60)
    head = fit_head("linear", rows, y, 3)
    assert OnlineHead(head, rows).head.logits(rows) == pytest.approx(head.logits(rows), abs=1e-3)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 1000), st.integers(0, 2))
def test_an_update_makes_its_class_more_probable(seed: int, label: int) -> None:
    rows, y = drawn(60, seed)
    online = OnlineHead(fit_head("linear", rows, y, 3), rows)
    row = drawn(1, seed + 1)[0][0]
    before = online.head.logits(row[None])[0]
    online.update(row, label)
    after = online.head.logits(row[None])[0]
    margin = lambda z: z[label] - np.delete(z, label).max()  # noqa: E731
    assert margin(after) > margin(before)


def test_what_drifts_is_followed() -> None:
    rows, y = drawn(600)
    online = OnlineHead(fit_head("linear", rows[:100], y[:100], 3), rows[:100], strength=0.1)
    moved = (y + 1) % 3  # the classes have changed their names
    for row, label in zip(rows[100:], moved[100:], strict=True):
        online.update(row, int(label))
    new, truth = drawn(500, 5)
    assert (online.head.logits(new).argmax(1) == (truth + 1) % 3).mean() > 0.6


def test_what_it_cannot_learn_from_is_refused() -> None:
    rows, y = drawn(60)
    online = OnlineHead(fit_head("linear", rows, y, 3), rows)
    with pytest.raises(DataError, match="a class from 0 to 2"):
        online.update(rows[0], 3)
    for wrong in (rows[0][:5], np.full(20, np.nan, np.float32)):
        with pytest.raises(DataError, match="20 finite features"):
            online.update(wrong, 0)
    with pytest.raises(OptionError, match="a linear head"):
        OnlineHead(fit_head("mlp", rows, y, 3), rows)
    assert online.seen == 0
