"""What a recording is like as a signal: channels, level, clipping, silence, offset."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_FULL = 0.999
"""Of full scale: samples beyond it, side by side and on the same side, are clipped."""
SILENT = 1e-3
"""Root mean square of a frame below which it is silent: −60 dB of full scale."""
_FRAME = 0.02
"""Seconds."""


def measure(blocks: Iterable[NDArray[np.float32]], rate: int) -> dict[str, float]:
    """Measure a recording in one pass.

    Args:
        blocks: float32 [samples, channels], in order, at least one of them not empty.
        rate: Samples a second, int, in Hz.

    Returns:
        "channels"; "peak", the loudest sample (1 is full scale); "level", the root mean square in dB of full
        scale; "clipped", the share of samples that are; "silent", the share of frames of 20 ms that are;
        "offset", the mean of the channel where it is furthest from 0, in full scales.

    Example:
        >>> measure([np.zeros((8000, 1), np.float32)], 8000)["silent"]
        1.0
    """
    frame = max(1, round(_FRAME * rate))
    samples = clipped = frames = silent = 0
    squares = peak = 0.0
    total = np.zeros(1)
    for block in blocks:
        samples += len(block)
        total = total + block.sum(0, dtype=np.float64)
        energies = np.einsum("sc,sc->s", block, block)
        squares += float(energies.sum(dtype=np.float64))
        highest = max(float(block.max()), -float(block.min()))
        peak = max(peak, highest)
        if highest >= _FULL:
            clipped += _side_by_side(block >= _FULL) + _side_by_side(block <= -_FULL)
        # What is left of a frame at a block's end counts as a frame: blocks are long, so it hardly matters.
        starts = np.arange(0, len(block), frame)
        lengths = np.diff(starts, append=len(block)) * block.shape[1]
        frames += len(starts)
        silent += int((np.add.reduceat(energies, starts) < SILENT**2 * lengths).sum())
    values = samples * len(total)
    return {
        "channels": float(len(total)),
        "peak": round(peak, 4),
        "level": round(float(10 * np.log10(max(squares / values, 1e-12))), 1),
        "clipped": round(clipped / values, 6),
        "silent": round(silent / frames, 4),
        "offset": round(float(np.abs(total).max()) / samples, 5),
    }


def _side_by_side(full: NDArray[np.bool_]) -> int:
    """Return how many samples are in a run of at least two."""
    pairs = full[1:] & full[:-1]
    runs = np.zeros_like(full)
    runs[1:] |= pairs
    runs[:-1] |= pairs
    return int(runs.sum())
