"""The classic route: windows of a sound as small pictures, and what VGG16 sees in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart.audio.decode import Wave

if TYPE_CHECKING:
    from headstart.engines.choosing import Engine

RATE, FFT, HOP = 22_050, 1_024, 512
SIDE = 64
"""Bands, and frames of a window: 1.5 seconds."""
STEP = SIDE // 2
FEATURES = 2_048
"""What VGG16 says about a map: its last grid, 2 × 2 × 512."""
_RANGE = 80.0
"""Decibels below the loudest point of the sound that are told apart."""
_SILENT = 60.0
"""Decibels below it at which a window is left out."""
_FASTEST = 8.0
"""Decibels a frame at which the third channel is saturated."""


def feature_maps(wave: Wave) -> NDArray[np.uint8]:
    """Cut a sound into half-overlapping windows, each a picture of three channels.

    These are the log-mel spectrogram; the mean of those of its harmonic and of its percussive part; and the
    first one's change in time (delta). Silent windows are left out; of a sound that is nothing else the
    first is kept.

    Args:
        wave: float32 [samples] at 22,050 a second; one that is shorter than a window is filled with silence.

    Returns:
        uint8 [windows, 64, 64, 3]: bands from high to low, frames, channels.

    Raises:
        MissingExtraError: librosa is not installed.

    References:
        Piczak, "Environmental sound classification with convolutional neural networks", MLSP 2015, for the
        windows, their spectrogram and its delta.

    Example:
        >>> feature_maps(np.sin(np.arange(RATE * 3) / 9).astype(np.float32)).shape
        (4, 64, 64, 3)
    """
    from headstart.errors import require

    require(["librosa"], "train", "feature maps")
    import librosa
    from librosa.decompose import hpss
    from librosa.filters import mel as triangles

    wave = np.pad(wave, (0, max(0, (SIDE - 1) * HOP - len(wave))))
    magnitude = np.abs(librosa.stft(wave, n_fft=FFT, hop_length=HOP))
    weights = triangles(sr=RATE, n_fft=FFT, n_mels=SIDE)
    powers = [weights @ part**2 for part in (magnitude, *hpss(magnitude))]
    floor = max(float(powers[0].max()), 1e-10) * 10 ** (-_RANGE / 10)
    mel, harmonic, percussive = (10 * np.log10(np.maximum(each / floor, 1)) - _RANGE for each in powers)
    parts = (harmonic + percussive) / 2
    delta = librosa.feature.delta(mel)
    scaled = (mel / _RANGE + 1, parts / _RANGE + 1, delta / (2 * _FASTEST) + 0.5)
    picture = np.clip(np.stack(scaled, axis=-1) * 255, 0, 255).round().astype(np.uint8)[::-1]
    frames = picture.shape[1]
    starts = list(range(0, frames - SIDE + 1, STEP))
    if starts[-1] + SIDE < frames:
        starts.append(frames - SIDE)
    heard = [start for start in starts if mel[:, start : start + SIDE].max() > -_SILENT]
    return np.stack([picture[:, start : start + SIDE] for start in heard or starts[:1]])


def vgg16_engine(*, offline: bool = False) -> Engine:
    """Return what runs VGG16 over maps, for `bottleneck_features`.

    Args:
        offline: Whether to stay off the network. Defaults to False.

    Raises:
        BackboneError: The weights are nowhere to be had.
    """
    from headstart import backbones
    from headstart.engines.choosing import choose

    network = backbones.load("vgg16", offline=offline).at(SIDE)
    return choose(network.card, lambda: network).start()


def bottleneck_features(maps: NDArray[np.uint8], engine: Engine) -> NDArray[np.float32]:
    """Return what VGG16 says about feature maps, without its own classifier.

    Args:
        maps: uint8 [n, 64, 64, 3].
        engine: From `vgg16_engine`.

    Returns:
        float32 [n, 2048].
    """
    rows = [outputs["grid"].ravel() for _, outputs in engine.run(enumerate(maps), ("grid",))]
    return np.stack(rows).astype(np.float32) if rows else np.empty((0, FEATURES), np.float32)
