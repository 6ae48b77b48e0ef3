"""Photographs, folders of them and videos, painted by a brush."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.errors import OptionError
from headstart.images.decode import Pixels, decode_file
from headstart.images.resizing import shrunk
from headstart.images.saving import check_picture_name, save_picture
from headstart.progress import Say, quiet
from headstart.studio.fast_style import Brush
from headstart.studio.folders import PictureFolder
from headstart.studio.video import ENDINGS, check_video_name, is_video, read_video, write_video

_EVERY = 5.0
"""Seconds between two lines of progress."""
_BLOCK = 8
"""Pixels of a side of the squares in which it is decided whether a video moved."""
_STILL, _MOVED = 3.0, 15.0
"""Grey levels of difference up to which a place is still, and from which it moves."""


def paint_fast(
    source: Path,
    brush: Brush,
    output: Path,
    *,
    size: int | None = None,
    steady: float = 0.6,
    say: Say = quiet,
) -> dict[str, Any]:
    """Paint a photograph, all photographs of a folder, or a video.

    Args:
        source: A picture, a folder or a video.
        brush: What paints.
        output: For a picture a .png, .jpg or .webp, for a folder a folder, for a video an .mp4 or .gif.
        size: Longer side that larger ones are shrunk to, int, in pixels. Defaults to None: they stay whole.
        steady: Of a video, how much a place that does not move keeps of its last painting, float from 0 to
            below 1: strokes then do not flicker. Defaults to 0.6.
        say: Told how far it is. Defaults to nobody.

    Returns:
        What was done: {"painted": number, "seconds": float, "failed": {name: reason}, …}.

    Raises:
        DecodeError: The picture or video cannot be read.
        DataError: The folder holds no pictures.
        OptionError: A name or a value that cannot be.
        StorageError: It cannot be written.
    """
    if not 0 <= steady < 1 or (size is not None and size < 1):
        received = f"{steady:g}, {size}"
        raise OptionError("a steadiness from 0 to below 1, a size above 0", received, "correct it")
    started = time.monotonic()
    if source.is_dir():
        made = _folder(source, brush, output, size, say)
    elif is_video(source) and (source.suffix.lower() != ".gif" or output.suffix.lower() in ENDINGS):
        made = _video(source, brush, output, size, steady, say)
    else:
        check_picture_name(output)
        save_picture(output, brush.paint(shrunk(decode_file(source), size)))
        made = {"painted": 1, "failed": {}}
    return {"source": str(source), **made, "seconds": round(time.monotonic() - started, 3)}


def steadied(scenes: Iterable[Pixels], paintings: Iterable[Pixels], strength: float) -> Iterator[Pixels]:
    """Yield the paintings of a video, still where the video is still.

    Where a place of the video did not change, its painting is blended with the last one; where it moved, it
    is new.

    Args:
        scenes: The frames, uint8 [h, w, 3].
        paintings: How they are painted, of the same shape.
        strength: What a still place keeps of its last painting, float from 0 to below 1.

    Yields:
        Paintings, uint8 [h, w, 3].
    """
    before: Pixels | None = None
    shown: NDArray[np.float32] = np.empty(0, np.float32)
    for scene, painting in zip(scenes, paintings, strict=True):
        if before is None or before.shape != scene.shape:
            shown = painting.astype(np.float32)
        else:
            kept = np.float32(strength) * stillness(before, scene)[..., None]
            shown = (painting + kept * (shown - painting)).astype(np.float32)
        before = scene
        yield shown.round().astype(np.uint8)


def stillness(before: Pixels, scene: Pixels) -> NDArray[np.float32]:
    """Return how little each place of a video changed.

    Args:
        before, scene: Two frames after one another, uint8 [h, w, 3].

    Returns:
        float32 [h, w] from 0 (it moved) to 1.
    """
    change = np.abs(scene.astype(np.int16) - before).max(axis=2).astype(np.uint8)
    # In squares: noise is no motion, and one pixel that jumps is.
    squares = Image.fromarray(change).reduce(_BLOCK)
    smooth = np.asarray(squares.resize(change.shape[::-1], Image.Resampling.BILINEAR), np.float32)
    still: NDArray[np.float32] = np.clip((_MOVED - smooth) / np.float32(_MOVED - _STILL), 0, 1)
    return still


def _video(
    source: Path, brush: Brush, output: Path, size: int | None, steady: float, say: Say
) -> dict[str, Any]:
    check_video_name(output)
    video = read_video(source)
    scenes, fed = tee(shrunk(frame, size) for frame in video)
    painted = 0

    def counted() -> Iterator[Pixels]:
        nonlocal painted
        told = started = time.monotonic()
        for frame in steadied(scenes, brush.stream(fed), steady):
            painted += 1
            yield frame
            if time.monotonic() - told > _EVERY:
                told = time.monotonic()
                say(f"{painted} of about {video.count} frames, {painted / (told - started):.1f} a second")

    write_video(output, counted(), video.fps, sound=source)
    return {"painted": painted, "fps": video.fps, "failed": {}}


def _folder(source: Path, brush: Brush, output: Path, size: int | None, say: Say) -> dict[str, Any]:
    folder = PictureFolder(source, output)
    names: list[Path] = []

    def pictures() -> Iterator[Pixels]:
        for photo in folder:
            names.append(photo.name)
            yield shrunk(photo.pixels, size)

    painted, told = 0, time.monotonic()
    for painting in brush.stream(pictures()):
        save_picture(folder.place(names[painted]), painting)
        painted += 1
        if time.monotonic() - told > _EVERY:
            told = time.monotonic()
            say(f"{painted} of {len(folder)} pictures")
    return {"painted": painted, "failed": folder.failed}
