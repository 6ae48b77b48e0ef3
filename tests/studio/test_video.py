"""Frames go into a video and come out again; what is broken is said, never half written."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from headstart.errors import DataError, DecodeError, MissingExtraError, OptionError
from headstart.studio.video import check_video_name, is_video, read_video, write_video

Pixels = NDArray[np.uint8]


def moving(count: int = 6, height: int = 48, width: int = 64) -> list[Pixels]:
    """A bright square that wanders over a ramp."""
    frames = []
    for number in range(count):
        frame = np.zeros((height, width, 3), np.uint8)
        frame[..., 0] = np.linspace(0, 200, width).astype(np.uint8)
        frame[8:24, 4 + 4 * number : 20 + 4 * number] = (40, 220, 60)
        frames.append(frame)
    return frames


@pytest.mark.parametrize(("ending", "within"), [(".mp4", 6.0), (".gif", 6.0)])
def test_what_is_written_is_read_again(tmp_path: Path, ending: str, within: float) -> None:
    frames = moving()
    path = tmp_path / f"clip{ending}"
    write_video(path, iter(frames), fps=10)
    video = read_video(path)
    found = list(video)
    assert video.fps == pytest.approx(10, abs=0.01)
    assert video.count == len(found) == len(frames)
    for frame, wanted in zip(found, frames, strict=True):
        assert frame.dtype == np.uint8
        assert frame.shape == wanted.shape
        assert np.abs(frame.astype(float) - wanted).mean() < within
    # the square is where it was
    for number, frame in enumerate(found):
        assert frame[16, 12 + 4 * number, 1] > 180
        assert frame[16, 60, 1] < 60


@settings(max_examples=6, deadline=None)
@given(st.integers(1, 21), st.integers(1, 21))
def test_an_odd_side_gets_a_line_more(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int
) -> None:
    path = tmp_path_factory.mktemp("odd") / "small.mp4"
    write_video(path, [np.full((height, width, 3), 130, np.uint8)] * 2)
    found = list(read_video(path))
    assert {frame.shape for frame in found} == {(height + height % 2, width + width % 2, 3)}
    assert all(np.abs(frame.astype(int) - 130).max() <= 4 for frame in found)


def test_frames_are_taken_and_given_one_at_a_time(tmp_path: Path) -> None:
    taken: list[int] = []

    def frames() -> Iterator[Pixels]:
        for number, frame in enumerate(moving(40)):
            taken.append(number)
            yield frame

    path = tmp_path / "clip.mp4"
    write_video(path, frames())
    assert len(taken) == 40
    video = read_video(path)
    first = next(iter(video))
    assert first.shape == (48, 64, 3)
    video.frames.close()  # and the rest is not decoded


@pytest.mark.parametrize("ending", [".mp4", ".gif"])
def test_no_frames_leave_nothing_behind(tmp_path: Path, ending: str) -> None:
    with pytest.raises(DataError, match="at least one frame"):
        write_video(tmp_path / f"none{ending}", [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".mp4", ".gif"])
def test_a_frame_that_fails_leaves_the_older_video(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"clip{ending}"
    path.write_bytes(b"older")

    def frames() -> Iterator[Pixels]:
        yield from moving(3)
        raise DecodeError("a frame", "none", "look")

    with pytest.raises(DecodeError):
        write_video(path, frames())
    assert path.read_bytes() == b"older"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_sound_of_another_video_comes_along(tmp_path: Path) -> None:
    tone = np.sin(np.arange(16_000) / 8).astype(np.float32) / 2
    soundfile.write(tmp_path / "tone.wav", tone, 16_000)
    write_video(tmp_path / "heard.mp4", moving(10), fps=10, sound=tmp_path / "tone.wav")
    write_video(tmp_path / "copy.mp4", moving(10), fps=10, sound=tmp_path / "heard.mp4")
    write_video(tmp_path / "silent.mp4", moving(10), fps=10)
    write_video(tmp_path / "quiet.mp4", moving(10), fps=10, sound=tmp_path / "silent.mp4")  # it has none
    for name in ("heard", "copy"):
        assert b"mp4a" in (tmp_path / f"{name}.mp4").read_bytes()
    for name in ("silent", "quiet"):
        assert b"mp4a" not in (tmp_path / f"{name}.mp4").read_bytes()
        assert len(list(read_video(tmp_path / f"{name}.mp4"))) == 10
    assert len(list(read_video(tmp_path / "copy.mp4"))) == 10


def test_frames_of_two_sizes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one size"):
        write_video(tmp_path / "clip.gif", [*moving(2), np.zeros((4, 4, 3), np.uint8)])


def test_names_and_speeds_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"\.mp4 or \.gif"):
        check_video_name(tmp_path / "clip.png")
    for fps in (0, -1, 1000):
        with pytest.raises(OptionError, match="frames per second"):
            write_video(tmp_path / "clip.gif", moving(2), fps=fps)
    assert is_video(Path("Holiday.MOV"))
    assert not is_video(Path("photo.jpg"))


@pytest.mark.parametrize("name", ["broken.mp4", "broken.gif"])
@pytest.mark.parametrize("content", [b"", b"not a video at all" * 20])
def test_what_is_no_video(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DecodeError):
        list(read_video(path))
    with pytest.raises(DecodeError, match="no file"):
        read_video(tmp_path / "absent.mp4")


def test_a_video_without_its_index_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, moving(20))
    content = path.read_bytes()
    path.write_bytes(content[:400])
    with pytest.raises(DecodeError, match="whole video"):
        list(read_video(path))


def test_damage_in_the_middle_is_said(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (24, 64, 96, 3)).astype(np.uint8)
    write_video(path, list(noise))
    content = bytearray(path.read_bytes())
    third = len(content) // 3
    content[third : 2 * third] = bytes([255]) * third
    path.write_bytes(content)
    with pytest.raises(DecodeError, match="whole video"):
        list(read_video(path))


def test_a_gif_that_breaks_off(tmp_path: Path) -> None:
    path = tmp_path / "clip.gif"
    write_video(path, moving(8))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DecodeError):
        list(read_video(path))


def test_a_gif_whose_frames_stay_for_unequal_times_comes_at_an_even_speed(tmp_path: Path) -> None:
    path = tmp_path / "clip.gif"
    dark, light = (np.full((8, 8, 3), grey, np.uint8) for grey in (10, 240))
    write_video(path, [dark, dark, dark, light], fps=10)  # Pillow keeps the first three as one long frame
    video = read_video(path)
    assert video.fps == pytest.approx(10 / video.count * 4)
    seen = [int(frame[0, 0, 0]) > 100 for frame in video]
    assert len(seen) == video.count
    assert sum(seen) * 3 == len(seen) - sum(seen)


def test_a_still_gif_is_a_video_of_one_frame(tmp_path: Path) -> None:
    Image.new("RGB", (5, 4), "red").save(tmp_path / "still.gif")
    assert [frame.shape for frame in read_video(tmp_path / "still.gif")] == [(4, 5, 3)]


def test_without_the_extra_the_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(MissingExtraError, match=r"headstart\[video\]"):
        write_video(tmp_path / "clip.mp4", moving(2))
    write_video(tmp_path / "clip.gif", moving(2))
