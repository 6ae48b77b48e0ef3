"""The picture of a timeline: the sound above, bars below it, where they belong."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from headstart.audio.decode import read_bytes
from headstart.audio.timeline import Segment, Timeline
from headstart.audio.timeline_picture import draw
from toy_sounds import encoded, toy_scene


def told(seconds: float, *found: Segment) -> Timeline:
    return Timeline("x", seconds, found, ("hiss", "tone"), np.zeros(1), 0.975, np.zeros((1, 2)))


def bars(picture: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int]:
    """First and last column in which a colour fills most of a bar's height."""
    columns = np.flatnonzero((picture == colour).all(2).sum(0) >= 10)
    return int(columns[0]), int(columns[-1])


def test_bars_are_where_the_sound_is() -> None:
    timeline = told(11.0, Segment(0.0, 4.0, "hiss", 1.0), Segment(7.0, 11.0, "tone", 1.0))
    picture = np.asarray(draw(encoded(toy_scene()), timeline))
    left, right = picture.shape[1] - 24 - 800, picture.shape[1] - 24
    assert bars(picture, (0, 114, 178)) == pytest.approx((left, left + 800 * 4 / 11), abs=3)
    assert bars(picture, (213, 94, 0)) == pytest.approx((left + 800 * 7 / 11, right), abs=3)
    light = picture[12:204, left:right].mean((0, 2))
    loud, quiet = light[100:280].mean(), light[310:480].mean()
    assert loud > 2 * quiet


def test_nothing_heard_is_said_and_many_labels_get_lanes() -> None:
    content = encoded(toy_scene())
    empty = draw(content, told(11.0))
    many = draw(content, told(11.0, *(Segment(k / 10, k / 10 + 1, f"label {k}", 1.0) for k in range(50))))
    assert many.height - empty.height == 29 * 24


@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.5, 2.0])
def test_short_sounds(seconds: float) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, round(44_100 * seconds))
    assert draw(encoded(wave, rate=44_100), told(seconds, Segment(0, seconds, "tone", 1))).width >= 800


def test_a_long_recording_is_no_wider_than_the_most(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 2_000, 1, "PCM_U8") as file:
        for _ in range(5):
            file.write(np.zeros(2_000 * 60))
    picture = draw(read_bytes(path), told(300.0, Segment(0, 1, "tone", 1), Segment(299.9, 300, "hiss", 1)))
    assert 2_400 < picture.width < 2_600
    picture.save(file := io.BytesIO(), "PNG")
    assert len(file.getvalue()) < 200_000
