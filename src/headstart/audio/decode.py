"""From a file of sound to one wave: any format that libsndfile reads, any rate, any number of channels."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.data.items import Source
from headstart.errors import DecodeError

Wave = NDArray[np.float32]
_FIX = "save it as WAV, FLAC, OGG or MP3, or remove it"
_BLOCK = 10
"""Seconds that are decoded at once: memory stays flat, however long a recording is."""
_VALUES = 4 << 20
"""Most values that are decoded at once: a file may claim any rate and hundreds of channels."""
_LARGE = 32 << 20
"""Files of more bytes than this are mapped, not read."""
_WHOLE = 0.9
"""Share of the announced length that must be there; some formats only estimate it."""


@dataclass(frozen=True, eq=False)
class Sound:
    """A decoded sound.

    Args:
        wave: The mean of the channels, float32 [samples], mostly from -1 to 1.
        rate: Samples a second, int, in Hz.
    """

    wave: Wave
    rate: int

    @property
    def seconds(self) -> float:
        """How long it is, float."""
        return len(self.wave) / self.rate


class Recording:
    """A sound that is read block by block; the format is told by the content, never by the name.

    Args:
        content: The encoded bytes, or an array of them.

    Attributes:
        seconds: How long it says it is, float.
        rate: Samples a second, int, in Hz.
        channels: How many there are, int.
        kind: Format and coding, str, such as "WAV PCM_16".

    Raises:
        DecodeError: It is no sound, or holds not a single sample.

    Example:
        >>> import io, soundfile
        >>> soundfile.write(file := io.BytesIO(), np.zeros((44100, 2)), 44100, format="WAV")
        >>> with Recording(file.getvalue()) as recording:
        ...     recording.seconds, sum(map(len, recording.waves(16000)))
        (1.0, 16000)
    """

    def __init__(self, content: bytes | NDArray[np.uint8]) -> None:
        import soundfile

        try:
            self._file: Any = soundfile.SoundFile(_as_file(content))
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise _unreadable(error) from error
        self.rate, self.channels = int(self._file.samplerate), int(self._file.channels)
        self.seconds = self._file.frames / self.rate
        self.kind = f"{self._file.format} {self._file.subtype}"
        self._only: NDArray[np.float32] | None = None
        if not self._file.frames:
            self._file.close()
            raise DecodeError("a sound", "a file without a single sample", "remove it or get it again")

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield what it holds, float32 [samples, channels], block by block, from the beginning.

        Raises:
            DecodeError: It breaks off, or holds samples that are no numbers.
        """
        if self._only is not None:
            yield self._only
            return
        import soundfile

        size = max(1, min(_BLOCK * self.rate, _VALUES // self.channels))
        count = 0
        while True:
            try:
                if not count:
                    self._file.seek(0)
                block = self._file.read(size, dtype="float32", always_2d=True)
            except (soundfile.LibsndfileError, RuntimeError) as error:
                raise _unreadable(error) from error
            if not len(block):
                break
            if not np.isfinite(block).all():
                raise DecodeError("samples that are numbers", "NaN or infinite ones", _FIX)
            count += len(block)
            if count == self._file.frames <= size:
                self._only = block  # most clips are one block: they are decoded once, whatever is asked for
            yield block
        if count < _WHOLE * self._file.frames:
            told = f"one that breaks off after {count / self.rate:.1f} of {self.seconds:.1f} seconds"
            raise DecodeError("a whole sound", told, "get the file again, or remove it")

    def waves(self, rate: int) -> Iterator[Wave]:
        """Yield the mean of the channels at some rate, float32 [samples], block by block; see `blocks`.

        Args:
            rate: Samples a second that are wanted, int, in Hz.
        """
        if rate == self.rate:
            yield from (block.mean(1) for block in self.blocks())
            return
        import soxr

        stream = soxr.ResampleStream(self.rate, rate, 1, dtype="float32")
        for block in self.blocks():
            yield stream.resample_chunk(block.mean(1))
        yield stream.resample_chunk(np.empty(0, np.float32), last=True)

    def wave(self, rate: int, seconds: float | None = None) -> Wave:
        """Return the mean of the channels at some rate, float32 [samples], in one piece; see `blocks`.

        Args:
            rate: As for `waves`.
            seconds: How much of it at most, from its beginning, float. Defaults to None: all.
        """
        parts: list[Wave] = []
        most = None if seconds is None else round(seconds * rate)
        for part in self.waves(rate):
            parts.append(part)
            if most is not None and sum(map(len, parts)) >= most:
                break
        return np.concatenate(parts)[:most]


def decode(
    content: bytes | NDArray[np.uint8], rate: int | None = None, seconds: float | None = None
) -> Sound:
    """Decode a sound.

    Args:
        content: The encoded bytes.
        rate: Samples a second that are wanted, int, in Hz. Defaults to None: its own.
        seconds: How much of it at most, from its beginning, float. Defaults to None: all.

    Returns:
        The Sound.

    Raises:
        DecodeError: It is none, holds no samples, breaks off, or holds samples that are no numbers.
    """
    with Recording(content) as recording:
        wanted = rate or recording.rate
        return Sound(recording.wave(wanted, seconds), wanted)


def read_bytes(source: Source) -> bytes | NDArray[np.uint8]:
    """Return the encoded bytes of a sound; of a large file an array that is read as it is used.

    Args:
        source: A file's Path or name, or the bytes themselves.

    Raises:
        DecodeError: The file is missing, unreadable or empty.
    """
    if isinstance(source, np.ndarray):
        if isinstance(source, np.memmap):
            return source
        raise DecodeError("a file of sound", f"an array {list(source.shape)}", "write it as WAV first")
    data: bytes | NDArray[np.uint8]
    if isinstance(source, bytes):
        data = source
    else:
        try:
            path = Path(source)
            large = path.stat().st_size > _LARGE
            data = np.memmap(path, np.uint8, "r") if large else path.read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            reason = getattr(error, "strerror", None) or str(error)
            raise DecodeError("a readable sound", reason, "check the file") from error
    if not len(data):
        raise DecodeError("a sound", "an empty file (0 bytes)", "remove it or get it again")
    return data


def resample(wave: Wave, rate: int, wanted: int) -> Wave:
    """Return a wave at another rate.

    Args:
        wave: float32 [samples].
        rate: Its samples a second, int.
        wanted: Those that are wanted, int.

    Returns:
        float32 [samples × wanted / rate].

    Example:
        >>> len(resample(np.zeros(44100, np.float32), 44100, 16000))
        16000
    """
    if rate == wanted:
        return wave
    import soxr

    return np.asarray(soxr.resample(wave, rate, wanted), np.float32)


def _as_file(content: bytes | NDArray[np.uint8]) -> io.BytesIO | str:
    """Return what can be opened; a mapped file is not copied."""
    if isinstance(content, np.memmap) and content.filename is not None:
        return str(content.filename)
    return io.BytesIO(bytes(content))


def _unreadable(error: Exception) -> DecodeError:
    reason = str(error).partition(": ")[2] or str(error)
    return DecodeError("a sound", f"bytes that are none ({reason.strip().rstrip('.')})", _FIX)
