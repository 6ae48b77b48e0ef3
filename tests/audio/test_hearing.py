"""Patches of sounds that come in parts, in memory that stays flat."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.audio.decode import Recording, decode, read_bytes
from headstart.audio.hearing import cut, hear, heard, sounding, spectrogram
from headstart.audio.mel import log_mel
from headstart.backbones.card import Waves

SPEC = Waves()


def encoded(wave: np.ndarray, rate: int = 16_000) -> bytes:
    soundfile.write(file := io.BytesIO(), wave, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(1, 400),
    length=st.integers(1, 100),
    step=st.integers(1, 100),
    cuts=st.lists(st.integers(1, 399), max_size=5),
)
def test_every_frame_is_in_a_window_however_the_frames_come(
    count: int, length: int, step: int, cuts: list[int]
) -> None:
    step = min(step, length)
    frames = np.arange(count, dtype=np.float32)[:, None] + np.zeros(3, np.float32)
    places = sorted({0, count, *(place for place in cuts if place < count)})
    found = np.stack(list(cut((frames[a:b] for a, b in pairwise(places)), length, step)))
    assert found.shape[1:] == (min(length, count), 3)
    assert set(np.unique(found[..., 0])) == set(range(count))
    np.testing.assert_array_equal(found, np.stack(list(cut([frames], length, step))))
    starts = found[:, 0, 0]
    if count >= length:
        assert (starts[:-1] == np.arange(len(starts) - 1) * step).all()
        assert starts[-1] + length <= count


@settings(deadline=None, max_examples=25)
@given(samples=st.integers(0, 20_000), cuts=st.lists(st.integers(1, 19_999), max_size=6))
def test_a_wave_in_parts_has_the_spectrogram_of_the_whole(samples: int, cuts: list[int]) -> None:
    wave = noise(samples)
    places = sorted({0, samples, *(place for place in cuts if place < samples)})
    parts = np.concatenate(list(spectrogram((wave[a:b] for a, b in pairwise(places)), SPEC)))
    if samples >= SPEC.window:
        np.testing.assert_allclose(parts, log_mel(wave, SPEC), atol=1e-5)
    else:
        assert parts.shape == (1, 64)


@pytest.mark.parametrize(("seconds", "patches"), [(0.001, 1), (0.5, 1), (0.975, 1), (0.99, 2), (5.0, 10)])
def test_the_patches_of_a_clip(seconds: float, patches: int) -> None:
    found = heard(encoded(noise(round(16_000 * seconds))), SPEC)
    assert len(found) == patches
    assert all(patch.shape == (96, 64) for patch in found)


def test_of_a_long_recording_evenly_spread_patches_are_heard() -> None:
    spec = Waves(rows=7)
    content = encoded(noise(16_000 * 30))
    every, some = list(hear(content, spec)), heard(content, spec)
    assert len(some) == 7
    np.testing.assert_array_equal(some[0], every[0])
    np.testing.assert_array_equal(some[-1], every[-1])


def test_hours_of_sound_need_no_more_memory_than_minutes(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    block = noise(8_000 * 60)
    with soundfile.SoundFile(path, "w", 8_000, 2, "PCM_16") as file:
        for _ in range(60):
            file.write(np.stack([block, block], 1))
    content = read_bytes(path)  # an hour: 115 MB
    assert isinstance(content, np.memmap)
    next(hear(content, SPEC))
    before = held()
    count = sum(1 for _ in hear(content, SPEC))
    assert count == 7_499
    assert held() - before < 64 << 20
    assert len(heard(content, SPEC)) == SPEC.rows


def held() -> int:
    """Return the bytes that belong to this process alone."""
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in each)
    return int(line.split()[1]) * 1024


def test_a_recording_can_be_read_twice() -> None:
    with Recording(encoded(noise(30_000), 8_000)) as recording:
        first = np.concatenate(list(recording.waves(16_000)))
        np.testing.assert_array_equal(first, np.concatenate(list(recording.waves(16_000))))
        assert len(first) == 60_000
    assert len(decode(encoded(noise(30_000), 8_000), 16_000, 1.5).wave) == 24_000


def test_silence_is_left_out_unless_there_is_nothing_else() -> None:
    clip = np.concatenate([noise(16_000), np.zeros(64_000, np.float32)])
    some, every = heard(encoded(clip), SPEC), list(hear(encoded(clip), SPEC))
    assert len(every) == 10
    assert len(some) == 3  # what begins before the end of the noise
    np.testing.assert_array_equal(some, every[:3])
    late = heard(encoded(clip[::-1].copy()), SPEC)
    assert 2 <= len(late) <= 3
    assert len(heard(encoded(np.zeros(80_000, np.float32)), SPEC)) == 10
    assert len(heard(encoded(clip * 0.005), SPEC)) == 10  # all of it is too soft to tell


@settings(deadline=None, max_examples=25)
@given(pieces=st.lists(st.tuples(st.integers(1, 40_000), st.booleans()), min_size=1, max_size=5))
def test_the_patches_in_which_something_sounds_are_those_that_are_heard(
    pieces: list[tuple[int, bool]],
) -> None:
    wave = np.concatenate([noise(count) * sounds for count, sounds in pieces])
    every, flags = list(hear(encoded(wave), SPEC)), sounding(encoded(wave), SPEC)
    assert len(flags) == len(every)
    np.testing.assert_array_equal(np.stack(heard(encoded(wave), SPEC)), np.stack(every)[flags])
