"""Splits and folds: groups stay whole, classes keep their share, nothing depends on luck."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.data.items import Dataset, Item
from headstart.data.splits import assign_splits, make_folds, settle_splits
from headstart.errors import DataError, OptionError

labels_of = st.lists(st.sampled_from("aaaabbc"), min_size=1, max_size=60)


@st.composite
def grouped(draw: st.DrawFn) -> tuple[list[str], list[str | None]]:
    labels = draw(labels_of)
    names = st.one_of(st.none(), st.sampled_from([f"g{i}" for i in range(12)]))
    return labels, draw(st.lists(names, min_size=len(labels), max_size=len(labels)))


def straddling(groups: Sequence[object], parts: Sequence[object]) -> set[object]:
    where = defaultdict(set)
    for group, part in zip(groups, parts, strict=True):
        where[group].add(part)
    return {group for group, found in where.items() if group is not None and len(found) > 1}


@settings(deadline=None, max_examples=150)
@given(made=grouped(), share=st.floats(0.05, 0.95), seed=st.integers(0, 5))
def test_groups_stay_whole_and_train_knows_every_class(
    made: tuple[list[str], list[str | None]], share: float, seed: int
) -> None:
    labels, groups = made
    splits = assign_splits(labels, groups, val_share=share, seed=seed)
    assert set(splits) <= {"train", "val"}
    assert not straddling(groups, splits)
    assert {label for label, split in zip(labels, splits, strict=True) if split == "train"} == set(labels)


@settings(deadline=None, max_examples=100)
@given(labels=labels_of, share=st.floats(0.05, 0.95), seed=st.integers(0, 5))
def test_items_on_their_own_are_divided_exactly(labels: list[str], share: float, seed: int) -> None:
    splits = assign_splits(labels, val_share=share, seed=seed)
    total, val = Counter(labels), Counter(c for c, s in zip(labels, splits, strict=True) if s == "val")
    for label, count in total.items():
        if count == 1:
            assert val[label] == 0
        else:
            assert 1 <= val[label] <= count - 1
            assert abs(val[label] - share * count) <= 1


@settings(deadline=None, max_examples=60)
@given(made=grouped())
def test_every_class_with_pure_groups_reaches_val(made: tuple[list[str], list[str | None]]) -> None:
    labels, names = made
    groups = [f"{label}{name}" for label, name in zip(labels, names, strict=True)]
    splits = assign_splits(labels, groups)
    for label in set(labels):
        mine = {(g, s) for c, g, s in zip(labels, groups, splits, strict=True) if c == label}
        assert {s for _, s in mine} == ({"train", "val"} if len(mine) > 1 else {"train"})


@given(made=grouped(), seed=st.integers(0, 9), mix=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_named_groups_make_the_order_of_the_items_meaningless(
    made: tuple[list[str], list[str | None]], seed: int, mix: object
) -> None:
    labels, names = made
    groups = [name or f"own{i}" for i, name in enumerate(names)]
    order = list(range(len(labels)))
    mix.shuffle(order)  # type: ignore[attr-defined]
    straight = assign_splits(labels, groups, seed=seed)
    mixed = assign_splits([labels[i] for i in order], [groups[i] for i in order], seed=seed)
    assert mixed == [straight[i] for i in order]


def test_a_share_with_many_groups_is_near_the_ask() -> None:
    rng = np.random.default_rng(0)
    labels = [f"c{i}" for i in rng.integers(0, 8, 4000)]
    groups = [f"g{i}" for i in rng.integers(0, 500, 4000)]
    splits = assign_splits(labels, groups, val_share=0.25, seed=3)
    for label in set(labels):
        mine = [s for c, s in zip(labels, splits, strict=True) if c == label]
        assert mine.count("val") / len(mine) == pytest.approx(0.25, abs=0.04)


def test_the_seed_decides_and_adding_items_moves_few() -> None:
    labels, names = ["a", "b"] * 200, [f"n{i}" for i in range(400)]
    first = assign_splits(labels, names, seed=1)
    assert first == assign_splits(labels, names, seed=1)
    assert first != assign_splits(labels, names, seed=2)
    more = assign_splits([*labels, *"ab" * 5], [*names, *(f"new{i}" for i in range(10))], seed=1)
    assert sum(x != y for x, y in zip(first, more, strict=False)) <= 10


def test_two_large_groups_still_give_a_val() -> None:
    splits = assign_splits(["a"] * 100, ["x"] * 60 + ["y"] * 40)
    assert splits == ["train"] * 60 + ["val"] * 40


def test_numbers_as_groups_and_no_items() -> None:
    assert not straddling([1, 1, 2], assign_splits(["a", "b", "a"], [1, 1, 2]))
    assert assign_splits([]) == []


@pytest.mark.parametrize("share", [0.0, 1.0, -1, 2, float("nan")])
def test_impossible_shares(share: float) -> None:
    with pytest.raises(OptionError, match="between 0 and 1"):
        assign_splits(["a"], val_share=share)


def test_groups_of_another_length() -> None:
    with pytest.raises(OptionError, match="2 groups"):
        assign_splits(["a"], ["x", "y"])
    with pytest.raises(OptionError, match="1 groups"):
        make_folds(["a", "b"], ["x"])


@settings(deadline=None, max_examples=100)
@given(made=grouped(), folds=st.integers(2, 6), seed=st.integers(0, 5))
def test_folds_keep_groups_whole(made: tuple[list[str], list[str | None]], folds: int, seed: int) -> None:
    labels, groups = made
    count = len({group for group in groups if group is not None}) + groups.count(None)
    if count < folds:
        with pytest.raises(DataError, match="fewer folds"):
            make_folds(labels, groups, folds=folds, seed=seed)
        return
    found = make_folds(labels, groups, folds=folds, seed=seed)
    assert found.dtype == np.int64
    assert set(found.tolist()) == set(range(folds))
    assert not straddling(groups, found.tolist())


@settings(deadline=None, max_examples=100)
@given(labels=st.lists(st.sampled_from("aaaabbc"), min_size=6, max_size=60), folds=st.integers(2, 6))
def test_folds_of_items_on_their_own_are_even(labels: list[str], folds: int) -> None:
    found = make_folds(labels, folds=folds)
    for label in set(labels):
        counts = np.bincount([f for c, f in zip(labels, found, strict=True) if c == label], minlength=folds)
        assert counts.max() - counts.min() <= 1
    sizes = np.bincount(found, minlength=folds)
    assert sizes.max() - sizes.min() <= len(set(labels))
    assert (found == make_folds(labels, folds=folds)).all()


def test_folds_are_as_even_as_those_of_scikit_learn() -> None:
    model_selection = pytest.importorskip("sklearn.model_selection")
    rng = np.random.default_rng(1)
    labels, groups = rng.integers(0, 5, 600).astype(str).tolist(), rng.integers(0, 60, 600).tolist()

    def unevenness(folds: np.ndarray) -> float:
        table = np.zeros((5, 5))
        np.add.at(table, (np.array(labels, int), folds), 1)
        return float(table.std(axis=1).mean())

    peer = np.zeros(600, int)
    splitter = model_selection.StratifiedGroupKFold(5)
    for fold, (_, test) in enumerate(splitter.split(np.zeros(600), labels, groups)):
        peer[test] = fold
    assert unevenness(make_folds(labels, groups)) <= unevenness(peer) * 1.2


def test_one_fold_is_none() -> None:
    with pytest.raises(OptionError, match="at least 2"):
        make_folds(["a", "b"], folds=1)


def items(*rows: tuple[str | None, str | None]) -> Dataset:
    """Items of two classes from rows of (split, group)."""
    made = (Item(f"{i}", b"", "ab"[i % 2], split, group) for i, (split, group) in enumerate(rows))  # type: ignore[arg-type]
    return Dataset(tuple(made), "image")


def test_given_splits_stay() -> None:
    data = items(("train", None), ("val", None), ("test", None), (None, None))
    assert [item.split for item in settle_splits(data)] == ["train", "val", "test", "train"]


def test_val_is_taken_out_of_train_and_test_is_not_touched() -> None:
    data = items(*[("train", None)] * 40, *[("test", None)] * 10)
    settled = settle_splits(data, val_share=0.25, seed=4)
    assert Counter(item.split for item in settled) == {"train": 30, "val": 10, "test": 10}
    assert settled.only("val").counts() == {"a": 5, "b": 5}
    assert all(item.split == "test" for item in settled.items[40:])
    backwards = settle_splits(data.take(reversed(range(50))), val_share=0.25, seed=4)
    assert {i.name: i.split for i in backwards} == {i.name: i.split for i in settled}


def test_nothing_given() -> None:
    settled = settle_splits(items(*[(None, None)] * 20))
    assert Counter(item.split for item in settled) == {"train": 16, "val": 4}


def test_an_undecided_item_goes_with_its_group() -> None:
    data = items(("test", "x"), (None, "x"), ("train", "x"), *[(None, f"{i // 2}") for i in range(20)])
    settled = settle_splits(data)
    assert [item.split for item in settled.items[:3]] == ["test", "test", "train"]
    assert not straddling([i.group for i in settled.items[3:]], [i.split for i in settled.items[3:]])
    assert 2 <= len(settled.only("val")) <= 6
