"""A pretrained network as ordered blocks: pixels in, grid and features out."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from headstart.backbones import tensors
from headstart.backbones.card import Card, Preprocess
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
        spec = card.preprocess if isinstance(card.preprocess, Preprocess) else Preprocess(size=1)
        self.register_buffer("mean", _per_channel(spec.mean), persistent=False)
        self.register_buffer("std", _per_channel(spec.std), persistent=False)
        self.eval()

    def example(self, count: int = 1) -> Tensor:
        """Return inputs to try the network on: black pictures, uint8 [count, size, size, 3]."""
        size = self.card.preprocess.size
        return torch.zeros(count, size, size, 3, dtype=torch.uint8)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Turn pixels into what the first block expects.

        Args:
            pixels: RGB, uint8 [n, h, w, 3].

        Returns:
            float [n, 3, h, w] in the card's channel order, mean subtracted, divided by std.
        """
        x = pixels.permute(0, 3, 1, 2)
        if isinstance(self.card.preprocess, Preprocess) and self.card.preprocess.channels == "BGR":
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

    def pooled(self, name: str, x: Tensor) -> Tensor:
        """Return the pooled output of a block: one vector for each picture.

        Args:
            name: Which block, str.
            x: What it gave: a grid [n, d, h, w] or [n, h, w, d], or tokens [n, t, d].

        Returns:
            float [n, d]: of the last block the features, of the others the grid's mean or the class token.
        """
        pool = self.pool if name == self.card.blocks[-1] else self._middle()
        return cast(Tensor, pool(x)[1])

    def cut(self, stop: str) -> Backbone:
        """Return the network up to a block; it shares the weights with this one.

        Name and digest of the card stay: what tells the two apart is their last block.

        Args:
            stop: Name of the last block that is kept, str.

        Returns:
            The shorter Backbone, without source classifier; this one itself for its last block.

        Raises:
            OptionError: There is no such block.

        Example:
            >>> import headstart as hs
            >>> early = hs.backbones.load("efficientnet_lite0").cut("stage3")  # doctest: +SKIP
            >>> early.card.features  # doctest: +SKIP
            40
        """
        kept = self.card.blocks[: self._position(stop, 0) + 1]
        if len(kept) == len(self.blocks):
            return self
        card = replace(self.card, blocks=kept, features=self.widths()[stop], labels=None)
        return self._sharing(self._rebuilt(card, {name: self.blocks[name] for name in kept}))

    def at(self, size: int) -> Backbone:
        """Return the network for pictures of another size; it shares the weights with this one.

        Args:
            size: Side of the pictures, int, in pixels.

        Returns:
            The Backbone whose card asks for that size; this one itself for its own size.

        Raises:
            BackboneError: The network works at its own size only (position embeddings of a fixed number),
                or pictures of that size are too small for it.
        """
        own = self.card.preprocess.size
        if size == own:
            return self
        card = replace(self.card, preprocess=replace(self.card.preprocess, size=size))
        resized = self._sharing(Backbone(card, dict(self.blocks.items()), self.pool, self.classifier))
        try:
            resized.widths()
        except (RuntimeError, ValueError, AssertionError) as error:  # as networks of others complain
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise BackboneError(
                f"a network that sees pictures of {size} pixels",
                f"{self.card.name!r}, which does not ({reason})",
                f"use its own size, {own}, or another backbone",
            ) from error
        return resized

    def widths(self) -> dict[str, int]:
        """Return the length of each block's pooled output, {name: int}, found out with one example."""
        found: dict[str, int] = {}
        with torch.no_grad(), _evaluating(self):
            x = self.normalise(self.example().to(self.mean.device))
            for name, block in self.blocks.items():
                x = block(x)
                found[name] = self.pooled(name, x).shape[1]
        return found

    def _rebuilt(self, card: Card, blocks: dict[str, nn.Module]) -> Backbone:
        """Return a network of some of the blocks, which pools what the last of them gives."""
        return Backbone(card, blocks, self._middle())

    def _middle(self) -> nn.Module:
        return MiddlePool(getattr(self.pool, "prefix", 0))

    def _sharing(self, other: Backbone) -> Backbone:
        other.mean, other.std = self.mean, self.std  # wherever this one was moved to
        return other

    def _position(self, name: str | None, default: int) -> int:
        if name is None:
            return default
        if name not in self.blocks:
            names = ", ".join(self.blocks)
            raise OptionError(f"a block of {self.card.name!r}", repr(name), f"choose one of {names}")
        return list(self.blocks).index(name)


@contextlib.contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Keep BatchNorm's statistics as they are, also in the middle of a training."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


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


class MiddlePool(nn.Module):
    """Pools what any block gives, by its shape: grids, channels first or last, and tokens.

    Args:
        prefix: Number of tokens before the patches, int; the first of them is the class token. Defaults to 0.
    """

    def __init__(self, prefix: int = 0) -> None:
        super().__init__()
        self.prefix = prefix

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (grid [n, d, rows, columns], its mean or the class token [n, d])."""
        if x.ndim == 3:
            side = math.isqrt(x.shape[1] - self.prefix)
            grid = x[:, self.prefix :].transpose(1, 2).reshape(-1, x.shape[2], side, side)
            return grid, x[:, 0] if self.prefix else grid.mean((2, 3))
        # Pictures are squares, so the two equal sides are rows and columns.
        last = x.shape[1] == x.shape[2] != x.shape[3]
        grid = x.permute(0, 3, 1, 2) if last else x
        return grid, grid.mean((2, 3))


class Depths(nn.Module):
    """The pooled outputs of the blocks of a backbone, side by side: every depth in one pass.

    Args:
        backbone: The network, which is shared, not copied.
        names: Of which blocks, in order. Defaults to None: of all.

    Example:
        >>> import headstart as hs
        >>> depths = Depths(hs.backbones.load("efficientnet_lite0"))  # doctest: +SKIP
        >>> depths.columns["stage1"]  # doctest: +SKIP
        slice(32, 48, None)
    """

    def __init__(self, backbone: Backbone, names: Sequence[str] | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.columns: dict[str, slice] = {}
        """Where each block's pooled output is in a row, {name: slice}."""
        start = 0
        for name, width in backbone.widths().items():
            if names is not None and name not in names:
                continue
            self.columns[name] = slice(start, start + width)
            start += width
        self.width = start

    def forward(self, pixels: Tensor) -> Tensor:
        """Return float [n, sum of widths] of RGB pictures, uint8 [n, h, w, 3]."""
        x = self.backbone.normalise(pixels)
        parts = []
        for name, block in self.backbone.blocks.items():
            x = block(x)
            if name in self.columns:
                parts.append(self.backbone.pooled(name, x))
        return torch.cat(parts, 1)


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
