"""What may be learned from and what must not: splits, groups and copies, before any head is fitted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import blobs, gathered, labelled

from headstart.fitting.arranging import Arrangement, arrange


def arranged(
    y: list[int], digests: list[str] | None = None, *, folds: bool = False, **columns: list
) -> Arrangement:
    return arrange(gathered(labelled(y, **columns), blobs(y), digests), folds=folds, val_share=0.2, seed=0)


def test_without_splits_a_fifth_of_each_class_is_held_out_and_test_is_not_made_up() -> None:
    found = arranged([0] * 50 + [1] * 30)
    assert found.counts() == {"train": {"c0": 40, "c1": 24}, "val": {"c0": 10, "c1": 6}}
    assert len(found.test) == 0
    assert sorted(found.refit) == list(range(80))


def test_given_splits_stay() -> None:
    splits = ["train", "val", "test", "train"] * 10
    found = arranged([0, 1] * 20, split=splits)
    assert list(found.splits) == splits
    assert found.test.tolist() == [n for n, split in enumerate(splits) if split == "test"]
    assert found.val.tolist() == [n for n, split in enumerate(splits) if split == "val"]
    assert not set(found.refit) & set(found.test)


def test_train_and_test_alone_take_val_from_train() -> None:
    found = arranged([0, 1] * 30, split=["train"] * 40 + ["test"] * 20)
    assert found.test.tolist() == list(range(40, 60))
    assert len(found.val) == 8
    assert set(found.val) <= set(range(40))


def test_with_folds_nothing_is_set_aside_but_test_stays() -> None:
    found = arranged([0, 1] * 20, folds=True, split=["train"] * 20 + ["val"] * 10 + ["test"] * 10)
    assert len(found.val) == 0
    assert found.refit.tolist() == list(range(30))
    assert found.test.tolist() == list(range(30, 40))


def test_the_training_copy_is_dropped_and_val_and_test_are_untouched() -> None:
    splits = ["train"] * 10 + ["val"] * 6 + ["test"] * 6
    y = [0, 1] * 11
    digests = [f"d{n}" for n in range(22)]
    digests[16] = digests[0]  # a training item that is also in test
    digests[10] = digests[2]  # … in val
    digests[17] = digests[11]  # a val item that is also in test
    digests[4] = digests[6]  # twice in train
    found = arranged(y, digests, split=splits)
    assert set(found.train) == set(range(10)) - {0, 2, 6}
    assert found.val.tolist() == list(range(10, 16))
    assert found.test.tolist() == list(range(16, 22))
    assert 11 not in found.refit
    assert set(found.refit) == (set(found.train) | set(found.val)) - {11}
    said = " ".join(found.notes)
    assert "4 exact and 0 near-duplicate pairs" in said
    assert "2 training items that also occur in val or test" in said
    assert "1 repeated copies" in said
    assert "1 val items that also occur in test" in said
    assert len(found.duplicates) == 4
    assert ("0016", "0000", "exact copy, left out of training") in found.duplicates


def test_the_same_content_under_two_labels_teaches_nothing() -> None:
    found = arranged([0, 1] * 10, ["same", "same", *(f"d{n}" for n in range(18))])
    assert not {0, 1} & set(found.train)
    assert any("different labels" in note for note in found.notes) or {0, 1} <= set(found.val)


def test_near_copies_count_only_if_the_backbone_agrees() -> None:
    y = [0, 0, 1, 1] * 5
    whole = gathered(labelled(y), blobs(y))
    facts = [
        replace(entry, fingerprint=int(n * 0x9E3779B97F4A7C15 % 2**64))
        for n, entry in enumerate(whole.facts, 1)
    ]
    facts[1] = replace(facts[1], fingerprint=facts[0].fingerprint)
    facts[3] = replace(facts[3], fingerprint=facts[2].fingerprint)
    X = whole.features.X.copy()
    X[1] = X[0] * 1.01
    X[3] = -X[2]
    found = arrange(
        replace(whole, facts=facts, features=replace(whole.features, X=X)), folds=False, val_share=0.2, seed=0
    )
    assert [pair[:2] for pair in found.duplicates] == [("0000", "0001")]
    assert found.splits[0] == found.splits[1]


def test_a_class_of_one_item_is_said_to_be_unchecked() -> None:
    found = arranged([0] * 10 + [1] * 10 + [2])
    assert 20 in found.train
    assert any("Only one item of c2" in note for note in found.notes)


def test_a_class_only_in_test_is_said_to_be_unknown() -> None:
    found = arranged([0, 1] * 10 + [2, 2], split=["train"] * 20 + ["test"] * 2)
    assert any("No training item of c2" in note for note in found.notes)


def test_a_class_that_validation_or_test_lacks_is_named() -> None:
    split = ["train"] * 30 + ["val"] * 4 + ["test"] * 3
    found = arranged([0, 1, 2] * 10 + [0, 1] * 2 + [0, 1, 2], split=split)
    (said,) = [note for note in found.notes if "not checked" in note]
    assert said.startswith("No validation item of c2:")
    whole = arranged([0, 1] * 10)
    assert not any("not checked" in note for note in whole.notes)


def test_many_classes_that_are_not_checked_are_counted() -> None:
    found = arranged([*range(20), *range(20), 0], split=["train"] * 40 + ["test"])
    assert any("c1, c10, c11, c12, c13, c14, c15, c16 and 11 more" in note for note in found.notes)


def test_the_digest_does_not_care_for_order_and_takes_mixed_splits() -> None:
    y, digests = [0, 0, 1, 1], ["a", "a", "b", "c"]
    items = labelled(y, split=["train", None, "test", None])
    X = blobs(y)
    one = gathered(items, X, digests)
    other = gathered(items[::-1], X[::-1], digests[::-1])
    assert one.digest == other.digest
    assert gathered(labelled(y), X, digests).digest != one.digest


_rows = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([None, "g1", "g2", "g3", "g4"]),
        st.integers(0, 30),
        st.sampled_from([None, None, "train", "val", "test"]),
    ),
    min_size=4,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(_rows, st.booleans())
def test_nothing_ever_leaks(rows: list[tuple[int, str | None, int, str | None]], folds: bool) -> None:
    y, groups, contents, splits = (list(column) for column in zip(*rows, strict=True))
    digests = [f"content {content}" for content in contents]
    found = arranged(y, digests, folds=folds, group=groups, split=splits)
    train, val, test = set(found.train), set(found.val), set(found.test)
    assert not train & val
    assert not (train | val) & test
    assert not set(found.refit) & test
    checked = {digests[n] for n in val | test}
    assert not {digests[n] for n in train} & checked, "a training item is also in val or test"
    assert not {digests[n] for n in found.refit} & {digests[n] for n in test}
    assert not any(count > 1 for count in Counter(digests[n] for n in train).values())
    assert {n for n, split in enumerate(splits) if split == "test"} <= test
    if not folds:
        assert {n for n, split in enumerate(splits) if split == "val"} <= val
    if not any(splits):
        homes: dict[int, set[str]] = {}
        for n, group in enumerate(found.data.features.group):
            homes.setdefault(int(group), set()).add(found.splits[n])
        assert all(len(home) == 1 for home in homes.values()), "a group straddles"
    named = found.data.features.group
    assert all(
        named[a] == named[b]
        for a in range(len(y))
        for b in range(a)
        if groups[a] is not None and groups[a] == groups[b]
    )
    assert np.array_equal(found.refit, np.unique(found.refit))
