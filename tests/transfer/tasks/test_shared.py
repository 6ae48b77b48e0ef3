"""One trunk for several tasks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import DataError
from headstart.transfer.tasks.shared import UNKNOWN, fit_shared

pytestmark = pytest.mark.usefixtures("one_thread")


def two_tasks(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two questions that hang on the same hidden product of two features."""
    rows = np.random.default_rng(seed).normal(0, 1, (count, 10)).astype(np.float32)
    hidden = rows[:, 0] * rows[:, 1] + rows[:, 2]
    return rows, np.stack([hidden > 0, hidden + 0.3 * rows[:, 3] > 0], 1).astype(np.int64)


def test_a_task_with_few_labels_learns_from_one_with_many() -> None:
    rows, y = two_tasks(1200)
    y[60:, 1] = UNKNOWN
    test_rows, truth = two_tasks(1000, 1)
    shared, _ = fit_shared(rows, y, [2, 2])
    alone, _ = fit_shared(rows[:60], y[:60, 1:], [2])
    score = lambda head: (head.logits(test_rows).argmax(1) == truth[:, 1]).mean()  # noqa: E731
    assert score(shared[1]) > score(alone[0]) + 0.05


def test_heads_are_ordinary_and_share_their_first_layer() -> None:
    rows, y = two_tasks(200)
    heads, weights = fit_shared(rows, y, [2, 2], hidden=16)
    assert [head.kind for head in heads] == ["mlp", "mlp"]
    assert all(np.array_equal(*pair) for pair in zip(heads[0].layers[0], heads[1].layers[0], strict=True))
    assert heads[0].layers[0][0].shape == (10, 16)
    assert np.mean(weights) == pytest.approx(1)


def test_a_task_of_pure_chance_counts_less() -> None:
    rows, y = two_tasks(1500)
    y[:, 1] = np.random.default_rng(3).integers(2, size=1500)
    _, weights = fit_shared(rows, y, [2, 2])
    assert weights[0] > weights[1]


@settings(deadline=None, max_examples=4)
@given(st.integers(0, 50), st.floats(0.01, 100))
def test_the_scale_of_features_makes_no_difference(seed: int, scale: float) -> None:
    rows, y = two_tasks(80, seed)
    plain, scaled = fit_shared(rows, y, [2, 2])[0], fit_shared(rows * np.float32(scale), y, [2, 2])[0]
    assert scaled[0].logits(rows * np.float32(scale)) == pytest.approx(plain[0].logits(rows), abs=0.05)


def test_the_same_seed_gives_the_same_and_random_numbers_elsewhere_stay() -> None:
    rows, y = two_tasks(100)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one, other = fit_shared(rows, y, [2, 2], seed=4)[0], fit_shared(rows, y, [2, 2], seed=4)[0]
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(one[1].logits(rows), other[1].logits(rows))


def test_a_task_without_any_label_is_refused() -> None:
    rows, y = two_tasks(40)
    y[:, 1] = UNKNOWN
    with pytest.raises(DataError, match="task 1 without any"):
        fit_shared(rows, y, [2, 2])
