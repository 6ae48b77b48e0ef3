"""A picture of a caption: the photograph, and for each word where the captioner looked when it said it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from headstart.images.decode import Pixels
from headstart.images.resizing import shrunk

if TYPE_CHECKING:
    from headstart.studio.caption.captioner import Caption

_WHOLE, _CELL = 480, 200
"""Longer sides of the photograph alone, and with each word, in pixels."""
_COLUMNS = 5
_GAP, _TITLE, _WORD, _NUMBER = 10, 22, 18, 13
_LABEL = _WORD + _NUMBER + 2 * _GAP
_DARKEST = 0.2
"""What is left of the light where it is darkest."""
_SLIGHT = 0.1
"""A preference so slight, as a logarithm, is not shown larger than it is."""

Said = Sequence[tuple[str, float]]


def strip(picture: Pixels, caption: Caption) -> Pixels:
    """Draw a caption with what it comes from.

    The sentence stands above. Each of its words stands below the photograph, which is light where the
    captioner looked more than elsewhere when it said it (see `lights`); below the word is its probability. Of
    a captioner that does not attend, the photograph is shown once, with all words below.

    Args:
        picture: The photograph, uint8 [h, w, 3].
        caption: What was said of it.

    Returns:
        uint8 [h', w', 3], up to about a thousand pixels wide.
    """
    return _titled(word_by_word(picture, caption), caption.text)


def word_by_word(picture: Pixels, caption: Caption) -> Image.Image:
    """Draw the same without the sentence above."""
    said = [(word, math.exp(log)) for word, log in zip(caption.words, caption.log_probabilities, strict=True)]
    if caption.attention is None:
        return _once(shrunk(picture, _WHOLE), said)
    small = shrunk(picture, _CELL)
    return _beside([small, *(lit(small, light) for light in lights(caption.attention))], [None, *said])


def lights(attention: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how light each place shall be for each word.

    What a captioner looked at as much as at the mean place is half light; the place that it preferred most in
    the whole caption is light, and what it avoided as much is dark. So words for which it looked nowhere in
    particular are told from others, and small preferences can be seen, too.

    Args:
        attention: For each word how much it looked at each place, float32 [words, rows, columns], 0 or more.

    Returns:
        float32 [words, rows, columns], 0 to 1.

    Example:
        >>> lights(np.array([[[1, 1]], [[0.5, 2]]], np.float32)).tolist()
        [[[0.5, 0.5]], [[0.0, 1.0]]]
    """
    tiny = np.float32(1e-9)
    mean = attention.mean((1, 2), keepdims=True)
    preferred = np.log((attention + tiny) / (mean + tiny))
    most = max(float(preferred.max(initial=0)), _SLIGHT)
    return np.asarray(np.clip(0.5 + 0.5 * preferred / most, 0, 1), np.float32)


def lit(picture: Pixels, light: NDArray[np.float32]) -> Pixels:
    """Return a photograph that is light in some places and dark elsewhere.

    Args:
        picture: uint8 [h, w, 3].
        light: Of each place of the whole photograph, float32 [rows, columns], 0 to 1.

    Returns:
        uint8 [h, w, 3].

    Example:
        >>> lit(np.full((2, 2, 3), 200, np.uint8), np.array([[0, 1]], np.float32))[0, :, 0]
        array([ 40, 200], dtype=uint8)
    """
    height, width = picture.shape[:2]
    smooth = Image.fromarray(light).resize((width, height), Image.Resampling.BICUBIC)
    share = _DARKEST + (1 - _DARKEST) * np.clip(np.asarray(smooth), 0, 1)[..., None]
    return np.asarray((picture * share).round(), np.uint8)


def _beside(pictures: Sequence[Pixels], labels: Sequence[tuple[str, float] | None]) -> Image.Image:
    """Draw pictures of one size in rows, each with its word below it."""
    height, width = pictures[0].shape[:2]
    across, down = max(width, _CELL * 3 // 5) + _GAP, height + _LABEL
    columns = min(_COLUMNS, len(pictures))
    paper = Image.new("RGB", (_GAP + columns * across, math.ceil(len(pictures) / columns) * down), "white")
    draw = ImageDraw.Draw(paper)
    for place, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left, top = _GAP + place % columns * across, place // columns * down
        paper.paste(Image.fromarray(picture), (left, top))
        if label is not None:
            _write(draw, (left, top + height + 2), label, across - _GAP)
    return paper


def _once(picture: Pixels, said: Said) -> Image.Image:
    """Draw a photograph with all words below it."""
    height, width = picture.shape[:2]
    wide = max(width, _WHOLE) + 2 * _GAP
    font = ImageFont.load_default(_WORD)
    places, left, row = [], _GAP, 0
    for word, _ in said:
        length = max(int(font.getlength(word)), 3 * _NUMBER) + 2 * _GAP
        if left + length > wide and left > _GAP:
            left, row = _GAP, row + 1
        places.append((left, height + 2 + row * _LABEL))
        left += length
    paper = Image.new("RGB", (wide, height + (row + 1) * _LABEL), "white")
    paper.paste(Image.fromarray(picture), (_GAP, 0))
    draw = ImageDraw.Draw(paper)
    for place, label in zip(places, said, strict=True):
        _write(draw, place, label, wide - 2 * _GAP)
    return paper


def _write(draw: ImageDraw.ImageDraw, place: tuple[int, int], label: tuple[str, float], width: int) -> None:
    """Write a word with its probability below it, no wider than that."""
    word, probability = label
    size = _WORD
    while size > 8 and ImageFont.load_default(size).getlength(word) > width:
        size -= 1
    left, top = place
    draw.text((left, top), word, "black", ImageFont.load_default(size))
    number = f"{probability:.0%}" if probability >= 0.01 else "< 1%"
    draw.text((left, top + _WORD + 5), number, "dimgray", ImageFont.load_default(_NUMBER))


def _titled(drawn: Image.Image, title: str) -> Pixels:
    """Put a drawing below a sentence."""
    font = ImageFont.load_default(_TITLE)
    letters = int((drawn.width - 2 * _GAP) / (font.getlength(title) / max(1, len(title)) * 1.05 + 1e-6))
    lines = textwrap.wrap(title, max(12, letters)) or [""]
    top = 2 * _GAP + len(lines) * (_TITLE + 8)
    paper = Image.new("RGB", (drawn.width, top + drawn.height), "white")
    draw = ImageDraw.Draw(paper)
    for number, line in enumerate(lines):
        draw.text((_GAP, _GAP + number * (_TITLE + 8)), line, "black", font)
    paper.paste(drawn, (0, top))
    return np.asarray(paper)
