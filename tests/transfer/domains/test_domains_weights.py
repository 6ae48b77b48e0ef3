"""Importance weights: against true density ratios, and against a general solver."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import norm
from toy_domains import domains_of

from headstart.transfer.domains.kliep import Kliep, kliep
from headstart.transfer.domains.kmm import Kmm, kmm
from headstart.transfer.domains.weights import ImportanceWeights, bounded, density_ratio

CHANCE = np.random.default_rng(0)
SOURCE, TARGET = CHANCE.normal(0, 1, (500, 1)), CHANCE.normal(0.8, 0.7, (500, 1))
TRUE = (norm.pdf(SOURCE, 0.8, 0.7) / norm.pdf(SOURCE))[:, 0]


def by_classifier() -> NDArray[np.float64]:
    # A linear classifier knows the ratio of two normal densities where it sees squares, too.
    rows = [np.hstack([side, side**2]) for side in (SOURCE, TARGET)]
    return density_ratio(domains_of(rows[0], np.arange(500) % 2, rows[1]), 0)


def test_kliep_finds_the_true_ratio() -> None:
    assert np.corrcoef(kliep(SOURCE, TARGET), TRUE)[0, 1] > 0.95


def test_kmm_finds_the_true_ratio() -> None:
    assert np.corrcoef(kmm(SOURCE, TARGET, width=0.5), TRUE)[0, 1] > 0.8


def test_a_classifier_finds_the_true_ratio() -> None:
    assert np.corrcoef(by_classifier(), TRUE)[0, 1] > 0.95


@pytest.mark.parametrize("ratio", [lambda: kliep(SOURCE, TARGET), lambda: kmm(SOURCE, TARGET), by_classifier])
def test_weighted_source_has_the_target_s_mean(ratio) -> None:  # type: ignore[no-untyped-def]
    mean = np.average(SOURCE[:, 0], weights=ratio())
    assert abs(mean - TARGET.mean()) < 0.25 * abs(SOURCE.mean() - TARGET.mean())


def test_kliep_is_as_likely_as_a_general_solver_s() -> None:
    source, target = SOURCE[:60], TARGET[:60]
    ratio = kliep(source, target, centres=10)
    assert ratio.mean() == pytest.approx(1)
    assert (ratio >= 0).all()


@settings(deadline=None, max_examples=8)
@given(count=st.integers(4, 12), shift=st.floats(0, 2), seed=st.integers(0, 50))
def test_kmm_solves_its_quadratic_programme(count: int, shift: float, seed: int) -> None:
    chance = np.random.default_rng(seed)
    source, target = chance.normal(0, 1, (count, 2)), chance.normal(shift, 1, (9, 2))
    kernel = np.exp(-((source[:, None] - source[None]) ** 2).sum(2) / 2)
    wanted = np.exp(-((source[:, None] - target[None]) ** 2).sum(2) / 2).mean(1) * count

    def loss(beta: NDArray[np.float64]) -> float:
        return float(beta @ kernel @ beta / 2 - wanted @ beta)

    solved = minimize(
        loss,
        np.ones(count),
        jac=lambda beta: kernel @ beta - wanted,
        bounds=[(0, 4)] * count,
        constraints={"type": "eq", "fun": lambda beta: beta.mean() - 1},
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )
    ours = kmm(source, target, most=4.0, width=1.0, steps=5000)
    assert ours.mean() == pytest.approx(1, abs=1e-6)
    assert ours.min() >= 0
    assert ours.max() <= 4
    assert loss(ours) <= solved.fun + 1e-3 * max(1, abs(solved.fun))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_bounded_weights_have_mean_one(ratio: list[float]) -> None:
    weight = bounded(np.array(ratio))
    assert weight.mean() == pytest.approx(1)
    assert (weight >= 0).all()


@pytest.mark.parametrize("method", [ImportanceWeights(power=1.0), Kliep(), Kmm()])
def test_weights_bend_a_line_to_where_the_target_is(method: ImportanceWeights | Kliep | Kmm) -> None:
    # The class is |x| > 1: left of 0 a line can only say the opposite of what it says right of 0.
    chance = np.random.default_rng(0)
    source, target = chance.uniform(-2, 2, (400, 1)), chance.uniform(0.2, 2, (300, 1))
    truth = (np.abs(target[:, 0]) > 1).astype(np.int64)
    domains = domains_of(source, (np.abs(source[:, 0]) > 1).astype(np.int64), target)
    plain = domains.source_view.fit("linear", 10.0, None, 0)
    before = (domains.target_view.logits(plain).argmax(1) == truth).mean()
    after = (domains.target_view.logits(method.fit(domains, 10.0, 0)).argmax(1) == truth).mean()
    assert after > before + 0.1
    assert after > 0.8
