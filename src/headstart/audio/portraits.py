"""Pictures of sounds for people: waveform, mel spectrogram, harmonic and percussive parts, chroma."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart.audio.decode import Recording, Wave
from headstart.audio.mel import log_mel
from headstart.backbones.card import Waves
from headstart.pages import ACCENT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RATE = 22_050
"""Samples a second that are drawn at most."""
SECONDS = 10.0
"""So much of a recording is drawn, from its beginning."""
_COLUMNS = 300
"""Frames that a spectrogram has at least, where that is sensible."""
_BANDS = 96
_RANGE = 80.0
"""Decibels below the loudest point that are told apart."""
_NOTES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"]
_MEAN = Waves(size=160, step=160)
_DPI = 92


def portrait(content: bytes | NDArray[np.uint8]) -> bytes:
    """Draw a sound five times, one under the other, over the same seconds.

    Args:
        content: The encoded bytes; the first ten seconds are drawn.

    Returns:
        A JPEG: the waveform; log-mel spectrograms of the sound, of its harmonic part (what is steady in time)
        and of its percussive one (what is steady over frequencies); the chromagram, how much of each pitch
        class.

    Raises:
        DecodeError: It cannot be read.
        MissingExtraError: matplotlib or librosa is not installed.

    References:
        FitzGerald, "Harmonic/percussive separation using median filtering", DAFx 2010.
    """
    from headstart.errors import require

    require(["librosa", "matplotlib"], "train", "pictures of sounds")
    with Recording(content) as recording:
        rate = min(RATE, recording.rate)
        wave = recording.wave(rate, SECONDS)
    fft = 2048 if rate > RATE / 2 else 1024
    wave = np.pad(wave, (0, max(0, fft - len(wave))))
    spectra, chroma = _decibels(wave, rate, fft)
    seconds = len(wave) / rate
    figure, panes = _figure(5, (1, 1.25, 1.25, 1.25, 1))
    _draw_wave(panes[0], wave, seconds)
    for axes, (name, picture) in zip(panes[1:4], spectra.items(), strict=True):
        _draw_spectrum(axes, picture, seconds, rate, name)
    panes[4].imshow(
        chroma, aspect="auto", origin="lower", cmap="magma", vmin=0, vmax=1, extent=(0, seconds, -0.5, 11.5)
    )
    panes[4].set_yticks(range(0, 12, 2), _NOTES[::2])
    panes[4].set_ylabel("chroma")
    panes[4].set_xlabel("seconds")
    for axes in panes:
        axes.set_xlim(0, seconds)
    return _jpeg(figure)


def mean_pictures(classes: Mapping[str, Iterable[bytes | NDArray[np.uint8]]]) -> bytes:
    """Draw the mean log-mel spectrogram of each class, all on one scale.

    Args:
        classes: Class → the encoded bytes of its sounds.

    Returns:
        A JPEG: a picture for each class. Sounds are laid on each other at their loudest point, at one level.

    Raises:
        DecodeError: A sound cannot be read.
        MissingExtraError: matplotlib is not installed.
    """
    from headstart.errors import require

    require(["matplotlib"], "train", "pictures of sounds")
    from matplotlib.figure import Figure

    means = {label: _mean(sounds) for label, sounds in classes.items()}
    known = {label: mean for label, mean in means.items() if mean is not None}
    every = np.array(list(known.values()) or [np.zeros((1, 1), np.float32)])
    low, high = np.nanquantile(every, (0.02, 0.995))
    used = np.flatnonzero(np.isfinite(every).any((0, 2)))
    columns = min(5, max(1, len(known)))
    rows = -(-len(known) // columns)
    figure = Figure(figsize=(9.6, 0.3 + 1.75 * max(rows, 1)), layout="constrained", dpi=_DPI)
    for place, (label, mean) in enumerate(known.items(), 1):
        axes = figure.add_subplot(rows, columns, place)
        axes.set_facecolor("black")
        axes.imshow(
            mean[used[0] : used[-1] + 1].T, aspect="auto", origin="lower", cmap="magma", vmin=low, vmax=high
        )
        axes.set_title(label[:24], fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
    return _jpeg(figure)


def _decibels(wave: Wave, rate: int, fft: int) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32]]:
    """Return the spectrograms in dB below the loudest point of the sound, and the chromagram."""
    import librosa
    from librosa.decompose import hpss
    from librosa.filters import mel as triangles

    hop = int(np.clip(len(wave) // _COLUMNS, 64, 512))
    magnitude = np.abs(librosa.stft(wave, n_fft=fft, hop_length=hop))
    parts = dict(zip(("mel", "harmonic", "percussive"), (magnitude, *hpss(magnitude)), strict=True))
    weights = triangles(sr=rate, n_fft=fft, n_mels=_BANDS)
    powers = {name: weights @ part**2 for name, part in parts.items()}
    loudest = max(float(powers["mel"].max()), 1e-10)
    spectra = {
        name: 10 * np.log10(np.maximum(power / loudest, 10 ** (-_RANGE / 10)))
        for name, power in powers.items()
    }
    # Tuning is not estimated: there is none in noise, and librosa warns.
    return spectra, librosa.feature.chroma_stft(S=magnitude**2, sr=rate, n_fft=fft, tuning=0.0)


def _mean(contents: Iterable[bytes | NDArray[np.uint8]]) -> NDArray[np.float32] | None:
    """Return the mean spectrogram of some sounds, about their loudest moments, [frames, bands].

    It is NaN where all of them have not begun yet, or are over.
    """
    total, count = np.zeros((_MEAN.size, _MEAN.bands)), np.zeros((_MEAN.size, 1))
    for content in contents:
        with Recording(content) as recording:
            wave = recording.wave(_MEAN.rate, SECONDS)
        wave = np.pad(wave, (0, max(0, _MEAN.window - len(wave))))
        frames = log_mel(wave / max(float(np.sqrt(np.mean(wave**2))), 1e-6), _MEAN)
        # Where a sound has not begun yet or is over, the others are averaged.
        start = _loudest(frames) - _MEAN.size // 4
        part = slice(max(start, 0), start + _MEAN.size)
        place = slice(max(-start, 0), max(-start, 0) + len(frames[part]))
        total[place] += frames[part]
        count[place] += 1
    if not count.any():
        return None
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _loudest(frames: NDArray[np.float32]) -> int:
    """Return the frame about which a tenth of a second is loudest."""
    return int(np.convolve(np.exp(frames).sum(1), np.ones(9), "same")[: len(frames)].argmax())


def _figure(panes: int, heights: tuple[float, ...]) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 6.2), layout="constrained", dpi=_DPI)
    grid = figure.add_gridspec(panes, 1, height_ratios=heights)
    axes = [figure.add_subplot(grid[number]) for number in range(panes)]
    for each in axes[:-1]:
        each.set_xticklabels([])
    for each in axes:
        each.tick_params(labelsize=8, length=2)
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _draw_wave(axes: Axes, wave: Wave, seconds: float) -> None:
    # The highest and the lowest sample of each column, not a line through all of them.
    columns = np.array_split(wave, min(1_200, len(wave)))
    times = np.linspace(0, seconds, len(columns))
    low, high = [column.min() for column in columns], [column.max() for column in columns]
    axes.fill_between(times, low, high, linewidth=0.3, color=ACCENT)
    limit = max(float(np.abs(wave).max()), 1e-3)
    axes.set_ylim(-limit, limit)
    axes.set_ylabel("wave")


def _draw_spectrum(axes: Axes, picture: NDArray[np.float32], seconds: float, rate: int, name: str) -> None:
    import librosa

    extent = (0, seconds, -0.5, _BANDS - 0.5)
    axes.imshow(picture, aspect="auto", origin="lower", cmap="magma", vmin=-_RANGE, vmax=0, extent=extent)
    hertz = librosa.mel_frequencies(_BANDS, fmax=rate / 2)
    marks = {"0.5 kHz": 500, "2": 2_000, "8": 8_000}
    shown = {name: int(np.abs(hertz - mark).argmin()) for name, mark in marks.items() if mark < rate / 2}
    axes.set_yticks(list(shown.values()), list(shown))
    axes.set_ylabel(name)


def _jpeg(figure: Figure) -> bytes:
    figure.savefig(buffer := io.BytesIO(), format="jpeg", pil_kwargs={"quality": 82})
    return buffer.getvalue()
