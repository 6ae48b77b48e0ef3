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
from headstart.transfer.domains.agreement import agreement, information, neighbours_of
from headstart.transfer.domains.boosting import TrAdaBoost
from headstart.transfer.domains.choosing import FAR, GAIN, Candidate, best_of, choose
from headstart.transfer.domains.coral import Coral
from headstart.transfer.domains.dann import Dann
from headstart.transfer.domains.distance import proxy_a_distance
from headstart.transfer.domains.domains import Domains
from headstart.transfer.domains.mcc import Mcc
from headstart.transfer.domains.methods import DEFAULT, METHODS
from headstart.transfer.domains.networks import Course
from headstart.transfer.domains.statistics import OwnStatistics
from headstart.transfer.domains.subspace import SubspaceAlignment
from headstart.transfer.features import Features
from headstart.transfer.numbers import Numbers
from headstart.transfer.terms import Terms

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
class Backwards(OwnStatistics):
    """The right clusters under each other's names."""

    name = "backwards"

    def fit(self, domains: Domains, strength: float, seed: int) -> Any:
        head = super().fit(domains, strength, seed)
        weight, bias = head.layers[0]
        return replace(head, layers=((-weight, -bias),))


def test_what_moved_is_adapted() -> None:
    domains, truth = blobs(shift=8.0)
    choice = choose(domains, CHEAP, 0, strength=0.1)
    assert choice.name != "source only"
    assert choice.name in choice.why
    floor = accuracy(domains, choice.candidates[0].head, truth)
    assert accuracy(domains, choice.best.head, truth) > floor + 0.2
    assert choice.scores[choice.name] == max(choice.scores.values())


def test_what_is_trained_for_sure_answers_is_chosen_only_on_request() -> None:
    domains, _ = blobs(shift=8.0)
    mcc = Mcc(course=Course(hidden=32, steps=200))
    alone = choose(domains, (mcc,), 0, strength=0.1)
    assert alone.scores["MCC"] > alone.scores["source only"] + GAIN
    assert alone.best.method is mcc
    assert choose(domains, (OwnStatistics(), mcc), 0, strength=0.1).name == "own statistics"


def test_the_same_domain_twice_keeps_the_source_or_does_no_harm() -> None:
    for seed in range(3):
        chance = np.random.default_rng(seed)
        y = np.arange(400) % 2
        X = chance.normal(size=(400, 5)) + 1.5 * y[:, None]
        domains = domains_of(X[:200], y[:200], X[200:])
        choice = choose(domains, CHEAP, seed)
        floor = accuracy(domains, choice.candidates[0].head, y[200:])
        assert accuracy(domains, choice.best.head, y[200:]) >= floor - 0.02


def test_source_only_wins_ties() -> None:
    domains, _ = blobs(shift=0.0)
    choice = choose(domains, (Louder(),), 0, strength=0.1)
    assert choice.name == "source only"
    assert "source only was kept" in choice.why
    assert abs(choice.scores["louder"] - choice.scores["source only"]) < GAIN / 10


def test_known_items_forbid_what_is_worse_on_them() -> None:
    domains, truth = blobs(classes=2, shift=8.0)
    assert choose(domains, (Backwards(),), 0, strength=0.1).name == "backwards"
    y = domains.data.y.copy()
    y[domains.target[:20]] = truth[:20]
    told = domains.with_data(domains.data.relabel(y))
    assert choose(told, (Backwards(),), 0, strength=0.1).name == "source only"


def test_methods_that_cannot_work_here_are_left_out() -> None:
    domains, _ = blobs()
    choice = choose(domains, (TrAdaBoost(),), 0, strength=0.1)
    assert [each.name for each in choice.candidates] == ["source only"]
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


def test_agreement_is_what_neighbours_tell() -> None:
    rows, y = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32), np.arange(300) % 3
    near = neighbours_of(rows + 4 * np.eye(3, 4, dtype=np.float32)[y])
    assert near[1].shape == (300, 10)
    assert not (near[1] == near[0][:, None]).any()  # nobody is a neighbour of itself
    shuffled = np.random.default_rng(1).permutation(y)
    assert agreement(y, near) > 0.8
    assert agreement(shuffled, near) < 0.02
    assert agreement(np.minimum(y, 1), near) < agreement(y, near)
    assert agreement(np.zeros(300, np.int64), near) == 0
    # More than two thousand items are drawn from.
    assert len(neighbours_of(np.repeat(rows, 10, 0))[0]) == 2000


