"""The gradient of a network for sounds by what it hears."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import torch

from headstart.audio.hearing import Patch
from headstart.explain.following import Floats

if TYPE_CHECKING:
    from headstart.artefact.model import Model
    from headstart.backbones.backbone import Backbone

_STEPS = 32
_VALUES = 150_000
"""Values of all patches that go through a network at once: 24 of YAMNet's, one of AST's."""
_KNOWN: WeakKeyDictionary[Model, list[Backbone]] = WeakKeyDictionary()


def networks(model: Model, offline: bool) -> list[Backbone]:
    """Return the networks of a model's members in torch, built once and kept for as long as the model."""
    if model not in _KNOWN:
        count = range(len(model.members))
        _KNOWN[model] = [model.torch_network(n, offline=offline).requires_grad_(False) for n in count]
    return _KNOWN[model]


def integrated(
    network: Backbone, patch: Patch, quiet: Floats, slope: Floats, *, steps: int = _STEPS
) -> Floats:
    """Return integrated gradients over a patch, from one that is quiet everywhere.

    Captum's IntegratedGradients computes the same, but all steps at once, for which the patches of a
    transformer are too large.

    Args:
        network: The network.
        patch: float32 [frames, bands].
        quiet: The values of quiet bands, float64 [bands].
        slope: How the answer follows the network's features, float64 [d].
        steps: Gradients on the way, int. Defaults to 32.

    Returns:
        float64 [frames, bands]; they add up to what the patch brings above a quiet one.

    References:
        Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML 2017.
    """
    there = torch.from_numpy(np.ascontiguousarray(patch, np.float32))
    start = torch.from_numpy(quiet).float().expand_as(there)
    away = there - start
    total = torch.zeros_like(there)
    towards = torch.from_numpy(slope).float()
    shares = (torch.arange(steps) + 0.5)[:, None, None] / steps
    at_once = max(1, _VALUES // patch.size)
    for first in range(0, steps, at_once):
        with torch.enable_grad():
            points = (start + shares[first : first + at_once] * away).requires_grad_()
            (gradient,) = torch.autograd.grad((network(points)[1] @ towards).sum(), points)
        total += gradient.sum(0)
    return np.asarray((total * away / steps).numpy(), np.float64)
