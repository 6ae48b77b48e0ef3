"""A map that answers: a dot shows its item to whoever points at it, taps it or walks there by the keys."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from headstart.pages import Glimpse, Markup, fragment, glimpse, json_block

TILE = 48
"""Side of a thumbnail, in pixels: a multiple of a JPEG's blocks, so that neighbours stay apart."""
_COLUMNS = 25
_SECONDS = 2.0
_CHARACTERS = 160


@dataclass(frozen=True)
class Thumbnails:
    """What shows the items of a map.

    Args:
        sheet: All pictures in one JPEG, 25 in a row in the order of the items; None where there are none.
        pictured: Whether an item has its picture there, bool for each item.
        words: The beginning of each text; "" for what is none.
    """

    sheet: bytes | None
    pictured: tuple[bool, ...]
    words: tuple[str, ...]


def thumbnails(
    names: Sequence[str], shown: Callable[[str], Glimpse | None] | None, seconds: float = _SECONDS
) -> Thumbnails:
    """Look at the items of a map, for a short time: those that are not reached in it go without a picture.

    Args:
        names: The items.
        shown: Shows an item by its name; None shows nothing.
        seconds: How long to look at most, float. Defaults to 2.

    Returns:
        The thumbnails.

    Example:
        >>> thumbnails(["a", "b"], {"a": "Once upon a time"}.get).words
        ('Once upon a time', '')
    """
    found: list[Image.Image | str] = [""] * len(names)
    until = time.monotonic() + seconds

    def look(number: int) -> None:
        if shown is not None and time.monotonic() < until:
            seen = shown(names[number])
            if seen is not None:
                found[number] = seen[:_CHARACTERS] if isinstance(seen, str) else _tile(seen)

    # Where time runs out, those that go without are spread over the map, not all of one class.
    order = np.random.default_rng(0).permutation(len(names)).tolist()
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        list(pool.map(look, order))
    words = tuple(each if isinstance(each, str) else "" for each in found)
    tiles = [each if isinstance(each, Image.Image) else None for each in found]
    return Thumbnails(_sheet(tiles), tuple(tile is not None for tile in tiles), words)


def _tile(jpeg: bytes) -> Image.Image:
    with Image.open(io.BytesIO(jpeg)) as image:
        return ImageOps.fit(image.convert("RGB"), (TILE, TILE))


def _sheet(tiles: Sequence[Image.Image | None]) -> bytes | None:
    if not any(tiles):
        return None
    rows = -(-len(tiles) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * TILE, rows * TILE), (127, 127, 127))
    for number, tile in enumerate(tiles):
        if tile is not None:
            sheet.paste(tile, (number % _COLUMNS * TILE, number // _COLUMNS * TILE))
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=75, optimize=True)
    return buffer.getvalue()


def answering(
    maps: Markup,
    places: Sequence[NDArray[np.float64]],
    names: Sequence[str],
    labels: Sequence[str],
    shown: Thumbnails,
) -> Markup:
    """Let the dots of drawn maps answer.

    Without JavaScript the maps stay what they are.

    Args:
        maps: The charts, Markup.
        places: For each chart, where its dots are: shares of its width and height, from the top left, float
            [n, 2].
        names: The items.
        labels: What each item is.
        shown: What shows them.

    Returns:
        The HTML, Markup.
    """
    content = {
        "tile": TILE,
        "columns": _COLUMNS,
        "items": [list(each) for each in zip(labels, names, shown.words, shown.pictured, strict=True)],
        "places": [points.round(4).tolist() for points in places],
    }
    picture = Markup("") if shown.sheet is None else glimpse(shown.sheet, "The item")
    return fragment(
        '<div class="dots"><p class="quiet" hidden>Point at a dot, or walk from dot to dot with the arrow '
        'keys, to see what it is.</p>{}<div class="tip" role="status" hidden>{}'
        "<div><b></b><p></p><small></small></div></div>{}<script>{}</script></div>",
        maps,
        picture,
        json_block(content),
        Markup(Path(__file__).with_name("hover.js").read_text("utf-8")),
    )
