"""Novelty: calibrated on what is known, certain about what is not, kept without loss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import ArtefactError, DataError
from headstart.transfer.unlabelled import novelty
from headstart.transfer.unlabelled.novelty import Novelty


def known(count: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return np.abs(generator.normal(0, 1, (count, 16)) + 1).astype(np.float32)


def test_a_twentieth_of_new_items_of_the_same_kind_is_as_far_as_a_twentieth() -> None:
    share = Novelty.of(known(800)).share_as_far(known(800, 1))
    assert np.mean(share <= 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(share <= 0.5) == pytest.approx(0.5, abs=0.07)


def test_another_kind_is_noticed() -> None:
    of = Novelty.of(known(300))
    other = known(50, 2) * np.where(np.arange(16) % 2, 1, -1)
    assert (of.share_as_far(other) < 0.01).all()
    assert of.distance(other).min() > of.distances.max()


def test_the_distances_are_those_by_scikit_learn() -> None:
    from sklearn.neighbors import NearestNeighbors

    rows, new = known(100), known(20, 3)
    expected = NearestNeighbors(n_neighbors=5, metric="cosine").fit(rows).kneighbors(new)[0].mean(1)
    assert Novelty.of(rows).distance(new) == pytest.approx(expected, abs=1e-5)
    expected = NearestNeighbors(n_neighbors=5, metric="cosine").fit(rows).kneighbors()[0].mean(1)
    assert Novelty.of(rows).distances == pytest.approx(np.sort(expected), abs=1e-5)


@settings(deadline=None, max_examples=10)
@given(st.integers(10, 60), st.integers(0, 20), st.floats(0.01, 100))
def test_shares_are_shares_and_ignore_the_length(count: int, seed: int, scale: float) -> None:
    of = Novelty.of(known(count, seed))
    rows = known(7, seed + 1)
    share = of.share_as_far(rows)
    assert ((share > 0) & (share <= 1)).all()
    assert of.share_as_far(rows * scale) == pytest.approx(share, abs=2 / count)


def test_it_is_kept_as_tensors() -> None:
    of = Novelty.of(known(30))
    again = Novelty.from_tensors(of.tensors())
    assert np.array_equal(again.share_as_far(known(5, 1)), of.share_as_far(known(5, 1)))
    with pytest.raises(ArtefactError, match=r"the tensors known \[n, d\] and distances \[n\]"):
        Novelty.from_tensors({"known": of.known})
    with pytest.raises(ArtefactError, match="to fix"):
        Novelty.from_tensors({"known": of.known, "distances": of.distances[:3]})


def test_of_many_a_sample_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(novelty, "MOST", 50)
    assert Novelty.of(known(200)).known.shape == (50, 16)
    with pytest.raises(DataError, match="at least 10 known items"):
        Novelty.of(known(9))


def test_a_row_of_zeros_is_far_from_all() -> None:
    assert Novelty.of(known(40)).distance(np.zeros((1, 16), np.float32))[0] == pytest.approx(1)
