"""Heads between NumPy, where they are fitted and kept, and torch, where they are trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.errors import OptionError
from headstart.training.plan import Loss, Plan
from headstart.transfer.heads import Head

if TYPE_CHECKING:
    from headstart.fitting.arranging import Arrangement

_LOSSES: dict[str, tuple[Loss, ...]] = {
    "label": ("cross-entropy", "hinge", "kl"),
    "labels": ("binary",),
    "number": ("mse", "mae", "mape"),
}
"""What may be minimised for each target; the first is the default."""


@dataclass(frozen=True)
class Scale:
    """How targets are scaled while a network is trained: numbers by their mean and spread, others not.

    Args:
        mean: float. Defaults to 0.
        spread: float > 0. Defaults to 1.
    """

    mean: float = 0.0
    spread: float = 1.0

    def targets(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return targets as the loss wants them: classes as they are, the others as float32."""
        if y.ndim == 1 and np.issubdtype(y.dtype, np.integer):
            return y
        return ((y - self.mean) / self.spread if y.ndim == 1 else y).astype(np.float32)

    def apply(self, head: Head) -> Head:
        """Return the head that answers in the targets' own scale."""
        *first, (weight, bias) = head.layers
        return replace(head, layers=(*first, (weight * self.spread, bias * self.spread + self.mean)))

    def inverse(self, head: Head) -> Head:
        """Return the head that answers scaled targets; `apply` undoes it."""
        *first, (weight, bias) = head.layers
        return replace(head, layers=(*first, (weight / self.spread, (bias - self.mean) / self.spread)))


def fitting_loss(plan: Plan, arrangement: Arrangement) -> tuple[Plan, Scale]:
    """Return the plan with a loss that fits the target, and how targets are scaled.

    Args:
        plan: What is trained.
        arrangement: What each item is for; numbers are scaled by those of its training items.

    Raises:
        OptionError: The plan names a loss for another target.
    """
    target, y = arrangement.data.target, arrangement.data.y[arrangement.train]
    fitting = _LOSSES[target]
    if plan.settings.loss not in ("cross-entropy", *fitting):
        what = f"a loss for the target {target}: {', '.join(fitting)}"
        raise OptionError(what, plan.settings.loss, "name one of them in the plan's settings")
    if plan.settings.loss not in fitting:  # the default, which is for classes
        plan = plan.replace(settings=replace(plan.settings, loss=fitting[0]))
    # A percentage of a scaled number would mean nothing.
    if target != "number" or plan.settings.loss == "mape":
        return plan, Scale()
    return plan, Scale(float(y.mean()), float(y.std()) or 1.0)


def load_head(made: nn.Module, head: Head) -> bool:
    """Give a torch head the weights of another one.

    Args:
        made: The head in torch, changed in place.
        head: The weights.

    Returns:
        Whether both have the same layers; otherwise nothing is changed.
    """
    linear = [layer for layer in made.modules() if isinstance(layer, nn.Linear)]
    shapes = [weight.shape for weight, _ in head.layers]
    if [(layer.in_features, layer.out_features) for layer in linear] != shapes:
        return False
    with torch.no_grad():
        for layer, (weight, bias) in zip(linear, head.layers, strict=True):
            layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight.T)))
            layer.bias.copy_(torch.from_numpy(np.ascontiguousarray(bias)))
    return True


def read_head(made: nn.Module) -> Head:
    """Return a torch head as it is kept: one or more linear layers with ReLU between them."""
    layers = tuple(
        (
            layer.weight.detach().float().cpu().numpy().T.copy(),
            layer.bias.detach().float().cpu().numpy().copy(),
        )
        for layer in made.modules()
        if isinstance(layer, nn.Linear)
    )
    return Head("linear" if len(layers) == 1 else "mlp", layers)
