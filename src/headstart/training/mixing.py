"""Mixup and CutMix: batches whose items are blends of two, and whose targets say so."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from headstart.errors import OptionError
from headstart.training.plan import Settings


def mix(x: Tensor, targets: Tensor, settings: Settings, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Blend each item of a batch with another one of it.

    Mixup blends whole pictures (Zhang et al., https://arxiv.org/abs/1710.09412), CutMix replaces a rectangle
    (Yun et al., https://arxiv.org/abs/1905.04899); where the settings have
    both, a coin decides for each batch.

    Args:
        x: Pixels uint8 [n, h, w, 3], or grids of features float [n, c, h, w]; mixup takes float of any shape.
        targets: Soft targets, several labels or numbers, float [n, …].
        settings: Of these `mixup` and `cutmix` are used; 0 and 0 change nothing.
        generator: Where all chance comes from; its state is all that needs to be kept.

    Returns:
        The blended batch, of the shape and type of `x`, and its targets.

    Raises:
        OptionError: Targets that are class indices, or CutMix of something without rows and columns.

    Example:
        >>> x, y = torch.rand(4, 3, 8, 8), torch.eye(4)
        >>> mixed, soft = mix(x, y, Settings(mixup=0.2), torch.Generator().manual_seed(0))
        >>> mixed.shape == x.shape, torch.allclose(soft.sum(1), torch.ones(4))
        (True, True)
    """
    if settings.mixup == 0 and settings.cutmix == 0:
        return x, targets
    if not targets.is_floating_point():
        fix = "turn class indices into one-hot rows first: losses.dense(targets, classes)"
        raise OptionError("soft targets", f"targets of the type {targets.dtype}", fix)
    partner = torch.randperm(len(x), generator=generator)
    # Everything but the permutation comes from NumPy, which has a beta distribution; torch has none that
    # takes a generator.
    chance = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    cut = settings.cutmix > 0 and (settings.mixup == 0 or chance.random() < 0.5)
    alpha = settings.cutmix if cut else settings.mixup
    share = float(chance.beta(alpha, alpha))
    if cut:
        mixed, share = _cut(x, partner, share, chance)
    else:
        mixed = _blend(x, partner, share)
    return mixed, torch.lerp(targets[partner], targets, share)


def _blend(x: Tensor, partner: Tensor, share: float) -> Tensor:
    if x.is_floating_point():
        return torch.lerp(x[partner], x, share)
    values = x.float()
    return torch.lerp(values[partner], values, share).round_().to(x.dtype)


def _cut(x: Tensor, partner: Tensor, share: float, chance: np.random.Generator) -> tuple[Tensor, float]:
    if x.ndim != 4:
        fix = "use mixup, or run the augmentation in the loop"
        raise OptionError("pictures or grids for CutMix", f"the shape {tuple(x.shape)}", fix)
    rows = 1 if x.dtype == torch.uint8 else 2  # pixels come with their channels last, grids first
    height, width = x.shape[rows : rows + 2]
    side = math.sqrt(1 - share)
    top, bottom = _span(height, side, chance)
    left, right = _span(width, side, chance)
    place = (slice(None),) * rows + (slice(top, bottom), slice(left, right))
    mixed = x.clone()
    mixed[place] = x[partner][place]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def _span(length: int, share: float, chance: np.random.Generator) -> tuple[int, int]:
    """Return a stretch of about a share of a side around a random centre, cut off at the border."""
    centre, half = chance.integers(length), length * share / 2
    return max(0, round(centre - half)), min(length, round(centre + half))
