"""What every method must do: answer for the target, whatever the view; and what two domains are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_domains import accuracy, blobs, domains_of

from headstart.errors import DataError
from headstart.transfer.domains.choosing import usable
from headstart.transfer.domains.dann import Dann
from headstart.transfer.domains.domains import Domains, Method, keeping_spread, spread
from headstart.transfer.domains.mcc import Mcc
from headstart.transfer.domains.methods import DEFAULT, METHODS, ON_NORMS
from headstart.transfer.domains.networks import Course
from headstart.transfer.domains.source_only import SourceOnly
from headstart.transfer.features import Features
from headstart.transfer.heads import Head
from headstart.transfer.selection import Labelled
from headstart.transfer.stacking import Stacked, StackedHead
from headstart.transfer.terms import Terms

QUICK: list[Method] = [
    replace(each, course=Course(hidden=64, steps=80)) if isinstance(each, Dann | Mcc) else each
    for each in METHODS
]
GOOD = ("good film", "nice story", "good and nice", "lovely film")
BAD = ("bad film", "poor story", "bad and poor", "awful film")


def named(method: Method) -> str:
    return method.name


def stacked(domains: Domains) -> Domains:
    """Two views of the same items: features, and texts that say the same as the class where it is known."""
    data = domains.data
    n, item = len(data.y), np.arange(len(data.y))
    rising = np.argsort(np.argsort(data.features.X[:, 0])) * 2 // n
    texts = tuple((GOOD if rising[k] else BAD)[k % 4] for k in range(n))
    terms = Terms(Features(np.zeros((n, 0), np.float32), item, item), data.y, data.classes, texts)
    return domains.with_data(
        Stacked(data.features, data.y, data.classes, (data, terms), (0.1, 2.0), (1.0, 0.5))
    )


def test_methods_are_named_apart_and_the_floor_comes_first() -> None:
    assert METHODS[0].name == "source only"
    assert len({each.name for each in METHODS}) == len(METHODS)
    assert not any("," in each.name for each in METHODS)  # `--methods` separates them by commas
    assert {each.name for each in METHODS} - {each.name for each in DEFAULT} == {"MCC", "DANN"}
    assert {each.name for each in METHODS} >= ON_NORMS


@pytest.mark.parametrize("method", QUICK, ids=named)
def test_every_method_gives_an_ordinary_head_on_raw_features(method: Method) -> None:
    domains, truth = blobs()
    if method.needs_known:
        y = domains.data.y.copy()
        y[domains.target[:9]] = truth[:9]
        domains = domains.with_data(domains.data.relabel(y))
    head = method.fit(domains, 0.1, 0)
    assert isinstance(head, Head)
    logits = domains.target_view.logits(head)
    assert logits.shape == (150, 3)
    assert np.isfinite(logits).all()
    assert accuracy(domains, head, truth) > 0.5


@pytest.mark.parametrize("method", QUICK, ids=named)
def test_every_method_answers_for_items_of_several_rows(method: Method) -> None:
    domains, truth = blobs(count=60)
    single = domains.data.features
    rows = np.repeat(single.X, 2, 0) + np.tile(np.array([[0.1], [-0.1]], np.float32), (len(single.X), 1))
    features = Features(rows, np.repeat(single.item, 2), single.group)
    y = domains.data.y.copy()
    y[domains.target[:6]] = truth[:6]
    several = domains.with_data(Labelled(features, y, 3))
    head = method.fit(several, 0.1, 0)
    assert several.target_view.logits(head).shape == (60, 3)


@pytest.mark.parametrize("method", QUICK, ids=named)
def test_every_method_answers_for_a_stack(method: Method) -> None:
    domains, truth = blobs(count=60, classes=2)
    y = domains.data.y.copy()
    y[domains.target[:6]] = truth[:6]
    stack = stacked(domains.with_data(domains.data.relabel(y)))
    head = method.fit(stack, 1.0, 0)
    assert isinstance(head, StackedHead)
    assert isinstance(head.heads[0], Head)
    assert np.isfinite(stack.target_view.logits(head)).all()


@pytest.mark.parametrize("method", QUICK, ids=named)
def test_a_seed_settles_everything(method: Method) -> None:
    domains, truth = blobs(count=60)
    y = domains.data.y.copy()
    y[domains.target[:6]] = truth[:6]
    domains = domains.with_data(domains.data.relabel(y))
    one, two = (domains.target_view.logits(method.fit(domains, 0.1, 3)) for _ in range(2))
    assert np.array_equal(one, two)


def test_terms_alone_are_only_for_methods_of_any_view() -> None:
    item = np.arange(8)
    y = np.array([1, 1, 0, 0, -1, -1, -1, -1])
    texts = (GOOD[0], GOOD[1], BAD[0], BAD[1], GOOD[2], GOOD[3], BAD[2], BAD[3])
    data = Terms(Features(np.zeros((8, 0), np.float32), item, item), y, 2, texts)
    domains = Domains(data, item[:4], item[4:])
    able = [each for each in QUICK if usable(each, domains)]
    assert {"source only", "self-training", "importance weights"} == {each.name for each in able}
    for method in able:
        assert domains.target_view.logits(method.fit(domains, 2.0, 0)).shape == (4, 2)


def test_a_part_that_was_adapted_keeps_its_say() -> None:
    domains, _ = blobs(count=60, classes=2)
    stack = stacked(domains)
    before = SourceOnly().fit(stack, 1.0, 0)
    weight, bias = before.heads[0].layers[0]
    louder = Head("linear", ((50 * weight, 50 * bias),))
    after = keeping_spread(stack, before, [louder, before.heads[1]])
    dense = stack.target_view.views[0]  # type: ignore[attr-defined]
    assert after.weights[0] * spread(dense.logits(louder)) == pytest.approx(
        before.weights[0] * spread(dense.logits(before.heads[0])), rel=1e-4
    )
    assert after.weights[1] == before.weights[1]


def test_domains_know_what_is_labelled() -> None:
    domains = domains_of(np.eye(3), np.array([0, 1, 2]), np.eye(3), known={1: 2})
    assert domains.known.tolist() == [4]
    assert domains.labelled.tolist() == [0, 1, 2, 4]
    assert domains.source_view.y.tolist() == [0, 1, 2]
    assert domains.target_view.y.tolist() == [-1, 2, -1]


def test_one_domain_is_not_two() -> None:
    data = blobs()[0].data
    everything = np.arange(len(data.y))
    with pytest.raises(DataError, match="two domains"):
        Domains(data, everything[:150], everything[:0])
    with pytest.raises(DataError, match="common"):
        Domains(data, everything[:150], everything[100:])
    with pytest.raises(DataError, match="every source item"):
        Domains(data, everything[:151], everything[151:])
