"""Spectrograms: what most networks for sounds hear instead of the wave. NumPy alone."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from headstart.backbones.card import Waves

Wave = NDArray[np.float32]
Scale = Literal["htk", "slaney"]
_PREEMPHASIS = 0.97
_KALDI_FLOOR, _WHISPER_FLOOR = float(np.finfo(np.float32).eps), 1e-10
_ALONE = 1 << 18
"""Multiplications up to which OpenBLAS keeps to one thread; in two, five seconds took 7.6 ms, not 0.2."""
_WHISPER_RANGE = 8.0
"""Decades below the loudest value of a patch that are told apart."""


def log_mel(wave: NDArray[np.floating], spec: Waves) -> NDArray[np.float32]:
    """Return the frames of a wave as `spec.front` wants them.

    "yamnet" is the natural logarithm of mel bands of the magnitude, with an offset; "ast" that of the power,
    of frames without their mean and with preemphasis, as in Kaldi; "whisper" the decimal one of the power in
    Slaney's bands. For "wave" a frame is a sample.

    Args:
        wave: Samples from -1 to 1 at `spec.rate`, float [samples]. What is no whole frame at the end is left.
        spec: What to compute.

    Returns:
        float32 [frames, bands].

    References:
        Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017; Gong et al.,
        "AST", Interspeech 2021; Radford et al., "Robust speech recognition", ICML 2023 (Whisper).

    Example:
        >>> log_mel(np.zeros(16000, np.float32), Waves()).shape
        (98, 64)
    """
    wave = np.ascontiguousarray(wave, np.float32)
    if spec.front == "wave":
        return wave[:, None]
    if not spec.frames(len(wave)):
        return np.empty((0, spec.bands), np.float32)
    framed = np.lib.stride_tricks.sliding_window_view(wave, spec.window)[:: spec.hop]
    if spec.front == "ast":
        framed = framed - framed.mean(1, keepdims=True)
        before = np.concatenate([framed[:, :1], framed[:, :-1]], 1)
        framed = framed - np.float32(_PREEMPHASIS) * before
    hann = _hann(spec.window, periodic=spec.front != "ast")
    spectrum = np.fft.rfft(framed * hann, spec.fft, axis=1)
    bands = np.asarray(spectrum.real**2 + spectrum.imag**2, np.float32)
    if spec.front == "yamnet":
        np.sqrt(bands, out=bands)  # np.abs, which also guards against overflow, takes five times as long
    bands = _multiply(bands, mel_weights(spec))
    if spec.front == "yamnet":
        return np.asarray(np.log(bands + np.float32(spec.offset)))
    if spec.front == "ast":
        return np.asarray(np.log(np.maximum(bands, _KALDI_FLOOR)), np.float32)
    return np.asarray(np.log10(np.maximum(bands, _WHISPER_FLOOR)), np.float32)


def _multiply(rows: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows @ weights in blocks for which BLAS starts no threads: they wait longer than they work."""
    size = max(1, _ALONE // weights.size)
    parts = [rows[start : start + size] @ weights for start in range(0, len(rows), size)]
    return np.concatenate(parts)


def whole_patch(frames: NDArray[np.float32], spec: Waves) -> NDArray[np.float32]:
    """Return a patch of full length as the network wants it.

    Args:
        frames: float32 [n, bands]; n is less than `spec.size` where the whole sound is shorter.
        spec: What a patch is.

    Returns:
        float32 [size, bands]: filled up with the quietest values ("yamnet") or with silence; of "whisper"
        without what is far below the loudest, of "wave" with mean 0 and variance 1.
    """
    missing = spec.size - len(frames)
    if spec.front == "wave":
        scaled = (frames - frames.mean()) / np.sqrt(frames.var() + 1e-7)
        return np.asarray(np.pad(scaled, ((0, missing), (0, 0))), np.float32)
    silence = {
        "yamnet": frames.min(0),
        "ast": np.zeros(spec.bands, np.float32),
        "whisper": np.full(spec.bands, np.log10(_WHISPER_FLOOR), np.float32),
    }[spec.front]
    if missing:
        frames = np.concatenate([frames, np.broadcast_to(silence, (missing, spec.bands))])
    return np.maximum(frames, frames.max() - _WHISPER_RANGE) if spec.front == "whisper" else frames


@cache
def mel_weights(spec: Waves) -> NDArray[np.float32]:
    """Return what each frequency counts in each band, float32 [fft / 2 + 1, bands].

    Triangles whose corners lie evenly on the mel scale. Those of "yamnet" and "ast" have sides that are
    straight on it, as in TensorFlow and Kaldi, and the constant part belongs to none; those of "whisper" are
    straight in hertz and of equal area, as in Slaney's toolbox.
    """
    frequencies = np.linspace(0, spec.rate / 2, spec.fft // 2 + 1)
    scale: Scale = "slaney" if spec.front == "whisper" else "htk"
    low, high = hertz_to_mel(spec.lowest, scale), hertz_to_mel(spec.highest, scale)
    corners = np.linspace(low, high, spec.bands + 2)
    if scale == "htk":
        places = hertz_to_mel(frequencies)[:, None]
    else:
        places, corners = frequencies[:, None], _slaney_to_hertz(corners)
    left, middle, right = corners[:-2], corners[1:-1], corners[2:]
    weights = np.maximum(
        0, np.minimum((places - left) / (middle - left), (right - places) / (right - middle))
    )
    if scale == "slaney":
        weights *= 2 / (right - left)
    weights[0] = 0
    return np.asarray(weights, np.float32)


def band_centres(spec: Waves) -> NDArray[np.float64]:
    """Return the frequency in the middle of each band, float64 [bands], in Hz.

    Example:
        >>> band_centres(Waves()).round()[[0, -1]]
        array([ 155., 7215.])
    """
    scale: Scale = "slaney" if spec.front == "whisper" else "htk"
    low, high = hertz_to_mel(spec.lowest, scale), hertz_to_mel(spec.highest, scale)
    middles = np.linspace(low, high, spec.bands + 2)[1:-1]
    return _slaney_to_hertz(middles) if scale == "slaney" else 700.0 * np.expm1(middles / 1127.0)


_BEND, _BEND_MEL, _STEP = 1000.0, 15.0, 27 / np.log(6.4)


def hertz_to_mel(hertz: NDArray[np.floating] | float, scale: Scale = "htk") -> NDArray[np.float64]:
    """Return frequencies on the mel scale, in HTK's formula or in that of Slaney's toolbox.

    Example:
        >>> round(float(hertz_to_mel(1000.0)), 2), float(hertz_to_mel(1000.0, "slaney"))
        (999.99, 15.0)
    """
    values = np.asarray(hertz, np.float64)
    if scale == "htk":
        return 1127.0 * np.log1p(values / 700.0)
    bent = _BEND_MEL + np.log(np.maximum(values, _BEND) / _BEND) * _STEP
    return np.where(values < _BEND, values * 3 / 200, bent)


def _slaney_to_hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < _BEND_MEL, mel * 200 / 3, _BEND * np.exp((mel - _BEND_MEL) / _STEP))


@cache
def _hann(length: int, *, periodic: bool) -> NDArray[np.float32]:
    turns = np.arange(length) / (length if periodic else length - 1)
    return (0.5 - 0.5 * np.cos(2 * np.pi * turns)).astype(np.float32)
