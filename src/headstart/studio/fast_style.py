"""Style transfer in one pass: a network that paints, applied through OpenVINO without torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.engines.openvino_engine import OpenVinoEngine, read_ir
from headstart.engines.precision import Precision
from headstart.errors import ArtefactError
from headstart.files import digest_file

Pixels = NDArray[np.uint8]
SCHEMA = 1
CARD, NETWORK, WEIGHTS = "style.json", "network.xml", "weights.safetensors"
PAINTED = "painted"
"""Name of the network's answer."""
_STRIDE = 4
"""Sides of what the networks see are multiples of this: they halve them twice."""
_FIX = "name a folder that `headstart style-train` wrote"


class Brush:
    """What paints pictures, one after the other.

    Args:
        model: An openvino.Model from uint8 [n, h, w, 3] to "painted", uint8 of the same shape; h and w are
            free multiples of 4.
        precision: "bf16" or "fp32". Defaults to None: bf16 where the CPU computes in it.
        threads: Pictures painted at a time, int. Defaults to None: one for each core.
    """

    def __init__(self, model: Any, precision: Precision | None = None, threads: int | None = None) -> None:
        self._engine = OpenVinoEngine(model, precision, threads)

    def stream(self, frames: Iterable[Pixels]) -> Iterator[Pixels]:
        """Yield the painting of each picture, in order; a few are painted at a time.

        Args:
            frames: Pictures of any size, uint8 [h, w, 3].

        Yields:
            Paintings of the same size, uint8 [h, w, 3].
        """
        sized = ((frame.shape, _whole(frame)) for frame in frames)
        for (height, width, _), found in self._engine.run(sized, (PAINTED,)):
            yield found[PAINTED][:height, :width].astype(np.uint8, copy=False)

    def paint(self, picture: Pixels) -> Pixels:
        """Return the painting of one picture, uint8 [h, w, 3]."""
        [painted] = self.stream([picture])
        return painted


def open_style(folder: Path, precision: Precision | None = None, threads: int | None = None) -> Brush:
    """Open a style as `headstart style-train` left it.

    Args:
        folder: Where it is.
        precision, threads: As of `Brush`.

    Raises:
        ArtefactError: The folder holds no trained style, or it is damaged or of a later version.
    """
    read_card(folder)
    return Brush(read_ir(folder / NETWORK), precision, threads)


def is_style(folder: Path) -> bool:
    """Return whether a folder looks like a trained style."""
    return (folder / CARD).is_file()


def read_card(folder: Path) -> dict[str, Any]:
    """Return what is known about a trained style, after checking that its files are whole.

    Raises:
        ArtefactError: The folder holds no trained style, or it is damaged or of a later version.
    """
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtefactError("a trained style", f"no {CARD} in {folder.name}", _FIX) from error
    except ValueError as error:
        raise ArtefactError(f"JSON in {CARD}", str(error), "train or copy the style again") from error
    if not isinstance(card, dict) or card.get("schema") != SCHEMA:
        found = card.get("schema") if isinstance(card, dict) else type(card).__name__
        raise ArtefactError(f"a trained style of schema {SCHEMA}", f"{found}", "update headstart")
    for name, wanted in card["files"].items():
        path = folder / name
        found = digest_file(path) if path.is_file() else "no such file"
        if found != wanted:
            raise ArtefactError(f"{name} with the digest {wanted[:12]}…", found[:12], "copy the style again")
    return card


def _whole(picture: Pixels) -> Pixels:
    """Return the picture with its last lines repeated up to the next multiple of the stride."""
    rest = [-side % _STRIDE for side in picture.shape[:2]]
    if not any(rest):
        return np.ascontiguousarray(picture)
    return np.pad(picture, ((0, rest[0]), (0, rest[1]), (0, 0)), mode="edge")
