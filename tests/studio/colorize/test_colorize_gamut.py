"""What a screen cannot show: made weaker, and neither lighter nor darker nor of another hue."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.studio.colorize.gamut import fit_gamut
from headstart.studio.colorize.lab import lab_to_rgb, lightness, rgb_to_lab
from headstart.studio.colorize.quantising import bins


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 100), st.floats(-110, 110), st.floats(-110, 110))
def test_lightness_and_hue_stay(level: float, a: float, b: float) -> None:
    lab = np.array([[level, a, b]], np.float32)
    fitted = fit_gamut(lab)
    assert abs(float(lightness(lab_to_rgb(fitted))[0]) - level) < 1.5
    assert fitted[0, 0] == lab[0, 0]
    share = np.hypot(*fitted[0, 1:]) / max(np.hypot(a, b), 1e-6)
    assert share < 1 + 1e-5
    np.testing.assert_allclose(fitted[0, 1:], lab[0, 1:] * share, atol=1e-3)


def test_what_can_be_shown_stays() -> None:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (200, 200, 3)).astype(np.uint8)
    lab = rgb_to_lab(pixels)
    apart = np.abs(lab_to_rgb(fit_gamut(lab)).astype(int) - pixels)
    # between the hues and levels of the table lies a little less than there is
    assert np.quantile(apart, 0.99) <= 8
    assert apart.mean() < 0.5
    greyish = np.array([[50, 10, -10]], np.float32)
    assert fit_gamut(greyish) is greyish


def test_all_that_a_network_may_tell() -> None:
    """As light as it was, where clipping the channels would be off by up to 20."""
    for level in range(0, 101, 4):
        lab = np.insert(bins(), 0, level, axis=1)
        clipped = np.abs(lightness(lab_to_rgb(lab)) - level).max()
        fitted = np.abs(lightness(lab_to_rgb(fit_gamut(lab))) - level).max()
        assert fitted < 1.5
        assert clipped > 3 * fitted


def test_shapes() -> None:
    assert fit_gamut(np.full((2, 3, 4, 3), 90, np.float32)).shape == (2, 3, 4, 3)
    assert fit_gamut(np.zeros((0, 3), np.float32)).shape == (0, 3)
