"""Pictures side by side: the grey photograph, the coloured one and, where there is one, the original."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from headstart.errors import DataError
from headstart.images.decode import Pixels
from headstart.images.resizing import shrunk
from headstart.studio.colorize.lab import lab_to_rgb, lightness

MOST = 24
"""Rows of a sheet: what does not fit is left out."""
_CELL = 320
"""Longer side of a picture in it, in pixels."""
_GAP, _TEXT = 8, 14
_TITLES = ("grey", "coloured", "original")


@dataclass(frozen=True, eq=False)
class Row:
    """One photograph, at the size of a sheet's cell.

    Args:
        name: What is written below it, str.
        pictures: Grey, coloured and maybe original, uint8 [h, w, 3] each.
    """

    name: str
    pictures: tuple[Pixels, ...]


def row(name: str, source: Pixels, coloured: Pixels, *, had_colour: bool) -> Row:
    """Return a row of a sheet.

    Args:
        name: What is written below it, str.
        source: The photograph, uint8 [h, w, 3].
        coloured: What was made of it, of the same shape.
        had_colour: Whether it had colours of its own, which are shown then, too.
    """
    original, made = shrunk(source, _CELL), shrunk(coloured, _CELL)
    pictures = (grey(original), made, original) if had_colour else (original, made)
    return Row(name, pictures)


def grey(picture: Pixels) -> Pixels:
    """Return a picture without its colours, as light as it was, uint8 [h, w, 3].

    Example:
        >>> grey(np.array([[[255, 0, 0]]], np.uint8))
        array([[[127, 127, 127]]], dtype=uint8)
    """
    lab = np.zeros(picture.shape, np.float32)
    lab[..., 0] = lightness(picture)
    return lab_to_rgb(lab)


def sheet(rows: Iterable[Row]) -> Pixels:
    """Draw rows below each other.

    Args:
        rows: At most 24 of them are drawn.

    Returns:
        uint8 [h, w, 3].

    Raises:
        DataError: There is none.

    Example:
        >>> photo = np.zeros((40, 60, 3), np.uint8)
        >>> sheet([row("a", photo, photo, had_colour=False)]).ndim
        3
    """
    shown = [each for each, _ in zip(rows, range(MOST), strict=False)]
    if not shown:
        raise DataError("a photograph for the sheet", "none", "name some that can be read")
    columns = max(len(each.pictures) for each in shown)
    wide = max(each.pictures[0].shape[1] for each in shown)
    heights = [each.pictures[0].shape[0] + _TEXT + _GAP for each in shown]
    width, top = _GAP + columns * (max(wide, 60) + _GAP), _TEXT + 2 * _GAP
    paper = Image.new("RGB", (width, top + sum(heights) + _GAP), "white")
    draw, font = ImageDraw.Draw(paper), ImageFont.load_default(_TEXT)
    for column, title in enumerate(_TITLES[:columns]):
        draw.text((_GAP + column * (max(wide, 60) + _GAP), _GAP // 2), title, "black", font)
    for each, height in zip(shown, heights, strict=True):
        for column, picture in enumerate(each.pictures):
            paper.paste(Image.fromarray(picture), (_GAP + column * (max(wide, 60) + _GAP), top))
        draw.text((_GAP, top + height - _TEXT - _GAP + 2), each.name, "dimgray", font)
        top += height
    return np.asarray(paper)
