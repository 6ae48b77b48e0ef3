"""The log-mel front end against the formulas, and as sounds have it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.audio.mel import hertz_to_mel, log_mel, mel_weights
from headstart.backbones.card import Waves

SPEC = Waves()


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def slow(wave: np.ndarray, spec: Waves) -> np.ndarray:
    """The definition, frame by frame, in 64 bits, by the discrete Fourier transform itself."""
    n = np.arange(spec.window)
    hann = 0.5 * (1 - np.cos(2 * np.pi * n / spec.window))
    turns = np.exp(-2j * np.pi * np.outer(np.arange(spec.fft // 2 + 1), n) / spec.fft)
    rows = []
    for start in range(0, len(wave) - spec.window + 1, spec.hop):
        magnitude = np.abs(turns @ (wave[start : start + spec.window].astype(np.float64) * hann))
        bands = []
        edges = np.linspace(hertz_to_mel(spec.lowest), hertz_to_mel(spec.highest), spec.bands + 2)
        mel = hertz_to_mel(np.arange(spec.fft // 2 + 1) * spec.rate / spec.fft)
        for left, middle, right in zip(edges, edges[1:], edges[2:], strict=False):
            rising, falling = (mel - left) / (middle - left), (right - mel) / (right - middle)
            bands.append(np.clip(np.minimum(rising, falling), 0, None) @ magnitude)
        rows.append(np.log(np.array(bands) + spec.offset))
    return np.array(rows)


def test_it_is_the_definition() -> None:
    wave = noise(4000)
    np.testing.assert_allclose(log_mel(wave, SPEC), slow(wave, SPEC), atol=1e-4)


def test_a_tone_is_loudest_in_its_own_band() -> None:
    time = np.arange(16_000) / SPEC.rate
    edges = np.linspace(hertz_to_mel(SPEC.lowest), hertz_to_mel(SPEC.highest), SPEC.bands + 2)
    for hertz in (440.0, 1000.0, 4000.0):
        found = log_mel(np.sin(2 * np.pi * hertz * time).astype(np.float32), SPEC).mean(0).argmax()
        assert edges[found] <= hertz_to_mel(hertz) <= edges[found + 2]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 3000), st.integers(1, 5), st.floats(1.5, 50))
def test_shifts_move_frames_and_gains_only_add(samples: int, hops: int, gain: float) -> None:
    wave = noise(SPEC.window + samples + hops * SPEC.hop)
    moved = log_mel(wave[hops * SPEC.hop :], SPEC)
    np.testing.assert_allclose(moved, log_mel(wave, SPEC)[hops:], atol=1e-5)
    quiet = Waves(offset=0.0)
    np.testing.assert_allclose(log_mel(gain * wave, quiet), log_mel(wave, quiet) + np.log(gain), atol=1e-3)


@given(st.integers(0, 20_000))
@settings(deadline=None, max_examples=30)
def test_the_number_of_frames_is_known_before(samples: int) -> None:
    found = log_mel(np.zeros(samples, np.float32), SPEC)
    assert len(found) == SPEC.frames(samples)
    assert np.allclose(found, np.log(1e-3))
    assert SPEC.samples(SPEC.frames(samples)) <= samples


def test_the_weights_are_triangles_that_leave_the_constant_part_out() -> None:
    weights = mel_weights(SPEC)
    assert weights.shape == (257, 64)
    assert not weights[0].any()
    assert weights.max() <= 1
    assert (weights[:, 10:].sum(0) > 0).all()
