"""Log-mel spectrograms: what most networks for sounds hear instead of the wave. NumPy alone."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from headstart.backbones.card import Waves

Wave = NDArray[np.float32]


def log_mel(wave: NDArray[np.floating], spec: Waves) -> NDArray[np.float32]:
    """Return the logarithm of the mel spectrogram.

    Args:
        wave: Samples from -1 to 1 at `spec.rate`, float [samples]. What is no whole frame at the end is left.
        spec: What to compute.

    Returns:
        float32 [frames, bands].

    References:
        Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017.

    Example:
        >>> log_mel(np.zeros(16000, np.float32), Waves()).shape
        (98, 64)
    """
    wave = np.ascontiguousarray(wave, np.float32)
    if not spec.frames(len(wave)):
        return np.empty((0, spec.bands), np.float32)
    framed = np.lib.stride_tricks.sliding_window_view(wave, spec.window)[:: spec.hop]
    hann, weights = _hann(spec.window), mel_weights(spec)
    magnitude = np.abs(np.fft.rfft(framed * hann, spec.fft, axis=1))
    return np.asarray(np.log(magnitude @ weights + np.float32(spec.offset)))


@cache
def mel_weights(spec: Waves) -> NDArray[np.float32]:
    """Return what each frequency counts in each band, float32 [fft / 2 + 1, bands].

    Triangles whose corners lie evenly on the mel scale, and whose sides are straight on it, as in TensorFlow;
    the constant part belongs to none.
    """
    frequencies = np.linspace(0, spec.rate / 2, spec.fft // 2 + 1)
    mel = hertz_to_mel(frequencies)[:, None]
    corners = np.linspace(hertz_to_mel(spec.lowest), hertz_to_mel(spec.highest), spec.bands + 2)
    left, middle, right = corners[:-2], corners[1:-1], corners[2:]
    weights = np.maximum(0, np.minimum((mel - left) / (middle - left), (right - mel) / (right - middle)))
    weights[0] = 0
    return np.asarray(weights, np.float32)


def hertz_to_mel(hertz: NDArray[np.floating] | float) -> NDArray[np.float64]:
    """Return frequencies on the mel scale, in HTK's formula.

    Example:
        >>> round(float(hertz_to_mel(1000.0)), 2)
        999.99
    """
    return 1127.0 * np.log1p(np.asarray(hertz, np.float64) / 700.0)


@cache
def _hann(length: int) -> NDArray[np.float32]:
    """Return a periodic Hann window."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)
