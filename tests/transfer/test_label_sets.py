"""Several labels an item: sigmoid heads, one temperature, a threshold for each label."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headstart.errors import OptionError
from headstart.transfer.calibration import Thresholds, best_threshold, label_log_loss, sigmoid
from headstart.transfer.features import Features
from headstart.transfer.heads import Head
from headstart.transfer.label_sets import LabelSets, fit_label_head
from headstart.transfer.selection import assign_folds, one_core_each, select

SHARES = (0.5, 0.3, 0.1)


def drawn(n: int, *, noise: float = 1.0, width: int = 12, seed: int = 0) -> LabelSets:
    """Items whose features are the sum of a direction for each of their labels, and noise."""
    generator = np.random.default_rng(seed)
    directions = np.random.default_rng(99).normal(0, 1.5, (len(SHARES), width))
    y = generator.random((n, len(SHARES))) < SHARES
    X = (y @ directions + generator.normal(0, noise, (n, width)) + 3).astype(np.float32)
    return LabelSets(Features(X, np.arange(n), np.arange(n)), y, len(SHARES))


@pytest.fixture(autouse=True, scope="module")
def _one_core() -> Iterator[None]:
    with one_core_each():
        yield


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_every_label_is_learned_on_its_own(kind: str) -> None:
    data, unseen = drawn(400), drawn(400, seed=1)
    head = data.fit(kind, 0.1, None, 0)  # type: ignore[arg-type]
    right = (unseen.logits(head) > 0) == unseen.y
    assert (right.mean(0) > np.maximum(unseen.y.mean(0), 1 - unseen.y.mean(0)) + 0.05).all()
    again = Head.from_tensors(kind, head.tensors())
    np.testing.assert_array_equal(again.logits(unseen.features.X), unseen.logits(head))


def test_the_linear_head_is_scikit_learns_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    data = drawn(300)
    x = StandardScaler().fit_transform(data.features.X.astype(np.float64))
    head = data.fit("linear", 0.05, None, 0)
    for k in range(3):
        model = LogisticRegression(C=0.05, max_iter=1000).fit(x, data.y[:, k])
        ours = sigmoid(data.logits(head)[:, k])
        np.testing.assert_allclose(ours, model.predict_proba(x)[:, 1], atol=0.02)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_labels_that_never_vary_get_their_odds(kind: str) -> None:
    data = drawn(50)
    y = np.column_stack([np.ones(50, bool), data.y[:, 0], np.zeros(50, bool)])
    head = fit_label_head(kind, data.features.X, y)  # type: ignore[arg-type]
    p = sigmoid(head.logits(data.features.X))
    np.testing.assert_allclose(p[:, 0], 50.5 / 51, atol=1e-6)
    np.testing.assert_allclose(p[:, 2], 0.5 / 51, atol=1e-6)
    assert np.ptp(p[:, 1]) > 0.1
    constant = fit_label_head(kind, data.features.X, y[:, [0, 2]])  # type: ignore[arg-type]
    assert (constant.logits(data.features.X) * [1, -1] > 3).all()


def test_heads_that_do_not_fit_several_labels() -> None:
    data = drawn(20)
    for kind, weight in (("centroid", None), ("mlp", "balanced")):
        with pytest.raises(OptionError, match="linear or mlp for several labels"):
            data.fit(kind, 0.1, weight, 0)  # type: ignore[arg-type]
    balanced, plain = data.fit("linear", 0.1, "balanced", 0), data.fit("linear", 0.1, None, 0)
    assert data.logits(balanced)[:, 2].mean() > data.logits(plain)[:, 2].mean()


def test_selection_is_out_of_fold_and_keeps_groups_together() -> None:
    data = drawn(200, noise=3.0)
    group = np.arange(200) // 4
    grouped = LabelSets(Features(data.features.X, np.arange(200), group), data.y, 3)
    found = select(grouped, "linear", seed=1)
    assert all(len(np.unique(found.folds[group == g])) == 1 for g in range(50))
    assert found.losses[found.strength] == min(found.losses.values())
    random = LabelSets(data.features, np.random.default_rng(5).permutation(data.y), 3)
    chance = label_log_loss(np.log(data.y.mean(0) / (1 - data.y.mean(0)))[None].repeat(200, 0), data.y)
    assert min(select(random, "linear").losses.values()) > chance - 0.02  # nothing leaks from the held fold
    assert min(found.losses.values()) < chance - 0.02
    assert np.ptp(np.bincount(assign_folds(data, 4, 0))) <= 6


def test_rows_are_averaged_for_each_item() -> None:
    single = drawn(60)
    item = np.repeat(np.arange(60), 2)
    double = LabelSets(Features(single.features.X[item], item, np.arange(60)), single.y, 3)
    head = double.fit("linear", 0.1, None, 0)
    assert double.logits(head).shape == (60, 3)
    np.testing.assert_allclose(double.logits(head), single.logits(head), atol=1e-5)
    assert double.counts() == single.y.sum(0).tolist()
    assert double.take(np.array([1, 5])).y.tolist() == single.y[[1, 5]].tolist()


def f1_by_hand(scores: NDArray[np.float64], y: NDArray[np.bool_], threshold: float) -> float:
    said = scores >= threshold
    return 2 * (said & y).sum() / max(said.sum() + y.sum(), 1)


@settings(deadline=None, max_examples=100)
@given(
    scores=st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5001, 0.9, 1.0]), min_size=1, max_size=20),
    seed=st.integers(0, 10**6),
)
def test_no_threshold_has_a_better_f1(scores: list[float], seed: int) -> None:
    p = np.array(scores)
    y = np.random.default_rng(seed).random(len(p)) < 0.4
    best = best_threshold(p, y)
    if not y.any():
        assert best == 0.5
        return
    found = f1_by_hand(p, y, best)
    assert all(found >= f1_by_hand(p, y, t) - 1e-12 for t in (*p, *(p + 1e-6), 0.0))


def test_rare_labels_share_a_threshold() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(200, 3))
    y = logits + generator.normal(0, 1, (200, 3)) > [0.0, 1.5, 9.0]
    y[:3, 2] = True  # only three items have it
    found = Thresholds.of(logits, y)
    p = found.answers(logits)
    assert found.thresholds[2] == best_threshold(p.ravel(), y.ravel())
    assert found.thresholds[1] == best_threshold(p[:, 1], y[:, 1])
    assert found.chosen(p).shape == (200, 3)


@settings(deadline=None, max_examples=20)
@given(factor=st.floats(0.2, 5))
def test_the_temperature_undoes_overconfidence(factor: float) -> None:
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 2, (2000, 3))
    y = generator.random((2000, 3)) < sigmoid(logits)
    found = Thresholds.of(logits * factor, y)
    assert found.temperature == pytest.approx(factor, rel=0.15)


def test_few_items_all_right_are_no_reason_to_be_certain() -> None:
    y = np.array([[True], [False], [True], [False]])
    found = Thresholds.of(np.where(y, 9.0, -9.0), y)
    assert 0.8 < found.answers(np.array([[9.0]]))[0, 0] < 0.9
    assert (sigmoid(np.array([-800.0, 0.0, 800.0])) == [0.0, 0.5, 1.0]).all()
