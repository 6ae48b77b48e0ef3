"""The small convolutional network of the tutorials: what a pretrained backbone has to beat."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

CHANNELS = (32, 64, 128, 128)
OF_SOUNDS = (16, 32, 64, 128)


class BasicCNN(nn.Module):
    """Four blocks of convolution, batch norm, ReLU and pooling that halves the sides.

    The widths are those of the cats-and-dogs network in Chollet, "Deep Learning with Python", 2017, ch. 5.
    It differs in two things: batch norm (Ioffe and Szegedy, https://arxiv.org/abs/1502.03167), and features
    that are the mean over the grid instead of its flattened values. Both train faster; it takes any size.

    It starts from He's random numbers (normal, seed 0): it knows nothing.

    Args:
        channels: Of what it sees, int: 3 for pictures, 1 for spectrograms. Defaults to 3.
        widths: Channels of the blocks, int each. Defaults to `CHANNELS`.

    Example:
        >>> network = BasicCNN().eval()
        >>> tuple(network(torch.zeros(1, 3, 64, 64)).shape)
        (1, 128, 4, 4)
    """

    def __init__(self, channels: int = 3, widths: tuple[int, ...] = CHANNELS) -> None:
        super().__init__()
        self.blocks = nn.ModuleDict()
        generator = torch.Generator().manual_seed(0)
        for number, out in enumerate(widths, start=1):
            conv = nn.Conv2d(channels, out, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu", generator=generator)
            self.blocks[f"block{number}"] = nn.Sequential(
                conv, nn.BatchNorm2d(out), nn.ReLU(), nn.MaxPool2d(2)
            )
            channels = out

    def forward(self, x: Tensor) -> Tensor:
        """Return the grid [n, 128, h / 16, w / 16] of normalised inputs [n, channels, h, w]."""
        for block in self.blocks.values():
            x = cast(Tensor, block(x))
        return x
