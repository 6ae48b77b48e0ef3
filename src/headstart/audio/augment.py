"""One patch of a sound, chosen and distorted at random: the same whatever the batch.

Pitch is changed by resampling, time by reading between the frames of the spectrogram: a patch takes less than
a millisecond, with a phase vocoder many. Loads neither torch nor librosa.
"""

from __future__ import annotations

import math

import numpy as np

from headstart.audio.augmentation import AudioAugmentation
from headstart.audio.decode import Wave
from headstart.audio.hearing import Patch, spectrogram
from headstart.audio.mel import whole_patch
from headstart.backbones.card import Waves
from headstart.errors import OptionError

Key = tuple[int, int, int]

LONGEST = 600
"""Seconds: of a longer sound the beginning is trained on."""

# One number for each, always all of them: switching one distortion off leaves the others as they were.
_DRAWN = (
    *("shift", "gain", "noise", "stretch", "pitch"),
    *("time_mask", "time_place", "band_mask", "band_place"),
)
_NOISE, _ORDER = 1, 2  # random streams of their own


def augment(wave: Wave, spec: Waves, augmentation: AudioAugmentation, key: Key) -> Patch:
    """Return one patch of a sound, chosen and distorted at random as its key says.

    The patches of a sound come in random order, each once before any comes again. The result depends on the
    sound, the key and the augmentation alone, not on what else is in the batch.

    Args:
        wave: The sound at `spec.rate`, float32 [samples].
        spec: What a patch is.
        augmentation: What may happen. `AudioAugmentation()` gives the patches that `hearing.hear` gives.
        key: (seed, view, item), three ints of 0 or more.

    Returns:
        float32 [size, bands].

    Raises:
        OptionError: A number in the key is negative, or there is no sound.

    Example:
        >>> from headstart.audio.augmentation import STANDARD
        >>> wave = np.sin(np.arange(16000) ** 1.2 / 40).astype(np.float32)
        >>> augment(wave, Waves(), STANDARD, (0, 0, 0)).shape
        (96, 64)
    """
    if len(key) != 3 or min(key) < 0:
        raise OptionError("a key of seed, view and item, 0 or more", str(tuple(key)), "correct it")
    if not len(wave):
        raise OptionError("a sound", "one without samples", "leave it out")
    a = augmentation
    u = dict(zip(_DRAWN, np.random.default_rng(key).random(len(_DRAWN)).tolist(), strict=True))
    both = {name: 2 * value - 1 for name, value in u.items()}  # from -1 to 1
    higher = 2 ** (a.pitch * both["pitch"] / 12)
    # Samples that are the network's input cannot be stretched at the same pitch: pitch is their speed.
    tempo = higher if spec.front == "wave" else (1 + a.stretch) ** both["stretch"]
    part = _part(wave, spec, round(a.shift * both["shift"] * spec.size / 2), tempo, key)
    sounded = _louder(_higher(part, spec, higher), a, both["gain"], u["noise"], key)
    frames = np.concatenate(list(spectrogram([sounded], spec)))
    frames = _timed(frames, max(1, round(max(1, spec.frames(len(part))) / tempo)), spec)[: spec.size]
    patch = np.array(whole_patch(frames, spec))
    # What fills up a short sound may as well come before it.
    patch = np.roll(patch, round(a.shift * u["shift"] * (spec.size - len(frames))), axis=0)
    _mask(patch, a.time_mask * u["time_mask"], u["time_place"])
    _mask(patch.T, a.band_mask * u["band_mask"], u["band_place"])
    return patch


def count(samples: int, spec: Waves) -> int:
    """Return how many patches a sound has.

    Args:
        samples: Its length at `spec.rate`, int.
        spec: What a patch is.

    Example:
        >>> count(3 * 16000, Waves()), count(100, Waves())
        (6, 1)
    """
    return 1 + max(0, -(-(spec.frames(samples) - spec.size) // spec.step))


def _part(wave: Wave, spec: Waves, shift: int, tempo: float, key: Key) -> Wave:
    """Return the samples of the patch whose turn it is, moved by some frames."""
    seed, view, item = key
    patches = count(len(wave), spec)
    turn, place = divmod(view, patches)
    order = np.random.default_rng((seed, item, turn, _ORDER)).permutation(patches)
    needed = spec.samples(max(1, round(spec.size * tempo)))
    last = max(0, len(wave) - needed) // spec.hop  # ends with the sound, as the last one of `hear` does
    first = max(0, min(int(order[place]) * spec.step + shift, last)) * spec.hop
    return wave[first : first + needed]


def _higher(wave: Wave, spec: Waves, factor: float) -> Wave:
    """Return a wave at another pitch, and as much faster."""
    if factor == 1:
        return wave
    import soxr

    return np.asarray(soxr.resample(wave, spec.rate * factor, spec.rate), np.float32)


def _louder(wave: Wave, a: AudioAugmentation, gain: float, noise: float, key: Key) -> Wave:
    """Return a wave with noise, louder or quieter."""
    if a.noise:
        level = a.noise * noise * math.sqrt(float(np.mean(np.square(wave, dtype=np.float64))))
        white = np.random.default_rng((*key, _NOISE)).standard_normal(len(wave), np.float32)
        wave = wave + np.float32(level) * white
    return wave * np.float32(10 ** (a.gain * gain / 20)) if a.gain else wave


def _timed(frames: Patch, wanted: int, spec: Waves) -> Patch:
    """Return the frames as they are heard in another time, read between the lines."""
    if wanted == len(frames) or spec.front == "wave":
        return frames
    at = np.linspace(0, len(frames) - 1, wanted)
    before = at.astype(np.int64)
    share = (at - before).astype(np.float32)[:, None]
    after = np.minimum(before + 1, len(frames) - 1)
    return np.asarray(frames[before] * (1 - share) + frames[after] * share, np.float32)


def _mask(patch: Patch, share: float, place: float) -> None:
    """Hide some lines of a patch under its mean, in place."""
    length = round(share * len(patch))
    first = round(place * (len(patch) - length))
    if length:
        patch[first : first + length] = patch.mean()
