"""Maps of items: what is apart stays apart, and nothing is too small, too flat or too oddly named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headstart.errors import OptionError
from headstart.retrieval.maps import MOST, ItemMap, map_section, pca, sample, tsne


def groups(count: int, seed: int = 0) -> tuple[NDArray[np.float32], list[str]]:
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    vectors = 6 * np.eye(3, 20)[y] + rng.normal(size=(count, 20))
    return vectors.astype(np.float32), [f"kind {n}" for n in y]


@pytest.mark.parametrize("method", [pca, tsne])
def test_groups_stay_apart(method: object) -> None:
    vectors, labels = groups(90)
    points = method(vectors)  # type: ignore[operator]
    assert points.shape == (90, 2)
    own = np.array([int(label[-1]) for label in labels])
    centres = np.stack([points[own == n].mean(0) for n in range(3)])
    nearest = ((points[:, None] - centres[None]) ** 2).sum(2).argmin(1)
    assert (nearest == own).mean() > 0.9


def test_pca_is_that_of_the_singular_values() -> None:
    vectors, _ = groups(40)
    centred = vectors.astype(np.float64) - vectors.mean(0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    assert np.abs(pca(vectors)) == pytest.approx(np.abs(left[:, :2] * values[:2]), abs=1e-3)


@settings(deadline=None, max_examples=10)
@given(st.integers(8, 14), st.integers(1, 4))
def test_few_items_and_few_features_have_a_map(count: int, width: int) -> None:
    vectors = np.random.default_rng(count).normal(size=(count, width)).astype(np.float32)
    found = ItemMap.of(vectors, ["a"] * count)
    if found is not None:  # one feature: all directions may be alike
        assert np.isfinite(found.tsne).all()
        assert found.tsne.shape == found.pca.shape == (count, 2)


def test_what_cannot_be_drawn_has_no_map() -> None:
    assert ItemMap.of(np.ones((20, 4), np.float32), ["a"] * 20) is None
    assert ItemMap.of(groups(7)[0], ["a"] * 7) is None
    assert map_section(None) is None
    with pytest.raises(OptionError, match="at least 8"):
        tsne(groups(7)[0])


def test_the_same_seed_gives_the_same_map() -> None:
    vectors, labels = groups(30)
    one, two = (ItemMap.of(vectors, labels, seed=1) for _ in range(2))
    assert one is not None
    assert two is not None
    assert np.array_equal(one.tsne, two.tsne)


def test_a_sample_is_spread_over_all() -> None:
    assert sample(20).tolist() == list(range(20))
    drawn = sample(100_000)
    assert len(set(drawn.tolist())) == MOST
    assert (np.diff(drawn) > 0).all()
    assert drawn[0] < 5_000
    assert drawn[-1] > 95_000


def test_near_items_are_counted_by_label() -> None:
    vectors, labels = groups(60)
    found = ItemMap.of(vectors, labels)
    assert found is not None
    told = found.alike()
    assert [told[label][0] for label in ("kind 0", "kind 1", "kind 2")] == [20, 20, 20]
    assert all(share > 0.9 for _, share, _ in told.values())
    mixed = ItemMap.of(np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32), labels)
    assert mixed is not None
    assert all(
        share < 0.7 and other in set(labels) - {label} for label, (_, share, other) in mixed.alike().items()
    )


def test_the_section_shows_dots_names_and_the_size_of_the_sample() -> None:
    vectors, labels = groups(60)
    labels = [label.replace("kind 1", "<b>$odd & very long name of a label</b>") for label in labels]
    section = map_section(ItemMap.of(vectors, labels, total=5_000), "texts")
    assert section is not None
    heading, content = section
    page = "".join(content)
    assert heading == "Map of the texts"
    assert "sample of 60 of 5,000" in page
    assert "<b>$odd" not in page
    assert "&lt;b&gt;$odd" in page
    assert page.count("<svg") == 2
    assert page.count("<use") >= 120


def test_many_labels_are_drawn_without_names() -> None:
    vectors = np.random.default_rng(0).normal(size=(80, 6)).astype(np.float32)
    section = map_section(ItemMap.of(vectors, [f"label{n}" for n in range(80)]))
    assert section is not None
    assert "label79" in "".join(section[1])  # in the table
