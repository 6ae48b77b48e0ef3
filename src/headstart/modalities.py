"""The register of modalities: where the way of a picture, a text or a sound into a network is looked up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headstart.data.facts import Facts
from headstart.data.items import Source
from headstart.errors import OptionError
from headstart.images.preprocess import Kernel
from headstart.pages import Glimpse


class Modality(Protocol):
    """How items of one kind are read, described and brought to a network's input."""

    name: str
    noun: str
    default_backbone: str
    version: int
    near: int
    """In how many bits the fingerprints of two items differ at most that are taken for copies."""

    def read(self, source: Source) -> bytes | NDArray[np.uint8]:
        """Return an item's content, encoded bytes or an array; raise `DecodeError` when there is none."""

    def digest(self, content: bytes | NDArray[np.uint8]) -> str:
        """Return the SHA-256 of an item's content."""

    def examine(
        self, content: bytes | NDArray[np.uint8], digest: str, spec: Any, kernel: Kernel
    ) -> tuple[Facts, Sequence[NDArray[Any]] | None]:
        """Return what is known about a content and, when a spec is given, the network's input rows."""

    def inputs(self, source: Source, spec: Any, kernel: Kernel = "pillow") -> Sequence[NDArray[Any]]:
        """Return the network's input rows; raise `DecodeError` for what cannot be read."""

    def glimpse(self, source: Source) -> Glimpse:
        """Return what shows an item in a page; raise `DecodeError` for what cannot be read."""


def modality(name: str) -> Modality:
    """Return the modality of a data set.

    Args:
        name: "image", "text" or "audio".

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
    if name == "text":
        from headstart.text.modality import TextModality

        return TextModality()
    if name == "audio":
        from headstart.audio.modality import AudioModality

        return AudioModality()
    raise OptionError(
        "a data set of pictures, texts or sounds", f"one of kind {name!r}", "this version reads no other kind"
    )


def is_file(source: Source) -> bool:
    """Return whether an item's content lies in a file, whose time stamp tells if it changed."""
    return isinstance(source, Path)
