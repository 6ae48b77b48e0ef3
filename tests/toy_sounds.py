"""Synthetic sounds that any network tells apart: what tests of rooms that need a model for sounds share."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 16_000
LABELS = ("clicks", "hiss", "tone")


def toy_sound(label: str, number: int, seconds: float = 2.0) -> NDArray[np.float32]:
    """Return a sound of a class, a different one for each number, float32 [samples] at 16 kHz."""
    generator = np.random.default_rng([number, *label.encode()])
    time = np.arange(round(seconds * RATE)) / RATE
    if label == "hiss":
        wave = generator.normal(0, 0.15, len(time))
    elif label == "tone":
        wave = 0.3 * np.sin(2 * np.pi * generator.uniform(300, 900) * time)
    else:
        wave = np.zeros(len(time))
        wave[:: int(RATE / generator.uniform(4, 9))] = 0.9
        wave = np.convolve(wave, np.hanning(24), "same")
    return (wave + generator.normal(0, 0.003, len(time))).astype(np.float32)


def toy_scene() -> NDArray[np.float32]:
    """Return four seconds of hiss, three of nearly nothing, then four of a tone."""
    quiet = np.random.default_rng(7).normal(0, 0.0005, 3 * RATE).astype(np.float32)
    return np.concatenate([toy_sound("hiss", 51, 4), quiet, toy_sound("tone", 51, 4)])


def encoded(wave: NDArray[np.floating], kind: str = "WAV", rate: int = RATE) -> bytes:
    """Return a sound as a file of some format."""
    soundfile.write(file := io.BytesIO(), wave, rate, format=kind)
    return file.getvalue()


def write_sounds(root: Path, each: int = 10, start: int = 0) -> Path:
    """Write a folder for each class, and return where they are."""
    for label in LABELS:
        (root / label).mkdir(parents=True, exist_ok=True)
        for number in range(start, start + each):
            (root / label / f"{number:02d}.wav").write_bytes(encoded(toy_sound(label, number)))
    return root
