"""Comparing two models: the test is McNemar's, the interval is paired, the words fit the numbers."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from headstart.errors import DataError
from headstart.evaluation import compare
from headstart.evaluation.compare import mcnemar


def says(right: NDArray[np.bool_], confidence: float = 0.9) -> NDArray[np.float64]:
    p = np.where(right, confidence, 1 - confidence)
    return np.stack([p, 1 - p], axis=1)


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_sum_over_outcomes(only_a: int, only_b: int) -> None:
    n = only_a + only_b
    chance = [math.comb(n, i) / 2**n for i in range(n + 1)]
    distance = abs(only_a - n / 2)
    more = sum(p for i, p in enumerate(chance) if abs(i - n / 2) > distance)
    same = sum(p for i, p in enumerate(chance) if abs(i - n / 2) == distance)
    assert mcnemar(only_a, only_b) == pytest.approx(more + same / 2 if n else 1.0)
    assert mcnemar(only_a, only_b) == pytest.approx(mcnemar(only_b, only_a))


def test_a_clear_difference_is_found_and_said() -> None:
    rng = np.random.default_rng(0)
    right_a, right_b = rng.random(1_000) < 0.85, rng.random(1_000) < 0.95
    found = compare(np.zeros(1_000, int), says(right_a), says(right_b), names=("old", "new"))
    assert found.difference == pytest.approx(right_b.mean() - right_a.mean())
    assert found.interval[0] <= found.difference <= found.interval[1]
    assert found.interval[0] > 0
    assert found.only_b.tolist() == np.flatnonzero(right_b & ~right_a).tolist()
    assert found.only_a.tolist() == np.flatnonzero(right_a & ~right_b).tolist()
    assert found.verdict.startswith("new is better by ")
    assert "unlikely to be chance: p < 0.001" in found.verdict
    assert found.log_loss_difference < 0
    assert found.log_loss_interval[1] < 0
    json.dumps(found.to_json(), allow_nan=False)


def test_swapping_the_models_swaps_the_result() -> None:
    rng = np.random.default_rng(1)
    first, second = says(rng.random(300) < 0.8), says(rng.random(300) < 0.9)
    y = np.zeros(300, int)
    one, other = compare(y, first, second), compare(y, second, first)
    assert one.difference == pytest.approx(-other.difference)
    assert one.p_value == pytest.approx(other.p_value)
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]))
    assert one.verdict.replace("B is", "A is") == other.verdict


def test_a_small_difference_may_be_chance() -> None:
    right = np.ones(100, dtype=bool)
    right_a, right_b = right.copy(), right.copy()
    right_a[:3], right_b[3:5] = False, False
    found = compare(np.zeros(100, int), says(right_a), says(right_b))
    assert "may well be chance" in found.verdict
    assert "1.0 points" in found.verdict


def test_equal_models_are_called_equal() -> None:
    p = says(np.arange(50) % 5 > 0)
    found = compare(np.zeros(50, int), p, p)
    assert found.p_value == 1.0
    assert found.difference == 0.0
    assert "exactly the same items" in found.verdict
    shifted = says(np.roll(np.arange(50) % 5 > 0, 1))
    assert "equally often" in compare(np.zeros(50, int), p, shifted).verdict


def test_pairing_makes_the_interval_narrower_than_two_separate_ones() -> None:
    rng = np.random.default_rng(2)
    right_a = rng.random(2_000) < 0.7
    right_b = right_a.copy()
    right_b[np.flatnonzero(~right_a)[:40]] = True
    found = compare(np.zeros(2_000, int), says(right_a), says(right_b))
    separate = 1.96 * math.sqrt(2 * 0.7 * 0.3 / 2_000)
    assert (found.interval[1] - found.interval[0]) / 2 < separate / 2


def test_groups_widen_the_interval() -> None:
    right_b = np.repeat(np.arange(20) % 2 == 0, 20)
    y, worse = np.zeros(400, int), says(np.zeros(400, dtype=bool))
    alone = compare(y, worse, says(right_b)).interval
    grouped = compare(y, worse, says(right_b), groups=[str(i // 20) for i in range(400)]).interval
    assert grouped[1] - grouped[0] > 3 * (alone[1] - alone[0])


@pytest.mark.parametrize(
    ("y", "a", "b"),
    [
        ([0], [[0.5, 0.5]], [[0.3, 0.3, 0.4]]),
        ([0, 0], [[0.5, 0.5]], [[0.5, 0.5]]),
        ([], np.zeros((0, 2)), np.zeros((0, 2))),
        ([0], [0.5], [0.5]),
    ],
)
def test_answers_that_do_not_match_are_refused(y: list[int], a: list[object], b: list[object]) -> None:
    with pytest.raises(DataError, match="same items"):
        compare(y, a, b)
