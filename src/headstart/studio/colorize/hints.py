"""Hints: colours that a person gives to places, spread as far as the lightness stays alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.errors import OptionError
from headstart.studio.colorize.guided import linear_model
from headstart.studio.colorize.lab import rgb_to_lab

_WRITTEN = re.compile(r"\s*(-?\d+)\s*,\s*(-?\d+)\s*,\s*#([0-9a-fA-F]{6})\s*")
_REACH = 0.5
"""How far a hint goes over places as light as its own, as a share of the picture's diagonal."""
_ALIKE = 35.0
"""Steps in lightness, added up along the way, that cost as much as the whole diagonal."""
_GENTLE = 300.0
"""Change of lightness, over a diagonal's length, that is shading: it costs nothing."""
_TEXTURE = 10.0
"""Ups and downs of the lightness that are smoothed away before: fur and leaves shall not stop a hint."""
_WINDOW = 0.02
"""Radius in which they are, as a share of the diagonal."""
_FIX = "write it as x,y,#rrggbb in pixels from the left and the top, such as 120,80,#b03a2e"


@dataclass(frozen=True)
class Hint:
    """The colour of one place.

    Args:
        x, y: Where, ints, in pixels from the left and the top.
        colour: Its red, green and blue, ints from 0 to 255; its lightness stays the picture's.
    """

    x: int
    y: int
    colour: tuple[int, int, int]

    @property
    def ab(self) -> NDArray[np.float32]:
        """Its a and b in Lab, float32 [2]."""
        return rgb_to_lab(np.asarray(self.colour, np.uint8))[1:]


def read_hint(written: str) -> Hint:
    """Return a hint from what a person wrote.

    Args:
        written: Such as "120,80,#b03a2e", str.

    Raises:
        OptionError: It is something else.

    Example:
        >>> read_hint("120,80,#b03a2e")
        Hint(x=120, y=80, colour=(176, 58, 46))
    """
    found = _WRITTEN.fullmatch(written)
    if found is None:
        raise OptionError("a hint", repr(written[:40]), _FIX)
    red, green, blue = bytes.fromhex(found[3])
    return Hint(int(found[1]), int(found[2]), (red, green, blue))


def check_hints(hints: Sequence[Hint], shape: tuple[int, ...]) -> None:
    """Make sure that hints lie inside a picture.

    Args:
        hints: They.
        shape: The picture's height and width.

    Raises:
        OptionError: One does not.
    """
    height, width = shape[:2]
    for hint in hints:
        if not (0 <= hint.x < width and 0 <= hint.y < height):
            wanted = f"a hint inside the picture of {width} × {height} pixels"
            raise OptionError(wanted, f"one at {hint.x},{hint.y}", "count from 0 at the left and at the top")


def spread(
    ab: NDArray[np.float32], lightness: NDArray[np.float32], hints: Sequence[Hint], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return colours in which hints have spread from their places.

    A hint goes on where the lightness stays alike, and stops where it changes: what counts is the easiest way
    from its place (a geodesic distance), so that it fills a shirt, and not what lies beside it.

    Args:
        ab: The colours without hints, float32 [h, w, 2].
        lightness: L of the picture at the same size, float32 [h, w].
        hints: The hints, in pixels of the whole picture.
        shape: Height and width of the whole picture.

    Returns:
        float32 [h, w, 2], at the hints' places exactly their colours.

    References:
        Levin, Lischinski and Weiss, "Colorization using optimization", SIGGRAPH 2004 (colours go on where the
        lightness does); Yatziv and Sapiro, "Fast image and video colorization using chrominance blending",
        IEEE TIP 15(5), 2006 (by geodesic distances).
    """
    if not hints:
        return ab
    height, width = lightness.shape
    radius = round(_WINDOW * float(np.hypot(height, width)))
    calm = linear_model(lightness, lightness[..., None], radius, _TEXTURE**2)
    smooth = calm.rows(lightness, 0, height)[..., 0]
    total = np.zeros((height, width, 1), np.float32)
    mixed = np.zeros_like(ab)
    untouched = np.ones((height, width, 1), np.float32)
    for hint in hints:
        place = (hint.y * height // shape[0], hint.x * width // shape[1])
        distance = geodesic(smooth, place)[..., None]
        weight = np.exp(-((distance / np.float32(_REACH)) ** 4))
        # Nearly 1 over the whole of a flat region: what is left of it is shared by nearness.
        nearness = weight / (distance + np.float32(1e-3))
        total += nearness
        mixed += nearness * hint.ab
        untouched *= 1 - weight
    told = mixed / np.maximum(total, np.float32(1e-12))
    return (untouched * ab + (1 - untouched) * told).astype(np.float32)


def geodesic(lightness: NDArray[np.float32], place: tuple[int, int]) -> NDArray[np.float32]:
    """Return how far each place is from one, by the way on which the lightness changes least.

    Args:
        lightness: L, float32 [h, w].
        place: Row and column.

    Returns:
        float32 [h, w]: the way's length as a share of the diagonal, and its changes of lightness.

    Example:
        >>> wall = np.array([[50, 50, 0, 50], [50, 50, 0, 50]], np.float32)
        >>> far = geodesic(wall, (0, 0))
        >>> bool(far[0, 1] < 0.5 < far[0, 3])
        True
    """
    height, width = lightness.shape
    step = np.float32(1 / np.hypot(height, width))
    gentle = np.float32(_GENTLE) * step
    found = np.full((height, width), np.inf, np.float32)
    found[place] = 0
    ways = [(_Way(down, right), length) for down, right, length in _STEPS]
    costs = [
        step * np.float32(length)
        + np.maximum(np.abs(lightness[way.to] - lightness[way.start]) - gentle * np.float32(length), 0)
        / np.float32(_ALIKE)
        for way, length in ways
    ]
    # Bellman's relaxation of all places at once: as often as the longest way has steps, at most.
    for _ in range(height * width):
        before = found.copy()
        for (way, _length), cost in zip(ways, costs, strict=True):
            np.minimum(found[way.to], found[way.start] + cost, out=found[way.to])
        if np.array_equal(found, before):
            break
    return found


_STEPS = tuple(
    (down, right, float(np.hypot(down, right)))
    for down in (-1, 0, 1)
    for right in (-1, 0, 1)
    if (down, right) != (0, 0)
)


class _Way:
    """The parts of a picture from which, and to which, a step in one direction leads."""

    def __init__(self, down: int, right: int) -> None:
        self.start = (_part(-down), _part(-right))
        self.to = (_part(down), _part(right))


def _part(offset: int) -> slice:
    return slice(max(offset, 0), min(offset, 0) or None)
