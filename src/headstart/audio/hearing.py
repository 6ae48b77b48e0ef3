"""From a sound to the patches that a network hears, one after the other, in memory that stays flat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from numpy.typing import NDArray

from headstart.audio.decode import Recording, Wave
from headstart.audio.mel import log_mel, whole_patch
from headstart.backbones.card import Waves

Patch = NDArray[np.float32]
"""Log-mel, [frames, bands]."""


def hear(content: bytes | NDArray[np.uint8] | Recording, spec: Waves) -> Iterator[Patch]:
    """Yield all patches of a sound; the one with number k begins at second k × step × hop / rate.

    The last one ends with the sound, and begins wherever that is; a sound that is shorter than a patch is
    filled up.

    Args:
        content: The encoded bytes, or the open recording.
        spec: What a patch is.

    Raises:
        DecodeError: It cannot be read.
    """
    with _opened(content) as recording:
        for frames in cut(spectrogram(recording.waves(spec.rate), spec), spec.size, spec.step):
            yield whole_patch(frames, spec)


def heard(content: bytes | NDArray[np.uint8] | Recording, spec: Waves) -> list[Patch]:
    """Return the patches of a sound, of a long one `spec.rows` that are spread evenly.

    Args:
        content: The encoded bytes, or the open recording.
        spec: What a patch is.

    Raises:
        DecodeError: It cannot be read.
    """
    with _opened(content) as recording:
        frames = spec.frames(round(recording.seconds * spec.rate))
        count = 1 + max(0, -(-(frames - spec.size) // spec.step))
        patches = hear(recording, spec)
        if count <= spec.rows:
            return list(patches)
        wanted = set(np.linspace(0, count - 1, spec.rows).round().astype(int).tolist())
        return [patch for number, patch in enumerate(patches) if number in wanted]


def spectrogram(waves: Iterable[Wave], spec: Waves) -> Iterator[NDArray[np.float32]]:
    """Yield the log-mel spectrogram of a wave that comes in parts, float32 [frames, bands].

    What is shorter than a frame is filled up with silence; what is no whole frame at the end is left out.

    Args:
        waves: float32 [samples] at `spec.rate`, in order.
        spec: What to compute.
    """
    pending = np.empty(0, np.float32)
    some = False
    for wave in _around(waves, spec) if spec.front == "whisper" else waves:
        pending = np.concatenate([pending, wave])
        if count := spec.frames(len(pending)):
            yield log_mel(pending, spec)
            pending, some = pending[count * spec.hop :], True
    if not some:
        yield log_mel(np.pad(pending, (0, spec.window - len(pending))), spec)


def _around(waves: Iterable[Wave], spec: Waves) -> Iterator[Wave]:
    """Yield a wave with its beginning mirrored before it and silence behind, for frames that are centred."""
    before = True
    for wave in waves:
        if before and len(wave):
            yield wave[spec.window // 2 : 0 : -1]
            before = False
        yield wave
    yield np.zeros(spec.window, np.float32)


def _opened(content: bytes | NDArray[np.uint8] | Recording) -> AbstractContextManager[Recording]:
    return nullcontext(content) if isinstance(content, Recording) else Recording(content)


def cut(spectra: Iterable[NDArray[np.float32]], length: int, step: int) -> Iterator[Patch]:
    """Yield windows of a spectrogram that comes in parts; one that is shorter than a window as it is.

    Args:
        spectra: float32 [frames, bands], in order, at least one frame.
        length: Frames in a window, int.
        step: Frames from window to window, int, at most `length`.

    Example:
        >>> [len(patch) for patch in cut([np.zeros((200, 64), np.float32)], 96, 48)]
        [96, 96, 96, 96]
    """
    held: NDArray[np.float32] | None = None
    start = end = 0
    for part in spectra:
        held = part if held is None else np.concatenate([held, part])
        while start + length <= len(held):
            yield held[start : start + length]
            start, end = start + step, start + length
        # The last window may begin before what follows does.
        gone = max(0, min(start, len(held) - length))
        held, start, end = held[gone:], start - gone, end - gone
    if held is None:
        return
    if end < len(held):
        yield held[-length:]
