"""Random first weights: Glorot and He, the same for the same seed and name."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from headstart.files import digest_bytes
from headstart.training.plan import Initialisation

_OTHER = 0.02  # standard deviation of tables and tokens, as in BERT and ViT

_MOMENTUM = 0.1
"""Of the running statistics: those of a network that starts anew must be right after some hundred steps."""


def initialise(module: nn.Module, kind: Initialisation, seed: int) -> None:
    """Give a module new random weights, in place.

    Weights of linear layers and convolutions are drawn as `kind` says, biases become 0, norms start anew
    (weights 1, statistics forgotten), embeddings and tokens are drawn from a narrow normal distribution. What
    a weight gets depends on the seed and its name alone, not on the other weights or their order.

    Papers: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010; He et al., "Delving Deep into Rectifiers", https://arxiv.org/abs/1502.01852.

    Args:
        module: Any network.
        kind: "glorot_uniform", "glorot_normal", "he_uniform" or "he_normal".
        seed: int.

    Example:
        >>> layer = nn.Linear(100, 50)
        >>> initialise(layer, "glorot_uniform", seed=0)
        >>> bool(layer.weight.abs().max() <= (6 / 150) ** 0.5), layer.bias.tolist() == [0] * 50
        (True, True)
    """
    with torch.no_grad():
        for prefix, part in module.named_modules():
            if isinstance(part, nn.modules.batchnorm._NormBase):
                part.reset_running_stats()
                part.momentum = _MOMENTUM
            for name, parameter in part.named_parameters(recurse=False):
                full = f"{prefix}.{name}" if prefix else name
                if name.endswith("bias"):
                    parameter.zero_()
                elif parameter.ndim < 2:
                    parameter.fill_(1)  # of a norm, or a layer's scale
                else:
                    spread = _deviation(part, parameter, kind) if name == "weight" else _OTHER
                    parameter.copy_(_draw(parameter, spread, kind.endswith("uniform"), seed, full))


def _deviation(part: nn.Module, weight: Tensor, kind: Initialisation) -> float:
    """Return the standard deviation that keeps the signal's size through a layer."""
    if not isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return _OTHER
    groups = 1 if isinstance(part, nn.Linear) else part.groups
    fan_in = weight[0].numel()
    fan_out = weight.shape[0] // groups * weight[0, 0].numel()
    if kind.startswith("glorot"):
        return math.sqrt(2 / (fan_in + fan_out))
    return math.sqrt(2 / fan_in)


def _draw(like: Tensor, deviation: float, uniform: bool, seed: int, name: str) -> Tensor:
    key = int(digest_bytes(f"{seed}/{name}".encode())[:15], 16)
    generator = torch.Generator().manual_seed(key)
    values = torch.empty(like.shape, dtype=torch.float32)
    if uniform:
        bound = math.sqrt(3) * deviation
        return values.uniform_(-bound, bound, generator=generator)
    return values.normal_(0, deviation, generator=generator)
