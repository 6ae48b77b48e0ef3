"""Few items whose heads start from what a source classifier says of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart import backbones
from headstart.backbones.card import Card
from headstart.errors import BackboneError
from headstart.transfer.features import Features
from headstart.transfer.heads import Matrix
from headstart.transfer.selection import Labelled, select
from headstart.transfer.shots import answers
from headstart.transfer.shots.answers import SourceAnswers, SourceSpace, source_space
from headstart.transfer.shots.choices import OneScale

SOURCES, WIDTH = 8, 200


def source() -> tuple[np.ndarray, np.ndarray]:
    """Return a classifier of eight source classes, and where these lie."""
    centres = np.random.default_rng(5).normal(size=(SOURCES, WIDTH))
    return centres.T, -(centres**2).sum(1) / 2


def items(each: int, seed: int = 0, noise: float = 4.0) -> tuple[Matrix, np.ndarray]:
    """Return items of two classes: each consists of two source classes, in noise in all directions."""
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1], each)
    centres = source()[0].T[4 * y + rng.integers(2, size=len(y))]
    return (centres + noise * rng.normal(size=centres.shape)).astype(np.float32), y


def view(each: int, seed: int = 0, noise: float = 4.0) -> SourceAnswers:
    rows, y = items(each, seed, noise)
    return SourceAnswers(features_of(rows), y, 2, SourceSpace.of(*source()))


def features_of(rows: Matrix) -> Features:
    return Features(rows, np.arange(len(rows)), np.arange(len(rows)))


def right(data: Labelled, strength: float, noise: float = 4.0) -> float:
    asked, y = items(400, seed=77, noise=noise)
    return float((data.fit("linear", strength, None, 0).logits(asked).argmax(1) == y).mean())


def test_a_few_items_are_enough_where_the_source_classifier_tells_their_kinds_apart() -> None:
    gains = []
    for seed in range(5):
        data = view(4, seed)
        gains.append(right(data, 1.0) - right(OneScale(data.features, data.y, 2), 10.0))
    assert np.mean(gains) > 0.05


def test_the_root_is_the_fourth_root_of_the_covariance_and_the_inverse_leads_back() -> None:
    weight, bias = source()
    space = SourceSpace.of(weight, bias)
    centred = weight - weight.mean(1, keepdims=True)
    np.testing.assert_allclose(
        np.linalg.matrix_power(space.root, 4), centred @ centred.T / SOURCES, atol=1e-8
    )
    # Only where source classes differ is there a way back.
    np.testing.assert_allclose(space.inverse @ space.root @ centred, centred, atol=1e-8)


def test_without_strength_the_head_says_what_the_source_classifier_says() -> None:
    data = view(6)
    head = data.fit("linear", 1e-9, None, 0)
    rows = data.features.X.astype(np.float64)
    logits = rows @ source()[0] + source()[1]
    said = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    mixture = np.stack([said[data.y == label].mean(0) for label in (0, 1)])
    expected = 0.5 * (logits - logits.mean(0)) @ (mixture[0] - mixture[1])
    found = head.logits(data.features.X)
    np.testing.assert_allclose(found[:, 0] - found[:, 1], expected, rtol=1e-3, atol=1e-2)


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 1000), st.floats(-20, 20))
def test_a_constant_in_the_source_logits_changes_nothing(seed: int, constant: float) -> None:
    data = view(3, seed)
    weight, bias = source()
    moved = SourceSpace.of(weight + constant, bias + constant)
    other = SourceAnswers(data.features, data.y, 2, moved)
    a, b = (each.fit("linear", 1.0, None, 0).logits(data.features.X) for each in (data, other))
    np.testing.assert_allclose(a, b, atol=0.02)


def test_a_class_without_items_never_wins_and_a_single_class_is_no_fault() -> None:
    data = view(5)
    first = np.flatnonzero(data.y == 0)
    three = SourceAnswers(data.features, data.y, 3, data.space).fit("linear", 1.0, None, 0)
    assert three.logits(data.features.X).argmax(1).max() < 2
    alone = data.take(first).fit("linear", 1.0, None, 0)
    assert (alone.logits(data.features.X).argmax(1) == 0).all()


def test_weights_count() -> None:
    rows, y = items(6, noise=1.0)
    wrong = np.where(np.arange(len(y)) < 3, 1, y)  # three items of class 0 are called 1
    light = np.where(wrong == y, 1.0, 1e-6)
    parts = (features_of(rows), wrong, 2, SourceSpace.of(*source()))
    weighed = SourceAnswers(*parts, weight=light)
    assert right(weighed, 1.0, 1.0) > right(SourceAnswers(*parts), 1.0, 1.0)


def test_other_kinds_of_heads_are_fitted_as_ever() -> None:
    data = view(5)
    plain = Labelled(data.features, data.y, 2)
    asked = items(5, seed=3)[0]
    for kind in ("centroid", "mlp"):
        a, b = (each.fit(kind, 0.01, None, 0).logits(asked) for each in (data, plain))
        np.testing.assert_array_equal(a, b)
    assert data.strengths("mlp") == tuple(plain.strengths("mlp"))


def test_with_one_item_of_each_no_strength_is_searched_for() -> None:
    assert view(1).strengths("linear") == (1.0,)
    selection = select(view(3), "linear")
    assert len(selection.losses) > 1


def test_a_classifier_that_cannot_be_had_is_said_and_nothing_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(card: Card, offline: bool = False) -> None:
        raise BackboneError("weights", "none", "download them")

    monkeypatch.setattr(answers, "source_classifier", gone)
    said: list[str] = []
    card = backbones.card("efficientnet_lite0")
    assert source_space(card, offline=True, say=said.append) is None
    assert "source classifier" in said[0]
    assert source_space(backbones.card("minilm-l6"), offline=True, say=said.append) is None
    assert len(said) == 1
