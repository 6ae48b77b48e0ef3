"""Few items: class means, one scale, the cache, pairs, and what is tried when."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import DataError
from headstart.transfer.features import Features
from headstart.transfer.heads import Matrix
from headstart.transfer.selection import Labelled
from headstart.transfer.shots.answers import SourceSpace
from headstart.transfer.shots.cache import KeyValueCache
from headstart.transfer.shots.choices import (
    ANSWERS,
    FEW,
    MEANS,
    ONE_SCALE,
    OneScale,
    few_choices,
    is_few,
)
from headstart.transfer.shots.means import ClassMeans, class_means
from headstart.transfer.shots.pairs import PairScale, cosines, sample_pairs
from headstart.transfer.source_head import SOURCE, ZERO, SourceStart, select_start


def clouds(each: int, classes: int = 4, noise: float = 1.0, seed: int = 0) -> tuple[Matrix, np.ndarray]:
    """Return items around means that are the same for every seed."""
    means = 3 * np.random.default_rng(99).normal(size=(classes, 16))
    y = np.repeat(np.arange(classes), each)
    rows = means[y] + noise * np.random.default_rng(seed).normal(size=(len(y), 16)) + 5
    return rows.astype(np.float32), y


def data_of(rows: Matrix, y: np.ndarray, classes: int = 4) -> Labelled:
    return Labelled(Features(rows, np.arange(len(y)), np.arange(len(y))), y, classes)


def test_one_item_a_class_is_enough_for_class_means() -> None:
    head = class_means(*clouds(1), 4)
    asked, y = clouds(50, seed=1)
    assert (head.logits(asked).argmax(1) == y).mean() > 0.95


def test_class_means_are_the_cosine_seen_from_the_middle() -> None:
    rows, y = clouds(3)
    head = class_means(rows, y, 4)
    middle = rows.mean(0)
    centres = np.stack([rows[y == k].mean(0) for k in range(4)]) - middle
    asked = clouds(5, seed=2)[0]
    cosine = (asked - middle) @ (centres / np.linalg.norm(centres, axis=1, keepdims=True)).T
    length = np.linalg.norm(rows - middle, axis=1).mean()
    np.testing.assert_allclose(head.logits(asked), 10 * cosine / length, rtol=1e-3, atol=1e-3)


def test_a_class_without_items_never_wins() -> None:
    rows, y = clouds(2)
    assert class_means(rows[y < 3], y[y < 3], 4).logits(rows).argmax(1).max() < 3


@settings(deadline=None, max_examples=6)
@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_the_unit_of_features_does_not_matter_to_means_and_one_scale(seed: int, unit: float) -> None:
    rows, y = clouds(3, seed=seed)
    asked = clouds(5, seed=seed + 1)[0]
    for view in (ClassMeans, OneScale):
        answers = []
        for scale in (1.0, unit):
            features = data_of((rows * scale).astype(np.float32), y).features
            head = view(features, y, 4).fit("linear", 10.0, None, 0)
            answers.append(head.logits((asked * scale).astype(np.float32)).argmax(1))
        assert (answers[0] == answers[1]).mean() > 0.9


def test_weights_count_in_class_means() -> None:
    rows = np.array([[1, 0], [0, 1], [-1, -1]], np.float32)
    y = np.array([0, 0, 1])
    light = class_means(rows, y, 2, np.array([1.0, 1e-6, 1.0]))
    assert light.logits(np.array([[1, 0]])) @ [1, -1] > light.logits(np.array([[0, 1]])) @ [1, -1]


def test_methods_for_few_items_are_tried_below_twenty_a_class_only() -> None:
    few, many = data_of(*clouds(FEW - 1)), data_of(*clouds(FEW))
    assert is_few(few)
    assert not is_few(many)
    assert set(few_choices(few, None, few)) == {ZERO, MEANS, ONE_SCALE}
    assert list(few_choices(many, None, many)) == [ZERO]
    space = SourceSpace.of(np.random.default_rng(0).normal(size=(16, 6)), np.zeros(6))
    assert set(few_choices(few, None, few, space)) == {ONE_SCALE, ANSWERS}
    assert list(few_choices(many, None, many, space)) == [ZERO]


def test_with_one_item_each_nothing_can_be_held_out_so_means_answer_or_the_source_classes() -> None:
    data = data_of(*clouds(1))
    chosen, _, losses = select_start(few_choices(data, None, data), np.arange(4), "linear")
    assert isinstance(chosen, ClassMeans)
    assert losses == {}
    start = SourceStart(np.ones((16, 4)), np.zeros(4), np.ones(4, np.bool_))
    assert list(few_choices(data, start, data)) == [SOURCE, MEANS]
    space = SourceSpace.of(np.random.default_rng(0).normal(size=(16, 6)), np.zeros(6))
    assert list(few_choices(data, None, data, space)) == [ANSWERS]


def test_what_is_chosen_is_what_loses_least_over_the_folds() -> None:
    data = data_of(*clouds(4, noise=3.0))
    chosen, selection, losses = select_start(few_choices(data, None, data), np.arange(16), "linear")
    assert set(losses) == {ZERO, MEANS, ONE_SCALE}
    assert all(np.isfinite(loss) for loss in losses.values())
    assert data.loss(selection.logits) == pytest.approx(min(losses.values()))
    asked, y = clouds(50, noise=3.0, seed=5)
    head = chosen.fit("linear", selection.strength, None, 0)
    assert (head.logits(asked).argmax(1) == y).mean() > 0.5


def test_the_cache_remembers_items_and_adds_to_another_head() -> None:
    rows, y = clouds(2)
    cache = KeyValueCache.of(rows, y, 4)
    assert (cache.logits(rows).argmax(1) == y).all()
    sure = np.tile([0.0, 0, 0, 50], (len(rows), 1))
    assert (cache.logits(rows, sure).argmax(1) == 3).all()
    np.testing.assert_allclose(cache.logits(rows, sure) - cache.logits(rows), sure)


def test_pairs_are_as_often_of_one_class_as_of_two_and_probabilities_rise_with_similarity() -> None:
    rows, y = clouds(20)
    similarity, same = sample_pairs(rows - rows.mean(0), y)
    assert same.mean() == 0.5
    scale = PairScale.of(similarity, same)
    said = np.array([scale.probability(value) for value in similarity])
    assert abs(said.mean() - 0.5) < 0.02  # calibrated on average
    assert said[same].mean() > said[~same].mean() + 0.3
    assert scale.probability(1.0) > scale.probability(0.0)


def test_pairs_need_two_of_a_class_and_two_classes() -> None:
    rows, y = clouds(1)
    with pytest.raises(DataError):
        sample_pairs(rows, y)
    with pytest.raises(DataError):
        sample_pairs(rows, np.zeros_like(y))


def test_cosines_of_nothing_are_zero() -> None:
    assert cosines(np.zeros((1, 3)), np.ones((1, 3))).tolist() == [0.0]
