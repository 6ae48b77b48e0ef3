"""A trained colorizer, applied through OpenVINO: from how light a photograph is to its colours. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.engines.openvino_engine import OpenVinoEngine, read_ir
from headstart.engines.precision import Precision
from headstart.errors import ArtefactError, OptionError
from headstart.images.decode import Pixels
from headstart.images.resizing import shrunk
from headstart.studio.colorize.card import LOGITS, NETWORK, read_card
from headstart.studio.colorize.gamut import fit_gamut
from headstart.studio.colorize.guided import Plane, linear_model, resized
from headstart.studio.colorize.hints import Hint, check_hints, spread
from headstart.studio.colorize.lab import lab_to_rgb, lightness
from headstart.studio.colorize.quantising import mean_colour, rebalancing

How = Literal["annealed", "expected"]
MIDDLE = 320
"""Longer side of the copy on which colours are fitted to edges, in pixels."""
_RADIUS = 1.75
"""Of the windows in that copy, in cells of what the network tells: what one alone says counts little."""
_SMOOTH = 25.0
"""Variance of the lightness below which a window is flat."""
_STRIP = 1 << 20
"""Pixels that are coloured at once: of a large scan only these are in memory as floats."""


class Colorizer:
    """What gives photographs colours.

    Args:
        model: An openvino.Model from "lightness", float32 [n, 1, size, size], to "logits" or "ab".
        card: What is known about it, as `card.read_card` returns it.
        precision: "bf16" or "fp32". Defaults to None: bf16 where the CPU computes in it.
        threads: Pictures at a time, int. Defaults to None: one for each core.

    Raises:
        ArtefactError: The card lacks something.
    """

    def __init__(
        self,
        model: Any,
        card: dict[str, Any],
        precision: Precision | None = None,
        threads: int | None = None,
    ) -> None:
        self.card = card
        self._engine = OpenVinoEngine(model, precision, threads)
        try:
            self._size, self._output = int(card["size"]), str(card["output"])
            self._classes = self._output == LOGITS
            if self._classes:
                self._heat = float(card["temperature"])
                self._bins = np.asarray(card["bins"], np.float32)
                self._weights = rebalancing(np.asarray(card["prior"], np.float32), card["mix"])
        except (KeyError, TypeError, ValueError) as error:
            fix = "get the folder again, or train it anew"
            raise ArtefactError("a colorizer's whole card", f"a wrong or missing {error}", fix) from error

    def ab(
        self, picture: Pixels, *, how: How = "annealed", temperature: float | None = None
    ) -> NDArray[np.float32]:
        """Return the colours that the network tells, coarsely.

        Args:
            picture: uint8 [h, w, 3] of any size; only how light it is counts.
            how: "annealed" is vivid; "expected" is greyer, and nearest to the truth in the mean. Defaults to
                "annealed". A classic network knows only the latter.
            temperature: Of "annealed", float above 0: the lower, the more vivid and the patchier. Defaults to
                None: what suited its training.

        Returns:
            a and b, float32 [h', w', 2].

        Raises:
            OptionError: A temperature of 0 or below.
        """
        if temperature is not None and not 0 < temperature < np.inf:
            raise OptionError("a temperature above 0", f"{temperature:g}", "leave it out, or use 0.38")
        square = Image.fromarray(picture).resize((self._size, self._size), Image.Resampling.BICUBIC)
        seen = lightness(np.asarray(square))
        # Its mirror image is as good a photograph: two opinions are better than one.
        found: Plane = np.float32(0.5) * (self._look(seen) + self._look(seen[:, ::-1])[..., ::-1])
        if not self._classes:
            return np.moveaxis(found, 0, 2)
        if how == "expected":
            return mean_colour(found, self._bins)
        heat = self._heat if temperature is None else temperature
        return mean_colour(found, self._bins, temperature=heat, weights=self._weights)

    def _look(self, seen: Plane) -> Plane:
        """Return what the network tells of lightness [size, size]: float32 [bins or 2, h', w']."""
        return self._engine.one(np.ascontiguousarray(seen[None]), (self._output,))[self._output]

    def colorize(
        self,
        picture: Pixels,
        *,
        hints: Sequence[Hint] = (),
        how: How = "annealed",
        temperature: float | None = None,
    ) -> Pixels:
        """Return a photograph in colour, as light as it was at every place.

        Args:
            picture: uint8 [h, w, 3], grey or not: only how light it is counts.
            hints: Colours that are known, in pixels of the picture. Defaults to none.
            how, temperature: As of `ab`.

        Returns:
            uint8 [h, w, 3].

        Raises:
            OptionError: A hint outside the picture, a temperature of 0 or below.
        """
        check_hints(hints, picture.shape)
        middle = shrunk(picture, MIDDLE)
        told = self.ab(middle, how=how, temperature=temperature)
        return paint(picture, middle, told, hints)


def paint(picture: Pixels, middle: Pixels, ab: Plane, hints: Sequence[Hint] = ()) -> Pixels:
    """Return a picture as light as it is, in coarse colours that are made to keep to its edges.

    Args:
        picture: uint8 [h, w, 3].
        middle: A copy of it, of at most some hundred pixels, uint8 [h', w', 3].
        ab: The colours, float32 [h'', w'', 2].
        hints: Colours that are known, in pixels of the picture. Defaults to none.

    Returns:
        uint8 [h, w, 3].
    """
    guide = lightness(middle)
    colours = spread(resized(ab, (guide.shape[0], guide.shape[1])), guide, hints, picture.shape)
    radius = round(_RADIUS * max(guide.shape) / max(ab.shape))
    model = linear_model(guide, colours, radius, _SMOOTH)
    height, width = picture.shape[:2]
    painted = np.empty_like(picture)
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        strip = picture[top : top + rows]
        lab = np.empty(strip.shape, np.float32)
        lab[..., 0] = lightness(strip)
        lab[..., 1:] = model.rows(lab[..., 0], top, height)
        painted[top : top + rows] = lab_to_rgb(fit_gamut(lab))
    return painted


def open_colorizer(folder: Path, precision: Precision | None = None, threads: int | None = None) -> Colorizer:
    """Open a colorizer as `headstart colorize-train` left it.

    Args:
        folder: Where it is.
        precision, threads: As of `Colorizer`.

    Raises:
        ArtefactError: The folder holds no trained colorizer, or it is damaged or of another version.
    """
    card = read_card(folder)
    return Colorizer(read_ir(folder / NETWORK), card, precision, threads)


def has_colour(picture: Pixels) -> bool:
    """Return whether a photograph has colours of its own: more than the noise of a JPEG, or a tint.

    Args:
        picture: uint8 [h, w, 3].

    Example:
        >>> grey, brown = np.full((4, 4, 3), 90, np.uint8), np.full((4, 4, 3), (140, 90, 40), np.uint8)
        >>> has_colour(grey), has_colour(brown)
        (False, True)
    """
    some = shrunk(picture, 128).astype(np.int16)
    return bool(np.mean(some.max(axis=2) - some.min(axis=2)) > _GREY)


_GREY = 4.0
"""Mean difference of the channels up to which a photograph is grey, in grey levels."""
