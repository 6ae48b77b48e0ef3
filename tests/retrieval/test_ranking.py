"""The figures of a ranking, against scikit-learn's and against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from headstart.errors import OptionError
from headstart.retrieval.fusion import reciprocal_rank_fusion
from headstart.retrieval.ranking import ndcg, neighbour_recall, precision

rankings = st.integers(2, 12).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 3), min_size=n, max_size=n), st.permutations(range(n)), st.integers(1, 15)
    )
)


@settings(deadline=None, max_examples=60)
@given(rankings)
def test_ndcg_is_that_of_scikit_learn(case: tuple[list[int], list[int], int]) -> None:
    gains, order, k = case
    scores = np.empty(len(order))
    scores[order] = -np.arange(len(order))
    found = ndcg(np.array([gains]), np.array([order]), k)
    assert found[0] == pytest.approx(ndcg_score([gains], scores[None], k=k))


@settings(deadline=None, max_examples=60)
@given(rankings)
def test_precision_is_what_counting_gives(case: tuple[list[int], list[int], int]) -> None:
    gains, order, k = case
    right = sum(gains[item] > 0 for item in order[:k])
    assert precision(np.array([gains]), np.array([order]), k)[0] == pytest.approx(right / k)


def test_the_best_order_scores_one_and_nothing_relevant_scores_zero() -> None:
    relevance = np.array([[0, 2, 1], [0, 0, 0]])
    assert ndcg(relevance, np.array([[1, 2, 0], [0, 1, 2]])).tolist() == [1, 0]


def test_a_place_that_is_not_filled_counts_as_wrong() -> None:
    relevance = np.array([[True, True, False]])
    assert precision(relevance, np.array([[1, -1, -1]]), 3)[0] == pytest.approx(1 / 3)
    assert 0 < ndcg(relevance, np.array([[1, -1, -1]]), 3)[0] < 1
    assert ndcg(relevance, np.array([[-1, -1, 1]]), 3)[0] < ndcg(relevance, np.array([[1, -1, -1]]), 3)[0]


def test_places_must_be_asked_for() -> None:
    with pytest.raises(OptionError, match="k of at least 1"):
        ndcg(np.ones((1, 2)), np.array([[0, 1]]), 0)


def test_recall_ignores_the_order() -> None:
    assert neighbour_recall(np.array([[3, 1, 2]]), np.array([[1, 2, 3]])) == 1
    assert neighbour_recall(np.array([[3, -1], [5, 6]]), np.array([[3, 4], [7, 8]])) == 0.25
    assert neighbour_recall(np.zeros((2, 0), int), np.zeros((2, 0), int)) == 1


@settings(deadline=None, max_examples=60)
@given(st.lists(st.permutations(range(8)).map(lambda p: p[:5]), min_size=1, max_size=4), st.integers(1, 90))
def test_fusion_is_the_sum_of_reciprocal_places(lists: list[list[int]], k: int) -> None:
    sums: dict[int, float] = {}
    for ranking in lists:
        for place, item in enumerate(ranking, 1):
            sums[item] = sums.get(item, 0) + 1 / (k + place)
    items, scores = reciprocal_rank_fusion([np.array(ranking) for ranking in lists], k=k)
    assert set(items.tolist()) == set(sums)
    assert scores == pytest.approx([sums[item] for item in items.tolist()])
    assert (np.diff(scores) <= 0).all()


def test_a_weight_moves_its_ranking_up() -> None:
    first, second = np.array([0, 1]), np.array([1, 0])
    assert reciprocal_rank_fusion([first, second])[0].tolist() == [0, 1]  # equal: the first ranking decides
    assert reciprocal_rank_fusion([first, second], [1, 2])[0].tolist() == [1, 0]
    assert len(reciprocal_rank_fusion([])[0]) == 0
    assert reciprocal_rank_fusion([np.zeros(0, np.int64), second])[0].tolist() == [1, 0]
