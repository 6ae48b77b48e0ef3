"""Self-training: shares of classes are kept, and terms find the target's own words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_domains import accuracy, blobs, domains_of

from headstart.transfer.domains.domains import Domains
from headstart.transfer.domains.self_training import SelfTraining, matched, surest
from headstart.transfer.domains.source_only import SourceOnly
from headstart.transfer.features import Features
from headstart.transfer.terms import Terms


@settings(deadline=None, max_examples=20)
@given(classes=st.integers(2, 5), bias=st.floats(0, 3), seed=st.integers(0, 99))
def test_matched_answers_have_the_prior_and_their_order(classes: int, bias: float, seed: int) -> None:
    chance = np.random.default_rng(seed)
    z = chance.normal(size=(60, classes)) + bias * np.eye(classes)[0]
    said = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    prior = chance.dirichlet(np.full(classes, 5.0))
    found = matched(said, prior)
    assert found.mean(0) == pytest.approx(prior, abs=2e-3)
    assert found.sum(1) == pytest.approx(1)
    # Only the classes' factors changed: the odds of two classes keep their order among items.
    before, after = (np.argsort(each[:, 0] / each[:, 1], kind="stable") for each in (said, found))
    assert np.array_equal(before, after)


def test_a_class_that_the_source_lacks_gets_nothing() -> None:
    found = matched(np.full((4, 3), 1 / 3), np.array([0.5, 0.5, 0.0]))
    assert found.mean(0) == pytest.approx([0.5, 0.5, 0.0])


@settings(deadline=None, max_examples=20)
@given(share=st.floats(0.1, 1), seed=st.integers(0, 99))
def test_the_surest_of_each_class_are_chosen(share: float, seed: int) -> None:
    said = np.random.default_rng(seed).dirichlet(np.ones(3), 50)
    chosen = surest(said, share, np.full(3, 1 / 3))
    assert np.array_equal(chosen, np.unique(chosen))
    for one in range(3):
        its = np.flatnonzero(said.argmax(1) == one)
        inside, outside = np.intersect1d(its, chosen), np.setdiff1d(its, chosen)
        assert len(inside) <= np.ceil(share * 50 / 3)
        if len(inside) and len(outside):
            assert said[inside].max(1).min() >= said[outside].max(1).max()


def test_a_border_that_moved_is_found() -> None:
    chance = np.random.default_rng(0)
    y = np.arange(200) % 2
    source = np.stack([3.0 * y + chance.normal(0, 0.6, 200), chance.normal(size=200)], 1)
    target = source[chance.permutation(200)] + [1.2, 0]
    domains = domains_of(source, y, target)
    truth = (target[:, 0] - 1.2 > 1.5).astype(np.int64)
    floor = accuracy(domains, SourceOnly().fit(domains, 1.0, 0), truth)
    assert accuracy(domains, SelfTraining().fit(domains, 1.0, 0), truth) > floor


def test_terms_learn_words_that_the_source_does_not_have() -> None:
    chance = np.random.default_rng(0)
    y = np.arange(120) % 2
    shared, ours, theirs = ("poor", "great"), ("dull", "gripping"), ("leaky", "sturdy")
    texts = []
    for n in range(240):
        own = (ours if n < 120 else theirs)[y[n % 120]]
        # Some target texts have only the target's own word.
        word = shared[y[n % 120]] if n < 120 or chance.random() < 0.5 else "thing"
        texts.append(f"{own} {word} item{n % 7}")
    item = np.arange(240)
    answers = np.concatenate([y, np.full(120, -1)])
    data = Terms(Features(np.zeros((240, 0), np.float32), item, item), answers, 2, tuple(texts))
    domains = Domains(data, item[:120], item[120:])
    floor = accuracy(domains, SourceOnly().fit(domains, 2.0, 0), y)
    found = accuracy(domains, SelfTraining().fit(domains, 2.0, 0), y)
    assert found > floor + 0.1


@pytest.mark.parametrize("own", [False, True])
def test_where_all_is_known_nothing_is_guessed(own: bool) -> None:
    domains, truth = blobs(count=30, classes=2)
    y = domains.data.y.copy()
    y[domains.target] = truth
    told = domains.with_data(domains.data.relabel(y))
    assert np.isfinite(told.target_view.logits(SelfTraining(own=own).fit(told, 0.1, 0))).all()
    assert SelfTraining(own=own).needs_features is own
