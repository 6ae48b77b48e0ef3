"""Choosing and fitting the head: reproducible, honest about test, calibrated, also with few items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import blobs, gathered, labelled

from headstart.errors import DataError, OptionError
from headstart.fitting import fit
from headstart.fitting.arranging import arrange
from headstart.fitting.learning import Fitted, learn
from headstart.fitting.spine import _wanted_folds
from headstart.transfer.heads import KINDS
from headstart.transfer.selection import one_core_each


def learned(
    y: list[int],
    *,
    folds: int | None = None,
    kind: str = "linear",
    class_weight: str | None = None,
    seed: int = 0,
    spread: float = 2.0,
    X: Any = None,
    **columns: list,
) -> Fitted:
    whole = gathered(labelled(y, **columns), blobs(y, spread=spread) if X is None else X)
    wanted = _wanted_folds(whole.dataset, folds)
    arrangement = arrange(whole, folds=wanted is not None, val_share=0.2, seed=seed)
    with one_core_each():
        return learn(arrangement, whole, kind, wanted, class_weight, seed)  # type: ignore[arg-type]


def same(one: Fitted, other: Fitted) -> bool:
    pairs = zip(one.head.tensors().items(), other.head.tensors().items(), strict=True)
    return all(a == b and np.array_equal(x, y) for (a, x), (b, y) in pairs)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_head_learns_and_seeds_reproduce_it(kind: str) -> None:
    y = [0, 1, 2] * 30
    first = learned(y, kind=kind, spread=1.0)
    assert first.head.kind == kind
    assert first.evaluations["validation"].accuracy > 0.8
    again = learned(y, kind=kind, spread=1.0)
    assert same(first, again)
    assert first.calibration == again.calibration
    assert first.plan == again.plan
    other = learned(y, kind=kind, spread=1.0, seed=1)
    assert other.evaluations["validation"].names != first.evaluations["validation"].names


@pytest.mark.parametrize("folds", [None, 4])
def test_test_labels_choose_nothing(folds: int | None) -> None:
    y = [0, 1, 2] * 40
    splits = ["train"] * 60 + ["val"] * 30 + ["test"] * 30
    X = blobs(y, spread=2.0)
    honest = learned(y, X=X, split=splits, folds=folds)
    shuffled = y[:90] + [(label + 1) % 3 for label in y[90:]]
    lied = learned(shuffled, X=X, split=splits, folds=folds)
    assert same(honest, lied)
    assert honest.calibration == lied.calibration
    assert honest.strengths == lied.strengths
    assert lied.evaluations["test"].accuracy < honest.evaluations["test"].accuracy
    moved = X.copy()
    moved[90:] += 100
    assert same(honest, learned(y, X=moved, split=splits, folds=folds)), "nor do test features"


def test_the_validation_figure_comes_from_a_head_that_never_saw_validation() -> None:
    # Features that say nothing, as many as items: a head that had seen val would know it by heart.
    y = [0, 1] * 60
    X = np.random.default_rng(0).normal(size=(120, 400)).astype(np.float32)
    found = learned(y, X=X, split=["train"] * 60 + ["val"] * 60)
    assert 0.25 < found.evaluations["validation"].accuracy < 0.75


def test_evaluations_are_ordered_by_importance() -> None:
    y = [0, 1] * 40
    assert list(learned(y).evaluations) == ["validation"]
    assert list(learned(y, folds=4).evaluations) == ["cross-validation"]
    with_test = learned(y, split=["train"] * 60 + ["test"] * 20)
    assert list(with_test.evaluations) == ["test", "validation"]
    assert len(learned(y, folds=4).evaluations["cross-validation"].y) == 80


def test_a_fold_column_is_honoured() -> None:
    y = [0, 1] * 30
    names = ["a", "b", "c"] * 20
    found = learned(y, fold=names)
    assert found.plan["folds"] == "given"
    groups = {
        name: {int(f) for f, n in zip(found.selection.folds, names, strict=True) if n == name}
        for name in "abc"
    }
    assert [len(held) for held in groups.values()] == [1, 1, 1]
    assert len(set.union(*groups.values())) == 3


def test_one_fold_left_is_an_error() -> None:
    y = [0, 1] * 10
    digests = [f"d{n}" for n in range(10)] * 2  # fold b holds only copies of fold a
    whole = gathered(labelled(y, fold=["a"] * 10 + ["b"] * 10), blobs(y), digests)
    arrangement = arrange(whole, folds=True, val_share=0.2, seed=0)
    with pytest.raises(DataError, match="two folds"):
        learn(arrangement, whole, "linear", _wanted_folds(whole.dataset, None), None, 0)


@pytest.mark.parametrize("folds", [None, 3])
def test_groups_never_straddle_folds(folds: int | None) -> None:
    y = [0, 1] * 30
    groups = [f"g{n // 4}" for n in range(60)]
    found = learned(y, folds=folds, group=groups)
    for name in set(groups):
        held = {int(fold) for fold, group in zip(found.selection.folds, groups, strict=True) if group == name}
        assert len(held) == 1


def test_class_weight_helps_the_rare_class() -> None:
    y = [0] * 180 + [1] * 20
    plain = learned(y, spread=3.0, folds=5).evaluations["cross-validation"]
    balanced = learned(y, spread=3.0, folds=5, class_weight="balanced").evaluations["cross-validation"]
    assert balanced.per_class[1].recall > plain.per_class[1].recall


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("counts", [(1, 1), (2, 1), (2, 2), (5, 1), (3, 3, 1), (8, 1)])
def test_a_handful_of_items_is_enough(kind: str, counts: tuple[int, ...]) -> None:
    y = [label for label, count in enumerate(counts) for _ in range(count)]
    found = learned(y, kind=kind, spread=0.1)
    first = next(iter(found.evaluations.values()))
    assert 0 <= first.accuracy <= 1
    assert np.isfinite(found.head.logits(blobs(y))).all()
    assert found.calibration.temperature > 0


def test_a_single_group_is_an_error() -> None:
    with pytest.raises(DataError, match="belong together"):
        learned([0, 1] * 5, group=["all"] * 10)


def test_more_folds_than_groups_is_an_error() -> None:
    with pytest.raises(DataError, match="fewer folds"):
        learned([0, 1] * 2, folds=5)


def test_one_class_in_train_is_an_error() -> None:
    with pytest.raises(DataError, match="two classes in the training part"):
        learned([0] * 10 + [1] * 10, split=["train"] * 10 + ["test"] * 10)


def test_a_class_that_is_only_in_test_is_never_answered() -> None:
    found = learned([0, 1] * 20 + [2] * 5, spread=1.0, split=["train"] * 40 + ["test"] * 5)
    assert found.evaluations["test"].accuracy == 0
    assert found.evaluations["test"].probabilities[:, 2].max() < 0.01


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_prediction_sets_hold_what_they_promise(seed: int) -> None:
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 4, 3600).tolist()
    X = blobs(y, spread=3.0, seed=seed)
    found = learned(y, X=X, seed=seed, split=["train"] * 1200 + ["test"] * 2400)
    sets = found.evaluations["test"].sets
    assert sets is not None
    assert sets.coverage == pytest.approx(0.9, abs=0.03)
    assert found.evaluations["test"].calibration.ece < 0.05


@pytest.mark.parametrize(
    "wrong",
    [{"head": "forest"}, {"folds": 1}, {"val_share": 0.0}, {"val_share": 1.0}, {"class_weight": "much"}],
)
def test_wrong_options(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(OptionError):
        fit(tmp_path, **wrong)


def test_a_fold_column_is_filled_or_absent() -> None:
    y = [0, 1] * 20
    with pytest.raises(DataError, match="1 of 40 without one"):
        learned(y, fold=[None, *(str(n % 4) for n in range(39))])
