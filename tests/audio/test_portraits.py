"""Pictures of sounds: that they are drawn, and show what there is."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from headstart.audio.portraits import _decibels, _mean, mean_pictures, portrait
from headstart.errors import DecodeError

RATE = 16_000
TIME = np.arange(2 * RATE) / RATE
TONE = 0.4 * np.sin(2 * np.pi * 440 * TIME)
CLICKS = np.zeros_like(TONE)
CLICKS[RATE // 8 :: RATE // 4] = 0.9


def encoded(wave: np.ndarray, rate: int = RATE) -> bytes:
    soundfile.write(file := io.BytesIO(), wave, rate, format="WAV")
    return file.getvalue()


@pytest.mark.parametrize(
    ("wave", "rate"),
    [(TONE, RATE), (TONE[:3], RATE), (0 * TONE, RATE), (np.stack([TONE, CLICKS], 1), 8_000), (TONE, 96_000)],
)
def test_any_sound_is_drawn(wave: np.ndarray, rate: int) -> None:
    image = Image.open(io.BytesIO(portrait(encoded(wave, rate))))
    assert image.size[0] > 800
    assert np.asarray(image).std() > 5


def test_what_is_no_sound_is_refused() -> None:
    with pytest.raises(DecodeError):
        portrait(b"dear reader")


def test_tones_are_harmonic_and_clicks_percussive() -> None:
    def parts(wave: np.ndarray) -> dict[str, float]:
        spectra, _ = _decibels(wave.astype(np.float32), RATE, 1024)
        return {name: float(np.mean(10 ** (picture / 10))) for name, picture in spectra.items()}

    tone, clicks = parts(TONE), parts(CLICKS)
    assert tone["harmonic"] > 5 * tone["percussive"]
    assert clicks["percussive"] > 5 * clicks["harmonic"]


def test_the_note_is_in_the_chromagram() -> None:
    chroma = _decibels(TONE.astype(np.float32), RATE, 2048)[1]
    assert (chroma.argmax(0)[4:-4] == 9).all()  # 440 Hz is A


def test_the_mean_lays_sounds_on_each_other() -> None:
    quiet = np.random.default_rng(0).normal(0, 1e-3, 3 * RATE)
    sounds = []
    for start in (0.1, 1.0, 2.5):
        wave = quiet.copy()
        wave[round(start * RATE) :][: RATE // 10] += TONE[: RATE // 10]
        sounds.append(encoded(wave))
    mean = _mean(sounds)
    assert mean is not None
    assert np.isfinite(mean).all()
    assert np.isnan(_mean([encoded(TONE[: RATE // 2])])[-20:]).all()
    loudest = np.exp(mean).sum(1)
    assert loudest.argmax() == pytest.approx(40, abs=6)
    assert loudest.max() > 10 * np.median(loudest)
    assert _mean([]) is None


def test_a_picture_for_each_class() -> None:
    classes = {f"class {n}": [encoded(TONE[: 2_000 * (n + 1)])] for n in range(7)}
    image = Image.open(io.BytesIO(mean_pictures(classes)))
    assert image.size[1] > Image.open(io.BytesIO(mean_pictures({"one": [encoded(CLICKS)]}))).size[1]
    assert mean_pictures({})[:2] == b"\xff\xd8"
