"""Photographs as something else: edge maps, pencil sketches, pictures at night, pictures out of focus."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Pixels = NDArray[np.uint8]
SIDE = 224


def resized(pixels: Pixels) -> Pixels:
    """Return a photograph as `SIDE` × `SIDE` pixels, uint8 [side, side, 3]."""
    return np.asarray(Image.fromarray(pixels).convert("RGB").resize((SIDE, SIDE)), np.uint8)


def edges(pixels: Pixels) -> Pixels:
    """Return the edge map of a photograph, white on black, three channels.

    Canny: Sobel's gradient of the smoothed picture, thinned across the edge; what is strong, and what is weak
    and hangs together with it.
    """
    smooth = ndimage.gaussian_filter(_grey(pixels), 1.4)
    across, down = ndimage.sobel(smooth, 1), ndimage.sobel(smooth, 0)
    length = np.hypot(across, down)
    sector = np.round(np.arctan2(down, across) / (np.pi / 4)).astype(int) % 4
    thin = np.zeros(length.shape, bool)
    for number, step in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        highest = (length >= np.roll(length, step, (0, 1))) & (
            length >= np.roll(length, (-step[0], -step[1]), (0, 1))
        )
        thin |= highest & (sector == number)
    strong, weak = (np.quantile(length, share) for share in (0.92, 0.80))
    parts, _ = ndimage.label(thin & (length > weak), np.ones((3, 3)))
    kept = np.unique(parts[thin & (length > strong)])
    return _three(np.where(np.isin(parts, kept[kept > 0]), 255, 0))


def sketch(pixels: Pixels) -> Pixels:
    """Return a pencil drawing of a photograph: its grey, dodged by its own blurred negative."""
    grey = _grey(pixels)
    return _three(255 * grey / np.maximum(ndimage.gaussian_filter(grey, 5), 1))


def night(pixels: Pixels) -> Pixels:
    """Return a photograph as at night: dark, bluish, with the noise of few photons."""
    light = (resized(pixels) / 255.0) ** 1.6 * (0.12, 0.14, 0.22)
    chance = np.random.default_rng(int(pixels.sum(dtype=np.int64)))
    return _bytes(255 * light + chance.normal(0, 6, light.shape))


def blur(pixels: Pixels) -> Pixels:
    """Return a photograph out of focus."""
    return _bytes(ndimage.gaussian_filter(resized(pixels).astype(np.float64), (6, 6, 0)))


SHIFTS: dict[str, Callable[[Pixels], Pixels]] = {
    "edges": edges, "sketch": sketch, "night": night, "blur": blur,
}  # fmt: skip


def _grey(pixels: Pixels) -> NDArray[np.float64]:
    return np.asarray(Image.fromarray(pixels).convert("L").resize((SIDE, SIDE)), np.float64)


def _bytes(values: NDArray[np.floating]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _three(grey: NDArray[np.floating] | NDArray[np.integer]) -> Pixels:
    return np.repeat(_bytes(np.asarray(grey, np.float64))[..., None], 3, axis=2)
