"""What is measured of recordings, against signals whose figures are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.audio.measures import measure

RATE = 8_000


def sine(seconds: float = 1.0, loud: float = 0.5) -> np.ndarray:
    time = np.arange(round(RATE * seconds)) / RATE
    return (loud * np.sin(2 * np.pi * 200 * time)).astype(np.float32)[:, None]


def test_a_sine() -> None:
    found = measure([sine()], RATE)
    assert found["peak"] == pytest.approx(0.5, abs=1e-3)
    assert found["level"] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.1)
    assert (found["channels"], found["clipped"], found["silent"]) == (1, 0, 0)
    assert found["offset"] == pytest.approx(0, abs=1e-4)


def test_half_of_it_silent() -> None:
    wave = np.concatenate([sine(), np.zeros((RATE, 1), np.float32)])
    assert measure([wave], RATE)["silent"] == pytest.approx(0.5, abs=0.01)
    assert measure([0 * wave], RATE)["silent"] == 1
    assert measure([0 * wave], RATE)["level"] == -120


def test_clipping_is_what_stays_at_full_scale() -> None:
    clipped = np.clip(sine(loud=2.0), -1, 1)
    expected = float((np.abs(clipped) >= 0.999).mean())
    assert measure([clipped], RATE)["clipped"] == pytest.approx(expected, abs=0.01)
    assert expected > 0.5
    touching = sine(loud=0.5)
    touching[100] = 1.0  # normalised to its peak, which is not clipping
    touching[300] = -1.0
    touching[301] = 1.0  # from one side to the other neither
    found = measure([touching], RATE)
    assert (found["clipped"], found["peak"]) == (0, 1)


def test_the_channel_that_is_furthest_off() -> None:
    both = np.concatenate([sine(), sine() - 0.1], axis=1)
    found = measure([both], RATE)
    assert found["channels"] == 2
    assert found["offset"] == pytest.approx(0.1, abs=1e-3)


@settings(deadline=None, max_examples=25)
@given(cuts=st.lists(st.integers(1, 99), max_size=4), gain=st.floats(0.01, 3))
def test_blocks_do_not_matter(cuts: list[int], gain: float) -> None:
    generator = np.random.default_rng(0)
    wave = np.clip(gain * generator.normal(0, 0.3, (16_000, 2)), -1, 1).astype(np.float32)
    places = [160 * cut for cut in sorted(set(cuts))]  # whole frames
    parts = measure(np.split(wave, places), RATE)
    whole = measure([wave], RATE)
    assert parts.keys() == whole.keys()
    for name, value in whole.items():
        assert parts[name] == pytest.approx(value, abs=2e-3), name
