"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation, with ReLU6, stem and head unscaled."""

from __future__ import annotations

import math
from typing import cast

from torch import Tensor, nn

from headstart.networks.same_padding import pad_for_stride_2

# Kernel, stride, expansion, channels and repeats of the seven stages of EfficientNet-B0.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM, HEAD = 32, 1280


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite 0, 1 or 2, with TensorFlow's "SAME" padding.

    Paper: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
    https://arxiv.org/abs/1905.11946; the Lite variants are Google's (2020), made for integer arithmetic.

    Args:
        width: Multiplier of the stages' channels, float. Defaults to 1.0.
        depth: Multiplier of the stages' repeats, float. Defaults to 1.0.
        classes: Number of classes of the classifier, int. Defaults to 1000.

    Example:
        >>> import torch
        >>> network = EfficientNetLite().eval()
        >>> tuple(network(torch.zeros(1, 3, 64, 64)).shape)
        (1, 1000)
        >>> list(network.blocks)[:3]
        ['stem', 'stage1', 'stage2']
    """

    def __init__(self, width: float = 1.0, depth: float = 1.0, classes: int = 1000) -> None:
        super().__init__()
        blocks: dict[str, nn.Module] = {"stem": ConvNorm(3, STEM, 3, stride=2)}
        channels = STEM
        for index, (kernel, stride, expansion, base, repeats) in enumerate(STAGES):
            out = _round_channels(base * width)
            # Like stem and head, the first and last stage keep their depth.
            count = repeats if index in (0, len(STAGES) - 1) else math.ceil(depth * repeats)
            stage = nn.Sequential()
            for position in range(count):
                stage.append(
                    InvertedResidual(channels, out, kernel, stride if position == 0 else 1, expansion)
                )
                channels = out
            blocks[f"stage{index + 1}"] = stage
        blocks["head"] = ConvNorm(channels, HEAD, 1)
        self.blocks = nn.ModuleDict(blocks)
        self.classifier = nn.Linear(HEAD, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [n, classes] of normalised pictures [n, 3, h, w]."""
        for block in self.blocks.values():
            x = block(x)
        return cast(Tensor, self.classifier(x.mean((2, 3))))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project back; the input is added where the shapes agree.

    Args:
        channels: Channels of the input, int.
        out: Channels of the output, int.
        kernel: Side of the depthwise kernel, int.
        stride: Its stride, int.
        expansion: How many times more channels there are in between, int.
    """

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.expand = ConvNorm(channels, wide, 1) if expansion != 1 else nn.Identity()
        self.depthwise = ConvNorm(wide, wide, kernel, stride, groups=wide)
        self.project = ConvNorm(wide, out, 1, act=False)
        self.residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """Return [n, out, h / stride, w / stride] of [n, channels, h, w]."""
        y = cast(Tensor, self.project(self.depthwise(self.expand(x))))
        return x + y if self.residual else y


class ConvNorm(nn.Module):
    """Convolution padded as in TensorFlow, batch norm and (on request) ReLU6.

    Args:
        channels: Channels of the input, int.
        out: Channels of the output, int.
        kernel: Side of the kernel, int.
        stride: Its stride, 1 or 2. Defaults to 1.
        groups: Groups of channels, int. Defaults to 1.
        act: Whether ReLU6 follows. Defaults to True.
    """

    def __init__(
        self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True
    ) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out, eps=1e-3, momentum=0.01)
        self.act = nn.ReLU6() if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return [n, out, ceil(h / stride), ceil(w / stride)] of [n, channels, h, w]."""
        if self.conv.stride[0] == 2:
            x = pad_for_stride_2(x, self.conv.kernel_size[0])
        return cast(Tensor, self.act(self.norm(self.conv(x))))


def _round_channels(channels: float, divisor: int = 8) -> int:
    """Round to a multiple of 8, never down by more than a tenth."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def reference_names(network: EfficientNetLite) -> dict[str, str]:
    """Return the published name of each tensor, as in lukemelas' EfficientNet-PyTorch.

    There the blocks are numbered through all stages, and norms by their place in the block.

    Args:
        network: Any EfficientNetLite.

    Returns:
        This network's tensor name → the published one, without the counters of batch norm.

    Example:
        >>> reference_names(EfficientNetLite())["blocks.stage2.1.project.norm.bias"]
        '_blocks.2._bn2.bias'
    """
    prefixes = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    number = 0
    for name, stage in network.blocks.items():
        if not isinstance(stage, nn.Sequential):
            continue
        for position in range(len(stage)):
            for part, norm in (("expand", "_bn0"), ("depthwise", "_bn1"), ("project", "_bn2")):
                block = f"_blocks.{number}."
                prefixes[f"{name}.{position}.{part}"] = (f"{block}_{part}_conv", block + norm)
            number += 1
    names = {"classifier.weight": "_fc.weight", "classifier.bias": "_fc.bias"}
    for name in network.blocks.state_dict():
        part, kind, tensor = name.rsplit(".", 2)
        if tensor != "num_batches_tracked":
            names[f"blocks.{name}"] = f"{prefixes[part][kind == 'norm']}.{tensor}"
    return names
