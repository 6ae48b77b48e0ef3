"""Colours as classes: which of some hundred places of the ab plane a pixel's colour is at, and back."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from headstart.errors import OptionError
from headstart.studio.colorize.lab import rgb_to_lab

STEP = 10
"""Distance of neighbouring bins on the ab plane."""
NEAREST = 5
"""Bins that share a colour."""
TEMPERATURE = 0.38
"""Zhang's: between the mean of what a pixel may be (1: greyish) and its mode (0: patchy)."""
_SIGMA = 5.0
_SPAN = 128
"""a and b lie within this of zero."""

Floats = NDArray[np.float32]


@cache
def bins() -> Floats:
    """Return the colours that a network tells apart: every sRGB colour lies in the square around one.

    Returns:
        Centres in ab, float32 [261, 2]. Zhang et al. count 313, some of which no sRGB colour comes near.

    Example:
        >>> bins().shape, bins().min(0).tolist(), bins().max(0).tolist()
        ((261, 2), [-90.0, -110.0], [100.0, 90.0])

    References:
        Zhang, Isola and Efros, "Colorful Image Colorization", ECCV 2016.
    """
    levels = np.append(np.arange(0, 255, 3, dtype=np.uint8), np.uint8(255))
    one, other = (axis.ravel() for axis in np.meshgrid(levels, levels))
    # The surface of the cube of all colours: what is inside has the a and b of something on it.
    faces = [np.insert(np.stack([one, other], 1), axis, end, axis=1) for axis in range(3) for end in (0, 255)]
    ab = rgb_to_lab(np.concatenate(faces).astype(np.uint8))[:, 1:]
    return np.asarray(np.unique((ab / STEP).round(), axis=0) * STEP, np.float32)


def encode(ab: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Return which bins colours are in: of each the five nearest, by a Gaussian of sigma 5.

    Args:
        ab: float [..., 2].

    Returns:
        places: Numbers of bins, int64 [..., 5].
        shares: What each has of the colour, float32 [..., 5], adding up to 1.

    Example:
        >>> places, shares = encode(np.array([0, 0], np.float32))
        >>> bins()[places[0]].tolist(), round(float(shares[0]), 2)
        ([0.0, 0.0], 0.65)
    """
    places, shares = _tables()
    whole = (ab.round().astype(np.int64) + _SPAN).clip(0, 2 * _SPAN - 1)
    return places[whole[..., 0], whole[..., 1]], shares[whole[..., 0], whole[..., 1]]


def rebalancing(prior: Floats, mix: float = 0.5) -> Floats:
    """Return how much more a bin has to count so that the rare colours are not drowned by greys.

    Args:
        prior: Share of all pixels that each bin has, float [bins].
        mix: How much of a uniform distribution is mixed in, float from 0 to 1: 1 leaves all alike. Defaults
            to 0.5.

    Returns:
        float32 [bins], one on average over pixels.

    Raises:
        OptionError: A mix outside its range.

    Example:
        >>> rebalancing(np.array([0.9, 0.1], np.float32)).round(2)
        array([0.88, 2.06], dtype=float32)
    """
    if not 0 < mix <= 1:
        raise OptionError("a mix above 0, up to 1", f"{mix:g}", "use 0.5")
    prior = prior / prior.sum()
    weights = 1 / ((1 - mix) * prior + mix / len(prior))
    return np.asarray(weights / (weights * prior).sum(), np.float32)


def mean_colour(
    logits: Floats, centres: Floats, *, temperature: float = 1.0, weights: Floats | None = None
) -> Floats:
    """Return the colour that logits stand for: expected, or annealed.

    Args:
        logits: float [bins, h, w] or [n, bins, h, w].
        centres: The colours of the bins, float [bins, 2].
        temperature: float above 0. At 1 (the default) it is the expected colour, which no other is nearer to
            in the mean; below, the annealed mean, more vivid; towards 0, the most likely bin.
        weights: How much each bin counts, float [bins], such as `rebalancing` gives. Defaults to None, alike.

    Returns:
        ab, float32 [h, w, 2] or [n, h, w, 2].

    Raises:
        OptionError: A temperature of 0 or below.

    Example:
        >>> logits = np.log(np.array([0.7, 0.3], np.float32)).reshape(2, 1, 1)
        >>> centres = np.array([[0, 0], [50, -50]], np.float32)
        >>> mean_colour(logits, centres)[0, 0].round(1)
        array([ 15., -15.], dtype=float32)
        >>> mean_colour(logits, centres, temperature=0.38)[0, 0].round(1)
        array([ 4.9, -4.9], dtype=float32)
    """
    if temperature <= 0:
        raise OptionError("a temperature above 0", f"{temperature:g}", f"use {TEMPERATURE}")
    scores = np.moveaxis(logits, -3, -1).astype(np.float32)
    if weights is not None:
        scores = scores + np.log(weights)
    scores = (scores - scores.max(-1, keepdims=True)) / np.float32(temperature)
    np.exp(scores, out=scores)
    found: Floats = (scores @ centres) / scores.sum(-1, keepdims=True)
    return found


@cache
def _tables() -> tuple[NDArray[np.int64], Floats]:
    """`encode` of all whole values of a and b, from -128 to 127."""
    values = np.arange(-_SPAN, _SPAN, dtype=np.float32)
    plane = np.stack(np.meshgrid(values, values, indexing="ij"), 2)
    squared = ((plane[:, :, None] - bins()) ** 2).sum(3)
    places = np.argsort(squared, axis=2, kind="stable")[..., :NEAREST]
    near = np.take_along_axis(squared, places, 2)
    shares = np.exp((near[..., :1] - near) / (2 * _SIGMA**2))
    return places, np.asarray(shares / shares.sum(2, keepdims=True), np.float32)
