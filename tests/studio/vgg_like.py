"""Small networks of plain sequences, as VGG is, with random weights: for the studio's tests."""

from __future__ import annotations

import torch
from torch import nn

from headstart.backbones.backbone import Backbone
from headstart.backbones.card import Card, Preprocess


def vgg_like(*widths: int) -> Backbone:
    """Return a network with one convolution and one pooling a block."""
    torch.manual_seed(0)
    blocks: dict[str, nn.Module] = {}
    channels = 3
    for number, width in enumerate(widths, 1):
        block = nn.Sequential()
        block.add_module(f"block{number}_conv1", nn.Conv2d(channels, width, 3, padding=1))
        block.add_module(f"block{number}_relu1", nn.ReLU())
        block.add_module(f"block{number}_pool", nn.MaxPool2d(2))
        blocks[f"block{number}"] = block
        channels = width
    spec = Preprocess(size=32, mean=(100.0, 110.0, 120.0), std=(50.0, 50.0, 50.0), channels="BGR")
    card = Card("toy", "toy", "here", "CC0-1.0", "nothing", spec, channels, tuple(blocks), 1, "")
    return Backbone(card, blocks)
