"""From a sound to the patches that a network hears, one after the other, in memory that stays flat."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from numpy.typing import NDArray

from headstart.audio.decode import Recording, Wave
from headstart.audio.measures import SILENT
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
        yield from _patches(recording.waves(spec.rate), spec)


def heard(content: bytes | NDArray[np.uint8] | Recording, spec: Waves) -> list[Patch]:
    """Return the patches that an answer about a whole sound is made from.

    Silent ones say nothing about it and are left out, unless all are; of a long sound `spec.rows` are heard
    that are spread evenly.

    Args:
        content: The encoded bytes, or the open recording.
        spec: What a patch is.

    Raises:
        DecodeError: It cannot be read.
    """
    with _opened(content) as recording:
        frames = spec.frames(round(recording.seconds * spec.rate))
        count = 1 + max(0, -(-(frames - spec.size) // spec.step))
        loudness = _Loudness(spec)
        patches = _patches(loudness.of(recording.waves(spec.rate)), spec)
        wanted = set(np.linspace(0, count - 1, min(count, spec.rows)).round().astype(int).tolist())
        # How many there are is sometimes only estimated.
        found = [(n, patch) for n, patch in enumerate(patches) if n in wanted or count <= spec.rows]
    return [patch for number, patch in found if loudness.heard(number)] or [patch for _, patch in found]


def sounding(content: bytes | NDArray[np.uint8] | Recording, spec: Waves) -> NDArray[np.bool_]:
    """Return in which patches anything sounds, bool [patches] in the order of `hear`; all where in none.

    Args:
        content: The encoded bytes, or the open recording.
        spec: What a patch is.

    Raises:
        DecodeError: It cannot be read.
    """
    loudness, samples = _Loudness(spec), 0
    with _opened(content) as recording:
        for wave in loudness.of(recording.waves(spec.rate)):
            samples += len(wave)
    count = 1 + max(0, -(-(spec.frames(samples) - spec.size) // spec.step))
    found = np.array([loudness.heard(number) for number in range(count)])
    return found if found.any() else ~found


class _Loudness:
    """Notes of a wave that goes by which hundredths of a second are no silence."""

    def __init__(self, spec: Waves) -> None:
        self._frame = max(1, spec.rate // 100)
        self._step = spec.step * spec.hop / self._frame
        self._length = spec.samples(spec.size) / self._frame
        self._sounds = np.empty(0, bool)

    def of(self, waves: Iterable[Wave]) -> Iterator[Wave]:
        rest = np.empty(0, np.float32)
        parts: list[NDArray[np.bool_]] = []
        for wave in waves:
            yield wave
            rest = np.concatenate([rest, wave])
            whole = len(rest) // self._frame * self._frame
            parts.append(self._is_sound(rest[:whole].reshape(-1, self._frame)))
            rest = rest[whole:]
        if len(rest):
            parts.append(self._is_sound(rest[None]))
        self._sounds = np.concatenate(parts)

    def heard(self, number: int) -> bool:
        """Return whether anything sounds in a patch; the last one ends with the sound."""
        start = int(min(number * self._step, max(0.0, len(self._sounds) - self._length)))
        return bool(self._sounds[start : start + math.ceil(self._length)].any())

    @staticmethod
    def _is_sound(frames: Wave) -> NDArray[np.bool_]:
        return np.asarray(np.einsum("fs,fs->f", frames, frames) >= SILENT**2 * frames.shape[1])


def _patches(waves: Iterable[Wave], spec: Waves) -> Iterator[Patch]:
    for frames in cut(spectrogram(waves, spec), spec.size, spec.step):
        yield whole_patch(frames, spec)


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
