"""From a saved member back to its network in torch: for ONNX, and for training it further."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headstart.errors import ArtefactError, BackboneError, missing_extra

if TYPE_CHECKING:
    from pathlib import Path

    from headstart.artefact.members import Member
    from headstart.backbones.backbone import Backbone


def torch_network(member: Member, *, offline: bool = False) -> Backbone:
    """Build a member's network in torch: the backbone that its card names, cut, resized, with its weights.

    Args:
        member: A member of a model.
        offline: Whether to stay off the network. Defaults to False.

    Returns:
        The Backbone, in evaluation mode; its card is the member's.

    Raises:
        ArtefactError: The weights are not those that the card names.
        BackboneError: The backbone cannot be had, or its weights have changed since.
        MissingExtraError: torch is not installed.

    Example:
        >>> import headstart as hs
        >>> torch_network(hs.load("cats.headstart").members[0]).card.name  # doctest: +SKIP
        'efficientnet_lite0'
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise missing_extra("torch", "train", "the network in torch") from error
    from headstart import backbones

    card = member.backbone
    backbone = backbones.load(card.name, offline=offline).cut(card.blocks[-1]).at(card.preprocess.size)
    if member.weights is not None:
        _load(backbone, member.weights, card.digest)
    elif backbone.card.digest != card.digest:
        raise BackboneError(
            f"the weights of {card.name!r} with the digest {card.digest[:12]}…",
            f"others ({backbone.card.digest[:12]}…)",
            "get the weights of that digest, or fit the model again",
        )
    backbone.card = card
    return backbone


def _load(backbone: Backbone, file: Path, digest: str) -> None:
    """Put the tensors of a file into a network; the source classifier goes, for it fits no longer."""
    from headstart.backbones import tensors

    state = tensors.read(file)
    if (found := tensors.digest(state)) != digest:
        raise ArtefactError(
            f"weights with the digest {digest[:12]}…",
            f"others ({found[:12]}…) in {file.name}",
            "get an undamaged copy, or save the model again",
        )
    backbone.classifier = None
    body = {name: tensor for name, tensor in state.items() if not name.startswith("classifier.")}
    # The counters of batch norm are left out of files of weights.
    counters = {n: t for n, t in backbone.state_dict().items() if n.endswith("num_batches_tracked")}
    try:
        backbone.load_state_dict({**counters, **body})
    except RuntimeError as error:
        raise BackboneError(
            f"the weights of a {backbone.card.name!r} cut after {backbone.card.blocks[-1]!r}",
            str(error).splitlines()[-1].strip(),
            "fit the model again",
        ) from error
