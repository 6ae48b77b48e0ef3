"""DeepDream as the classic Keras example does it, plainly in torch: the peer in dream.py.

Octaves, lost detail put back, a fixed step along the normalised gradient; fp32, channels first, the whole
picture at once, no further than the deepest layer, and no gradient of weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from headstart import backbones

MEAN = (123.68, 116.779, 103.939)


class ClassicDream:
    """VGG16 up to a layer, whose activations are read by hooks.

    Args:
        layers: Layer → its weight.
    """

    def __init__(self, layers: Mapping[str, float]) -> None:
        network = backbones.load("vgg16").requires_grad_(False)
        self.layers, self.seen = layers, {}
        modules: list[nn.Module] = []
        last = max(layers)
        for block in network.blocks.values():
            for name, module in block.named_children():
                modules.append(module)
                relu = name.replace("relu", "conv")
                if "relu" in name and relu in layers:
                    module.register_forward_hook(self._keep(relu))
                if "relu" in name and relu == last:
                    break
            else:
                continue
            break
        self.network = nn.Sequential(*modules)

    def _keep(self, name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            self.seen[name] = output

        return hook

    def loss(self, picture: Tensor) -> Tensor:
        """Return the sum of the layers' mean squares of a picture, float [1, 3, h, w] in grey levels."""
        mean = torch.tensor(MEAN).view(1, 3, 1, 1)
        self.network((picture - mean).flip(1))
        loss = torch.zeros(())
        for name, weight in self.layers.items():
            # Two pixels at the border are left out, as in the example.
            loss = loss + weight * self.seen[name][..., 2:-2, 2:-2].square().mean()
        return loss

    def dream(
        self, content: NDArray[np.uint8], octaves: int, scale: float, steps: int, rate: float
    ) -> NDArray[np.uint8]:
        """Return the dream, uint8 of the content's shape."""
        original = torch.from_numpy(content.copy()).permute(2, 0, 1)[None].float()
        height, width = content.shape[:2]
        shapes = [
            (int(height / scale**power), int(width / scale**power)) for power in reversed(range(octaves))
        ]
        picture = resize(original, shapes[0])
        shrunk = picture
        for shape in shapes:
            picture = resize(picture, shape)
            same = resize(original, shape)
            if shape != shapes[0]:
                picture = picture + same - resize(shrunk, shape)
            picture = self.ascend(picture, steps, rate)
            shrunk = same
        return picture[0].clamp(0, 255).byte().permute(1, 2, 0).numpy()

    def ascend(self, picture: Tensor, steps: int, rate: float) -> Tensor:
        """Return the picture after so many steps."""
        for _ in range(steps):
            free = picture.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.loss(free), free)
            picture = (picture + rate * gradient / gradient.abs().mean().clamp(min=1e-12)).clamp(0, 255)
        return picture


def resize(picture: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return a picture of another height and width."""
    return F.interpolate(picture, shape, mode="bilinear", align_corners=False)
