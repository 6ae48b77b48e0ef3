"""A timeline as a picture: the spectrogram, and under it what was heard when. Pillow alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from headstart.audio.decode import Recording
from headstart.audio.hearing import spectrogram
from headstart.audio.mel import hertz_to_mel
from headstart.audio.timeline import Timeline
from headstart.backbones.card import Waves

_WIDTH, _PER_SECOND = (800, 2400), 12
"""Pixels: least and most for the whole recording, and for a second of it."""
_HEIGHT, _LANE, _BAR, _AXIS, _EDGE = 192, 24, 16, 28, 12
_TEXT = 13
_MOST_LANES = 30
_HERTZ = ((250, "250 Hz"), (1_000, "1 kHz"), (4_000, "4 kHz"))
_TICKS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
"""Seconds from mark to mark."""
_TICK_ROOM = 70
_INK, _FAINT, _PAPER = "#1d2733", "#d5dbe1", "#ffffff"
# Okabe and Ito's colours, which colour-blind people can tell apart.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5c5c5c")
# From quiet to loud: some points of matplotlib's "magma".
_MAGMA = np.array(
    [[0, 0, 4], [40, 17, 89], [114, 31, 129], [183, 55, 121], [241, 96, 93], [254, 176, 120], [252, 253, 191]]
)


def draw(content: bytes | NDArray[np.uint8], timeline: Timeline) -> Image.Image:
    """Draw a timeline under the spectrogram of its recording, which is read once more; memory stays flat.

    Args:
        content: The recording's encoded bytes.
        timeline: What was heard in it.

    Returns:
        The picture. Of more than 30 labels the ones that are heard longest are drawn.

    Raises:
        DecodeError: The recording cannot be read.
    """
    spec = Waves()
    width = int(np.clip(timeline.seconds * _PER_SECOND, *_WIDTH))
    font = ImageFont.load_default(_TEXT)
    lanes = _lanes(timeline)
    names = [*lanes, *(name for _, name in _HERTZ)]
    left = round(max(font.getlength(name[:40]) for name in names)) + 2 * _EDGE
    bottom = _EDGE + _HEIGHT + _EDGE // 2 + _LANE * max(1, len(lanes))
    picture = Image.new("RGB", (left + width + 2 * _EDGE, bottom + _AXIS), _PAPER)
    pen = ImageDraw.Draw(picture)
    pen.font = font
    picture.paste(_spectrogram(content, spec, width), (left, _EDGE))
    scale = width / timeline.seconds
    for hertz, name in _HERTZ:
        low, high = hertz_to_mel(spec.lowest), hertz_to_mel(spec.highest)
        share = float((hertz_to_mel(hertz) - low) / (high - low))
        pen.text((left - 6, _EDGE + _HEIGHT * (1 - share)), name, _INK, anchor="rm")
    for second, name in ticks(timeline.seconds, width):
        x = left + second * scale
        pen.line((x, _EDGE + _HEIGHT, x, bottom + 4), _FAINT)
        pen.text((x, bottom + 8), name, _INK, anchor="mt" if second else "lt")
    top = _EDGE + _HEIGHT + _EDGE // 2
    for number, label in enumerate(lanes):
        middle = top + _LANE * number + _LANE // 2
        colour = _COLOURS[number % len(_COLOURS)]
        pen.text((left - 6, middle), label[:40], _INK, anchor="rm")
        pen.line((left, middle, left + width, middle), _FAINT)
        for each in timeline.segments:
            if each.label == label:
                x = left + each.start * scale
                end = max(left + each.end * scale, x + 2)
                pen.rounded_rectangle((x, middle - _BAR // 2, end, middle + _BAR // 2), 3, colour)
    if not lanes:
        pen.text((left, top + _LANE // 2), "nothing that the model knows", _INK, anchor="lm")
    return picture


def _lanes(timeline: Timeline) -> list[str]:
    """Return the labels that are drawn, in the order in which they are first heard."""
    length: dict[str, float] = {}
    for each in timeline.segments:
        length[each.label] = length.get(each.label, 0.0) + each.end - each.start
    longest = sorted(length, key=lambda label: -length[label])[:_MOST_LANES]
    return [label for label in length if label in longest]


def _spectrogram(content: bytes | NDArray[np.uint8], spec: Waves, width: int) -> Image.Image:
    """Return the log-mel spectrogram in colours; each column is the mean of the frames that fall into it."""
    with Recording(content) as recording:
        frames = max(1, spec.frames(round(recording.seconds * spec.rate)))
        columns = min(width, frames)
        sums = np.zeros((columns, spec.bands))
        counts = np.zeros(columns)
        first = 0
        for part in spectrogram(recording.waves(spec.rate), spec):
            places = np.minimum(np.arange(first, first + len(part)) * columns // frames, columns - 1)
            np.add.at(sums, places, part)
            np.add.at(counts, places, 1)
            first += len(part)
    means = sums / np.maximum(counts, 1)[:, None]
    low, high = np.quantile(means, (0.02, 0.998))
    loud = np.clip((means.T[::-1] - low) / max(float(high - low), 1e-6), 0, 1) * (len(_MAGMA) - 1)
    colours = np.stack([np.interp(loud, np.arange(len(_MAGMA)), _MAGMA[:, k]) for k in range(3)], -1)
    return Image.fromarray(colours.astype(np.uint8)).resize((width, _HEIGHT), Image.Resampling.BILINEAR)


def ticks(seconds: float, width: int) -> Iterator[tuple[float, str]]:
    """Yield the marks of a time axis and what is written at them.

    Args:
        seconds: How long it is, float.
        width: Likewise, int, in pixels.

    Example:
        >>> list(ticks(1.0, 200))
        [(0.0, '0 s'), (0.5, '0.5 s'), (1.0, '1 s')]
    """
    apart = next((tick for tick in _TICKS if tick * width / seconds >= _TICK_ROOM), _TICKS[-1])
    for number in range(int(seconds / apart) + 1):
        second = number * apart
        whole = int(second)
        if seconds < 60:
            yield second, f"{second:g} s"
        elif seconds < 3600:
            yield second, f"{whole // 60}:{whole % 60:02d}"
        else:
            yield second, f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
