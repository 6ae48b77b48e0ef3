"""A network that paints: a picture in, the picture in the style it was trained for out, in one pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STRIDE = 4
"""Height and width of what goes in are multiples of this."""


class StyleNetwork(nn.Module):
    """Johnson's feed-forward style network, half as wide, with instance norms and resize-convolutions.

    Papers: Johnson, Alahi and Fei-Fei, "Perceptual losses for real-time style transfer and super-resolution",
    ECCV 2016; Ulyanov, Vedaldi and Lempitsky, "Instance normalization", 2016; Odena, Dumoulin and Olah,
    "Deconvolution and checkerboard artifacts", Distill 2016.

    Args:
        width: Channels of the first convolution, int; the paper has 32. Defaults to 16.
        blocks: Residual blocks at a quarter of the size, int. Defaults to 5.

    Example:
        >>> pixels = torch.zeros(1, 32, 48, 3, dtype=torch.uint8)
        >>> StyleNetwork(width=4, blocks=1)(pixels).shape
        torch.Size([1, 32, 48, 3])
    """

    def __init__(self, width: int = 16, blocks: int = 5) -> None:
        super().__init__()
        self.width, self.count = width, blocks
        self.body = nn.Sequential(
            *_layer(3, width, 9),
            *_layer(width, 2 * width, 3, stride=2),
            *_layer(2 * width, 4 * width, 3, stride=2),
            *(_Residual(4 * width) for _ in range(blocks)),
            nn.Upsample(scale_factor=2),
            *_layer(4 * width, 2 * width, 3),
            nn.Upsample(scale_factor=2),
            *_layer(2 * width, width, 3),
            nn.Conv2d(width, 3, 9, padding=4, padding_mode="replicate"),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Return pictures [n, h, w, 3], float from 0 to 255, of pictures uint8 [n, h, w, 3]."""
        return _painted(self.body, pixels)


class Exported(nn.Module):
    """A style network whose answers are whole grey levels, uint8: what is saved, and made to run fast.

    Args:
        network: As it was trained.

    Example:
        >>> Exported(StyleNetwork(width=4, blocks=1))(torch.zeros(1, 32, 48, 3, dtype=torch.uint8)).dtype
        torch.uint8
    """

    def __init__(self, network: StyleNetwork) -> None:
        super().__init__()
        *most, last = network.body.children()
        self.body = nn.Sequential(*most, _four_at_once(last))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return pictures, uint8 [n, h, w, 3]."""
        return _painted(self.body, pixels).round().to(torch.uint8)


def _painted(body: nn.Module, pixels: Tensor) -> Tensor:
    x = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
    # Bounded without a kink: a pixel that is too bright still has a gradient.
    return (torch.sigmoid(body(x).float()) * 255).permute(0, 2, 3, 1)


def _four_at_once(convolution: nn.Module) -> nn.Sequential:
    """Return a convolution of three channels as one of twelve, which gives four pixels at a time.

    Kernels compute sixteen channels at once or more: three of them would waste most of it.
    """
    weight, bias = (tensor.detach() for tensor in convolution.parameters())
    out, channels, side, _ = weight.shape
    wide = nn.Conv2d(channels, 4 * out, side + 1, stride=2)
    with torch.no_grad():
        wide.weight.zero_()
        for place in range(4):
            down, across = divmod(place, 2)
            wide.weight[place::4, :, down : down + side, across : across + side] = weight
        wide.bias.copy_(bias.repeat_interleave(4))  # type: ignore[union-attr]
    return nn.Sequential(nn.ReplicationPad2d(side // 2), wide, nn.PixelShuffle(2))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_layer(channels, channels, 3), *_layer(channels, channels, 3)[:-1])

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = x + self.body(x)
        return found


def _layer(channels: int, out: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    # Beyond the border lies its last pixel: zeros would paint a frame, mirrors need a picture of some size.
    # No bias: the norm takes the mean away.
    padding = kernel // 2
    convolution = nn.Conv2d(channels, out, kernel, stride, padding, bias=False, padding_mode="replicate")
    return [convolution, nn.InstanceNorm2d(out, affine=True), nn.ReLU()]
