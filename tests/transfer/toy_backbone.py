"""A backbone of three small blocks with random weights, for what needs a network but no knowledge."""

from __future__ import annotations

import torch
from torch import nn

from headstart.backbones.backbone import Backbone
from headstart.backbones.card import Card, Preprocess

BLOCKS = ("first", "second", "third")


def toy_backbone(side: int = 32, *, norm: bool = True) -> Backbone:
    """Three convolutions of 4, 6 and 8 channels, each with batch norm and ReLU; always the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        blocks: dict[str, nn.Module] = {}
        channels = 3
        for name, out in zip(BLOCKS, (4, 6, 8), strict=True):
            middle = nn.BatchNorm2d(out) if norm else nn.Identity()
            blocks[name] = nn.Sequential(nn.Conv2d(channels, out, 3, 2, 1), middle, nn.ReLU())
            channels = out
    spec = Preprocess(size=side, crop=1.0, mean=(127.0,) * 3, std=(64.0,) * 3)
    digest = f"toy-{norm}".ljust(64, "0")
    card = Card("toy", "toy", "here", "CC0-1.0", "nothing", spec, 8, BLOCKS, 1000, digest)
    return Backbone(card, blocks)
