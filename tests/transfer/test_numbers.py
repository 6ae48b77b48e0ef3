"""A number an item: ridge and MLP heads in the number's own unit, conformal intervals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import OptionError
from headstart.transfer.calibration import Interval
from headstart.transfer.features import Features
from headstart.transfer.heads import Head
from headstart.transfer.numbers import Numbers, fit_number_head
from headstart.transfer.selection import one_core_each, select


def drawn(
    n: int, *, noise: float = 0.3, scale: float = 1.0, offset: float = 0.0, width: int = 10, seed: int = 0
) -> Numbers:
    generator = np.random.default_rng(seed)
    X = generator.normal(2, 1, (n, width)).astype(np.float32)
    weight = np.random.default_rng(99).normal(size=width)
    y = offset + scale * ((X - 2) @ weight + generator.normal(0, noise, n))
    return Numbers(Features(X, np.arange(n), np.arange(n)), y.astype(np.float64), 1)


@pytest.fixture(autouse=True, scope="module")
def _one_core() -> Iterator[None]:
    with one_core_each():
        yield


@settings(deadline=None, max_examples=15)
@given(scale=st.floats(1e-4, 1e5), offset=st.floats(-1e5, 1e5), kind=st.sampled_from(["linear", "mlp"]))
def test_heads_answer_in_the_unit_of_the_numbers(scale: float, offset: float, kind: str) -> None:
    plain, data = drawn(120), drawn(120, scale=scale, offset=offset)
    answers = data.logits(data.fit(kind, 1.0, None, 0))[:, 0]  # type: ignore[arg-type]
    expected = offset + scale * plain.logits(plain.fit(kind, 1.0, None, 0))[:, 0]  # type: ignore[arg-type]
    rounding = 1e-6 * abs(offset)  # float32
    np.testing.assert_allclose(answers, expected, atol=0.02 * scale * plain.y.std() + 4 * rounding)


def test_the_linear_head_is_scikit_learns_ridge() -> None:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = drawn(150)
    spread = data.y.std()
    model = make_pipeline(StandardScaler(), Ridge(alpha=20.0)).fit(data.features.X, data.y / spread)
    answers = data.logits(data.fit("linear", 1 / 20, None, 0))[:, 0]
    np.testing.assert_allclose(answers, spread * model.predict(data.features.X), atol=1e-3 * spread)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_new_items_are_answered_well_and_tensors_say_all(kind: str) -> None:
    data, unseen = drawn(500), drawn(300, seed=1)
    head = data.fit(kind, 0.1, None, 0)  # type: ignore[arg-type]
    error = unseen.logits(head)[:, 0] - unseen.y
    assert 1 - (error**2).mean() / unseen.y.var() > 0.8
    again = Head.from_tensors(kind, head.tensors())
    np.testing.assert_array_equal(again.logits(unseen.features.X), unseen.logits(head))


def test_equal_numbers_give_that_number() -> None:
    head = fit_number_head("linear", drawn(20).features.X, np.full(20, 7.5))
    np.testing.assert_allclose(head.logits(drawn(5, seed=3).features.X), 7.5, atol=1e-5)


def test_what_numbers_have_not() -> None:
    with pytest.raises(OptionError, match="no class_weight"):
        drawn(20).fit("linear", 0.1, "balanced", 0)
    with pytest.raises(OptionError, match="linear or mlp for numbers"):
        drawn(20).fit("centroid", 0.1, None, 0)


def test_selection_is_out_of_fold() -> None:
    data = drawn(200)
    found = select(data, "linear", seed=1)
    assert found.losses[found.strength] == min(found.losses.values()) < 0.1
    assert found.logits.shape == (200, 1)
    noise = Numbers(data.features, np.random.default_rng(0).normal(size=200), 1)
    assert min(select(noise, "linear").losses.values()) > 0.9  # 1 is answering the mean
    for fold in range(5):
        assert 30 <= (found.folds == fold).sum() <= 50
        assert data.y[found.folds == fold].std() > 0.7 * data.y.std()


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), n=st.integers(60, 200))
def test_intervals_hold_what_they_promise(seed: int, n: int) -> None:
    """Split conformal: the coverage on new items is 0.9 on average, and beta-distributed around it."""
    generator = np.random.default_rng(seed)
    errors = generator.standard_t(3, size=(n + 2000, 1))
    found = Interval.of(errors[:n], np.zeros(n))
    assert found.level == 0.9
    covered = (np.abs(errors[n:, 0]) <= found.width).mean()
    assert 0.9 - 5 * np.sqrt(0.09 / n) < covered <= 1
    assert (np.abs(errors[:n, 0]) <= found.width).mean() >= 0.9


def test_the_interval_of_out_of_fold_answers_covers_new_items() -> None:
    data, unseen = drawn(400, noise=1.0), drawn(2000, noise=1.0, seed=7)
    found = select(data, "linear")
    interval = data.calibrate(found.logits)
    assert isinstance(interval, Interval)
    error = unseen.logits(data.fit("linear", found.strength, None, 0))[:, 0] - unseen.y
    assert 0.85 < (np.abs(error) <= interval.width).mean() < 0.95
    assert (interval.answers(found.logits) == found.logits).all()


def test_few_items_promise_the_largest_error() -> None:
    assert Interval.of(np.array([[1.0], [-3.0]]), np.zeros(2)).width == 3.0
