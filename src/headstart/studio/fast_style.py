"""Style transfer in one pass: a network that paints, applied through OpenVINO without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.engines.openvino_engine import OpenVinoEngine, read_ir
from headstart.engines.precision import Precision
from headstart.images.decode import Pixels
from headstart.studio.cards import read_trained_card
from headstart.studio.settling import with_norms_of

SCHEMA = 1
CARD, NETWORK, WEIGHTS = "style.json", "network.xml", "weights.safetensors"
PAINTED = "painted"
"""Name of the network's answer."""
_STRIDE = 4
"""Sides of what the networks see are multiples of this: they halve them twice."""
_MARGIN = 16
"""The judge, too, sees nothing beyond a crop: at its border a network learns to paint a frame."""
_LEAST = 32
"""Shortest side that they see: some mirror what lies at the border."""
AT_ONCE = 4_000_000
"""Pixels above which a picture is painted in tiles: it takes 145 bytes for each."""
_TILE = 1024
_SEEN = 64
"""Pixels beyond a tile that its last ones see, a multiple of the stride."""
_OVERVIEW = 1_000_000


class Brush:
    """What paints pictures, one after the other.

    Args:
        model: An openvino.Model from uint8 [n, h, w, 3] to "painted", uint8 of the same shape; h and w are
            free multiples of 4.
        precision: "bf16" or "fp32". Defaults to None: bf16 where the CPU computes in it.
        threads: Pictures painted at a time, int. Defaults to None: one for each core.
        margin: Pixels of mirror image around a picture that are painted and cut off again, int, a multiple of
            4. Defaults to 0.
    """

    def __init__(
        self, model: Any, precision: Precision | None = None, threads: int | None = None, margin: int = 0
    ) -> None:
        self._model, self._precision, self._margin = model, precision, margin
        self._engine = OpenVinoEngine(model, precision, threads)

    def stream(self, frames: Iterable[Pixels]) -> Iterator[Pixels]:
        """Yield the painting of each picture, in order; a few are painted at a time, large ones in tiles.

        Args:
            frames: Pictures of any size, uint8 [h, w, 3].

        Yields:
            Paintings of the same size, uint8 [h, w, 3].
        """
        for large, group in groupby(frames, _is_large):
            if large:
                yield from map(self._in_tiles, group)
            else:
                sized = ((frame.shape, self._framed(frame)) for frame in group)
                for shape, found in self._engine.run(sized, (PAINTED,)):
                    yield self._unframed(found[PAINTED], shape)

    def paint(self, picture: Pixels) -> Pixels:
        """Return the painting of one picture, uint8 [h, w, 3]."""
        if _is_large(picture):
            return self._in_tiles(picture)
        found = self._engine.one(self._framed(picture), (PAINTED,))[PAINTED]
        return self._unframed(found, picture.shape)

    def _in_tiles(self, picture: Pixels) -> Pixels:
        """Return the painting of a large picture; all its tiles are normed as a small copy of it is."""
        settled = with_norms_of(self._model, self._framed(_overview(picture))[None])
        engine = OpenVinoEngine(settled, self._precision, threads=1)
        whole = self._framed(picture)
        painted = np.empty_like(whole)
        for rows in _spans(whole.shape[0]):
            for columns in _spans(whole.shape[1]):
                top, left = max(0, rows.start - _SEEN), max(0, columns.start - _SEEN)
                tile = whole[top : rows.stop + _SEEN, left : columns.stop + _SEEN]
                found = engine.one(np.ascontiguousarray(tile), (PAINTED,))[PAINTED]
                inside = found[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
                painted[rows, columns] = inside.astype(np.uint8)
        return self._unframed(painted, picture.shape)

    def _framed(self, picture: Pixels) -> Pixels:
        """Return the picture with its mirror image around it, of sides that the network can see."""
        margin = self._margin
        rest = [max(-side % _STRIDE, _LEAST - side - 2 * margin) for side in picture.shape[:2]]
        sides = [(margin, margin + more) for more in rest]
        return np.pad(picture, (*sides, (0, 0)), mode="symmetric")

    def _unframed(self, painted: NDArray[Any], shape: tuple[int, ...]) -> Pixels:
        margin, (height, width, _) = self._margin, shape
        return painted[margin : margin + height, margin : margin + width].astype(np.uint8, copy=False)


def _is_large(picture: Pixels) -> bool:
    height, width = picture.shape[:2]
    return bool(height * width > AT_ONCE)


def _overview(picture: Pixels) -> Pixels:
    """Return a copy of about a megapixel."""
    height, width = picture.shape[:2]
    scale = (_OVERVIEW / (height * width)) ** 0.5
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def _spans(length: int) -> list[slice]:
    return [slice(start, min(length, start + _TILE)) for start in range(0, length, _TILE)]


def open_style(folder: Path, precision: Precision | None = None, threads: int | None = None) -> Brush:
    """Open a style as `headstart style-train` left it.

    Args:
        folder: Where it is.
        precision, threads: As of `Brush`.

    Raises:
        ArtefactError: The folder holds no trained style, or it is damaged or of a later version.
    """
    read_card(folder)
    return Brush(read_ir(folder / NETWORK), precision, threads, _MARGIN)


def is_style(folder: Path) -> bool:
    """Return whether a folder looks like a trained style."""
    return (folder / CARD).is_file()


def read_card(folder: Path) -> dict[str, Any]:
    """Return what is known about a trained style, after checking that its files are whole.

    Raises:
        ArtefactError: The folder holds no trained style, or it is damaged or of a later version.
    """
    return read_trained_card(folder / CARD, "style", SCHEMA, (NETWORK, WEIGHTS), "style-train")
