"""Colours as classes: all of sRGB is covered, there and back is near, the mean is the one it shall be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import OptionError
from headstart.studio.colorize.lab import rgb_to_lab
from headstart.studio.colorize.quantising import STEP, bins, encode, mean_colour, rebalancing

ab = st.tuples(st.floats(-86, 98), st.floats(-107, 94))


def test_every_colour_lies_in_the_square_around_a_bin_and_every_bin_has_one() -> None:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (200_000, 3)).astype(np.uint8)
    pixels[:100_000] = pixels[:100_000] // 128 * 255  # and the corners, with one channel free
    pixels[np.arange(100_000), generator.integers(0, 3, 100_000)] = generator.integers(0, 256, 100_000)
    found = np.unique((rgb_to_lab(pixels)[:, 1:] / STEP).round() * STEP, axis=0)
    known = {tuple(each) for each in bins().tolist()}
    assert {tuple(each) for each in found.tolist()} <= known
    assert len(bins()) == len(known) == 261


@settings(deadline=None, max_examples=100)
@given(ab)
def test_a_colour_is_shared_by_its_nearest_bins(colour: tuple[float, float]) -> None:
    places, shares = encode(np.array(colour, np.float32))
    assert shares.sum() == pytest.approx(1, abs=1e-5)
    assert (np.diff(shares) <= 1e-6).all()
    whole = np.array(colour, np.float32).round()
    distances = np.sqrt(((bins() - whole) ** 2).sum(1))
    assert distances[places].max() <= np.sort(distances)[4] + 1e-4
    if distances.min() < STEP / 2:  # within the gamut the mean of the five is about the colour again
        assert np.linalg.norm(shares @ bins()[places] - whole) < STEP


def test_the_sharing_is_a_gaussian_of_sigma_five() -> None:
    places, shares = encode(np.array([[3, -4]], np.float32))
    squared = ((bins()[places[0]] - [3, -4]) ** 2).sum(1)
    np.testing.assert_allclose(shares[0] / shares[0, 0], np.exp((squared[0] - squared) / 50), rtol=1e-4)


def test_the_expected_colour_is_the_softmax_mean() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (2, len(bins()), 3, 4)).astype(np.float32)
    shares = np.exp(logits.astype(float))
    shares /= shares.sum(1, keepdims=True)
    expected = np.einsum("nkhw,kc->nhwc", shares, bins())
    np.testing.assert_allclose(mean_colour(logits, bins()), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(mean_colour(logits[1], bins()), expected[1], rtol=1e-3, atol=1e-3)


def test_colder_is_nearer_to_the_mode_and_weights_favour_the_rare() -> None:
    centres = np.array([[0, 0], [80, 0]], np.float32)
    logits = np.log(np.array([0.6, 0.4], np.float32)).reshape(2, 1, 1)
    red = [float(mean_colour(logits, centres, temperature=heat)[0, 0, 0]) for heat in (1, 0.38, 0.01)]
    assert red[0] == pytest.approx(32, abs=0.01)
    assert red[0] > red[1] > red[2] == pytest.approx(0, abs=0.01)
    vivid = mean_colour(logits, centres, weights=np.array([1, 10], np.float32))
    assert float(vivid[0, 0, 0]) == pytest.approx(80 * 4 / 4.6, abs=0.01)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(1e-6, 1), min_size=2, max_size=30), st.floats(0.05, 1))
def test_rebalancing_is_one_on_average_and_grows_with_rarity(prior: list[float], mix: float) -> None:
    shares = np.array(prior, np.float32) / np.sum(prior, dtype=np.float32)
    weights = rebalancing(np.array(prior, np.float32), mix)
    assert float((weights * shares).sum()) == pytest.approx(1, rel=1e-3)
    order = np.argsort(shares)
    assert (np.diff(weights[order]) <= 1e-4).all()
    if mix == 1:
        np.testing.assert_allclose(weights, 1, rtol=1e-3)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(OptionError, match="temperature above 0"):
        mean_colour(np.zeros((2, 1, 1), np.float32), np.zeros((2, 2), np.float32), temperature=0)
    with pytest.raises(OptionError, match="mix above 0"):
        rebalancing(np.ones(3, np.float32), 0)
