"""Several views together: weights that do no harm, honest out-of-fold answers, the best alternative."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headstart.errors import DataError
from headstart.transfer.features import Features
from headstart.transfer.selection import Labelled, assign_folds
from headstart.transfer.stacking import STACK, Stacked, StackedHead, fit_weights, select_view, weighted


def said(y: NDArray[np.int64], strength: float, seed: int, classes: int = 2) -> NDArray[np.float32]:
    """Logits that know the truth as well as their strength says."""
    chance = np.random.default_rng(seed)
    return (strength * np.eye(classes)[y] + chance.normal(0, 1, (len(y), classes))).astype(np.float32)


def log_loss(logits: NDArray[np.float32], y: NDArray[np.int64]) -> float:
    z = logits.astype(np.float64)
    return float((np.logaddexp.reduce(z, axis=1) - z[np.arange(len(y)), y]).mean())


@settings(deadline=None, max_examples=25)
@given(
    strengths=st.lists(st.floats(-1, 4), min_size=1, max_size=4),
    scale=st.floats(0.01, 100),
    classes=st.integers(2, 5),
    seed=st.integers(0, 9),
)
def test_weights_do_no_harm(strengths: list[float], scale: float, classes: int, seed: int) -> None:
    y = np.random.default_rng(seed).integers(0, classes, 80)
    views = [scale**n * said(y, strength, seed + n, classes) for n, strength in enumerate(strengths)]
    weights = fit_weights(views, y)
    assert len(weights) == len(views)
    assert all(np.isfinite(weight) and weight >= 0 for weight in weights)
    # Not worse than saying nothing.
    assert log_loss(weighted(views, weights), y) <= np.log(classes) + 1e-3


def test_weights_are_the_best_there_are() -> None:
    y = np.arange(400) % 3
    views = [said(y, 2, 0, 3), said(y, 1, 1, 3)]
    weights = fit_weights(views, y)
    best = log_loss(weighted(views, weights), y)
    for change in ((1.1, 1.0), (0.9, 1.0), (1.0, 1.1), (1.0, 0.9)):
        other = tuple(weight * factor for weight, factor in zip(weights, change, strict=True))
        assert best < log_loss(weighted(views, other), y)


def test_a_useless_view_gets_next_to_nothing() -> None:
    y = np.arange(600) % 2
    good, noise, wrong = said(y, 3, 0), said(y, 0, 1), said(y, -3, 2)
    weights = fit_weights([good, noise, wrong], y)
    assert weights[2] == 0
    assert weights[1] < 0.1 * weights[0]
    scaled = fit_weights([good, 50 * noise], y)
    assert 50 * scaled[1] < 0.1 * scaled[0]


def test_a_view_that_says_nothing_has_no_weight() -> None:
    y = np.arange(60) % 2
    assert fit_weights([said(y, 2, 0), np.zeros((60, 2), np.float32)], y)[1] == 0


def view(
    y: NDArray[np.int64], strength: float, seed: int, group: NDArray[np.int64] | None = None
) -> Labelled:
    """Features of which one knows the truth as well as the strength says."""
    chance = np.random.default_rng(seed)
    X = chance.normal(0, 1, (len(y), 6)).astype(np.float32)
    X[:, 0] += strength * (2 * y - 1)
    every = np.arange(len(y))
    return Labelled(Features(X, every, every if group is None else group), y, 2)


Y = np.arange(240) % 2
EVERY = np.arange(len(Y))


def test_two_halves_of_the_truth_are_stacked() -> None:
    views = {"a": [view(Y, 1, 0)], "b": [view(Y, 1, 1)]}
    chosen, selection, losses = select_view(views, EVERY, "linear")
    assert isinstance(chosen, Stacked)
    assert set(losses) == {"a", "b", STACK}
    assert losses[STACK] < min(losses["a"], losses["b"])
    assert selection.losses == {1.0: losses[STACK]}
    assert chosen.loss(selection.logits) == pytest.approx(losses[STACK])
    head = chosen.fit("linear", 1.0, None, 0)
    assert head.kind == "linear"
    expected = sum(
        weight * each.logits(part)
        for weight, each, part in zip(chosen.weights, chosen.views, head.heads, strict=True)
    )
    np.testing.assert_allclose(chosen.logits(head), expected, rtol=1e-4)


def test_take_takes_of_every_view() -> None:
    chosen, _, _ = select_view({"a": [view(Y, 1, 0)], "b": [view(Y, 1, 1)]}, EVERY, "linear")
    assert isinstance(chosen, Stacked)
    part = chosen.take(np.array([3, 10, 50]))
    head = chosen.fit("linear", 1.0, None, 0)
    np.testing.assert_allclose(part.logits(head), chosen.logits(head)[[3, 10, 50]], rtol=1e-5)
    assert part.y.tolist() == Y[[3, 10, 50]].tolist()
    assert len(part.features) == 3
    assert list(chosen.strengths("linear")) == [1.0]


def test_a_view_that_does_all_is_taken_alone() -> None:
    views = {"good": [view(Y, 4, 0)], "noise": [view(Y, 0, 1)]}
    chosen, selection, losses = select_view(views, EVERY, "linear")
    if isinstance(chosen, Stacked):  # the noise has a say only where it did no harm
        assert losses[STACK] < losses["good"]
    else:
        assert chosen is views["good"][0]
        assert min(selection.losses.values()) == losses["good"]
    assert losses["good"] < losses["noise"]


def test_the_best_alternative_is_taken() -> None:
    alternatives = [view(Y, 0.1, 0), view(Y, 2, 1), view(Y, 0.5, 2)]
    chosen, selection, losses = select_view({"depths": alternatives}, EVERY, "linear")
    assert chosen is alternatives[1]
    assert losses == {}
    assert selection.logits.shape == (240, 2)


def test_on_some_items_only_those_are_looked_at() -> None:
    items = EVERY[40:160]
    spoiled = np.where(np.isin(EVERY, items), Y, 1 - Y)
    one = select_view({"a": [view(Y, 1, 0)], "b": [view(Y, 1, 1)]}, items, "linear")
    y = spoiled.astype(np.int64)
    plain, other = view(Y, 1, 0), view(Y, 1, 1)
    changed = {name: [Labelled(its.features, y, 2)] for name, its in (("a", plain), ("b", other))}
    two = select_view(changed, items, "linear")
    np.testing.assert_array_equal(one[1].logits, two[1].logits)
    assert len(one[1].folds) == len(items)


def test_out_of_fold_answers_know_nothing_of_their_fold() -> None:
    """Labels drawn by lot cannot be known: also the weights are honest."""
    y = np.random.default_rng(5).integers(0, 2, 240)
    views = {str(seed): [view(y, 0, seed)] for seed in range(4)}
    chosen, selection, losses = select_view(views, EVERY, "linear")
    right = (selection.logits.argmax(1) == y).mean()
    assert 0.35 < right < 0.62
    assert min(losses.values()) > 0.66
    assert chosen.y is not None


def test_the_weights_of_a_fold_come_from_the_others() -> None:
    folds = assign_folds(view(Y, 1, 0), 4, 0)
    views = {"a": [view(Y, 1, 0)], "b": [view(Y, 1, 1)]}
    found = select_view(views, EVERY, "linear", folds=folds)
    assert np.array_equal(found[1].folds, folds)
    turned = np.where(folds == 0, 1 - Y, Y).astype(np.int64)

    @dataclass(frozen=True)
    class Known(Labelled):
        """A view whose fit learns nothing, so that only the weights depend on the labels."""

        def fit(self, *_: object) -> str:  # type: ignore[override]
            return "head"

        def logits(self, head: object) -> NDArray[np.float32]:
            return self.features.X[:, :2]

        def strengths(self, kind: object) -> tuple[float, ...]:
            return (1.0,)

    def known(y: NDArray[np.int64], seed: int) -> Known:
        return Known(Features(said(Y, 1, seed), EVERY, EVERY), y, 2)

    plain = select_view({"a": [known(Y, 1)], "b": [known(Y, 2)]}, EVERY, "linear", folds=folds)
    other = select_view({"a": [known(turned, 1)], "b": [known(turned, 2)]}, EVERY, "linear", folds=folds)
    assert isinstance(plain[0], Stacked)
    if isinstance(other[0], Stacked):
        inside = folds == 0
        np.testing.assert_array_equal(plain[1].logits[inside], other[1].logits[inside])


def test_groups_stay_together() -> None:
    group = EVERY // 4
    _, selection, _ = select_view({"a": [view(Y, 1, 0, group)], "b": [view(Y, 1, 1, group)]}, EVERY, "linear")
    assert all(len(np.unique(selection.folds[group == one])) == 1 for one in range(60))
    single = np.zeros(len(Y), np.int64)
    with pytest.raises(DataError, match="single group"):
        select_view({"a": [view(Y, 1, 0, single)], "b": [view(Y, 1, 1, single)]}, EVERY, "linear")


def test_a_head_says_what_it_is() -> None:
    assert StackedHead((), ()).kind == "linear"
