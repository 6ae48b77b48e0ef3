"""Fingerprints of sounds: what sounds alike gets 64-bit numbers that differ in few bits."""

from __future__ import annotations

import numpy as np

from headstart.audio.decode import Wave
from headstart.audio.mel import log_mel
from headstart.backbones.card import Waves

_COARSE = Waves(hop=80, window=400, fft=512, bands=32, lowest=100, highest=3800, rate=8000, offset=1e-6)
_SIDE = 8
_SILENT = 1e-3
"""Share of the loudest sample below which a beginning or end is silence: −60 dB."""


def fingerprint(wave: Wave) -> int:
    """Return a hash of the coarse spectrogram: in which of 8 × 8 cells the spectrum's slope grows.

    Silence at either end is left out. Coding, resampling and loudness change few bits.

    Args:
        wave: Samples at 8,000 a second, float32 [samples].

    Returns:
        A 64-bit unsigned integer.

    References:
        Haitsma and Kalker, "A highly robust audio fingerprinting system", ISMIR 2002, for the differences.

    Example:
        >>> wave = np.sin(np.arange(8000) ** 1.3 / 50).astype(np.float32)
        >>> fingerprint(wave) == fingerprint(wave / 3)
        True
    """
    loudest = max(float(np.abs(wave).max(initial=0)), 1e-9)
    heard = np.flatnonzero(np.abs(wave) > _SILENT * loudest)
    if len(heard):
        wave = wave[heard[0] : heard[-1] + 1]
    if len(wave) < _COARSE.samples(_SIDE + 1):
        wave = np.pad(wave, (0, _COARSE.samples(_SIDE + 1) - len(wave)))
    magnitudes = np.exp(log_mel(wave / loudest, _COARSE))
    times = np.array_split(magnitudes, _SIDE + 1)
    cells = np.log([[band.mean() for band in np.array_split(part.mean(0), _SIDE + 1)] for part in times])
    bits = np.diff(np.diff(cells, axis=0), axis=1) > 0
    return int.from_bytes(np.packbits(bits.ravel()).tobytes(), "big")
