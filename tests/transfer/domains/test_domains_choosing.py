"""The choice without labels: a gain is found, and what helps nobody is not chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_domains import accuracy, blobs, domains_of

from headstart.errors import DataError
from headstart.transfer.domains.boosting import TrAdaBoost
from headstart.transfer.domains.choosing import GAIN, choose, information
from headstart.transfer.domains.coral import Coral
from headstart.transfer.domains.dann import Dann
from headstart.transfer.domains.distance import proxy_a_distance
from headstart.transfer.domains.domains import Domains
from headstart.transfer.domains.mcc import Mcc
from headstart.transfer.domains.methods import METHODS
from headstart.transfer.domains.networks import Course
from headstart.transfer.domains.statistics import OwnStatistics
from headstart.transfer.domains.subspace import SubspaceAlignment
from headstart.transfer.features import Features
from headstart.transfer.numbers import Numbers

CHEAP = [each for each in METHODS if not isinstance(each, Dann | Mcc)]


@dataclass(frozen=True)
class Louder:
    """The source's head with bolder logits: nothing is gained by it."""

    name: str = "louder"
    needs_features: bool = False
    needs_known: bool = False

    def fit(self, domains: Domains, strength: float, seed: int) -> Any:
        head = domains.source_view.fit("linear", strength, None, seed)
        weight, bias = head.layers[0]
        return replace(head, layers=((9 * weight, 9 * bias),))


@dataclass(frozen=True)
class Backwards:
    """The right clusters under each other's names."""

    name: str = "backwards"
    needs_features: bool = False
    needs_known: bool = False

    def fit(self, domains: Domains, strength: float, seed: int) -> Any:
        head = OwnStatistics().fit(domains, strength, seed)
        weight, bias = head.layers[0]
        return replace(head, layers=((-weight, -bias),))


def test_what_moved_is_adapted() -> None:
    domains, truth = blobs(shift=8.0)
    choice = choose(domains, CHEAP, 0, strength=0.1)
    assert choice.method.name != "source only"
    assert choice.method.name in choice.why
    assert set(choice.scores) == set(choice.heads)
    floor = accuracy(domains, choice.heads["source only"], truth)
    assert accuracy(domains, choice.head, truth) > floor + 0.2
    assert choice.scores[choice.method.name] == max(choice.scores.values())


def test_what_is_trained_for_sure_answers_is_chosen_only_on_request() -> None:
    domains, _ = blobs(shift=8.0)
    mcc = Mcc(course=Course(hidden=32, steps=200))
    alone = choose(domains, (mcc,), 0, strength=0.1)
    assert alone.scores["MCC"] > alone.scores["source only"] + GAIN
    assert alone.method is mcc
    assert choose(domains, (OwnStatistics(), mcc), 0, strength=0.1).method.name == "own statistics"


def test_the_same_domain_twice_keeps_the_source_or_does_no_harm() -> None:
    for seed in range(3):
        chance = np.random.default_rng(seed)
        y = np.arange(400) % 2
        X = chance.normal(size=(400, 5)) + 1.5 * y[:, None]
        domains = domains_of(X[:200], y[:200], X[200:])
        choice = choose(domains, CHEAP, seed)
        floor = accuracy(domains, choice.heads["source only"], y[200:])
        assert accuracy(domains, choice.head, y[200:]) >= floor - 0.02


def test_source_only_wins_ties() -> None:
    domains, _ = blobs(shift=0.0)
    choice = choose(domains, (Louder(),), 0, strength=0.1)
    assert choice.method.name == "source only"
    assert "source only was kept" in choice.why
    assert abs(choice.scores["louder"] - choice.scores["source only"]) < GAIN / 10


def test_known_items_forbid_what_is_worse_on_them() -> None:
    domains, truth = blobs(classes=2, shift=8.0)
    assert choose(domains, (Backwards(),), 0, strength=0.1).method.name == "backwards"
    y = domains.data.y.copy()
    y[domains.target[:20]] = truth[:20]
    told = domains.with_data(domains.data.relabel(y))
    assert choose(told, (Backwards(),), 0, strength=0.1).method.name == "source only"


def test_methods_that_cannot_work_here_are_left_out() -> None:
    domains, _ = blobs()
    choice = choose(domains, (TrAdaBoost(),), 0, strength=0.1)
    assert list(choice.scores) == ["source only"]
    assert "no other method" in choice.why


def test_numbers_have_nothing_to_choose_by() -> None:
    item = np.arange(6)
    data = Numbers(Features(np.eye(6, dtype=np.float32), item, item), item.astype(float), 1)
    with pytest.raises(DataError, match="one class each"):
        choose(Domains(data, item[:3], item[3:]), METHODS)


@settings(deadline=None, max_examples=30)
@given(classes=st.integers(2, 6), scale=st.floats(0.01, 100), seed=st.integers(0, 99))
def test_information_is_bounded_and_knows_no_scale(classes: int, scale: float, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(size=(40, classes))
    found = information(logits)
    assert 0 <= found <= np.log(classes)
    assert information(scale * logits + 3) == pytest.approx(found, abs=1e-6)


def test_information_prefers_clusters_to_one_heap() -> None:
    chance = np.random.default_rng(0)
    apart = np.where(np.arange(200) % 2, 3.0, -3.0) + chance.normal(0, 0.3, 200)
    heap = chance.normal(0, 3, 200)

    def two(z: np.ndarray) -> np.ndarray:
        return np.stack([-z, z], 1).astype(np.float32)

    assert information(two(apart)) > information(two(heap)) > information(two(np.abs(heap)))
    assert information(np.zeros((5, 3), np.float32)) == 0


def test_the_distance_is_zero_for_one_domain_and_two_for_strangers() -> None:
    chance = np.random.default_rng(0)
    rows = chance.normal(size=(600, 4))
    assert proxy_a_distance(rows[:300], rows[300:]) < 0.4
    assert proxy_a_distance(rows[:300], rows[300:] + 20) == 2
    near, far = (proxy_a_distance(rows[:300], rows[300:] + by) for by in (0.5, 2.0))
    assert near < far
    with pytest.raises(DataError, match="at least 10"):
        proxy_a_distance(rows[:3], rows)


@pytest.mark.parametrize("method", [OwnStatistics(), Coral(), SubspaceAlignment()])
def test_alignment_is_seen_in_the_choice_of_more_than_two_classes(method: OwnStatistics) -> None:
    domains, truth = blobs(classes=5, shift=6.0, seed=3)
    choice = choose(domains, (method,), 0, strength=0.1)
    assert accuracy(domains, choice.head, truth) >= accuracy(domains, choice.heads["source only"], truth)
