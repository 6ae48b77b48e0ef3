"""The guided filter: a coarse map of values, enlarged so that it keeps to the edges of a fine picture.

In every window the values are taken for a straight line of the guide's grey. The lines are found on a small
copy and drawn at full size, a few rows at a time, so that a picture of any size takes little memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.errors import DataError, OptionError

Plane = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LinearModel:
    """What each value is, as a straight line of the guide, at every place of a small copy.

    Args:
        slope, offset: float32 [h, w, c].

    References:
        He and Sun, "Fast guided filter", 2015.
    """

    slope: Plane
    offset: Plane

    def rows(self, guide: Plane, top: int, height: int) -> Plane:
        """Return the values at some rows of the large picture.

        Args:
            guide: These rows of the guide, float32 [rows, w].
            top: The first of them, int.
            height: How many rows the whole picture has, int.

        Returns:
            float32 [rows, w, c]; what is asked for row by row fits together without seams.
        """
        shape = (guide.shape[0], guide.shape[1])
        found = np.empty((*shape, self.slope.shape[2]), np.float32)
        for channel in range(found.shape[2]):
            slope, offset = self.slope[..., channel], self.offset[..., channel]
            np.multiply(_enlarged(slope, shape, top, height), guide, found[..., channel])
            found[..., channel] += _enlarged(offset, shape, top, height)
        return found


def linear_model(guide: Plane, values: Plane, radius: int, smooth: float) -> LinearModel:
    """Find the straight lines from a guide to values.

    Args:
        guide: A grey picture, float [h, w].
        values: What is to keep to its edges, float [h, w, c].
        radius: Of the windows, int, in pixels: a window has 2 radius + 1 on each side.
        smooth: Variance of the guide below which a window is taken for flat, float above 0, in the guide's
            unit squared: there the values are averaged.

    Returns:
        The lines, each the mean of those of all windows that hold the place.

    Raises:
        DataError: The two are of different sizes.
        OptionError: A radius below 0, or a smoothness that is not above 0.

    Example:
        >>> edge = np.repeat(np.array([[0, 0, 0, 1, 1, 1]], np.float32), 6, 0)
        >>> blurred = np.repeat(np.array([[0, 0, 0.25, 0.75, 1, 1]], np.float32), 6, 0)[..., None]
        >>> linear_model(edge, blurred, 2, 1e-4).rows(edge, 0, 6)[3, :, 0].round(1)
        array([0.1, 0.1, 0.1, 0.9, 0.9, 0.9], dtype=float32)

    References:
        He, Sun and Tang, "Guided image filtering", IEEE TPAMI 35(6), 2013.
    """
    if guide.shape != values.shape[:2] or values.ndim != 3:
        received = f"{list(guide.shape)} and {list(values.shape)}"
        raise DataError("a guide [h, w] and values [h, w, c]", received, "bring them to one size")
    if radius < 0 or not smooth > 0:
        received = f"{radius} and {smooth:g}"
        raise OptionError("a radius from 0 and a smoothness above 0", received, "correct them")
    grey = guide.astype(np.float64)[..., None]
    wanted = values.astype(np.float64)
    mean, wanted_mean = box_mean(grey, radius), box_mean(wanted, radius)
    variance = box_mean(grey * grey, radius) - mean * mean
    covariance = box_mean(grey * wanted, radius) - mean * wanted_mean
    slope = covariance / (variance + smooth)
    offset = wanted_mean - slope * mean
    return LinearModel(
        box_mean(slope, radius).astype(np.float32), box_mean(offset, radius).astype(np.float32)
    )


def box_mean(values: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """Return the mean of each place's window, as far as the window lies inside.

    Args:
        values: float64 [h, w, c].
        radius: int, in pixels.

    Returns:
        float64 [h, w, c].

    Example:
        >>> box_mean(np.arange(4.0).reshape(1, 4, 1), 1).ravel()
        array([0.5, 1. , 2. , 2.5])
    """
    for axis in (0, 1):
        length = values.shape[axis]
        around = [(0, 0)] * 3
        around[axis] = (radius + 1, radius)
        # Beyond the end nothing is added: the last sum stands there, and before the beginning 0.
        sums = np.pad(values, around).cumsum(axis)
        first, last = (
            (slice(None),) * axis + (slice(length),),
            (slice(None),) * axis + (slice(-length, None),),
        )
        places = np.arange(length)
        count = np.minimum(places + radius + 1, length) - np.maximum(places - radius, 0)
        values = (sums[last] - sums[first]) / count.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    return values


def resized(values: Plane, shape: tuple[int, int]) -> Plane:
    """Return values at another size: averaged where it is smaller, interpolated where it is larger.

    Args:
        values: float [h, w] or [h, w, c].
        shape: The new height and width.

    Returns:
        float32 of that shape.

    Example:
        >>> resized(np.array([[0, 1]], np.float32), (1, 4))
        array([[0.  , 0.25, 0.75, 1.  ]], dtype=float32)
    """
    if values.ndim == 3:
        planes = [resized(values[..., channel], shape) for channel in range(values.shape[2])]
        return np.stack(planes, axis=2)
    return _enlarged(values, shape, 0, shape[0])


def _enlarged(plane: Plane, shape: tuple[int, int], top: int, height: int) -> Plane:
    """Return rows of a plane scaled to `height` rows, float32 of `shape`, from row `top` on."""
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    down = plane.shape[0] / height
    # Pillow looks beyond the box: strips are parts of the whole, not pictures of their own.
    box = (0, top * down, plane.shape[1], min((top + shape[0]) * down, plane.shape[0]))
    return np.asarray(image.resize(shape[::-1], Image.Resampling.BILINEAR, box))
