"""Noise with a short tone at a known moment and pitch, and a model that tells it from noise alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import headstart as hs
from toy_sounds import RATE, encoded

LENGTH = 0.4
"""Seconds of the tone."""


def burst(
    number: int, at: float | None = None, hertz: float = 700.0, seconds: float = 2.0
) -> NDArray[np.float32]:
    """Return noise with a tone from second `at` on, or noise alone, float32 [samples] at 16 kHz."""
    generator = np.random.default_rng(number)
    time = np.arange(round(seconds * RATE)) / RATE
    wave = generator.normal(0, 0.02, len(time))
    if at is not None:
        wave += 0.3 * np.sin(2 * np.pi * hertz * time) * ((time >= at) & (time < at + LENGTH))
    return wave.astype(np.float32)


def fit_bursts(folder: Path, each: int = 14) -> hs.Model:
    """Fit a model of "noise" and "tone"."""
    for label in ("noise", "tone"):
        (folder / label).mkdir(parents=True)
        for number in range(each):
            generator = np.random.default_rng(number)
            at = None if label == "noise" else float(generator.uniform(0, 2 - LENGTH))
            wave = burst(number, at, float(generator.uniform(600, 900)))
            (folder / label / f"{number:02d}.wav").write_bytes(encoded(wave))
    return hs.fit(folder)
