"""Sounds on pages: written anew for a player, drawn as a spectrogram, with what is heard when below it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.audio.decode import Recording, decode
from headstart.audio.hearing import spectrogram
from headstart.backbones.card import Waves
from headstart.serving.pages.pictures import data_address

_PLAYED = 32_000
"""Samples a second of what is written anew."""
_COLUMNS = 720
_LANES, _LISTED = 6, 40
"""So many labels are drawn, so many segments listed; the interface for programs gives all."""
_INK = (64, 112, 196)  # readable on light and on dark paper
_QUIET, _LOUD = 0.3, 0.995


@dataclass(frozen=True)
class Part:
    """A segment of the timeline, or a bar of what counts.

    Args:
        start: In seconds from the beginning, float.
        end: Likewise.
        label: What is heard, str; "" for a bar.
        value: How sure that is, 0 to 1, float; of a bar how much it counts, -1 to 1.
    """

    start: float
    end: float
    label: str
    value: float


@dataclass(frozen=True)
class Heard:
    """A sound, as the page shows it.

    Args:
        seconds: How long it is, float.
        picture: Its spectrogram, a data address.
        lanes: The segments of each label, those that sound longest first.
        parts: All segments that are listed, in order of time.
        more: How many segments are not listed, int.
        bars: What each moment counts; none where nobody asked why.
    """

    seconds: float
    picture: str
    lanes: Sequence[tuple[str, Sequence[Part]]] = ()
    parts: Sequence[Part] = ()
    more: int = 0
    bars: Sequence[Part] = ()


def heard(content: bytes, reasons: Mapping[str, Any]) -> Heard:
    """Return what the page shows of a sound.

    Args:
        content: The encoded sound.
        reasons: What `explaining.explain` found, or nothing.

    Raises:
        DecodeError: It cannot be read.
    """
    with Recording(content) as recording:
        seconds = recording.seconds
    picture = data_address(spectrogram_png(content), "png")
    if not reasons:
        return Heard(seconds, picture)
    parts = [
        Part(each["start"], each["end"], each["label"], each["confidence"]) for each in reasons["segments"]
    ]
    lanes = _lanes(parts)
    return Heard(seconds, picture, lanes, parts[:_LISTED], len(parts[_LISTED:]), _bars(reasons))


def playable(content: bytes) -> bytes:
    """Return a sound as a FLAC of our own making: one channel, without what else was in the file.

    Args:
        content: The encoded sound.

    Raises:
        DecodeError: It cannot be read.

    Example:
        >>> import soundfile
        >>> soundfile.write(file := io.BytesIO(), np.zeros((8000, 2)), 8000, format="WAV")
        >>> playable(file.getvalue())[:4]
        b'fLaC'
    """
    import soundfile

    wave = decode(content, _PLAYED).wave
    soundfile.write(buffer := io.BytesIO(), wave.clip(-1, 1), _PLAYED, "PCM_16", format="FLAC")
    return buffer.getvalue()


def spectrogram_png(content: bytes) -> bytes:
    """Return a picture of a whole sound, a transparent PNG, 64 pixels high: the louder, the more ink.

    Args:
        content: The encoded sound.

    Raises:
        DecodeError: It cannot be read.
    """
    from PIL import Image

    spec = Waves()
    with Recording(content) as recording:
        frames = np.concatenate(list(spectrogram(recording.waves(spec.rate), spec)))
    columns = _averaged(frames, min(_COLUMNS, len(frames)))
    quiet, loud = np.quantile(columns, (_QUIET, _LOUD))
    share = ((columns.T[::-1] - quiet) / max(float(loud - quiet), 1.0)).clip(0, 1)
    image = Image.fromarray((255 * share).astype(np.uint8), "L")
    image.putpalette(_INK * 256)
    image.save(buffer := io.BytesIO(), "PNG", transparency=bytes(range(256)), optimize=True)
    return buffer.getvalue()


def clock(seconds: float) -> str:
    """Return a moment of a sound as people read it.

    Example:
        >>> clock(3.46), clock(75), clock(59.97)
        ('0:03.5', '1:15.0', '1:00.0')
    """
    tenths = round(10 * seconds)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def _averaged(frames: NDArray[np.float32], columns: int) -> NDArray[np.float32]:
    """Return the means over equal stretches of time."""
    starts = np.linspace(0, len(frames), columns, endpoint=False).astype(int)
    sizes = np.diff(starts, append=len(frames))
    return np.asarray(np.add.reduceat(frames, starts) / sizes[:, None], np.float32)


def _lanes(parts: Sequence[Part]) -> list[tuple[str, list[Part]]]:
    found: dict[str, list[Part]] = {}
    for part in parts:
        found.setdefault(part.label, []).append(part)
    ranked = sorted(found.items(), key=lambda pair: -sum(part.end - part.start for part in pair[1]))
    return ranked[:_LANES]


def _bars(reasons: Mapping[str, Any]) -> list[Part]:
    """Return a bar for each window, around its middle, as high as what it counts."""
    windows = reasons["windows"]
    middles = np.array(windows["starts"]) + windows["length"] / 2
    edges = [0.0, *((middles[1:] + middles[:-1]) / 2).tolist(), reasons["seconds"]]
    weights = np.array(windows["weights"])
    shares = (weights / max(float(np.abs(weights).max()), 1e-9)).tolist()
    return [
        Part(start, end, "", share) for start, end, share in zip(edges[:-1], edges[1:], shares, strict=True)
    ]
