"""Sound as it happens: from a pipe, or from a microphone."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from headstart.audio.decode import Wave
from headstart.errors import HeadstartError, MissingExtraError, OptionError

_BLOCK = 0.05
"""Seconds that are taken from a pipe or a microphone at once: what is more is waited for."""
_PIPE = "pipe sound in instead, 16-bit PCM: arecord -t raw -f S16_LE -r 16000 | headstart listen MODEL"


def pcm(stream: BinaryIO, rate: int, channels: int = 1) -> Iterator[Wave]:
    """Yield sound from 16-bit PCM as it comes, little-endian, without a header.

    Args:
        stream: Where the bytes come from; its `read1`, if it has one, returns what is there.
        rate: Samples a second, int, in Hz.
        channels: How many there are, whose samples alternate, int. Defaults to 1.

    Yields:
        The mean of the channels, float32 [samples].

    Raises:
        OptionError: `rate` or `channels` can be none, or what comes is a WAV file.

    Example:
        >>> import io
        >>> [wave.tolist() for wave in pcm(io.BytesIO(bytes([0, 64, 0, 192])), 16000)]
        [[0.5, -0.5]]
    """
    if not (1_000 <= rate <= 768_000 and 1 <= channels <= 64):
        expected = "a rate of 1,000 to 768,000 Hz and 1 to 64 channels"
        raise OptionError(expected, f"{rate} Hz and {channels}", "name those of what is piped in")
    frame = 2 * channels
    most = max(1, round(rate * _BLOCK)) * frame
    read = getattr(stream, "read1", stream.read)
    rest, first = b"", True
    while data := read(most):
        if first and data.startswith(b"RIFF"):
            fix = "headstart predict MODEL FILE --timeline, or ffmpeg -i FILE -f s16le -ar 16000 -ac 1 - | …"
            raise OptionError("16-bit PCM without a header", "a WAV file", fix)
        first = False
        data = rest + data
        whole = len(data) // frame * frame
        rest = data[whole:]
        if whole:
            samples = np.frombuffer(data[:whole], "<i2").reshape(-1, channels)
            yield samples.mean(1, dtype=np.float32) / np.float32(32_768)


@contextmanager
def microphone() -> Iterator[tuple[int, Iterator[Wave]]]:
    """Open the system's microphone with the package sounddevice.

    Yields:
        rate: Samples a second, int, in Hz.
        waves: The sound as it comes, without end, float32 [samples].

    Raises:
        MissingExtraError: sounddevice is not installed.
        HeadstartError: There is no microphone, or it cannot be opened.
    """
    try:
        import sounddevice
    except ImportError as error:
        expected = "the package 'sounddevice' for the microphone"
        fix = f"pip install sounddevice, or {_PIPE}"
        raise MissingExtraError(expected, "an environment without it", fix) from error
    except OSError as error:  # the wheel for Linux has no PortAudio in it
        raise _no_microphone(str(error)) from error
    blocks: queue.SimpleQueue[NDArray[np.float32]] = queue.SimpleQueue()

    def keep(block: NDArray[np.float32], *_: object) -> None:
        blocks.put(block[:, 0].copy())

    try:
        rate = int(sounddevice.query_devices(kind="input")["default_samplerate"])
        size = round(rate * _BLOCK)
        stream = sounddevice.InputStream(rate, size, channels=1, dtype="float32", callback=keep)
    except (sounddevice.PortAudioError, ValueError) as error:
        raise _no_microphone(str(error)) from error
    with stream:
        yield rate, _each(blocks)


def _each(blocks: queue.SimpleQueue[Wave]) -> Iterator[Wave]:
    while True:
        yield blocks.get()


def _no_microphone(reason: str) -> HeadstartError:
    return HeadstartError("a microphone that can be opened", reason, _PIPE)
