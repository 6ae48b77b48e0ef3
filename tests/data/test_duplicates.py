"""Duplicates: none is missed, none is invented, and leaks go the right way."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.data.duplicates import Duplicate, clusters, drop_leaks, find_duplicates, label_conflicts
from headstart.data.items import Split
from headstart.errors import OptionError

# Fingerprints that differ in few bits, in all parts of the word, and many that are equal.
few_bits = st.sets(st.sampled_from([0, 1, 11, 12, 13, 25, 26, 38, 39, 51, 52, 62, 63]), max_size=5).map(
    lambda bits: sum(1 << bit for bit in bits)
)
rows = st.lists(
    st.tuples(st.one_of(st.none(), few_bits), st.booleans(), st.sampled_from(["train", "val", "test", None])),
    max_size=14,
)


def columns(
    made: list[tuple[int | None, bool, Split | None]],
) -> tuple[list[str], list[int | None], list[Split | None]]:
    """Equal bytes have equal fingerprints: a digest is made of the fingerprint, or is unique."""
    digests = [f"of {print_}" if copied else f"own {i}" for i, (print_, copied, _) in enumerate(made)]
    return digests, [row[0] for row in made], [row[2] for row in made]


def brute(
    digests: Sequence[str], prints: Sequence[int | None], distance: int
) -> dict[tuple[int, int], tuple[str, int]]:
    found = {}
    for i, j in combinations(range(len(digests)), 2):
        left, right = prints[i], prints[j]
        if digests[i] == digests[j]:
            found[i, j] = ("exact", 0)
        elif left is not None and right is not None and (left ^ right).bit_count() <= distance:
            found[i, j] = ("near", (left ^ right).bit_count())
    return found


@settings(deadline=None, max_examples=300)
@given(made=rows, distance=st.integers(0, 6))
def test_nothing_is_missed_or_invented(made: Any, distance: int) -> None:
    digests, prints, splits = columns(made)
    wanted = brute(digests, prints, distance)
    found = find_duplicates(digests, prints, splits, distance=distance)
    assert found == sorted(set(found))
    for pair in found:
        assert wanted[pair.first, pair.second] == (pair.kind, pair.distance)

    def reach(pairs: Any) -> set[tuple[int, Split | None]]:
        return {x for i, j in pairs for x in ((i, splits[j]), (j, splits[i]))}

    # Each item is paired with each split where it has a duplicate, so that no leak is overlooked …
    assert reach((p.first, p.second) for p in found) == reach(wanted)
    # … exact ones as exact …
    exact = [(p.first, p.second) for p in found if p.kind == "exact"]
    assert reach(exact) == reach(pair for pair, (kind, _) in wanted.items() if kind == "exact")
    # … and what hangs together still does.
    everything = [Duplicate(i, j, "near", 0) for i, j in wanted]
    assert clusters(found, len(made)) == clusters(everything, len(made))


@settings(deadline=None, max_examples=60)
@given(st.sets(few_bits, max_size=25), st.integers(0, 6))
def test_all_pairs_of_different_fingerprints_are_listed(prints: set[int], distance: int) -> None:
    listed = sorted(prints, key=lambda p: p * 0x9E3779B97F4A7C15 % 2**64)
    names = [str(p) for p in listed]
    found = find_duplicates(names, listed, [None] * len(listed), distance=distance)
    assert {(p.first, p.second): (p.kind, p.distance) for p in found} == brute(names, listed, distance)


def test_planted_copies_among_many() -> None:
    rng = np.random.default_rng(0)
    prints = [int(p) for p in rng.integers(0, 2**64, 20_000, dtype=np.uint64)]
    planted = {}
    for i in range(100):
        bits = rng.choice(64, size=i % 6, replace=False)
        prints[19_000 + i] = prints[i]
        for bit in bits:
            prints[19_000 + i] ^= 1 << int(bit)
        planted[i, 19_000 + i] = i % 6
    digests = [f"{i}" for i in range(20_000)]
    found = {(p.first, p.second): p.distance for p in find_duplicates(digests, prints, ["train"] * 20_000)}
    assert found == {pair: bits for pair, bits in planted.items() if bits <= 4}


def test_a_thousand_copies_give_about_a_thousand_pairs() -> None:
    splits: list[Split | None] = ["train", "val", "test"] * 400
    found = find_duplicates(["same"] * 1200, [5] * 1200, splits)
    assert len(found) < 3 * 1200
    leaks = drop_leaks(found, splits)
    assert leaks.training == set(range(0, 1200, 3))
    assert leaks.not_for_refit == set(range(1, 1200, 3))
    near = find_duplicates([f"{i}" for i in range(1200)], [i % 2 for i in range(1200)], splits)
    assert len(near) < 10 * 1200


def test_undecodable_and_extreme_fingerprints() -> None:
    found = find_duplicates(["a", "a", "b", "c"], [None, None, 2**64 - 1, 2**64 - 2], [None] * 4)
    assert found == [Duplicate(0, 1, "exact", 0), Duplicate(2, 3, "near", 1)]
    assert find_duplicates([], [], []) == []
    assert find_duplicates(["a"], [0], [None]) == []


@pytest.mark.parametrize("distance", [-1, 17])
def test_distances_that_mean_nothing(distance: int) -> None:
    with pytest.raises(OptionError, match="0 to 16"):
        find_duplicates([], [], [], distance=distance)


def test_columns_of_different_length() -> None:
    with pytest.raises(OptionError, match="1, 2 and 1"):
        find_duplicates(["a"], [1, 2], ["train"])


@pytest.mark.parametrize(
    ("first", "second", "training", "refit"),
    [
        ("train", "train", set(), set()),
        ("train", "val", {0}, set()),
        ("test", "train", {1}, set()),
        ("val", "test", set(), {0}),
        ("test", "val", set(), {1}),
        ("test", "test", set(), set()),
        (None, "test", {0}, set()),
        (None, None, set(), set()),
    ],
)
@pytest.mark.parametrize("kind", ["exact", "near"])
def test_who_goes(first: Any, second: Any, training: set[int], refit: set[int], kind: Any) -> None:
    leaks = drop_leaks([Duplicate(0, 1, kind, 0)], [first, second])
    assert (leaks.training, leaks.not_for_refit) == (training, refit)
    in_train = {first, second} <= {"train", None}
    assert leaks.repeats == ({1} if kind == "exact" and in_train else set())


@settings(deadline=None, max_examples=150)
@given(made=rows)
def test_what_remains_leaks_nothing(made: Any) -> None:
    digests, prints, splits = columns(made)
    leaks = drop_leaks(find_duplicates(digests, prints, splits), splits)
    left = [(None if i in leaks.training else split or "train") for i, split in enumerate(splits)]
    for (i, j), (kind, _) in brute(digests, prints, 4).items():
        pair = {left[i], left[j]}
        assert not ("train" in pair and pair & {"val", "test"})
        for val, test in ((i, j), (j, i)):
            if (left[val], left[test]) == ("val", "test"):
                assert val in leaks.not_for_refit
        if kind == "exact" and left[i] == left[j] == "train":
            assert j in leaks.repeats
    for i in leaks.training:
        assert splits[i] in ("train", None)
    for content in {digests[i] for i in leaks.repeats}:
        members = [
            i for i, digest in enumerate(digests) if digest == content and splits[i] in ("train", None)
        ]
        assert members[0] not in leaks.repeats


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda p: p[0] != p[1]), max_size=12))
def test_clusters_are_the_connected_components(edges: list[tuple[int, int]]) -> None:
    scipy = pytest.importorskip("scipy.sparse")
    from scipy.sparse.csgraph import connected_components

    groups = clusters((Duplicate(i, j, "near", 0) for i, j in edges), 10)
    ones = np.ones(len(edges))
    graph = scipy.coo_array((ones, ([i for i, _ in edges], [j for _, j in edges])), shape=(10, 10))
    _, wanted = connected_components(graph, directed=False)
    for i, j in combinations(range(10), 2):
        assert (groups[i] == groups[j]) == (wanted[i] == wanted[j])
    assert all(groups[group] == group <= item for item, group in enumerate(groups))


def test_label_conflicts_are_among_exact_duplicates() -> None:
    pairs = [Duplicate(0, 1, "exact", 0), Duplicate(0, 2, "exact", 0), Duplicate(1, 3, "near", 1)]
    assert label_conflicts(pairs, ["cat", "dog", "cat", "bird"]) == [pairs[0]]
