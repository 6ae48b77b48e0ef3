"""An explained sound as a picture: the spectrogram, below it what counted, axes in seconds and Hz."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from headstart.audio.timeline_picture import ticks
from headstart.explain.overlay import Floats, overlay
from headstart.images.decode import Pixels

if TYPE_CHECKING:
    from headstart.explain.explanation import SoundExplanation

_WIDTH, _HEIGHT, _LEFT, _EDGE, _GAP, _AXIS = 1000, 200, 74, 12, 10, 26
_TEXT = 13
_INK, _FAINT, _PAPER, _BOX = "#1d2733", "#b8c0c8", "#ffffff", "#1d2733"
_HERTZ = (
    (125, "125 Hz"),
    (250, "250 Hz"),
    (500, "500 Hz"),
    (1_000, "1 kHz"),
    (2_000, "2 kHz"),
    (4_000, "4 kHz"),
)
_ROOM = 26
"""Pixels between two marks of the axis of pitch."""
_QUIET, _LOUD = 0.3, 0.995
_PALE = 0.4
"""Strength of the spectrogram below the evidence."""


def draw(found: SoundExplanation) -> Pixels:
    """Draw an explained sound.

    Args:
        found: What is drawn; the strongest evidence gets a frame.

    Returns:
        uint8 [h, w, 3], dark on white.
    """
    grey = _spectrogram(found.spectrogram)
    pale = (255 - _PALE * (255.0 - grey)).astype(np.uint8)
    panes = grey, overlay(pale, found.evidence.T[::-1])
    height = _EDGE + 2 * _HEIGHT + _GAP + _AXIS
    picture = Image.new("RGB", (_LEFT + _WIDTH + 2 * _EDGE, height), _PAPER)
    pen = ImageDraw.Draw(picture)
    pen.font = ImageFont.load_default(_TEXT)
    for number, pane in enumerate(panes):
        top = _EDGE + number * (_HEIGHT + _GAP)
        picture.paste(Image.fromarray(pane), (_LEFT, top))
        _pitches(pen, found.hertz, top)
        _frame(pen, found, top)
    bottom = height - _AXIS
    for second, written in _seconds(found):
        x = _LEFT + second / found.seconds * _WIDTH
        pen.line((x, bottom, x, bottom + 4), _INK)
        pen.text((x, bottom + 8), written, _INK, anchor="mt" if second else "lt")
    return np.asarray(picture)


def _spectrogram(heard: Floats) -> Pixels:
    """Return a spectrogram in greys: the louder, the darker; low pitches are at the bottom."""
    small = Image.fromarray(heard.T[::-1].astype(np.float32))
    plain = np.asarray(small.resize((_WIDTH, _HEIGHT), Image.Resampling.BILINEAR))
    quiet, loud = np.quantile(plain, (_QUIET, _LOUD))
    share = ((plain - quiet) / max(float(loud - quiet), 1.0)).clip(0, 1)
    return np.repeat((245 - 195 * share).astype(np.uint8)[..., None], 3, 2)


def _pitches(pen: ImageDraw.ImageDraw, hertz: Floats | None, top: int) -> None:
    if hertz is None:
        return
    last = float("inf")
    for mark, written in _HERTZ:
        if hertz[0] <= mark <= hertz[-1]:
            band = float(np.interp(mark, hertz, np.arange(len(hertz)))) + 0.5
            y = top + _HEIGHT * (1 - band / len(hertz))
            if last - y >= _ROOM:
                pen.line((_LEFT - 4, y, _LEFT, y), _INK)
                pen.text((_LEFT - 8, y), written, _INK, anchor="rm")
                last = y


def _frame(pen: ImageDraw.ImageDraw, found: SoundExplanation, top: int) -> None:
    """Frame the strongest evidence."""
    if found.peak is None:
        return
    frames, bands = found.peak
    length, count = found.evidence.shape
    left, right = (_LEFT + place / length * _WIDTH for place in (frames.start, frames.stop))
    above, below = (top + _HEIGHT * (1 - place / count) for place in (bands.stop, bands.start))
    pen.rectangle((left - 1, above - 1, max(right, left + 2), max(below, above + 2)), outline=_BOX, width=2)


def _seconds(found: SoundExplanation) -> list[tuple[float, str]]:
    """Return the marks of the time axis: seconds from the left, and what is written there."""
    marks = list(ticks(found.seconds, _WIDTH))
    if not found.start:
        return marks
    return [(second, _clock(found.start + second)) for second, _ in marks]


def _clock(second: float) -> str:
    minutes, rest = divmod(round(second, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return (f"{hours}:{minutes:02d}:" if hours else f"{minutes}:") + f"{rest:04.1f}"
