"""Spoken digits (FSDD) as rows of numbers: statistics of log-mel spectra, no network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.signal import stft

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
RATE = 8000
_BANDS, _PARTS = 32, 5


def voices(folder: Path, speaker: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return a row for each recording of a speaker, float32 [n, d], and the digits, int [n]."""
    import soundfile

    paths = sorted(folder.glob(f"*_{speaker}_*.flac"))
    rows = [statistics(soundfile.read(path)[0]) for path in paths]
    return np.stack(rows), np.array([int(path.name[0]) for path in paths])


def statistics(sound: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return cepstra, averaged over five parts of equal length, with their spread over all."""
    _, _, spectrum = stft(sound, RATE, nperseg=200, noverlap=120, nfft=256)
    bands = np.log(mel(np.abs(spectrum.T) ** 2) + 1e-8)
    cepstra = dct(bands, norm="ortho")[:, :16]
    parts = np.array_split(cepstra, _PARTS)
    means = [part.mean(0) for part in parts if len(part)]
    return np.concatenate([*means, cepstra.std(0)]).astype(np.float32)


def mel(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the power in bands of equal width to the ear, from [frames, frequencies] to [frames, bands]."""
    frequency = np.linspace(0, RATE / 2, power.shape[1])
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + RATE / 1400), _BANDS + 2) / 2595) - 1)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    weight = np.clip(
        np.minimum((frequency - low) / (middle - low), (high - frequency) / (high - middle)), 0, 1
    )
    return power @ weight.T
