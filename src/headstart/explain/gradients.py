"""Maps of pictures that need a network's gradient: Grad-CAM, HiResCAM, integrated gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from headstart.backbones.backbone import MiddlePool
from headstart.explain.network import ScoreNetwork
from headstart.explain.overlay import Floats, blur
from headstart.images.decode import Pixels

if TYPE_CHECKING:
    from headstart.backbones.backbone import Backbone

_STEPS = 24
_TOKEN_STEPS = 8
_AT_ONCE = 4
_PATCH = 16
"""Side, in pixels, of the squares that the gradients of pixels are added up in: single ones are noise."""


def cam(
    network: ScoreNetwork, pixels: Sequence[Pixels], column: int, *, high_resolution: bool
) -> list[Floats]:
    """Return the class-activation maps of the last block whose places bear on the answer.

    A transformer's features are its class token, on which the other tokens of the last block have no
    bearing any more; there it is the block before. And tokens go through a layer norm, for which their length
    is the same, so that every product of a token and its gradient is 0. What counts for HiResCAM there is how
    a token differs from the mean of all, times the gradient on the way from that mean (integrated gradients).
    Captum's LayerGradCam knows neither tokens nor HiResCAM.

    Args:
        network: The model's network.
        pixels: What each member sees, uint8 [h, w, 3].
        column: Which answer, int.
        high_resolution: Whether each place has its own gradient (HiResCAM), not the mean over all (Grad-CAM).

    Returns:
        Of each member, float64 [rows, columns].
    """
    backbones: list[Backbone] = list(network.backbones)  # type: ignore[arg-type]
    inputs = [_batch(each) for each in pixels]
    with torch.no_grad():
        features = [backbone(x)[1] for backbone, x in zip(backbones, inputs, strict=True)]
    found = []
    for number, (backbone, x) in enumerate(zip(backbones, inputs, strict=True)):

        def answer(own: Tensor, number: int = number) -> Tensor:
            others = [each.expand(len(own), -1) for each in features]
            return network.score([*others[:number], own, *others[number + 1 :]], column)

        pool = MiddlePool(getattr(backbone.pool, "prefix", 0))
        for block in reversed(backbone.card.blocks):
            with torch.no_grad():
                there = backbone.run_blocks(backbone.normalise(x), stop=block)
            slopes = pool(_slopes(backbone, block, there, answer))[0]
            if slopes.abs().max() > 0:
                break
        places = pool(there)[0]
        if not high_resolution:
            slopes = slopes.mean((2, 3), keepdim=True)
        elif there.ndim == 3:
            away = there - _mean_token(there, pool.prefix)
            left = 1 - (torch.arange(_TOKEN_STEPS)[:, None, None] + 0.5) / _TOKEN_STEPS
            slopes = pool(_slopes(backbone, block, there - left * away, answer))[0].mean(0, keepdim=True)
            places = pool(away)[0]
        found.append((places * slopes).sum(1)[0].double().numpy())
    return found


def _mean_token(tokens: Tensor, prefix: int) -> Tensor:
    """Return tokens of which each patch is the mean of all, the others as they are."""
    mean = tokens[:, prefix:].mean(1, keepdim=True).expand_as(tokens[:, prefix:])
    return torch.cat([tokens[:, :prefix], mean], 1)


def _slopes(backbone: Backbone, block: str, points: Tensor, answer: Callable[[Tensor], Tensor]) -> Tensor:
    """Return how the answer depends on what a block gives, at some points: a gradient of their shape."""
    blocks = backbone.card.blocks
    with torch.enable_grad():
        points = points.detach().requires_grad_()
        rest = blocks[blocks.index(block) + 1 :]
        end = backbone.run_blocks(points, start=rest[0]) if rest else points
        (gradient,) = torch.autograd.grad(answer(backbone.pooled(blocks[-1], end)).sum(), points)
    return gradient


def integrated(network: ScoreNetwork, pixels: Sequence[Pixels], column: int) -> list[Floats]:
    """Return integrated gradients, from a blurred picture to the picture, in squares of 16 pixels.

    On the way from a picture of one colour, networks for photographs answer to what never is: on photographs
    with a pattern pasted in (tests/explain) the strongest square was in the pattern in 1 of 6, from a blurred
    picture in 4 of 6, and the sum was nearer to the difference of the answers.

    Args:
        network: The model's network.
        pixels: What each member sees, uint8 [h, w, 3].
        column: Which answer, int.

    Returns:
        Of each member, float64 [rows, columns]; all together add up to the difference of the answers.
    """
    inputs = tuple(_batch(each).float() for each in pixels)
    blurred = tuple(_batch(blur(each)).float() for each in pixels)
    brought = IntegratedGradients(lambda *x: network(*x, column=column)).attribute(
        inputs, blurred, n_steps=_STEPS, internal_batch_size=_AT_ONCE
    )
    return [_in_patches(each[0].sum(2).double().numpy()) for each in brought]


def _batch(pixels: Pixels) -> Tensor:
    return torch.from_numpy(np.array(pixels))[None]


def _in_patches(brought: Floats) -> Floats:
    height, width = brought.shape
    rows, columns = (np.arange(0, side, _PATCH) for side in (height, width))
    return np.asarray(np.add.reduceat(np.add.reduceat(brought, rows, 0), columns, 1))
