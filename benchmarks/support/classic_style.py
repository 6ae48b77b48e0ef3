"""Style transfer as the classic Keras example does it, in torch: the peer of `benchmarks/style.py`.

After "Neural style transfer" of the Keras examples and Chollet, "Deep Learning with Python", 8.3: one batch
of content, style and picture through the whole of VGG16 in fp32, scipy's L-BFGS, 20 evaluations an iteration.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import fmin_l_bfgs_b
from torch import Tensor, nn

from headstart import backbones

CONTENT = "block5_conv2"
STYLE = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1")
CONTENT_WEIGHT, STYLE_WEIGHT, SMOOTH = 0.025, 1.0, 1e-4
_MEAN = np.array([103.939, 116.779, 123.68], np.float32)
Pixels = NDArray[np.uint8]


class ClassicStyle:
    """The loss of the classic example for one content and one style, both uint8 [h, w, 3] of one shape."""

    def __init__(self, content: Pixels, style: Pixels) -> None:
        self._network = backbones.load("vgg16", offline=True).requires_grad_(False)
        self._fixed = torch.cat([_prepared(content), _prepared(style)])
        self.shape = content.shape

    def loss(self, picture: Tensor) -> Tensor:
        """Return the loss of a prepared picture, float [1, 3, h, w]."""
        seen = self._outputs(torch.cat([self._fixed, picture]))
        places = self.shape[0] * self.shape[1]
        total = CONTENT_WEIGHT * (seen[CONTENT][2] - seen[CONTENT][0]).square().sum()
        for name in STYLE:
            wanted, found = _gram(seen[name][1]), _gram(seen[name][2])
            distance = (wanted - found).square().sum() / (4.0 * 3**2 * places**2)
            total = total + STYLE_WEIGHT / len(STYLE) * distance
        down = (picture[..., :-1, :-1] - picture[..., 1:, :-1]).square()
        across = (picture[..., :-1, :-1] - picture[..., :-1, 1:]).square()
        return total + SMOOTH * (down + across).pow(1.25).sum()

    def loss_of(self, picture: Pixels) -> float:
        """Return the loss of a picture as it is saved, uint8 [h, w, 3]."""
        with torch.no_grad():
            return float(self.loss(_prepared(picture)))

    def paint(self, content: Pixels, iterations: int, see: Callable[[Pixels, float], None]) -> None:
        """Lower the loss from the content on, and show the picture and its loss after every iteration."""
        x = _prepared(content).numpy().astype(np.float64).ravel()
        for _ in range(iterations):
            x, least, _ = fmin_l_bfgs_b(self._loss_and_gradient, x, maxfun=20)
            see(_shown(x.reshape(3, *self.shape[:2])), float(least))

    def _loss_and_gradient(self, x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        picture = torch.from_numpy(x.astype(np.float32).reshape(1, 3, *self.shape[:2])).requires_grad_()
        loss = self.loss(picture)
        loss.backward()  # type: ignore[no-untyped-call]
        gradient = picture.grad
        if gradient is None:
            raise RuntimeError("the loss does not depend on the picture")
        return float(loss.detach()), gradient.numpy().astype(np.float64).ravel()

    def _outputs(self, x: Tensor) -> dict[str, Tensor]:
        """Return what every layer gives, as a dictionary of the Keras model's layers does."""
        found: dict[str, Tensor] = {}
        for block in self._network.blocks.values():
            convolution = ""
            for name, part in block.named_children():
                x = part(x)
                if isinstance(part, nn.Conv2d):
                    convolution = name
                elif isinstance(part, nn.ReLU):
                    found[convolution] = x
        return found


def _gram(activation: Tensor) -> Tensor:
    flat = activation.flatten(1)
    return flat @ flat.T


def _prepared(picture: Pixels) -> Tensor:
    x = picture[..., ::-1].astype(np.float32) - _MEAN
    return torch.from_numpy(x.transpose(2, 0, 1).copy())[None]


def _shown(x: NDArray[np.float64]) -> Pixels:
    picture = x.transpose(1, 2, 0) + _MEAN
    return picture[..., ::-1].clip(0, 255).round().astype(np.uint8)
