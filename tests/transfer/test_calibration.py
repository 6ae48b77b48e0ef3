"""Temperatures, prediction sets and abstention do what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from scipy.special import softmax as reference

from headstart.transfer.calibration import Abstention, Calibration, Conformal, fit_temperature, softmax


def answers(n: int, classes: int = 4, sharp: float = 2.0, seed: int = 0):
    """Logits whose own softmax is the truth: y is drawn from it."""
    rng = np.random.default_rng(seed)
    logits = sharp * rng.standard_normal((n, classes))
    p = reference(logits, axis=1)
    y = (p.cumsum(1) > rng.random((n, 1))).argmax(1)
    return logits, y


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_temperature_is_found(temperature: float) -> None:
    logits, y = answers(20_000)
    assert fit_temperature(logits * temperature, y) == pytest.approx(temperature, rel=0.08)


def test_perfect_and_hopeless_logits_stay_finite() -> None:
    y = np.arange(50) % 3
    perfect = 100.0 * np.eye(3)[y]
    for logits in (perfect, -perfect, np.zeros((50, 3))):
        calibration = Calibration.of(logits, y)
        assert 0.05 <= calibration.temperature <= 20
        assert np.isfinite(calibration.probabilities(logits)).all()


@pytest.mark.parametrize("count", [2, 6, 20, 200])
def test_a_few_right_answers_are_no_reason_to_be_certain(count: int) -> None:
    y = np.arange(count) % 2
    for gap in (0.5, 5.0, 20.0):
        logits = gap * np.eye(2)[y]
        confidence = softmax(logits, fit_temperature(logits, y)).max()
        assert confidence == pytest.approx(1 - 1 / (count + 2), abs=0.02)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 10))
def test_softmax_is_scipys(seed: int, temperature: float) -> None:
    logits = 50 * np.random.default_rng(seed).standard_normal((7, 5))
    assert np.allclose(softmax(logits, temperature), reference(logits / temperature, axis=1))
    assert np.allclose(
        np.log(np.maximum(softmax(logits), 1e-300)), np.maximum(log_softmax(logits, axis=1), -690), atol=1e-6
    )


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_sets_cover_as_often_as_promised(level: float) -> None:
    covered = []
    for seed in range(40):
        logits, y = answers(600, seed=seed)
        p = softmax(logits)
        conformal = Conformal.of(p[:300], y[:300], level)
        covered.append(conformal.sets(p[300:])[np.arange(300), y[300:]].mean())
    assert abs(np.mean(covered) - level) < 0.02


def test_few_items_give_sets_that_hold_everything() -> None:
    p = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert Conformal.of(p, np.array([0, 1]), 0.9).sets(p).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(10, 300), st.floats(0.5, 1.0))
def test_answers_above_the_threshold_are_as_accurate_as_asked(seed: int, n: int, accuracy: float) -> None:
    logits, y = answers(n, seed=seed)
    p = softmax(logits)
    found = Abstention.of(p, y, accuracy)
    answered = p.max(1) >= found.confidence
    right = p.argmax(1) == y
    assert found.answered == pytest.approx(answered.mean())
    thresholds = np.unique(p.max(1))
    possible = [t for t in thresholds if right[p.max(1) >= t].mean() >= accuracy]
    if possible:
        assert right[answered].mean() >= accuracy
        assert answered.mean() == pytest.approx((p.max(1) >= min(possible)).mean())
    else:
        assert answered.mean() >= 0.1 - 1 / n


def test_a_model_that_is_never_wrong_never_abstains() -> None:
    y = np.arange(40) % 2
    assert Abstention.of(softmax(4.0 * np.eye(2)[y]), y).confidence == 0.0


def test_json_round_trip() -> None:
    logits, y = answers(200)
    calibration = Calibration.of(logits, y)
    assert Calibration.from_json(calibration.to_json()) == calibration
