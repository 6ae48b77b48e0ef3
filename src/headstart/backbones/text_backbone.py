"""A pretrained text encoder as ordered blocks: token numbers in, one vector a token and one a passage out."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from headstart.backbones.backbone import Backbone
from headstart.backbones.card import Card, Tokens
from headstart.errors import BackboneError


class TextBackbone(Backbone):
    """A text encoder cut into blocks; see `Backbone`.

    The first block takes token numbers; from then on a passage is [n, tokens, d + 1], whose last number says
    whether a token is one (1) or padding (0).

    Args:
        card: What is known about the weights; its `preprocess` is a `Tokens`.
        blocks: Name → module, in the order in which they run.
        pool: From the last block's output to (grid, features). Defaults to None, the mean over the tokens.
    """

    @property
    def spec(self) -> Tokens:
        """How texts become token numbers."""
        if not isinstance(self.card.preprocess, Tokens):
            raise BackboneError("a card that asks for tokens", f"{self.card.name!r}", "correct the card")
        return self.card.preprocess

    def normalise(self, pixels: Tensor) -> Tensor:
        """Return the token numbers, int [n, tokens], as the first block wants them."""
        return pixels.long()

    def example(self, count: int = 1) -> Tensor:
        """Return passages to try the network on, int32 [count, size]."""
        return torch.full((count, self.spec.size), self.spec.pad + 1, dtype=torch.int32)

    def at(self, size: int) -> TextBackbone:
        """Return the network for passages of another length, in tokens; it shares the weights."""
        if size == self.spec.size:
            return self
        card = replace(self.card, preprocess=replace(self.spec, size=size))
        resized = TextBackbone(card, dict(self.blocks.items()), self.pool)
        try:
            resized.widths()
        except (RuntimeError, IndexError) as error:
            raise BackboneError(
                f"a network that reads passages of {size} tokens",
                f"{self.card.name!r}, which does not",
                f"use its own length, {self.spec.size}, or less",
            ) from error
        return resized

    def _rebuilt(self, card: Card, blocks: dict[str, nn.Module]) -> Backbone:
        return TextBackbone(card, blocks, MeanOfTokens())

    def _middle(self) -> nn.Module:
        return MeanOfTokens()


class MeanOfTokens(nn.Module):
    """Features are the mean over the tokens that are no padding."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (token vectors [n, tokens, d], their mean [n, d]) of [n, tokens, d + 1]."""
        tokens, mask = x[..., :-1].float(), x[..., -1:].float()
        return tokens, (tokens * mask).sum(1) / mask.sum(1).clamp(min=1)


class FirstToken(nn.Module):
    """Features are the vector of the first token, as BERT's classifiers use it."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (token vectors [n, tokens, d], the first one [n, d]) of [n, tokens, d + 1]."""
        tokens = x[..., :-1].float()
        return tokens, tokens[:, 0]
