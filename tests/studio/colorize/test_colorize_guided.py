"""The guided filter: by its definition, on edges, and in strips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headstart.errors import DataError, OptionError
from headstart.studio.colorize.guided import box_mean, linear_model, resized

Array = NDArray[np.float32]
few = settings(max_examples=15, deadline=None)


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(0, 100, shape).astype(np.float32)


def by_definition(guide: Array, values: Array, radius: int, smooth: float) -> NDArray[np.float64]:
    """Equations 5, 6 and 8 of He, Sun and Tang, window by window."""
    height, width = guide.shape

    def window(y: int, x: int) -> tuple[slice, slice]:
        return slice(max(0, y - radius), y + radius + 1), slice(max(0, x - radius), x + radius + 1)

    slope, offset = np.empty((height, width)), np.empty((height, width))
    for y in range(height):
        for x in range(width):
            grey, wanted = guide[window(y, x)].astype(float), values[window(y, x)].astype(float)
            covariance = (grey * wanted).mean() - grey.mean() * wanted.mean()
            slope[y, x] = covariance / (grey.var() + smooth)
            offset[y, x] = wanted.mean() - slope[y, x] * grey.mean()
    found = np.empty((height, width))
    for y in range(height):
        for x in range(width):
            found[y, x] = slope[window(y, x)].mean() * guide[y, x] + offset[window(y, x)].mean()
    return found


@few
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 4), st.floats(0.01, 1000))
def test_it_is_the_guided_filter(height: int, width: int, radius: int, smooth: float) -> None:
    guide, values = noise(height, width), noise(height, width, seed=1)
    found = linear_model(guide, values[..., None], radius, smooth).rows(guide, 0, height)[..., 0]
    np.testing.assert_allclose(found, by_definition(guide, values, radius, smooth), atol=2e-2)


@few
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 20))
def test_means_of_windows(height: int, width: int, radius: int) -> None:
    values = noise(height, width, 2).astype(np.float64)
    found = box_mean(values, radius)
    y, x = height // 2, width - 1
    window = values[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
    np.testing.assert_allclose(found[y, x], window.mean((0, 1)))
    np.testing.assert_allclose(box_mean(np.ones((height, width, 1)), radius), 1)


def test_colours_keep_to_edges() -> None:
    """A colour that was told too coarsely stops where the lightness changes."""
    guide = np.full((64, 64), 20, np.float32)
    guide[:, 32:] = 80
    coarse = np.zeros((8, 8, 1), np.float32)
    coarse[:, 4:] = 50
    blurred = resized(coarse, (64, 64))
    assert 15 < blurred[30, 30, 0] < 35  # it bleeds
    kept = linear_model(guide, blurred, 8, 4.0).rows(guide, 0, 64)
    assert np.abs(kept[:, 30] - kept[:, 29]).max() < 2
    assert kept[30, 32, 0] - kept[30, 31, 0] > 30


def test_flat_windows_are_averaged() -> None:
    guide = np.full((32, 32), 50, np.float32)
    values = noise(32, 32, 2)
    smooth = linear_model(guide, values, 4, 1.0).rows(guide, 0, 32)
    assert smooth[8:-8, 8:-8].std() < 0.2 * values.std()


@few
@given(st.integers(1, 40), st.integers(1, 30), st.integers(1, 40))
def test_strips_are_parts_of_the_whole(height: int, width: int, rows: int) -> None:
    guide = noise(height, width)
    small = (max(1, height // 3), max(1, width // 3))
    model = linear_model(noise(*small, seed=2), noise(*small, 2, seed=3), 1, 25.0)
    whole = model.rows(guide, 0, height)
    strips = [model.rows(guide[top : top + rows], top, height) for top in range(0, height, rows)]
    np.testing.assert_allclose(np.concatenate(strips), whole, atol=2e-2)


def test_other_sizes() -> None:
    values = noise(9, 7, 3)
    assert resized(values, (1, 1)).shape == (1, 1, 3)
    np.testing.assert_allclose(resized(values, (1, 1))[0, 0], values.mean((0, 1)), atol=25)
    np.testing.assert_array_equal(resized(values, (9, 7)), values)
    assert resized(values[..., 0], (20, 3)).shape == (20, 3)
    np.testing.assert_allclose(resized(np.full((3, 5), 7, np.float32), (40, 11)), 7, rtol=1e-6)


def test_what_does_not_fit() -> None:
    with pytest.raises(DataError, match="one size"):
        linear_model(noise(4, 4), noise(4, 5, 2), 1, 1.0)
    with pytest.raises(DataError, match="values"):
        linear_model(noise(4, 4), noise(4, 4), 1, 1.0)
    for radius, smooth in ((-1, 1.0), (1, 0.0), (1, float("nan"))):
        with pytest.raises(OptionError, match="radius"):
            linear_model(noise(4, 4), noise(4, 4, 1), radius, smooth)
