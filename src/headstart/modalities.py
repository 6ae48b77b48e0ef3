"""The register of modalities: where the way of a picture, a text or a sound into a network is looked up."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from headstart.backbones.card import Preprocess
from headstart.data.facts import Facts
from headstart.data.items import Source
from headstart.errors import OptionError
from headstart.images.preprocess import Kernel


class Modality(Protocol):
    """How items of one kind are read, described and brought to a network's input."""

    name: str
    noun: str
    default_backbone: str
    version: int

    def read(self, source: Source) -> bytes | NDArray[np.uint8]:
        """Return an item's content, encoded bytes or an array; raise `DecodeError` when there is none."""

    def digest(self, content: bytes | NDArray[np.uint8]) -> str:
        """Return the SHA-256 of an item's content."""

    def examine(
        self, content: bytes | NDArray[np.uint8], digest: str, spec: Preprocess | None, kernel: Kernel
    ) -> tuple[Facts, NDArray[np.uint8] | None]:
        """Return what is known about a content and, when a spec is given, the network's input rows."""

    def inputs(self, source: Source, spec: Preprocess, kernel: Kernel = "pillow") -> NDArray[np.uint8]:
        """Return the network's input rows, uint8 [rows, …]; raise `DecodeError` for what cannot be read."""

    def thumbnail(self, source: Source, side: int = 160) -> bytes:
        """Return a small JPEG that shows an item; raise `DecodeError` for what cannot be read."""


def modality(name: str) -> Modality:
    """Return the modality of a data set.

    Args:
        name: "image"; "text" and "audio" have their rooms prepared but not built.

    Returns:
        The modality.

    Raises:
        OptionError: There is no such modality (yet).

    Example:
        >>> modality("image").noun
        'pictures'
    """
    if name == "image":
        from headstart.images.modality import ImageModality

        return ImageModality()
    raise OptionError(
        "a data set of pictures",
        f"one of kind {name!r}",
        "convert it to pictures; this version reads no other kind",
    )


def is_file(source: Source) -> bool:
    """Return whether an item's content lies in a file, whose time stamp tells if it changed."""
    return isinstance(source, Path)
