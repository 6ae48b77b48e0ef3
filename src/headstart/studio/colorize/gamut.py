"""Colours that a screen can show: what is too strong for its lightness is weakened, its lightness kept."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from headstart.studio.colorize.lab import lab_to_rgb, rgb_to_lab

_HUES = 256
_STRONGEST = 140.0
"""No sRGB colour has more chroma."""
_HALVINGS = 9
_NEAR = 1.5
"""Distance in Lab by which a colour may differ from what its pixel shows: rounding to grey levels is less."""


def fit_gamut(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return Lab values that sRGB has, of the same lightness and hue.

    Args:
        lab: float32 [..., 3].

    Returns:
        float32 [..., 3]; values that sRGB has are as they were.

    Example:
        >>> fit_gamut(np.array([[5, 0, -60], [50, 20, 20]], np.float32)).round()
        array([[  5.,   0., -17.],
               [ 50.,  20.,  20.]], dtype=float32)
    """
    strongest, always = _limits()
    flat = lab.reshape(-1, 3)
    level = flat[:, 0].clip(0, 100).round().astype(np.intp)
    chroma = np.hypot(flat[:, 1], flat[:, 2])
    doubtful = np.flatnonzero(chroma > always[level])
    if not len(doubtful):
        return lab
    fitted = flat.copy()
    some = flat[doubtful]
    turn = np.arctan2(some[:, 2], some[:, 1]) * np.float32(_HUES / (2 * np.pi))
    most = strongest[level[doubtful], turn.round().astype(np.intp) % _HUES]
    fitted[doubtful, 1:] *= np.minimum(1, most / chroma[doubtful])[:, None]
    return fitted.reshape(lab.shape)


@cache
def _limits() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the strongest chroma by lightness and hue, float32 [101, hues], and that of every hue, [101]."""
    angle = np.arange(_HUES, dtype=np.float32) * np.float32(2 * np.pi / _HUES)
    lab = np.zeros((101, _HUES, 3), np.float32)
    lab[..., 0] = np.arange(101)[:, None]
    low, high = np.zeros((101, _HUES), np.float32), np.full((101, _HUES), _STRONGEST, np.float32)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        lab[..., 1], lab[..., 2] = middle * np.cos(angle), middle * np.sin(angle)
        fits = np.linalg.norm(rgb_to_lab(lab_to_rgb(lab)) - lab, axis=2) < _NEAR
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return low, low.min(axis=1)
