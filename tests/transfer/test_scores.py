"""The transferability scores follow their definitions, and rank what has a known order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from headstart.errors import DataError
from headstart.transfer.scores import h_score, leep, logme

Array = NDArray[np.float64]


def log_evidence(f: Array, y: Array, alpha: float, beta: float) -> float:
    """By definition: y is normal with covariance 1/beta + F Fᵀ / alpha, the weights integrated out."""
    covariance = np.eye(len(f)) / beta + f @ f.T / alpha
    return float(multivariate_normal.logpdf(y, np.zeros(len(f)), covariance, allow_singular=True)) / len(f)


def slow_logme(f: Array, y: Array) -> float:
    """The evidence, maximised by a general optimiser from several starts."""

    def negative(log: Array) -> float:
        return -log_evidence(f, y, math.exp(log[0]), math.exp(log[1]))

    starts = [(0.0, 0.0), (3.0, 0.0), (0.0, 3.0), (-2.0, 2.0)]
    bounds = [(-10, 15), (-10, 10)]
    return max(-float(minimize(negative, start, method="L-BFGS-B", bounds=bounds).fun) for start in starts)


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 1000), n=st.integers(12, 40), d=st.integers(2, 50))
def test_logme_is_the_largest_evidence(seed: int, n: int, d: int) -> None:
    generator = np.random.default_rng(seed)
    f = generator.normal(size=(n, d))
    y = f[:, 0] + 0.5 * generator.normal(size=n)
    received, wanted = logme(f, y), slow_logme(f, y)
    assert received <= wanted + 1e-4  # it is an evidence, so it cannot be above the largest
    if d < n / 2:  # with more features than items the evidence may have no inner maximum
        assert received == pytest.approx(wanted, abs=2e-3)


def test_logme_of_classes_is_the_mean_over_them() -> None:
    generator = np.random.default_rng(0)
    f = generator.normal(size=(30, 6))
    y = np.arange(30) % 3 + 5
    parts = [logme(f, (y == label).astype(float)) for label in (5, 6, 7)]
    assert logme(f, y) == pytest.approx(np.mean(parts))


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100), wide=st.booleans())
def test_logme_ignores_scale_and_rotation(seed: int, scale: float, wide: bool) -> None:
    generator = np.random.default_rng(seed)
    f = generator.normal(size=(25, 40 if wide else 6))
    y = np.arange(25) % 2
    turned = f @ np.linalg.qr(generator.normal(size=(f.shape[1], f.shape[1])))[0]
    assert logme(scale * turned, y) == pytest.approx(logme(f, y), abs=1e-4)


def slow_h_score(f: Array, y: NDArray[np.int64]) -> float:
    from sklearn.covariance import LedoitWolf

    fitted = LedoitWolf().fit(f)
    g = np.stack([f[y == label].mean(0) for label in y])
    between = np.cov(g, rowvar=False, bias=True)
    return float((1 - fitted.shrinkage_) * np.trace(np.linalg.pinv(fitted.covariance_) @ between))


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 1000), n=st.integers(8, 60), d=st.integers(2, 30), classes=st.integers(2, 5))
def test_h_score_follows_its_definition(seed: int, n: int, d: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    y = np.arange(n) % classes
    f = generator.normal(size=(n, d)) + generator.normal(size=(classes, d))[y]
    received = h_score(f, y)
    assert received == pytest.approx(slow_h_score(f, y), rel=1e-6, abs=1e-9)
    assert 0 <= received <= classes - 1 + 1e-9


def slow_leep(p: Array, y: NDArray[np.int64]) -> float:
    n, z = p.shape
    total = 0.0
    for i in range(n):
        likelihood = 0.0
        for k in range(z):
            joint = sum(p[j, k] for j in range(n) if y[j] == y[i]) / n
            likelihood += float(joint / (p[:, k].sum() / n) * p[i, k])
        total += math.log(likelihood) / n
    return total


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 1000), n=st.integers(2, 15), z=st.integers(2, 6))
def test_leep_follows_its_definition(seed: int, n: int, z: int) -> None:
    generator = np.random.default_rng(seed)
    p = generator.dirichlet(np.ones(z), size=n)
    y = generator.integers(0, 3, n)
    received = leep(p, y)
    assert received == pytest.approx(slow_leep(p, y))
    assert received <= 1e-12


@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 1000))
def test_every_score_ranks_a_known_order(seed: int) -> None:
    """The less noise hides the classes, the higher each score."""
    generator = np.random.default_rng(seed)
    y = np.arange(240) % 4
    centres, noise = 4 * np.eye(4, 20), generator.normal(size=(240, 20))
    found = []
    for spread in (0.5, 2.0, 8.0):
        f = centres[y] + spread * noise
        p = np.exp(f[:, :8]) / np.exp(f[:, :8]).sum(1, keepdims=True)
        found.append((logme(f, y), h_score(f, y), leep(p, y)))
    for scores in zip(*found, strict=True):
        assert scores[0] > scores[1] > scores[2]


def test_constant_features_say_nothing() -> None:
    y = np.arange(20) % 2
    assert h_score(np.ones((20, 3)), y) == 0
    noise = np.random.default_rng(0).normal(size=(20, 3))
    assert np.isfinite(logme(np.zeros((20, 3)), y))
    assert logme(noise + 5 * y[:, None], y) > logme(np.zeros((20, 3)), y)


@pytest.mark.parametrize("score", [logme, h_score, leep])
def test_bad_input(score: object) -> None:
    assert callable(score)
    with pytest.raises(DataError, match="two at least"):
        score(np.ones((1, 3)), np.array([0]))
    with pytest.raises(DataError, match="as many targets"):
        score(np.ones((4, 3)), np.array([0, 1]))
    with pytest.raises(DataError, match="finite"):
        score(np.full((4, 3), np.nan), np.arange(4) % 2)
