"""From a file of sound to one wave: any format that libsndfile reads, any rate, any number of channels."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.data.items import Source
from headstart.errors import DecodeError

Wave = NDArray[np.float32]
_FIX = "save it as WAV, FLAC, OGG or MP3, or remove it"
_HALF_WIDTH = 16
"""Zero crossings of the resampling filter on each side."""
_ROLLOFF, _BETA = 0.945, 14.77


@dataclass(frozen=True, eq=False)
class Sound:
    """A decoded sound.

    Args:
        wave: The mean of the channels, float32 [samples], mostly from -1 to 1.
        rate: Samples a second, int, in Hz.
        channels: How many there were, int.
        kind: Format and coding, str, such as "WAV PCM_16".
    """

    wave: Wave
    rate: int
    channels: int
    kind: str

    @property
    def seconds(self) -> float:
        """How long it is, float."""
        return len(self.wave) / self.rate


def read_bytes(source: Source) -> bytes:
    """Return the encoded bytes of a sound.

    Args:
        source: A file's Path or name, or the bytes themselves.

    Raises:
        DecodeError: The file is missing, unreadable or empty.
    """
    if isinstance(source, np.ndarray):
        raise DecodeError("a file of sound", f"an array {list(source.shape)}", "write it as WAV first")
    if isinstance(source, bytes):
        data = source
    else:
        try:
            data = Path(source).read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            reason = getattr(error, "strerror", None) or str(error)
            raise DecodeError("a readable sound", reason, "check the file") from error
    if not data:
        raise DecodeError("a sound", "an empty file (0 bytes)", "remove it or get it again")
    return data


def decode(content: bytes) -> Sound:
    """Decode a sound; the format is told by the content, never by the name.

    Args:
        content: The encoded bytes.

    Returns:
        The Sound.

    Raises:
        DecodeError: It is none, holds no samples, or samples that are no numbers.
    """
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            samples = file.read(dtype="float32", always_2d=True)
            rate, channels, kind = file.samplerate, file.channels, f"{file.format} {file.subtype}"
    except (soundfile.LibsndfileError, RuntimeError) as error:
        reason = str(error).partition(": ")[2] or str(error)
        raise DecodeError("a sound", f"bytes that are none ({reason.strip().rstrip('.')})", _FIX) from error
    if not len(samples):
        raise DecodeError("a sound", "a file without a single sample", "remove it or get it again")
    if not np.isfinite(samples).all():
        raise DecodeError("samples that are numbers", "NaN or infinite ones", _FIX)
    return Sound(samples.mean(1), rate, channels, kind)


def resample(wave: Wave, rate: int, wanted: int) -> Wave:
    """Return a wave at another rate, by a windowed sinc of which no sample is computed that is not wanted.

    Args:
        wave: float32 [samples].
        rate: Its samples a second, int.
        wanted: Those that are wanted, int.

    Returns:
        float32 [ceil(samples × wanted / rate)].

    References:
        Smith, "Digital audio resampling", https://ccrma.stanford.edu/~jos/resample/.

    Example:
        >>> len(resample(np.zeros(44100, np.float32), 44100, 16000))
        16000
    """
    if rate == wanted:
        return wave
    common = math.gcd(rate, wanted)
    up, down = wanted // common, rate // common
    count = -(-len(wave) * up // down)
    bank, reach = _filters(up, down)
    padded = np.pad(wave, (reach, reach + down))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    result = np.empty(count, np.float32)
    for phase in range(min(up, count)):
        first = phase * down // up
        wanted_here = len(range(phase, count, up))
        result[phase::up] = windows[first::down][:wanted_here] @ bank[phase]
    return result


@cache
def _filters(up: int, down: int) -> tuple[NDArray[np.float32], int]:
    """Return the filter of each phase, float32 [up, 2 × reach + 1], and how many samples it reaches."""
    cutoff = _ROLLOFF * min(1.0, up / down)
    reach = math.ceil(_HALF_WIDTH / cutoff)
    shift = (np.arange(up) * down % up / up)[:, None]
    time = np.arange(-reach, reach + 1)[None] - shift
    window = np.i0(_BETA * np.sqrt(np.clip(1 - (time / (reach + 1)) ** 2, 0, None))) / np.i0(_BETA)
    taps = cutoff * np.sinc(cutoff * time) * window
    return np.asarray(taps / taps.sum(1, keepdims=True), np.float32), reach
