"""Moving pictures: frames out of a video or an animated GIF, one at a time, and frames into one."""

from __future__ import annotations

import contextlib
import math
import re
import subprocess
import tempfile
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Protocol, cast

import numpy as np
from PIL import Image, ImageSequence

from headstart.errors import DataError, DecodeError, OptionError, StorageError, missing_extra
from headstart.files import atomic_file
from headstart.images.decode import Pixels, open_image

ENDINGS = (".mp4", ".gif")
"""What can be written."""
READABLE = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".gif")
"""What is taken for a video by its name."""
_QUALITY = "18"
"""x264's constant rate factor: brush strokes stay visible."""

_SAMPLE = 96
"""Side of the copy of a frame from which a GIF's palette is taken, in pixels."""


@dataclass(frozen=True, eq=False)
class Video:
    """A video that is being read: it can be gone through once.

    Args:
        fps: Frames per second, float.
        count: About how many frames there are, int; 0 where the file does not say.
        frames: The frames, uint8 [h, w, 3], decoded as they are asked for.
    """

    fps: float
    count: int
    frames: Generator[Pixels, None, None]

    def __iter__(self) -> Iterator[Pixels]:
        return self.frames


def is_video(path: Path) -> bool:
    """Return whether a file is taken for a video by its name."""
    return path.suffix.lower() in READABLE


def check_video_name(path: Path) -> None:
    """Make sure, before long work, that a video can be written under that name.

    Raises:
        OptionError: Its ending is neither .mp4 nor .gif.
        MissingExtraError: It is .mp4, and imageio-ffmpeg is not installed.
    """
    if path.suffix.lower() not in ENDINGS:
        raise OptionError(f"a video named {' or '.join(ENDINGS)}", path.name, "correct the ending")
    if path.suffix.lower() == ".mp4":
        _ffmpeg()


def write_video(path: Path, frames: Iterable[Pixels], fps: float = 12, *, sound: Path | None = None) -> None:
    """Write frames as a video, whole or not at all; they are taken one at a time.

    Args:
        path: Where, an .mp4 (H.264, an odd side gets a line more) or a .gif (which repeats for ever).
        frames: Pictures of one size, uint8 [h, w, 3].
        fps: Frames per second, float. Defaults to 12.
        sound: A video whose sound, if it has any, goes with an .mp4. Defaults to None: no sound.

    Raises:
        DataError: There are no frames, or one is of another size.
        OptionError: Another ending, or no such speed.
        MissingExtraError: imageio-ffmpeg is not installed (.mp4 only).
        StorageError: It cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "fades.gif"
        >>> write_video(path, [np.full((8, 8, 3), grey, np.uint8) for grey in (0, 120, 250)])
        >>> [int(frame[0, 0, 0]) for frame in read_video(path)]
        [0, 120, 250]
    """
    check_video_name(path)
    if not 0 < fps <= 240:
        raise OptionError("a speed above 0 and up to 240 frames per second", f"{fps:g}", "use fps=12")
    pictures = _alike(frames)
    first = next(pictures, None)
    if first is None:
        raise DataError("at least one frame", "none", "give a video or pictures that can be read")
    with atomic_file(path) as temporary:
        if path.suffix.lower() == ".mp4":
            _write_mp4(temporary, chain([first], pictures), fps, sound)
        else:
            _write_gif(temporary, chain([first], pictures), fps)


def read_video(path: Path) -> Video:
    """Open a video or an animated GIF.

    Args:
        path: A file that ffmpeg reads (.mp4, .mov, .webm, …), or a .gif.

    Returns:
        Its speed, and its frames one at a time.

    Raises:
        DecodeError: It is missing, damaged, or no video; a file that breaks off raises when it is reached.
        MissingExtraError: imageio-ffmpeg is not installed (not needed for a .gif).
    """
    if not path.is_file():
        raise DecodeError("a video", f"no file {path.name}", "check the name")
    return _read_gif(path) if path.suffix.lower() == ".gif" else _read_ffmpeg(path)


def _alike(frames: Iterable[Pixels]) -> Iterator[Pixels]:
    shape: tuple[int, ...] | None = None
    for frame in frames:
        shape = shape or frame.shape
        if frame.shape != shape or frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            received = f"{frame.dtype} {list(frame.shape)} after {list(shape)}"
            raise DataError("frames uint8 [h, w, 3] of one size", received, "scale them to one size")
        yield frame


def _write_mp4(path: Path, frames: Iterator[Pixels], fps: float, sound: Path | None) -> None:
    first = _even(next(frames))
    height, width = first.shape[:2]
    command = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:.6g}"]
    command += ["-i", "pipe:0"]
    if sound is not None:
        command += ["-i", f"file:{sound}", "-map", "0:v", "-map", "1:a?", "-c:a", "aac"]
    command += ["-c:v", "libx264", "-crf", _QUALITY, "-pix_fmt", "yuv420p"]
    command += ["-movflags", "+faststart", "-f", "mp4", f"file:{path}"]
    with _running(command, stdin=subprocess.PIPE) as (process, said):
        pipe = cast("IO[bytes]", process.stdin)
        for frame in chain([first], frames):
            try:
                pipe.write(np.ascontiguousarray(_even(frame)).data)
            except OSError as error:  # the pipe breaks when ffmpeg gives up
                raise _not_written(said()) from error
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
        if process.wait():
            raise _not_written(said())


