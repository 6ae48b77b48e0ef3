"""Evidence laid over pictures, in two colours that colour-blind people tell apart; needs no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from headstart.images.decode import Pixels

FOR, AGAINST = (230, 97, 1), (45, 100, 190)
"""Orange speaks for the answer, blue against it (RGB)."""
_OPAQUE = 0.65
Floats = NDArray[np.float64]
Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom are the first outside."""


def spread(evidence: NDArray[np.floating], height: int, width: int) -> Floats:
    """Return evidence at another size: interpolated where it is enlarged, averaged where it shrinks.

    Args:
        evidence: float [rows, columns].
        height, width: The size, int.

    Returns:
        float64 [height, width].
    """
    # Bicubic interpolation would draw a rim of the other sign around every peak.
    small = Image.fromarray(np.asarray(evidence, np.float32))
    return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR), np.float64)


def overlay(pixels: Pixels, evidence: NDArray[np.floating], box: Box | None = None) -> Pixels:
    """Lay evidence over a picture: orange where it speaks for the answer, blue where against it.

    Args:
        pixels: The picture, uint8 [h, w, 3].
        evidence: float [rows, columns], of any scale; 0 says nothing.
        box: The part of the picture that the evidence is about; what is outside becomes paler. Defaults to
            None: all of it.

    Returns:
        uint8 [h, w, 3].

    Example:
        >>> grey = np.full((2, 4, 3), 128, np.uint8)
        >>> shown = overlay(grey, np.array([[1.0, 0.0], [1.0, 0.0]]))
        >>> shown[0, 0].tolist(), shown[0, 3].tolist()
        ([194, 108, 45], [128, 128, 128])
    """
    height, width = pixels.shape[:2]
    left, top, right, bottom = box or (0, 0, width, height)
    heat = spread(evidence, bottom - top, right - left)
    heat = heat / max(float(np.abs(heat).max()), 1e-12)
    found = pixels // 3 + 170  # not seen by the network
    inside = pixels[top:bottom, left:right]
    colour = np.where(heat[..., None] > 0, np.array(FOR), np.array(AGAINST))
    alpha = _OPAQUE * np.abs(heat)[..., None]
    grey = inside.mean(2, keepdims=True)  # colours of the picture and of the map would mix
    mixed = (1 - alpha) * (0.25 * inside + 0.75 * grey) + alpha * colour
    found[top:bottom, left:right] = mixed.round().clip(0, 255).astype(np.uint8)
    return found


def blur(pixels: Pixels) -> Pixels:
    """Return a picture of which only the coarse colours are left, uint8 [h, w, 3].

    Its radius is a twentieth of the longer side: 11 pixels of 224, as in Petsiuk, Das and Saenko, BMVC 2018.
    """
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(max(pixels.shape[:2]) / 20)))


def peak(evidence: NDArray[np.floating], share: float = 0.5) -> tuple[slice, slice] | None:
    """Return where evidence is strongest: the box around the cells that hang together with the largest.

    Args:
        evidence: float [rows, columns].
        share: Cells of at least this share of the largest belong to it, float. Defaults to 0.5.

    Returns:
        The rows and the columns; None where no evidence is above 0.

    References:
        Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016, section 3.3, with a
        share of 0.2.

    Example:
        >>> peak(np.array([[0.0, 1.0, 0.9], [0.0, 0.1, 0.0], [0.8, 0.0, 0.0]]))
        (slice(0, 1, None), slice(1, 3, None))
    """
    start = np.unravel_index(int(np.argmax(evidence)), evidence.shape)
    if evidence[start] <= 0:
        return None
    high = evidence >= share * evidence[start]
    reached = np.zeros_like(high)
    reached[start] = True
    while True:
        padded = np.pad(reached, 1)
        grown = (
            padded[1:-1, 1:-1] | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
        )
        grown &= high
        if (grown == reached).all():
            break
        reached = grown
    rows, columns = np.flatnonzero(reached.any(1)), np.flatnonzero(reached.any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
