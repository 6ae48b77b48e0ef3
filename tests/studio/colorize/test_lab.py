"""Lab: scikit-image says the same both ways, and there and back no colour moves by more than a level."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.color import lab2rgb, rgb2lab

from headstart.errors import DataError
from headstart.studio.colorize.lab import lab_to_rgb, lightness, rgb_to_lab

colour = st.tuples(*[st.integers(0, 255)] * 3)


def cube(step: int, offset: int = 0) -> NDArray[np.uint8]:
    levels = np.arange(offset, 256, step, dtype=np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)


@pytest.mark.parametrize("blue", [0, 1, 2, 3, 17, 128, 254, 255])
def test_no_colour_of_a_sheet_moves_by_more_than_a_level(blue: int) -> None:
    levels = np.arange(256, dtype=np.uint8)
    red, green = np.meshgrid(levels, levels)
    sheet = np.stack([red, green, np.full_like(red, blue)], 2)
    moved = np.abs(lab_to_rgb(rgb_to_lab(sheet)).astype(int) - sheet)
    assert moved.max() <= 1


def test_no_colour_of_a_lattice_through_all_of_them_moves() -> None:
    for offset in range(3):
        lattice = cube(7, offset)
        assert np.abs(lab_to_rgb(rgb_to_lab(lattice)).astype(int) - lattice).max() <= 1


@settings(deadline=None, max_examples=60)
@given(st.lists(colour, min_size=1, max_size=50))
def test_there_and_back(colours: list[tuple[int, int, int]]) -> None:
    pixels = np.array(colours, np.uint8)
    assert np.abs(lab_to_rgb(rgb_to_lab(pixels)).astype(int) - pixels).max() <= 1


def test_the_values_are_those_of_scikit_image() -> None:
    pixels = cube(5)[None]
    expected = rgb2lab(pixels)
    found = rgb_to_lab(pixels)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 0.01
    assert np.abs(lightness(pixels) - expected[..., 0]).max() < 0.01


def test_the_way_back_is_that_of_scikit_image_also_outside_what_screens_show() -> None:
    generator = np.random.default_rng(0)
    inside = rgb_to_lab(cube(9))
    outside = np.stack(
        [generator.uniform(low, high, 4000) for low, high in [(0, 100), (-110, 110), (-110, 110)]], 1
    )
    for lab in (inside, outside.astype(np.float32)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-image's, of negative Z
            expected = (lab2rgb(lab.astype(float)) * 255).round().astype(int)
        assert np.abs(lab_to_rgb(lab).astype(int) - expected).max() <= 1


def test_grey_has_no_colour_and_its_level_gives_its_lightness_back() -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
    lab = rgb_to_lab(grey)
    assert np.abs(lab[:, 1:]).max() < 0.02
    assert (np.diff(lab[:, 0]) > 0).all()
    lab[:, 1:] = 0
    assert (lab_to_rgb(lab) == grey).all()


def test_shapes_stay_and_many_pixels_are_worked_on_in_parts() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (300, 401, 3), np.uint8)
    whole = rgb_to_lab(picture)
    assert whole.shape == picture.shape
    np.testing.assert_array_equal(whole[200:], rgb_to_lab(picture[200:]))
    np.testing.assert_array_equal(lightness(picture), whole[..., 0])
    assert lab_to_rgb(whole[:1, :1]).shape == (1, 1, 3)


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(DataError, match=r"uint8 \[..., 3\]"):
        rgb_to_lab(np.zeros((2, 3), np.float32))
    with pytest.raises(DataError, match="float64"):
        lightness(np.zeros((2, 2)))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="Lab values"):
        lab_to_rgb(np.zeros((4, 2), np.float32))
