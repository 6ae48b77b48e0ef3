"""CIE L*a*b*: lightness apart from colour. sRGB under D65, a few rows at a time, by tables."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from headstart.errors import DataError
from headstart.images.decode import Pixels

Lab = NDArray[np.float32]
"""float32 [..., 3]: L from 0 (black) to 100 (white), a from green to red, b from blue to yellow."""

# IEC 61966-2-1, and the white of D65 for an observer at 2 degrees.
_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])
_KINK = 6 / 29
"""Where the cube root ends and a straight line goes on to black."""
_CHUNK = 1 << 15
"""Pixels that are worked on together: they stay in the processor's cache."""
_STEPS = 1 << 16
"""Entries of the table from linear light to grey levels: at most a twentieth of a level between two."""


def rgb_to_lab(pixels: Pixels) -> Lab:
    """Return the Lab values of pixels.

    Args:
        pixels: RGB, uint8 [..., 3].

    Returns:
        float32 [..., 3].

    Raises:
        DataError: Something else than uint8 with three channels.

    Example:
        >>> rgb_to_lab(np.array([255, 0, 0], np.uint8)).round(1)
        array([53.2, 80.1, 67.2], dtype=float32)

    References:
        CIE 15:2004, "Colorimetry".
    """
    flat = _flat_pixels(pixels)
    found = np.empty(flat.shape, np.float32)
    for start in range(0, len(flat), _CHUNK):
        x, y, z = (_root(_light(flat[start : start + _CHUNK], axis)) for axis in range(3))
        part = found[start : start + _CHUNK]
        part[:, 0] = 116 * y - 16
        part[:, 1] = 500 * (x - y)
        part[:, 2] = 200 * (y - z)
    return found.reshape(pixels.shape)


def lightness(pixels: Pixels) -> NDArray[np.float32]:
    """Return L alone, in half the time.

    Args:
        pixels: RGB, uint8 [..., 3].

    Returns:
        float32 [...], 0 to 100.

    Raises:
        DataError: Something else than uint8 with three channels.

    Example:
        >>> lightness(np.full((1, 2, 3), 119, np.uint8)).round()
        array([[50., 50.]], dtype=float32)
    """
    flat = _flat_pixels(pixels)
    found = np.empty(len(flat), np.float32)
    for start in range(0, len(flat), _CHUNK):
        found[start : start + _CHUNK] = 116 * _root(_light(flat[start : start + _CHUNK], 1)) - 16
    return found.reshape(pixels.shape[:-1])


def lab_to_rgb(lab: NDArray[np.floating]) -> Pixels:
    """Return the pixels of Lab values; what no screen can show is clipped, channel by channel.

    Args:
        lab: float [..., 3].

    Returns:
        RGB, uint8 [..., 3]: after `rgb_to_lab` the pixels that there were, within one grey level.

    Raises:
        DataError: No three channels.

    Example:
        >>> lab_to_rgb(np.array([53.24, 80.09, 67.2], np.float32))
        array([255,   0,   0], dtype=uint8)
    """
    if lab.ndim == 0 or lab.shape[-1] != 3:
        raise DataError("Lab values, float [..., 3]", f"{list(lab.shape)}", "give L, a and b of each pixel")
    flat = lab.reshape(-1, 3)
    found = np.empty(flat.shape, np.uint8)
    back, levels = _rgb_of_xyz(), _levels()
    for start in range(0, len(flat), _CHUNK):
        part: Lab = flat[start : start + _CHUNK].astype(np.float32, copy=False)
        y = (part[:, 0] + 16) / 116
        x, z = part[:, 1] / 500 + y, y - part[:, 2] / 200
        light = np.stack([_cube(x), _cube(y), _cube(z.clip(0))], 1) @ back
        found[start : start + _CHUNK] = levels[(light.clip(0, 1) * (_STEPS - 1) + 0.5).astype(np.intp)]
    return found.reshape(lab.shape)


def colourfulness(pixels: Pixels) -> float:
    """Return how colourful a picture is: 0 is grey, photographs are mostly between 20 and 80.

    Args:
        pixels: RGB, uint8 [h, w, 3].

    Returns:
        Spread and strength of the opponent colours, float.

    Example:
        >>> colourfulness(np.full((2, 2, 3), 90, np.uint8))
        0.0

    References:
        Hasler and Süsstrunk, "Measuring colourfulness in natural images", Human Vision and Electronic
        Imaging 2003.
    """
    red, green, blue = (pixels[..., channel].astype(np.float32) for channel in range(3))
    pair = red - green, (red + green) / 2 - blue
    spread = math.hypot(*(float(each.std()) for each in pair))
    return spread + 0.3 * math.hypot(*(float(each.mean()) for each in pair))


def _flat_pixels(pixels: Pixels) -> Pixels:
    if pixels.dtype != np.uint8 or pixels.ndim == 0 or pixels.shape[-1] != 3:
        received = f"{pixels.dtype} {list(pixels.shape)}"
        raise DataError("RGB pixels, uint8 [..., 3]", received, "read the picture with images.decode")
    return pixels.reshape(-1, 3)


def _light(pixels: Pixels, axis: int) -> NDArray[np.float32]:
    """Return X, Y or Z of pixels [n, 3], as a share of white's: three tables, added."""
    red, green, blue = _tables()[axis]
    light: NDArray[np.float32] = red[pixels[:, 0]] + green[pixels[:, 1]] + blue[pixels[:, 2]]
    return light


def _root(light: NDArray[np.float32]) -> NDArray[np.float32]:
    line = light * np.float32(1 / (3 * _KINK**2)) + np.float32(4 / 29)
    found: NDArray[np.float32] = np.where(light > _KINK**3, np.cbrt(light), line)
    return found


def _cube(value: NDArray[np.floating]) -> NDArray[np.float32]:
    line = (value - np.float32(4 / 29)) * np.float32(3 * _KINK**2)
    found: NDArray[np.float32] = np.where(value > _KINK, value * value * value, line)
    return found


@cache
def _tables() -> NDArray[np.float32]:
    """From grey levels to what they add to X, Y and Z: float32 [3 of XYZ, 3 of RGB, 256]."""
    level = np.arange(256) / 255
    linear = np.where(level > 0.04045, ((level + 0.055) / 1.055) ** 2.4, level / 12.92)
    return np.asarray((_XYZ / _WHITE[:, None])[:, :, None] * linear, np.float32)


@cache
def _rgb_of_xyz() -> NDArray[np.float32]:
    return np.asarray(np.linalg.inv(_XYZ / _WHITE[:, None]).T, np.float32)


@cache
def _levels() -> Pixels:
    """From linear light in 65,536 steps to grey levels."""
    light = np.arange(_STEPS) / (_STEPS - 1)
    level = np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, light * 12.92)
    return np.asarray((level * 255).round(), np.uint8)
