"""A saved model as one differentiable network in torch: from pixels to the followed number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from headstart.data.items import Target
from headstart.transfer.heads import Combine, Head

if TYPE_CHECKING:
    from headstart.artefact.model import Model
    from headstart.backbones.backbone import Backbone


class ScoreNetwork(nn.Module):
    """The networks, heads, combination and temperature of a model, with a gradient.

    Args:
        backbones: Of each member; see `Model.torch_network`.
        heads: Of each member.
        target: What the model answers.
        combine: How its members answer together.
        temperature: What logits are divided by, float.

    Example:
        >>> import headstart as hs
        >>> network = score_network(hs.load("cats.headstart"))  # doctest: +SKIP
        >>> network(torch.zeros(1, 224, 224, 3), column=0).shape  # doctest: +SKIP
        torch.Size([1])
    """

    def __init__(
        self,
        backbones: Sequence[Backbone],
        heads: Sequence[Head],
        target: Target,
        combine: Combine,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.backbones = nn.ModuleList(backbones).requires_grad_(False)
        self.heads = nn.ModuleList(map(_head, heads)).requires_grad_(False)
        self._target, self._combine, self._temperature = target, combine, temperature
        self.eval()

    @classmethod
    def of(cls, model: Model, *, offline: bool = False) -> ScoreNetwork:
        """Build the network of a model.

        Args:
            model: A model whose members' networks are in torch.
            offline: Whether to stay off the network. Defaults to False.

        Raises:
            ArtefactError: The weights are not those that a card names.
            BackboneError: A backbone cannot be had.
            MissingExtraError: torch is not installed.
        """
        backbones = [model.torch_network(number, offline=offline) for number in range(len(model.members))]
        temperature = getattr(model.calibration, "temperature", 1.0)
        heads = [member.head for member in model.members]
        return cls(backbones, heads, model.target, model.combine, temperature)

    def forward(self, *pixels: Tensor, column: int) -> Tensor:
        """Return the followed number.

        Args:
            pixels: What each member sees, RGB from 0 to 255, float or uint8 [n, h, w, 3].
            column: Which answer, int.

        Returns:
            The log-odds of the label, or the number, float [n].
        """
        seen = zip(self.backbones, pixels, strict=True)
        return self.score([backbone(x)[1] for backbone, x in seen], column)

    def score(self, features: Sequence[Tensor], column: int) -> Tensor:
        """Return the followed number of features, float [n, d] of each member → [n]."""
        z = self.logits(features)
        if self._target != "label":
            return z[:, column]
        others = torch.cat([z[:, :column], z[:, column + 1 :]], 1)
        return z[:, column] - others.logsumexp(1)

    def logits(self, features: Sequence[Tensor]) -> Tensor:
        """Return the calibrated logits of all members together, float [n, columns]; see `combined`."""
        each = torch.stack([head(x) for head, x in zip(self.heads, features, strict=True)]).double()
        if len(each) == 1:
            together = each[0]
        elif self._combine == "sum":
            together = each.sum(0)
        elif self._target == "number":
            together = each.mean(0)
        elif self._target == "labels":
            together = nn.functional.logsigmoid(each).logsumexp(0) - nn.functional.logsigmoid(
                -each
            ).logsumexp(0)
        else:
            together = each.log_softmax(2).logsumexp(0)
        return together / self._temperature


def _head(head: Head) -> nn.Module:
    layers: list[nn.Module] = []
    for weight, bias in head.layers:
        layer = nn.Linear(*weight.shape)
        layer.weight.data, layer.bias.data = torch.from_numpy(weight.T.copy()), torch.from_numpy(bias.copy())
        layers += [nn.ReLU(), layer] if layers else [layer]
    return nn.Sequential(*layers)


_KNOWN: WeakKeyDictionary[Model, ScoreNetwork] = WeakKeyDictionary()


def score_network(model: Model, *, offline: bool = False) -> ScoreNetwork:
    """Return the network of a model, built once and kept for as long as the model.

    Args:
        model: The model.
        offline: Whether to stay off the network. Defaults to False.

    Raises:
        ArtefactError, BackboneError, MissingExtraError: As `ScoreNetwork.of`.
    """
    if model not in _KNOWN:
        _KNOWN[model] = ScoreNetwork.of(model, offline=offline)
    return _KNOWN[model]
