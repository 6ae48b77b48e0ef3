"""A pretrained network as ordered blocks: pixels in, grid and features out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from headstart.backbones import tensors
from headstart.backbones.card import Card
from headstart.errors import BackboneError, OptionError


class Backbone(nn.Module):
    """A pretrained network cut into blocks that run strictly in order.

    The blocks are whole units: one is frozen, trained or cached as a whole. The pooling that follows
    them may have weights of its own (a ConvNeXt's last norm); it goes with the last block.

    Args:
        card: What is known about the weights, Card.
        blocks: Name → module, in the order in which they run.
        pool: From the last block's output to (grid, features). Defaults to None, global average pooling.
        classifier: From features to the logits of the source task. Defaults to None.

    Example:
        >>> from headstart.backbones import Preprocess
        >>> spec = Preprocess(size=8)
        >>> card = Card("toy", "toy", "here", "CC0-1.0", "nothing", spec, 4, ("stem",), 112, "")
        >>> backbone = Backbone(card, {"stem": nn.Conv2d(3, 4, 3, stride=2, padding=1)})
        >>> grid, features = backbone(torch.zeros(2, 8, 8, 3, dtype=torch.uint8))
        >>> tuple(grid.shape), tuple(features.shape)
        ((2, 4, 4, 4), (2, 4))
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        card: Card,
        blocks: Mapping[str, nn.Module],
        pool: nn.Module | None = None,
        classifier: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if tuple(blocks) != card.blocks:
            raise BackboneError(f"the blocks {card.blocks}", f"{tuple(blocks)}", "correct the card")
        self.card = card
        self.blocks = nn.ModuleDict(dict(blocks))
        self.pool = pool if pool is not None else AveragePool()
        self.classifier = classifier
        # Not persistent: they belong to the card, so a file of weights holds weights only. Always on the
        # CPU at first, also while the network is built on the meta device.
        spec = card.preprocess
        self.register_buffer("mean", _per_channel(spec.mean), persistent=False)
        self.register_buffer("std", _per_channel(spec.std), persistent=False)
        self.eval()

    def normalise(self, pixels: Tensor) -> Tensor:
        """Turn pixels into what the first block expects.

        Args:
            pixels: RGB, uint8 [n, h, w, 3].

        Returns:
            float [n, 3, h, w] in the card's channel order, mean subtracted, divided by std.
        """
        x = pixels.permute(0, 3, 1, 2)
        if self.card.preprocess.channels == "BGR":
            x = x.flip(1)
        return (x.to(self.mean.dtype) - self.mean) / self.std

    def run_blocks(self, x: Tensor, start: str | None = None, stop: str | None = None) -> Tensor:
        """Run some of the blocks, the named ones included.

        Args:
            x: What block `start` expects: `normalise`'s result, or the output of the block before it.
            start: Name of the first block to run. Defaults to None, the first there is.
            stop: Name of the last block to run. Defaults to None, the last there is.

        Returns:
            The output of block `stop`.

        Raises:
            OptionError: There is no such block, or `stop` comes before `start`.
        """
        names = list(self.blocks)
        first, last = self._position(start, 0), self._position(stop, len(names) - 1)
        if last < first:
            raise OptionError(f"a block from {start!r} on", repr(stop), f"the order is {', '.join(names)}")
        for name in names[first : last + 1]:
            x = self.blocks[name](x)
        return x

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the grid of features and the features of whole pictures.

        Args:
            pixels: RGB, uint8 [n, h, w, 3].

        Returns:
            grid: float [n, d, rows, columns], one vector for each place in the picture.
            features: float [n, d]: the grid's mean, or a transformer's class token.
        """
        return cast(tuple[Tensor, Tensor], self.pool(self.run_blocks(self.normalise(pixels))))

    def logits(self, features: Tensor) -> Tensor:
        """Return the source classifier's logits.

        Args:
            features: float [n, d], as `forward` returns them.

        Returns:
            float [n, classes], in the order of the card's labels.

        Raises:
            BackboneError: These weights have no classifier.
        """
        if self.classifier is None:
            raise BackboneError(
                "a backbone with its source classifier",
                f"{self.card.name!r}, which has none",
                "use the features, or a backbone whose card names labels",
            )
        return cast(Tensor, self.classifier(features))

    def _position(self, name: str | None, default: int) -> int:
        if name is None:
            return default
        if name not in self.blocks:
            names = ", ".join(self.blocks)
            raise OptionError(f"a block of {self.card.name!r}", repr(name), f"choose one of {names}")
        return list(self.blocks).index(name)


class AveragePool(nn.Module):
    """Features are the mean over the places of the grid.

    Args:
        norm: A layer on the mean, nn.Module. Defaults to None.
    """

    def __init__(self, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (x [n, d, h, w], its mean over h and w [n, d])."""
        features = x.mean((2, 3))
        return x, features if self.norm is None else self.norm(features)


class ClassToken(nn.Module):
    """Features are a transformer's class token; the grid is its patch tokens, in rows and columns.

    Args:
        rows: Number of rows (and columns) of patches, int.
        prefix: Number of tokens before the patches, int. Defaults to 1.
    """

    def __init__(self, rows: int, prefix: int = 1) -> None:
        super().__init__()
        self.rows, self.prefix = rows, prefix

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (patch tokens as [n, d, rows, rows], class token [n, d]) of tokens [n, t, d]."""
        patches = x[:, self.prefix :].transpose(1, 2)
        return patches.reshape(-1, x.shape[2], self.rows, self.rows), x[:, 0]


def count_and_digest(
    blocks: Mapping[str, nn.Module], pool: nn.Module, classifier: nn.Module | None
) -> tuple[int, str]:
    """Return what the card of a hub model says about its weights.

    Args:
        blocks: As for `Backbone`.
        pool: As for `Backbone`.
        classifier: As for `Backbone`.

    Returns:
        Number of weights, and the digest of the tensors without the counters of batch norm.
    """
    parts = nn.ModuleDict({"blocks": nn.ModuleDict(dict(blocks)), "pool": pool})
    if classifier is not None:
        parts["classifier"] = classifier
    state = {n: t for n, t in parts.state_dict().items() if not n.endswith("num_batches_tracked")}
    return sum(parameter.numel() for parameter in parts.parameters()), tensors.digest(state)


def _per_channel(values: tuple[float, float, float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device="cpu").view(1, 3, 1, 1)
