"""How sounds are distorted while a network learns from them, as plain data. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from headstart.errors import OptionError

_FIX = "correct it, or name a preset: none, light, standard, strong"
# Largest value of each field; the smallest is 0.
_MOST = {
    "shift": 1.0,
    "gain": 60.0,
    "noise": 10.0,
    "stretch": 1.0,
    "pitch": 12.0,
    "time_mask": 0.9,
    "band_mask": 0.9,
}


@dataclass(frozen=True, slots=True)
class AudioAugmentation:
    """Random distortions of a sound; each value is the most that is drawn, evenly from both sides.

    The wave is moved, played at another pitch, made louder or quieter and mixed with noise; its spectrogram
    is stretched in time, and a stretch of time and one of the bands are hidden.

    Args:
        shift: How far from its own place a patch begins, a share of its length, float; of a sound that is
            shorter than a patch, how much of the room it may be moved by. Defaults to 0.
        gain: Decibels louder or quieter, float. Defaults to 0.
        noise: White noise, how loud against the sound, a share of its effective value, float; drawn from 0.
            Defaults to 0.
        stretch: Slower or faster by up to this factor less one, at the same pitch, float. Defaults to 0.
        pitch: Semitones higher or lower, at the same speed, float. Defaults to 0.
        time_mask: Share of a patch that is hidden, float; drawn from 0. Defaults to 0.
        band_mask: Share of the bands that is hidden, float; drawn from 0. Defaults to 0.

    Raises:
        OptionError: A value outside its range.

    References:
        Park et al., "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition",
        Interspeech 2019 (the masks). Salamon and Bello, "Deep Convolutional Neural Networks and Data
        Augmentation for Environmental Sound Classification", 2017 (stretch, pitch, noise).

    Example:
        >>> AudioAugmentation.from_json(STANDARD.to_json()) == STANDARD
        True
        >>> print(AudioAugmentation(gain=6, pitch=2).words())
        gain 6, pitch 2
    """

    shift: float = 0.0
    gain: float = 0.0
    noise: float = 0.0
    stretch: float = 0.0
    pitch: float = 0.0
    time_mask: float = 0.0
    band_mask: float = 0.0

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not (number and 0 <= value <= most):
                raise OptionError(f"an augmentation's {name} from 0 to {most:g}", repr(value), _FIX)

    def words(self) -> str:
        """Return what is done, a few words; "nothing" when nothing is."""
        said = [f"{name.replace('_', ' ')} {value:g}" for name, value in self.to_json().items() if value]
        return ", ".join(said) or "nothing"

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Build from what `to_json` returned; what is left out is not done.

        Raises:
            OptionError: No object, an unknown name, or a value outside its range.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(value, Mapping):
            raise OptionError(f"an augmentation of sounds with {', '.join(names)}", repr(value)[:80], _FIX)
        if unknown := [str(name) for name in value if name not in names]:
            raise OptionError(f"an augmentation of sounds with {', '.join(names)}", ", ".join(unknown), _FIX)
        return cls(**value)


NONE = AudioAugmentation()
LIGHT = AudioAugmentation(shift=1, gain=6, noise=0.05)
STANDARD = AudioAugmentation(
    shift=1, gain=6, noise=0.1, stretch=0.15, pitch=1, time_mask=0.15, band_mask=0.15
)
STRONG = AudioAugmentation(shift=1, gain=12, noise=0.3, stretch=0.3, pitch=3, time_mask=0.25, band_mask=0.25)
PRESETS = {"none": NONE, "light": LIGHT, "standard": STANDARD, "strong": STRONG}


def preset(name: str) -> AudioAugmentation:
    """Return a named augmentation of sounds.

    Args:
        name: "none", "light" (what any sound bears), "standard" or "strong" (for long training).

    Returns:
        The AudioAugmentation.

    Raises:
        OptionError: There is no such preset.

    Example:
        >>> preset("light").gain
        6
    """
    if name not in PRESETS:
        raise OptionError(f"a preset: {', '.join(PRESETS)}", repr(name), "name one of them")
    return PRESETS[name]