@settings(deadline=None, max_examples=20)
@given(classes=st.integers(1, 5), items=st.integers(1, 40), seed=st.integers(0, 99))
def test_agreement_is_bounded_and_knows_no_names(classes: int, items: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    near = neighbours_of(chance.normal(size=(items, 3)).astype(np.float32))
    answers = chance.integers(classes, size=items)
    found = agreement(answers, near)
    assert 0 <= found <= np.log(classes) + 1e-9
    assert agreement(chance.permutation(classes)[answers], near) == pytest.approx(found, abs=1e-9)


def scored(name: str, score: float, distance: float | None = None) -> Candidate:
    """Return a candidate; by default own statistics bring the domains together and nothing else does."""
    if distance is None:
        distance = 0.0 if "own statistics" in name else 2.0
    domains, _ = blobs(count=6)
    method = next((each for each in METHODS if each.name == name.removeprefix("AdaBN + ")), METHODS[0])
    return Candidate(name, method, domains, METHODS[0].fit(domains, 1.0, 0), score, distance)


def test_self_training_takes_part_only_from_the_best_start() -> None:
    """What it learns from wrong answers is as smooth as what it learns from right ones."""
    found = [
        scored("source only", 0.10),
        scored("own statistics", 0.30),
        scored("self-training", 0.90),
        scored("own statistics + self-training", 0.50),
    ]
    assert best_of(found).name == "own statistics + self-training"
    assert best_of(found[:3]).name == "own statistics"
    assert best_of([found[0], found[2]]).name == "self-training"


def test_far_domains_are_brought_together_where_nothing_else_decides() -> None:
    def found(distance: float) -> list[Candidate]:
        start = scored("source only", 0.300, distance), scored("own statistics", 0.295, 0.0)
        return [*start, scored("self-training", 0.41), scored("own statistics + self-training", 0.40)]

    assert best_of(found(FAR + 0.5)).name == "own statistics + self-training"
    assert best_of(found(FAR - 0.5)).name == "self-training"


def test_weights_take_no_part_where_nothing_is_in_common() -> None:
    def found(distance: float) -> list[Candidate]:
        return [
            scored("source only", 0.3, distance),
            scored("KLIEP", 0.5, distance),
            scored("CORAL", 0.4, 0.1),
        ]

    assert best_of(found(FAR + 0.5)).name == "CORAL"
    assert best_of(found(FAR - 0.5)).name == "KLIEP"
    assert best_of(found(FAR + 0.5)[:2]).name == "source only"


def test_what_is_not_clearly_better_is_refused() -> None:
    floor = scored("source only", 0.30)
    assert best_of([floor, scored("CORAL", 0.30 + GAIN / 2, 0.0)]) is floor
    choice = choose(blobs(shift=0.0)[0], (Louder(),), 0, strength=0.1)
    assert "refused" in choice.why
    assert "make things worse" in choice.why


def test_other_batch_statistics_are_candidates_of_their_own() -> None:
    domains, truth = blobs(shift=8.0)
    rows = domains.data.features.X.copy()
    rows[domains.target] = (rows[domains.target] - 8) / 1.5  # as a network might see them
    features = replace(domains.data.features, X=rows)
    normed = domains.with_data(replace(domains.data, features=features))
    choice = choose(domains, (Coral(), SubspaceAlignment()), 0, normed=normed, strength=0.1)
    names = [each.name for each in choice.candidates]
    assert names == ["source only", "CORAL", "subspace alignment", "AdaBN", "AdaBN + CORAL"]
    made = {each.name: each for each in choice.candidates}
    assert made["AdaBN"].domains is normed
    assert made["AdaBN"].distance is not None
    assert made["AdaBN"].distance < made["source only"].distance  # type: ignore[operator]
    assert accuracy(normed, made["AdaBN"].head, truth) > accuracy(domains, choice.candidates[0].head, truth)
    assert choice.scores["AdaBN"] > choice.scores["source only"] + GAIN


def test_terms_alone_are_judged_by_their_clusters() -> None:
    texts = ("good film", "nice story", "bad film", "poor story") * 6
    item, y = np.arange(24), np.array([1, 1, 0, 0] * 6)
    data = Terms(Features(np.zeros((24, 0), np.float32), item, item), np.where(item < 12, y, -1), 2, texts)
    choice = choose(Domains(data, item[:12], item[12:]), DEFAULT, 0, strength=2.0)
    assert {each.distance for each in choice.candidates} == {None}
    assert choice.candidates[0].score == information(choice.candidates[0].logits)


@pytest.mark.parametrize("method", [OwnStatistics(), Coral(), SubspaceAlignment()])
def test_alignment_is_seen_in_the_choice_of_more_than_two_classes(method: OwnStatistics) -> None:
    domains, truth = blobs(classes=5, shift=6.0, seed=3)
    choice = choose(domains, (method,), 0, strength=0.1)
    assert accuracy(domains, choice.best.head, truth) >= accuracy(domains, choice.candidates[0].head, truth)
