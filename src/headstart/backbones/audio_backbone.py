"""A pretrained network for sounds as ordered blocks: log-mel patches in, grid and features out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from headstart.backbones.backbone import Backbone, MiddlePool
from headstart.backbones.card import Card, Waves
from headstart.errors import BackboneError


class AudioBackbone(Backbone):
    """A network over log-mel patches cut into blocks; see `Backbone`.

    Args:
        card: What is known about the weights; its `preprocess` is a `Waves`.
        blocks: Name → module, in the order in which they run.
        pool: From the last block's output to (grid, features). Defaults to None, global average pooling.
        classifier: From features to the logits of the source task. Defaults to None.
    """

    @property
    def spec(self) -> Waves:
        """How sounds become patches."""
        if not isinstance(self.card.preprocess, Waves):
            raise BackboneError("a card that asks for waves", f"{self.card.name!r}", "correct the card")
        return self.card.preprocess

    def normalise(self, pixels: Tensor) -> Tensor:
        """Return patches float [n, frames, bands] as pictures of one channel, [n, 1, frames, bands]."""
        return pixels.to(self.mean.dtype)[:, None]

    def example(self, count: int = 1) -> Tensor:
        """Return patches to try the network on, float32 [count, size, bands]."""
        return torch.zeros(count, self.spec.size, self.spec.bands)

    def at(self, size: int) -> AudioBackbone:
        """Return the network itself: patches have one length."""
        if size != self.spec.size:
            fix = f"leave the size out: it hears {self.spec.size} frames at once"
            raise BackboneError(f"patches of {self.spec.size} frames", str(size), fix)
        return self

    def _rebuilt(self, card: Card, blocks: dict[str, nn.Module]) -> Backbone:
        return AudioBackbone(card, blocks, MiddlePool())