def _not_written(reason: str) -> StorageError:
    return StorageError("a video that ffmpeg writes", reason, "look whether the disk is full")


def _even(frame: Pixels) -> Pixels:
    # H.264 as every player reads it keeps a colour for each 2 × 2 pixels.
    odd = [side % 2 for side in frame.shape[:2]]
    return np.pad(frame, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge") if any(odd) else frame


def _write_gif(path: Path, frames: Iterator[Pixels], fps: float) -> None:
    pictures = (_with_palette(frame) for frame in frames)
    first = next(pictures)
    first.save(
        path, "GIF", save_all=True, append_images=pictures, duration=max(20, round(1000 / fps)), loop=0
    )


def _with_palette(frame: Pixels) -> Image.Image:
    picture = Image.fromarray(frame)
    # Some of the pixels know the colours; all of them, of a painting, take half a second.
    size = (min(picture.width, _SAMPLE), min(picture.height, _SAMPLE))
    some = picture.resize(size, Image.Resampling.NEAREST)
    # Pillow only dithers to a palette that it is given.
    return picture.quantize(palette=some.quantize(256), dither=Image.Dither.FLOYDSTEINBERG)


def _read_gif(path: Path) -> Video:
    content = path.read_bytes()
    with open_image(content) as image:
        # Each frame says how long it stays: at an even speed some come several times.
        waits = [_wait(frame) for frame in _gif_frames(image, path)]
    unit = math.gcd(*waits)
    return Video(1000 / unit, sum(waits) // unit, _repeated(open_image(content), path, unit))


def _repeated(image: Image.Image, path: Path, unit: int) -> Generator[Pixels, None, None]:
    with image:
        for frame in _gif_frames(image, path):
            yield from [np.asarray(frame.convert("RGB"))] * (_wait(frame) // unit)


def _wait(frame: Image.Image) -> int:
    # Hundredths of a second; what says none is shown for a tenth.
    return int(frame.info.get("duration", 0)) // 10 * 10 or 100


def _gif_frames(image: Image.Image, path: Path) -> Iterator[Image.Image]:
    try:
        yield from ImageSequence.Iterator(image)
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        raise _broken(path, str(error)) from error


def _read_ffmpeg(path: Path) -> Video:
    with _running(["-i", f"file:{path}"], level="info") as (process, said):
        process.wait()  # it complains that nothing is to be written, having told what the file holds
        facts = said(whole=True)
    if "Video:" not in facts:
        opened = "Input #0" in facts or not facts.strip()
        raise _broken(path, "no video in it" if opened else facts.strip().splitlines()[-1])
    speed = re.search(r"Video:.*?([\d.]+) (?:fps|tbr)", facts)
    fps = float(speed[1]) if speed and float(speed[1]) else 25.0
    length = re.search(r"Duration: (\d+):(\d+):([\d.]+)", facts)
    seconds = int(length[1]) * 3600 + int(length[2]) * 60 + float(length[3]) if length else 0.0
    return Video(fps, round(fps * seconds), _frames(path, fps))


def _frames(path: Path, fps: float) -> Generator[Pixels, None, None]:
    # Each frame as a PPM says its own size; files of uneven speed come at an even one.
    command = ["-i", f"file:{path}", "-map", "0:v:0", "-r", f"{fps:.6g}"]
    command += ["-f", "image2pipe", "-c:v", "ppm", "pipe:1"]
    found = 0
    with _running(command, stdout=subprocess.PIPE) as (process, said):
        pipe = cast("IO[bytes]", process.stdout)
        while pipe.readline() == b"P6\n":
            width, height = (int(side) for side in pipe.readline().split())
            pipe.readline()  # the largest value, 255
            content = pipe.read(width * height * 3)
            if len(content) < width * height * 3:
                raise _broken(path, f"a break after {found} frames")
            found += 1
            yield np.frombuffer(content, np.uint8).reshape(height, width, 3)
        # Of damage ffmpeg complains, and goes on: what it then gives is not what the video was.
        if process.wait() or not found or said(whole=True):
            raise _broken(path, f"{said()} after {found} frames")


def _broken(path: Path, reason: str) -> DecodeError:
    return DecodeError(f"a whole video in {path.name}", reason, "check that it plays, or get it again")


class _Said(Protocol):
    def __call__(self, whole: bool = False) -> str: ...


@contextlib.contextmanager
def _running(
    command: list[str],
    level: str = "error",
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> Iterator[tuple[subprocess.Popen[bytes], _Said]]:
    """Run ffmpeg beside us; it is gone when the block ends, however that ends."""
    # Only files: a list of addresses that calls itself a video must not make ffmpeg open them.
    start = [_ffmpeg(), "-hide_banner", "-nostats", "-y", "-v", level, "-protocol_whitelist", "file,pipe"]
    with tempfile.TemporaryFile() as told:

        def said(whole: bool = False) -> str:
            told.seek(0)
            text = told.read().decode(errors="replace").strip()
            last = (text.splitlines() or ["ffmpeg gave no reason"])[-1]
            return text if whole else re.sub(r"^(\[[^]]*\] ?)+", "", last)

        with subprocess.Popen([*start, *command], stdin=stdin, stdout=stdout, stderr=told) as process:
            try:
                yield process, said
            finally:
                process.kill()


def _ffmpeg() -> str:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise missing_extra("imageio_ffmpeg", "video", "reading and writing videos") from error
    return str(imageio_ffmpeg.get_ffmpeg_exe())
