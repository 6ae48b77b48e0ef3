"""A network that trains in milliseconds, and pictures that it can tell apart."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from headstart.backbones import Card, Preprocess
from headstart.backbones.backbone import Backbone
from headstart.training.network import Network


def tiny_network(seed: int = 0, classes: int = 3) -> Network:
    """Three blocks (convolution, ReLU; norms in the second), and a linear head."""
    torch.manual_seed(seed)
    names = ("one", "two", "three")
    spec = Preprocess(size=16, mean=(127.5,) * 3, std=(64.0,) * 3)
    blocks = {
        "one": nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        "two": nn.Sequential(nn.Conv2d(8, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU()),
        "three": nn.Sequential(nn.Conv2d(12, 16, 3, padding=1), nn.ReLU()),
    }
    backbone = Backbone(Card("tiny", "tiny", "here", "CC0-1.0", "nothing", spec, 16, names, 0, ""), blocks)
    return Network(backbone, nn.Sequential(nn.Dropout(0.1), nn.Linear(16, classes)))


def drawn_pictures(count: int, classes: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Noise with one brighter colour channel, which is the class: pixels uint8 [n, 16, 16, 3], int64 [n]."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % classes
    noise = torch.randint(0, 160, (count, 16, 16, 3), generator=generator)
    noise[torch.arange(count), :, :, y % 3] += 60
    return noise.to(torch.uint8), y
