"""What single layers of a network answer to a picture: what dreams, styles and filters are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from headstart.engines.openvino_engine import has_bf16
from headstart.errors import OptionError

if TYPE_CHECKING:
    from headstart.backbones.backbone import Backbone


class Layers(nn.Module):
    """The activations of named layers, computed no deeper than the deepest of them.

    A convolution's activation is what its non-linearity makes of it, as in the published methods; a block of
    the backbone is a layer, too.

    Args:
        backbone: The network; it is shared, and its weights are not trained.
        names: Of which layers, such as "block4_conv2" of VGG16; see `layer_names`.
        fast: Whether to compute in bfloat16 where the CPU does. Defaults to True.
        linear: Whether to take a convolution's answer before its non-linearity, where what is below zero
            has a gradient, too. Defaults to False.

    Raises:
        OptionError: There is no such layer.

    Example:
        >>> from headstart.backbones.backbone import Backbone
        >>> from headstart.backbones.card import Card, Preprocess
        >>> card = Card("toy", "toy", "here", "CC0-1.0", "nothing", Preprocess(size=8), 4, ("stem",), 112, "")
        >>> layers = Layers(Backbone(card, {"stem": nn.Conv2d(3, 4, 3, stride=2, padding=1)}), ["stem"])
        >>> {name: tuple(each.shape) for name, each in layers(torch.zeros(1, 3, 8, 8)).items()}
        {'stem': (1, 4, 4, 4)}
    """

    def __init__(
        self, backbone: Backbone, names: Sequence[str], *, fast: bool = True, linear: bool = False
    ) -> None:
        super().__init__()
        known = layer_names(backbone)
        for name in names:
            if name not in known:
                listed = ", ".join(known)
                raise OptionError(f"a layer of {backbone.card.name!r}", repr(name), f"choose one of {listed}")
        self._mean, self._std = backbone.mean, backbone.std
        self._names, self._fast = tuple(names), fast and (self.device.type != "cpu" or has_bf16())
        self._flip = getattr(backbone.card.preprocess, "channels", "RGB") == "BGR"
        self._steps = _until(_steps(backbone, linear), set(names))
        for _, module in self._steps:
            module.requires_grad_(False)
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return {name: activation [n, channels, h, w]} of pictures, float [n, 3, h, w], RGB in grey levels.

        A gradient with respect to the pictures flows through.
        """
        x = pixels.flip(1) if self._flip else pixels
        x = ((x - self._mean) / self._std).contiguous(memory_format=torch.channels_last)
        found: dict[str, Tensor] = {}
        with self._precision():
            for name, module in self._steps:
                x = module(x)
                if name in self._names:
                    found[name] = x.float()
        return found

    @property
    def device(self) -> torch.device:
        """Where it computes, and where pictures have to be."""
        return self._mean.device

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._fast)


def layer_names(backbone: Backbone, *, learned: bool = False) -> tuple[str, ...]:
    """Return the layers that can be named: of plain sequences each convolution, of others each block.

    Args:
        backbone: The network.
        learned: Whether to leave out those without weights of their own, such as poolings. Defaults to False.
    """
    return tuple(
        name
        for name, module in _steps(backbone, linear=learned)
        if name and (not learned or any(True for _ in module.parameters()))
    )


def _steps(backbone: Backbone, linear: bool = False) -> list[tuple[str, nn.Module]]:
    """Return modules in the order in which they run, each with the name of the layer that it completes."""
    found: list[tuple[str, nn.Module]] = []
    for block_name, block in backbone.blocks.items():
        if not (isinstance(block, nn.Sequential) and any(isinstance(part, nn.ReLU) for part in block)):
            found.append((block_name, block))
            continue
        convolution = ""
        for name, part in _children(block):
            if isinstance(part, nn.Conv2d):
                convolution = name
                found.append((name if linear else "", part))
            elif isinstance(part, nn.ReLU):
                found.append(("" if linear else convolution, part))
            else:
                found.append((name, part))
    return found


def _children(block: nn.Sequential) -> Iterator[tuple[str, nn.Module]]:
    """Yield a sequence's modules; where they have numbers, by the names that Keras gives VGG's layers."""
    depth, place = 1, 0
    for name, part in block.named_children():
        if not name.isdigit():
            yield name, part
        elif isinstance(part, nn.Conv2d):
            place += 1
            yield f"block{depth}_conv{place}", part
        elif isinstance(part, nn.MaxPool2d):
            yield f"block{depth}_pool", part
            depth, place = depth + 1, 0
        else:
            yield f"block{depth}_{name}", part


def _until(steps: list[tuple[str, nn.Module]], names: set[str]) -> list[tuple[str, nn.Module]]:
    last = max(place for place, (name, _) in enumerate(steps) if name in names)
    return steps[: last + 1]
