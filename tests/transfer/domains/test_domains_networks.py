"""DANN and MCC: reversed gradients, confusion by hand, moons that turned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.datasets import make_moons
from toy_domains import accuracy, blobs, domains_of

from headstart.transfer.domains.dann import Dann, reverse, schedule
from headstart.transfer.domains.distance import proxy_a_distance
from headstart.transfer.domains.domains import Domains
from headstart.transfer.domains.mcc import Mcc, confusion
from headstart.transfer.domains.networks import Course
from headstart.transfer.domains.source_only import SourceOnly


def turned_moons(degrees: float) -> tuple[Domains, NDArray[np.int64]]:
    """Moons, and moons turned about their middle: the toy problem of the paper on DANN."""
    X, y = make_moons(300, noise=0.1, random_state=0)
    Z, truth = make_moons(300, noise=0.1, random_state=1)
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = X.mean(0)
    return domains_of(X, y, (Z - middle) @ turn.T + middle), truth


@settings(deadline=None, max_examples=20)
@given(weight=st.floats(0, 2), seed=st.integers(0, 99))
def test_the_gradient_is_the_numerical_one_reversed(weight: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4, 3, generator=generator, dtype=torch.float64).requires_grad_()
    mix = torch.randn(3, 2, generator=generator, dtype=torch.float64)

    def loss(rows: torch.Tensor) -> torch.Tensor:
        return torch.sin(rows @ mix).sum()

    reversed_ = reverse(x, weight)
    assert torch.allclose(reversed_, x)
    loss(reversed_).backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    step = 1e-6
    for place in ((0, 0), (1, 2), (3, 1)):
        change = torch.zeros(4, 3, dtype=torch.float64)
        change[place] = step
        slope = float((loss(x.detach() + change) - loss(x.detach() - change)) / (2 * step))
        assert float(x.grad[place]) == pytest.approx(-weight * slope, abs=1e-6)


def test_the_schedule_is_the_paper_s() -> None:
    values = [schedule(p) for p in np.linspace(0, 1, 11)]
    assert values[0] == 0
    assert values == sorted(values)
    assert values[1] == pytest.approx(2 / (1 + np.exp(-1)) - 1)
    assert values[-1] == pytest.approx(1, abs=1e-3)


@settings(deadline=None, max_examples=15)
@given(classes=st.integers(2, 5), seed=st.integers(0, 99))
def test_confusion_is_the_paper_s_formula(classes: int, seed: int) -> None:
    z = np.random.default_rng(seed).normal(0, 3, (20, classes))
    said = np.exp(z / 2.5) / np.exp(z / 2.5).sum(1, keepdims=True)
    entropy = -(said * np.log(said)).sum(1)
    weight = 20 * (1 + np.exp(-entropy)) / (1 + np.exp(-entropy)).sum()
    by_hand = np.zeros((classes, classes))
    for row, one in zip(said, weight, strict=True):
        by_hand += one * np.outer(row, row)
    by_hand /= by_hand.sum(1, keepdims=True)
    off = by_hand.sum() - np.trace(by_hand)
    assert float(confusion(torch.from_numpy(z), 2.5)) == pytest.approx(off / classes, abs=1e-6)


def test_dann_follows_moons_that_turned() -> None:
    domains, truth = turned_moons(30)
    course = Course(hidden=64, steps=800, rate=0.2, decay=0.0)
    plain = accuracy(domains, Dann(0.0, course).fit(domains, 1.0, 0), truth)
    found = accuracy(domains, Dann(1.0, course).fit(domains, 1.0, 0), truth)
    assert found > plain + 0.05
    assert found > accuracy(domains, SourceOnly().fit(domains, 1.0, 0), truth)


def test_dann_makes_domains_hard_to_tell_apart() -> None:
    domains, _ = blobs(classes=2, width=6, shift=0.0)
    rows = domains.data.features.X

    def distance(weight: float) -> float:
        ((first, bias), _) = Dann(weight, Course(hidden=32, steps=300)).fit(domains, 1.0, 0).layers
        hidden = np.maximum(rows @ first + bias, 0)
        return proxy_a_distance(hidden[domains.source], hidden[domains.target])

    assert distance(1.0) <= distance(0.0)


def test_mcc_answers_more_surely_than_without() -> None:
    domains, truth = blobs(classes=3, shift=1.0)
    course = Course(hidden=32, steps=150)

    def unsure(weight: float) -> float:
        head = Mcc(weight, course=course).fit(domains, 1.0, 0)
        return float(confusion(torch.from_numpy(domains.target_view.logits(head)), 2.5))

    assert unsure(1.0) < unsure(0.0)
    assert accuracy(domains, Mcc(course=course).fit(domains, 1.0, 0), truth) > 0.9
