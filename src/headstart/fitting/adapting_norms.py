"""AdaBN: a network whose batch normalisation has the statistics of the target's items."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.members import Member
from headstart.artefact.rebuilding import torch_network
from headstart.backbones.card import Card, Preprocess, Waves
from headstart.data.items import Item
from headstart.fitting.finetuning import keep_weights
from headstart.modalities import modality

if TYPE_CHECKING:
    from torch import nn

FEWEST, _MOST = 32, 256
"""Items: fewer give no statistics to rely on; more hardly change what has many places in each."""
_BATCH = 32


def with_norms_of(member: Member, items: Sequence[Item], *, seed: int, offline: bool) -> Member | None:
    """Return a member whose network normalises by the statistics of some items, where it has batch norm.

    Its head is still the old one, which is of no use on the new features.

    Args:
        member: A member of a model.
        items: The target's, all readable.
        seed: Of many items 256 are drawn, int.
        offline: Whether to stay off the network.

    Returns:
        The member with new weights; None for texts, for networks without batch norm, and for fewer than
        `FEWEST` items.

    Raises:
        BackboneError: The network cannot be had.

    References:
        Li, Wang, Shi, Liu and Hou, "Revisiting Batch Normalization For Practical Domain Adaptation", 2016,
        https://arxiv.org/abs/1603.04779.
    """
    spec = member.backbone.preprocess
    if not isinstance(spec, Preprocess | Waves) or len(items) < FEWEST or not member.is_ir:
        return None
    network = copy.deepcopy(torch_network(member, offline=offline))
    if not norms_of(network):
        return None
    chosen = np.sort(np.random.default_rng(seed).permutation(len(items))[:_MOST])
    recompute(network, _inputs([items[n] for n in chosen], member.backbone))
    learned = f"{member.backbone.training_data}; its batch normalisation is of the target's items"
    card, path, weights = keep_weights(network, learned, "with other batch statistics")
    return replace(member, backbone=card, network=path, weights=weights)


def norms_of(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Return the layers of a network that normalise by statistics of what they have seen.

    Example:
        >>> from torch import nn
        >>> network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU())
        >>> [norm.num_features for norm in norms_of(network)]
        [4]
    """
    from torch import nn

    every = (each for each in network.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm))
    return [each for each in every if each.running_mean is not None]


def recompute(network: nn.Module, batches: Iterable[NDArray[Any]]) -> None:
    """Replace the statistics of batch norm by the mean over batches; nothing else changes.

    Args:
        network: In evaluation mode, before and after.
        batches: Inputs of the network, each of at least two items.
    """
    import torch

    norms = norms_of(network)
    momentum = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
        norm.train()
    with torch.no_grad():
        for pixels in batches:
            network(torch.from_numpy(pixels))
    for norm, before in zip(norms, momentum, strict=True):
        norm.momentum = before
        norm.eval()


def _inputs(items: Sequence[Item], card: Card) -> Iterator[NDArray[Any]]:
    reader = modality(card.modality)
    for start in range(0, len(items), _BATCH):
        part = items[start : start + _BATCH]
        rows = [row for item in part for row in reader.inputs(item.source, card.preprocess, "torch")]
        if len(rows) > 1:  # one picture has no spread of its own where a grid is one place
            yield np.stack(rows)
