"""How pictures are distorted while a network learns from them, as plain data. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from headstart.backbones.card import Preprocess
from headstart.errors import OptionError
from headstart.images.preprocess import needed_side

_FIX = "correct it, or name a preset: none, light, standard, strong"
# Smallest and largest value of each field.
_RANGES: dict[str, tuple[float, float]] = {
    "flip": (0, 1),
    "flip_vertical": (0, 1),
    "crop": (0.01, 1),
    "zoom": (0, 1),
    "rotation": (0, 180),
    "translation": (0, 0.5),
    "shear": (0, 60),
    "brightness": (0, 1),
    "contrast": (0, 1),
    "saturation": (0, 1),
    "hue": (0, 0.5),
    "randaugment": (0, 10),
    "magnitude": (0, 10),
    "erasing": (0, 1),
}


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Random distortions of a picture; each value is the most that is drawn, evenly from both sides.

    First the picture is moved (crop, zoom, rotation, translation, shear, flips: one interpolation), then
    coloured, then RandAugment's operations, and at last a rectangle is erased.

    Args:
        flip: How probable mirroring left and right is, float. Defaults to 0.
        flip_vertical: How probable turning upside down is, float. Defaults to 0.
        crop: Smallest share of the area that a random crop keeps, float; the crop is resized, its sides
            stretched by up to 4/3. Defaults to 1 (the evaluation's centre crop).
        zoom: Enlarged or shrunk by up to this factor less one, float. Defaults to 0.
        rotation: Degrees to either side, float. Defaults to 0.
        translation: Share of the side in each direction, float. Defaults to 0.
        shear: Degrees to either side, along both axes, float. Defaults to 0.
        brightness: Factor 1 ± this, float. Defaults to 0.
        contrast: Factor 1 ± this about the picture's mean grey, float. Defaults to 0.
        saturation: Factor 1 ± this, float; 1 reaches grey. Defaults to 0.
        hue: Turns of the colour circle to either side, float. Defaults to 0.
        randaugment: How many of RandAugment's 14 operations each picture gets, int. Defaults to 0.
        magnitude: Their strength from 0 to 10, float; from 7 on some pictures can hardly be recognised.
            Defaults to 3 (what others count as 9 of 30).
        erasing: How probable it is that a rectangle (2 to 33 % of the area) becomes noise, float.
            Defaults to 0.

    Raises:
        OptionError: A value outside its range.

    References:
        Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search space", 2020.
        Zhong et al., "Random Erasing Data Augmentation", 2020.
        Szegedy et al., "Going Deeper with Convolutions", 2015 (the random resized crop).

    Example:
        >>> Augmentation.from_json(STANDARD.to_json()) == STANDARD
        True
        >>> print(Augmentation(flip=0.5, rotation=10).words())
        flip 0.5, rotation 10
    """

    flip: float = 0.0
    flip_vertical: float = 0.0
    crop: float = 1.0
    zoom: float = 0.0
    rotation: float = 0.0
    translation: float = 0.0
    shear: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    randaugment: int = 0
    magnitude: float = 3.0
    erasing: float = 0.0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not (number and low <= value <= high):
                raise OptionError(f"an augmentation's {name} from {low:g} to {high:g}", repr(value), _FIX)
        if not isinstance(self.randaugment, int):
            raise OptionError("a whole number of RandAugment operations", repr(self.randaugment), _FIX)

    def words(self) -> str:
        """Return what is done, a few words; "nothing" when nothing is."""
        unused = {"magnitude"} if not self.randaugment else set()
        said = [
            f"{name.replace('_', ' ')} {value:g}"
            for name, value in self.to_json().items()
            if value != getattr(NONE, name) and name not in unused
        ]
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
            raise OptionError(f"an augmentation with {', '.join(names)}", repr(value)[:80], _FIX)
        if unknown := [str(name) for name in value if name not in names]:
            raise OptionError(f"an augmentation with {', '.join(names)}", ", ".join(unknown), _FIX)
        return cls(**value)


NONE = Augmentation()
LIGHT = Augmentation(
    flip=0.5, zoom=0.1, rotation=5, translation=0.06, brightness=0.1, contrast=0.1, saturation=0.1
)
STANDARD = Augmentation(
    flip=0.5, crop=0.5, rotation=10, shear=5, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02
)
STRONG = Augmentation(
    flip=0.5, crop=0.25, rotation=10, brightness=0.3, contrast=0.3, saturation=0.3, hue=0.03, randaugment=2,
    erasing=0.25,
)  # fmt: skip
PRESETS = {"none": NONE, "light": LIGHT, "standard": STANDARD, "strong": STRONG}


def preset(name: str) -> Augmentation:
    """Return a named augmentation.

    Args:
        name: "none", "light" (what any photograph bears), "standard" or "strong" (for long training).

    Returns:
        The Augmentation.

    Raises:
        OptionError: There is no such preset.

    Example:
        >>> preset("light").flip
        0.5
    """
    if name not in PRESETS:
        raise OptionError(f"a preset: {', '.join(PRESETS)}", repr(name), "name one of them")
    return PRESETS[name]


def canvas(spec: Preprocess) -> Preprocess:
    """Return how a picture is prepared for augmentation: whole, at the scale that the network sees it in.

    The network's view is the canvas's centre; what is around it is what crops and shifts bring into view.

    Args:
        spec: What the network wants.

    Returns:
        The same with a larger side and without a crop.

    Example:
        >>> canvas(Preprocess(size=224, crop=0.875)).size
        256
    """
    return replace(spec, size=needed_side(spec), crop=1.0)
