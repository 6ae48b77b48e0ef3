"""Clusters and their names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import DataError, OptionError
from headstart.transfer.unlabelled.clusters import find_clusters
from headstart.transfer.unlabelled.naming import characteristic_words, nearest_classes, unique_names


def groups(*sizes: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centres = np.eye(len(sizes), 8) * 3
    rows = [centre + generator.normal(0, 0.3, (size, 8)) for centre, size in zip(centres, sizes, strict=True)]
    return np.concatenate(rows).astype(np.float32)


def test_the_groups_are_found_and_the_largest_comes_first() -> None:
    found = find_clusters(groups(20, 35, 10, 28))
    assert found.sizes == [35, 28, 20, 10]
    assert found.cluster.tolist() == [2] * 20 + [0] * 35 + [3] * 10 + [1] * 28
    assert max(found.silhouettes, key=lambda n: found.silhouettes[n]) == 4


def test_a_number_that_is_named_is_made() -> None:
    found = find_clusters(groups(20, 20), 5)
    assert len(found.sizes) == 5
    assert list(found.silhouettes) == [5]


def test_members_come_by_closeness() -> None:
    found = find_clusters(groups(15, 25))
    members = found.members(0)
    assert sorted(members.tolist()) == list(range(15, 40))
    assert (np.diff(found.closeness[members]) <= 0).all()


@settings(deadline=None, max_examples=8)
@given(
    sizes=st.lists(st.integers(4, 15), min_size=2, max_size=4),
    scale=st.floats(0.1, 100),
    seed=st.integers(0, 9),
)
def test_scale_makes_no_difference(sizes: list[int], scale: float, seed: int) -> None:
    rows = groups(*sizes, seed=seed)
    plain, scaled = find_clusters(rows, 2), find_clusters((rows * scale).astype(np.float32), 2)
    assert (plain.cluster == scaled.cluster).mean() > 0.95
    assert sum(plain.sizes) == sum(sizes)


def test_what_cannot_be_clustered_is_refused() -> None:
    with pytest.raises(DataError, match="at least 4 items"):
        find_clusters(groups(2, 1))
    with pytest.raises(DataError, match="items that differ"):
        find_clusters(np.ones((10, 4), np.float32))
    for count in (1, 11):
        with pytest.raises(OptionError, match="a number of clusters from 2 to 10"):
            find_clusters(groups(5, 5), count)


def test_words_that_all_clusters_share_name_none() -> None:
    texts = ["the film was lovely", "a lovely film indeed", "the film was awful", "awful, awful film"]
    assert [names[0] for names in characteristic_words(texts, np.array([0, 0, 1, 1]))] == ["lovely", "awful"]


def test_one_long_text_does_not_speak_for_its_cluster() -> None:
    texts = ["spam " * 500 + "garden", *["garden rose"] * 8, *["engine motor"] * 9]
    first = characteristic_words(texts, np.array([0] * 9 + [1] * 9), 2)[0]
    assert set(first) == {"garden", "rose"}


def test_a_class_that_is_everywhere_names_no_cluster() -> None:
    p = np.array([[0.5, 0.5, 0.0]] * 4 + [[0.5, 0.0, 0.5]] * 4)
    assert nearest_classes(p, ["wall", "cat, felis", "dog"], np.repeat([0, 1], 4)) == [("cat",), ("dog",)]


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=3).map(tuple), min_size=1, max_size=6))
def test_no_two_clusters_have_one_name(words: list[tuple[str, ...]]) -> None:
    names = unique_names(words)
    assert len(set(names)) == len(words)
    assert all(names)
