"""Heads agree with scikit-learn, fold their scaling in, and survive odd data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler

from headstart.errors import ArtefactError, OptionError
from headstart.transfer.heads import KINDS, Head, fit_head


def blobs(classes: int = 3, each: int = 40, d: int = 12, seed: int = 0, apart: float = 3.0):
    rng = np.random.default_rng(seed)
    centres = apart * rng.standard_normal((classes, d))
    y = np.repeat(np.arange(classes), each)
    X = centres[y] + rng.standard_normal((len(y), d)) * rng.uniform(0.5, 4, d) + 10
    return X.astype(np.float32), y


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_linear_head_is_scikit_learns_on_standardised_features(classes: int) -> None:
    X, y = blobs(classes, apart=1.0)
    head = fit_head("linear", X, y, classes, strength=0.05)
    scaler = StandardScaler().fit(X)
    model = LogisticRegression(C=0.05, max_iter=1000, tol=1e-6).fit(scaler.transform(X), y)
    logits = head.logits(X).astype(np.float64)
    ours = np.exp(logits - logits.max(1, keepdims=True))
    assert np.abs(ours / ours.sum(1, keepdims=True) - model.predict_proba(scaler.transform(X))).max() < 5e-3


def test_centroid_head_is_the_nearest_mean() -> None:
    X, y = blobs(4, apart=0.7)
    scaler = StandardScaler().fit(X)
    model = NearestCentroid().fit(scaler.transform(X), y)
    head = fit_head("centroid", X, y, 4)
    assert (head.logits(X).argmax(1) == model.predict(scaler.transform(X))).mean() > 0.99


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_and_travels_through_tensors(kind: str) -> None:
    X, y = blobs()
    head = fit_head(kind, X, y, 3, seed=1)
    assert (head.logits(X).argmax(1) == y).mean() > 0.9
    again = Head.from_tensors(kind, head.tensors())
    assert np.array_equal(again.logits(X), head.logits(X))
    assert np.array_equal(fit_head(kind, X, y, 3, seed=1).logits(X), head.logits(X)), "same seed, same head"


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_without_rows_never_wins(kind: str) -> None:
    X, y = blobs()
    head = fit_head(kind, X, np.where(y == 2, 3, y), 5)
    assert set(head.logits(X).argmax(1)) == {0, 1, 3}
    assert head.logits(X).shape == (len(X), 5)


def test_constant_features_do_no_harm() -> None:
    X, y = blobs()
    X[:, 3] = 7.0
    head = fit_head("linear", X, y, 3)
    moved = X.copy()
    moved[:, 3] += 1e-3
    assert np.abs(head.logits(moved) - head.logits(X)).max() < 0.5


def test_balanced_weights_find_the_rare_class() -> None:
    rng = np.random.default_rng(3)
    X = np.concatenate([rng.normal(0, 1, (400, 4)), rng.normal(1.2, 1, (12, 4))]).astype(np.float32)
    y = np.repeat([0, 1], [400, 12])
    for kind in ("linear", "mlp"):
        plain = fit_head(kind, X, y, 2, strength=1.0).logits(X).argmax(1)
        weighed = fit_head(kind, X, y, 2, strength=1.0, class_weight="balanced").logits(X).argmax(1)
        assert (weighed[400:] == 1).mean() > (plain[400:] == 1).mean(), kind


def test_unknown_kinds_and_broken_tensors() -> None:
    X, y = blobs()
    with pytest.raises(OptionError, match="centroid"):
        fit_head("forest", X, y, 3)  # type: ignore[arg-type]
    tensors = fit_head("mlp", X, y, 3).tensors()
    for broken in (
        {},
        {k: v for k, v in tensors.items() if k != "layer0.bias"},
        {**tensors, "layer1.weight": tensors["layer0.weight"]},
    ):
        with pytest.raises(ArtefactError, match="layers"):
            Head.from_tensors("mlp", broken)
    with pytest.raises(ArtefactError):
        Head.from_tensors("forest", tensors)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 5), st.integers(1, 3), st.floats(0.001, 1000))
def test_linear_heads_do_not_care_about_units(classes: int, each: int, unit: float) -> None:
    X, y = blobs(classes, each + 2, apart=1.0)
    plain = fit_head("linear", X, y, classes).logits(X)
    scaled = fit_head("linear", (X * unit).astype(np.float32), y, classes).logits(
        (X * unit).astype(np.float32)
    )
    assert np.abs(plain - scaled).max() < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_no_weight_teaches_nothing(kind: str) -> None:
    X, y = blobs()
    wrong = np.concatenate([y, (y + 1) % 3])
    weight = np.repeat([1.0, 1e-9], len(y))
    head = fit_head(kind, np.concatenate([X, X]), wrong, 3, weight=weight, seed=1)
    assert (head.logits(X).argmax(1) == y).mean() > 0.9


def test_weights_are_scikit_learns_on_standardised_features() -> None:
    X, y = blobs(apart=0.7)
    weight = np.random.default_rng(0).uniform(0, 3, len(y))
    head = fit_head("linear", X, y, 3, strength=0.05, weight=weight)
    scaler = StandardScaler().fit(X)
    model = LogisticRegression(C=0.05, max_iter=1000, tol=1e-6).fit(scaler.transform(X), y, weight)
    logits = head.logits(X).astype(np.float64)
    ours = np.exp(logits - logits.max(1, keepdims=True))
    assert np.abs(ours / ours.sum(1, keepdims=True) - model.predict_proba(scaler.transform(X))).max() < 5e-3
