"""Windows as pictures, and what VGG16 sees in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.audio.feature_maps import HOP, RATE, SIDE, bottleneck_features, feature_maps

TIME = np.arange(4 * RATE) / RATE
TONE = (0.5 * np.sin(2 * np.pi * 440 * TIME)).astype(np.float32)
CLICKS = np.zeros_like(TONE)
CLICKS[:: RATE // 4] = 0.9


def windows(frames: int) -> int:
    return 1 + -(-max(frames - SIDE, 0) // (SIDE // 2))


@settings(deadline=None, max_examples=6)
@given(st.integers(1, 5 * RATE))
def test_windows_overlap_by_half_and_the_last_ends_with_the_sound(samples: int) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    found = feature_maps(wave)
    assert found.shape[1:] == (SIDE, SIDE, 3)
    assert found.dtype == np.uint8
    assert len(found) == windows(1 + max(samples, (SIDE - 1) * HOP) // HOP)


def test_the_channels_are_what_they_say() -> None:
    tone, clicks = feature_maps(TONE)[0], feature_maps(CLICKS)[1]
    # A tone is a row, low down; clicks are columns; only clicks change.
    rows = tone[..., 0].mean(1)
    assert rows.argmax() > SIDE / 2
    assert rows.max() > 2 * np.median(rows)
    columns = clicks[..., 0].mean(0)
    assert columns.max() > 1.2 * np.median(columns)
    middle = slice(8, -8)
    moves = [np.abs(each.astype(int) - 127).mean() for each in (tone[:, middle, 2], clicks[..., 2])]
    assert moves[0] < moves[1]
    # The loudest band is as loud in the mean of the two parts only where both have it.
    assert tone[..., 1].astype(float).mean() < tone[..., 0].astype(float).mean()


def test_loudness_does_not_matter_and_silence_is_left_out() -> None:
    np.testing.assert_allclose(feature_maps(TONE / 8).astype(int), feature_maps(TONE).astype(int), atol=1)
    once = np.concatenate([TONE[:RATE], np.zeros(6 * RATE, np.float32)])
    assert len(feature_maps(once)) < windows(1 + len(once) // HOP) / 2
    assert len(feature_maps(np.zeros(3 * RATE, np.float32))) >= 1


def test_vgg16_says_2048_numbers_about_a_map() -> None:
    class Engine:
        def run(self, inputs, wanted):
            assert wanted == ("grid",)
            for key, pixels in inputs:
                yield key, {"grid": np.full((512, 2, 2), pixels.mean(), np.float32)}

    maps = feature_maps(TONE)
    rows = bottleneck_features(maps, Engine())
    assert rows.shape == (len(maps), 2_048)
    np.testing.assert_allclose(rows[:, 0], maps.mean((1, 2, 3)), rtol=1e-5)
    assert bottleneck_features(maps[:0], Engine()).shape == (0, 2_048)


def test_a_machine_without_librosa_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    from headstart.errors import MissingExtraError

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "librosa" else real(name))
    with pytest.raises(MissingExtraError, match="librosa"):
        feature_maps(TONE)
