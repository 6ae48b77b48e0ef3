"""VGG16's thirteen convolutions, named as Keras names them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

# Channels and number of convolutions of each block.
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


class VGG16(nn.Module):
    """The convolutional trunk of VGG16: five blocks, each ended by a pooling that halves the sides.

    Paper: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
    https://arxiv.org/abs/1409.1556.

    A layer is addressed as `network.blocks["block4"].block4_conv3`.

    Example:
        >>> import torch
        >>> network = VGG16().eval()
        >>> tuple(network(torch.zeros(1, 3, 64, 64)).shape)
        (1, 512, 2, 2)
        >>> network.blocks["block4"].block4_conv3
        Conv2d(512, 512, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    """

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleDict()
        channels = 3
        for index, (out, convolutions) in enumerate(BLOCKS, start=1):
            block = nn.Sequential()
            for position in range(1, convolutions + 1):
                block.add_module(f"block{index}_conv{position}", nn.Conv2d(channels, out, 3, padding=1))
                # Not in place: what a hook on a convolution sees stays what the convolution gave.
                block.add_module(f"block{index}_relu{position}", nn.ReLU())
                channels = out
            block.add_module(f"block{index}_pool", nn.MaxPool2d(2))
            self.blocks[f"block{index}"] = block

    def forward(self, x: Tensor) -> Tensor:
        """Return the grid [n, 512, h / 32, w / 32] of normalised pictures [n, 3, h, w]."""
        for block in self.blocks.values():
            x = cast(Tensor, block(x))
        return x


def convolution_names() -> tuple[str, ...]:
    """Return the names of the thirteen convolutions, in order.

    Example:
        >>> convolution_names()[:3]
        ('block1_conv1', 'block1_conv2', 'block2_conv1')
    """
    return tuple(
        f"block{index}_conv{position}"
        for index, (_, convolutions) in enumerate(BLOCKS, start=1)
        for position in range(1, convolutions + 1)
    )


def keras_digest(tensors: Mapping[str, NDArray[np.float32]]) -> str:
    """Return the SHA-256 of the weights as Keras stores them: kernel and bias of each layer, in order.

    Keras keeps a kernel as [height, width, in, out]; torch and ONNX as [out, in, height, width].

    Args:
        tensors: State dict of `VGG16`, name → float32 array.

    Returns:
        64 hexadecimal digits, to be compared with Keras's own file.
    """
    hasher = hashlib.sha256()
    for name in convolution_names():
        prefix = f"blocks.{name.partition('_')[0]}.{name}"
        kernel = tensors[f"{prefix}.weight"].transpose(2, 3, 1, 0)
        hasher.update(np.ascontiguousarray(kernel, dtype="<f4").tobytes())
        hasher.update(np.ascontiguousarray(tensors[f"{prefix}.bias"], dtype="<f4").tobytes())
    return hasher.hexdigest()
