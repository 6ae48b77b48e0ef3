"""The log-mel front end against librosa's, on the same frames."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.audio import mel
from headstart.backbones.card import Waves

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    librosa = pytest.importorskip("librosa")

SPEC = Waves()
BEFORE = (SPEC.fft - SPEC.window) // 2
"""librosa lays a window of 400 samples into the middle of a frame of 512."""


def as_librosa(wave: np.ndarray, spec: Waves) -> np.ndarray:
    padded = np.pad(wave, (BEFORE, spec.fft - spec.window - BEFORE))
    found = librosa.feature.melspectrogram(
        y=padded, sr=spec.rate, n_fft=spec.fft, hop_length=spec.hop, win_length=spec.window, center=False,
        power=1.0, n_mels=spec.bands, fmin=spec.lowest, fmax=spec.highest, htk=True, norm=None,
    )  # fmt: skip
    return np.log(found.T + spec.offset)


def librosa_weights(spec: Waves) -> np.ndarray:
    return librosa.filters.mel(
        sr=spec.rate, n_fft=spec.fft, n_mels=spec.bands, fmin=spec.lowest, fmax=spec.highest,
        htk=True, norm=None,
    ).T  # fmt: skip


@settings(deadline=None, max_examples=15)
@given(samples=st.integers(400, 12_000), seed=st.integers(0, 9), loud=st.floats(1e-3, 1))
def test_it_is_librosa_on_librosas_triangles(samples: int, seed: int, loud: float) -> None:
    wave = (loud * np.random.default_rng(seed).normal(0, 0.3, samples)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mel, "mel_weights", librosa_weights)
        ours = mel.log_mel(wave, SPEC)
    theirs = as_librosa(wave, SPEC)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_triangles_differ_only_in_how_their_sides_bend() -> None:
    """YAMNet learned with TensorFlow's, straight in mel; librosa's are straight in hertz."""
    ours, theirs = mel.mel_weights(SPEC), librosa_weights(SPEC)
    assert ((ours > 0) == (theirs > 1e-7)).mean() > 0.999
    assert np.abs(ours - theirs).max() < 0.05
    wide = theirs.max(0) > 0.8
    assert (ours.argmax(0) == theirs.argmax(0))[wide].mean() > 0.95
    wave = np.random.default_rng(0).normal(0, 0.3, 16_000).astype(np.float32)
    assert np.abs(mel.log_mel(wave, SPEC) - as_librosa(wave, SPEC)).mean() < 0.05
