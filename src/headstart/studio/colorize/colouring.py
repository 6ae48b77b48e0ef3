"""Grey photographs, folders of them and videos, given colours, and files of what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.errors import OptionError
from headstart.images.decode import Pixels, decode_file
from headstart.images.resizing import shrunk
from headstart.images.saving import check_picture_name, save_picture
from headstart.progress import Say, quiet
from headstart.studio.colorize.colorizer import MIDDLE, Colorizer, How, has_colour, paint
from headstart.studio.colorize.guided import resized
from headstart.studio.colorize.hints import Hint
from headstart.studio.colorize.lab import lightness
from headstart.studio.colorize.sheet import MOST, Row, row, sheet
from headstart.studio.fast_painting import stillness
from headstart.studio.folders import PictureFolder
from headstart.studio.video import ENDINGS, check_video_name, is_video, read_video, write_video

_EVERY = 5.0
"""Seconds between two lines of progress."""
_MOVING = 0.5
"""What a place that moves keeps, as a share of what a still one does: colours nearby are alike."""
_CUT = 25.0
"""Mean change of the lightness from which a frame begins another scene."""


def colorize_files(
    source: Path,
    colorizer: Colorizer,
    output: Path,
    *,
    hints: Sequence[Hint] = (),
    how: How = "annealed",
    temperature: float | None = None,
    steady: float = 0.8,
    beside: Path | None = None,
    say: Say = quiet,
) -> dict[str, Any]:
    """Give a photograph, all photographs of a folder, or a video colours.

    Args:
        source: A picture, a folder or a video.
        colorizer: What knows colours.
        output: For a picture a .png, .jpg or .webp, for a folder a folder, for a video an .mp4 or .gif.
        hints: Colours that are known, in pixels of the one picture. Defaults to none.
        how: "annealed" is vivid, "expected" greyer and nearer to the truth. Defaults to "annealed".
        temperature: Of "annealed", float above 0: the lower, the more vivid. Defaults to the colorizer's.
        steady: Of a video, how much of its last colours a place keeps that does not move, float from 0 to
            below 1. Defaults to 0.8.
        beside: Where a sheet goes that shows grey, coloured and original pictures side by side, a .png, .jpg
            or .webp. Defaults to none.
        say: Told how far it is, and which pictures had colours. Defaults to nobody.

    Returns:
        What was done: {"source", "coloured": number, "had_colour": [names], "failed": {name: reason},
        "seconds"}.

    Raises:
        DecodeError: The picture or video cannot be read.
        DataError: The folder holds no pictures.
        OptionError: A name or a value that cannot be.
        StorageError: It cannot be written.
    """
    started = time.monotonic()
    moves = is_video(source) and (source.suffix.lower() != ".gif" or output.suffix.lower() in ENDINGS)
    _check(source, output, hints, steady, beside, moves=moves)
    if moves:
        made = _video(source, colorizer, output, how, temperature, steady, say)
        return {"source": str(source), **made, "seconds": round(time.monotonic() - started, 3)}
    colouring = Colouring(colorizer, hints, how, temperature, say)
    failed: dict[str, str] = {}
    if source.is_dir():
        failed = _folder(source, output, colouring)
    else:
        colouring.add(source.name, decode_file(source), output)
    if beside is not None:
        save_picture(beside, sheet(colouring.rows))
    return {
        "source": str(source),
        "coloured": colouring.count,
        "had_colour": colouring.had_colour,
        "failed": failed,
        "seconds": round(time.monotonic() - started, 3),
    }


@dataclass
class Colouring:
    """Photographs being coloured, one after the other, and what is to be told of them.

    Args:
        colorizer: What knows colours.
        hints, how, temperature: As of `Colorizer.colorize`.
        say: Told which pictures had colours. Defaults to nobody.
    """

    colorizer: Colorizer
    hints: Sequence[Hint] = ()
    how: How = "annealed"
    temperature: float | None = None
    say: Say = quiet
    count: int = 0
    had_colour: list[str] = field(default_factory=list)
    """Names of those that had colours of their own."""
    rows: list[Row] = field(default_factory=list)
    """Of a sheet, as many as one has."""

    def add(self, name: str, picture: Pixels, place: Path) -> None:
        """Give a picture colours, and write it to a place."""
        had = has_colour(picture)
        if had:
            self.had_colour.append(name)
            self.say(_IGNORED.format(name))
        options: dict[str, Any] = {"how": self.how, "temperature": self.temperature}
        coloured = self.colorizer.colorize(picture, hints=self.hints, **options)
        save_picture(place, coloured)
        self.count += 1
        if len(self.rows) < MOST:
            self.rows.append(row(name, picture, coloured, had_colour=had))


_IGNORED = "{} has colours of its own: only how light it is was used"


def _check(
    source: Path, output: Path, hints: Sequence[Hint], steady: float, beside: Path | None, *, moves: bool
) -> None:
    if not 0 <= steady < 1:
        raise OptionError("a steadiness from 0 to below 1", f"{steady:g}", "correct it")
    if hints and (moves or source.is_dir()):
        kind = "a video" if moves else "a folder"
        raise OptionError("one picture for hints", kind, "leave them out, or colour picture by picture")
    if beside is not None:
        if moves:
            raise OptionError("pictures for a sheet", "a video", "leave it out")
        check_picture_name(beside)
    if moves:
        check_video_name(output)
    elif not source.is_dir():
        check_picture_name(output)
    places = [place.resolve() for place in (source, output, beside) if place is not None]
    if len(set(places)) < len(places):
        received = "one name twice"
        raise OptionError(
            "names of their own for the source, what is made and the sheet", received, "name another"
        )


def _folder(source: Path, output: Path, colouring: Colouring) -> dict[str, str]:
    """Colour the pictures of a folder, and return why some could not be read, by name."""
    folder = PictureFolder(source, output)
    told = time.monotonic()
    for photo in folder:
        colouring.add(str(photo.name), photo.pixels, folder.place(photo.name))
        if time.monotonic() - told > _EVERY:
            told = time.monotonic()
            colouring.say(f"{colouring.count} of {len(folder)} pictures")
    return folder.failed


def _video(
    source: Path,
    colorizer: Colorizer,
    output: Path,
    how: How,
    temperature: float | None,
    steady: float,
    say: Say,
) -> dict[str, Any]:
    video = read_video(source)
    painted, had = 0, False
    tell = partial(colorizer.ab, how=how, temperature=temperature)

    def counted() -> Iterator[Pixels]:
        nonlocal painted
        told = started = time.monotonic()
        for frame in steady_colours(seen(), tell, steady):
            painted += 1
            yield frame
            if time.monotonic() - told > _EVERY:
                told = time.monotonic()
                say(f"{painted} of about {video.count} frames, {painted / (told - started):.1f} a second")

    def seen() -> Iterator[Pixels]:
        nonlocal had
        for number, frame in enumerate(video):
            if number == 0 and has_colour(frame):
                had = True
                say(_IGNORED.format(source.name))
            yield frame

    write_video(output, counted(), video.fps, sound=source)
    return {
        "coloured": painted,
        "had_colour": [source.name] if had else [],
        "fps": video.fps,
        "failed": {},
    }


def steady_colours(
    frames: Iterable[Pixels], tell: Callable[[Pixels], NDArray[np.float32]], steady: float
) -> Iterator[Pixels]:
    """Yield the frames of a video in colours that do not flicker.

    A place keeps some of the colours it had: more of them where it is still, none where another scene begins.

    Args:
        frames: uint8 [h, w, 3].
        tell: From a picture to its colours, coarsely, such as `Colorizer.ab`.
        steady: What a still place keeps of its last colours, float from 0 to below 1.

    Yields:
        uint8 [h, w, 3].
    """
    before: Pixels | None = None
    shown = np.empty(0, np.float32)
    for frame in frames:
        middle = shrunk(frame, MIDDLE)
        told = tell(middle)
        if before is None or before.shape != middle.shape or _change(before, middle) > _CUT:
            shown = told
        else:
            still = resized(stillness(before, middle), (told.shape[0], told.shape[1]))
            kept = np.float32(steady) * (_MOVING + (1 - _MOVING) * still[..., None])
            shown = (told + kept * (shown - told)).astype(np.float32)
        before = middle
        yield paint(frame, middle, shown)


def _change(before: Pixels, after: Pixels) -> float:
    return float(np.abs(lightness(shrunk(before, 64)) - lightness(shrunk(after, 64))).mean())
