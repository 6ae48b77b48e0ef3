"""How good the network is during training: its answers on the plain views of the validation items."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from headstart.training.inputs import Inputs
from headstart.training.losses import Criterion
from headstart.training.network import Network
from headstart.training.precision import Autocast
from headstart.training.sampling import Items

_TEMPERATURES = tuple(1.15**step for step in range(25))
"""From 1 to 29: a validation set of a few items must not make a network look surer than it is."""


def ready(x: Tensor, device: torch.device) -> Tensor:
    """Return a batch as the network runs it fastest: what is whole numbers as it is, grids channels last."""
    x = x.to(device)
    if not x.is_floating_point():
        return x
    x = x.float()
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


@torch.no_grad()
def answers(
    network: Network, inputs: Inputs, items: Items, batch: int, autocast: Autocast, device: torch.device
) -> Tensor:
    """Return the logits of some items, seen plainly, float32 [n, classes]; the network stays in its mode.

    Where the plain view of an item has several rows, its logits are their mean.
    """
    mode = network.training
    network.eval()
    found = []
    for first in range(0, len(items), batch):
        part = items[first : first + batch]
        x = ready(inputs.batch(part, None), device)
        with autocast():
            logits = network(x, inputs.start)
        found.append(logits.float().cpu().unflatten(0, (len(part), -1)).mean(1))
    network.train(mode)
    return torch.cat(found)


def scores(criterion: Criterion, logits: Tensor, targets: Tensor, binary: bool) -> dict[str, float]:
    """Return the loss, and the accuracy (of numbers the root mean squared error).

    The loss of labels is that after a temperature, which every model gets before it answers: a network that
    has grown too sure of itself, but is right more often, is the better one.

    Args:
        criterion: The loss.
        logits: float [n, k].
        targets: Classes int64 [n], soft targets or several labels float [n, k], or numbers float [n].
        binary: Whether every column is a yes or no of its own.

    Returns:
        {"val_loss", "val_accuracy" or "val_rmse"}.

    Example:
        >>> from headstart.training.losses import cross_entropy
        >>> found = scores(cross_entropy, torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1]), False)
        >>> round(found["val_loss"], 3), found["val_accuracy"]
        (0.694, 0.5)
    """
    loss = {"val_loss": float(criterion(logits, targets))}
    if targets.ndim == 1 and targets.is_floating_point() and not binary:
        error = (logits[:, 0] - targets).square().mean().sqrt()
        return {**loss, "val_rmse": float(error)}
    if math.isfinite(loss["val_loss"]):
        loss = {"val_loss": min(float(criterion(logits / t, targets)) for t in _TEMPERATURES)}
    if binary and (targets.is_floating_point() or logits.shape[1] == 1):
        right = (logits > 0) == (targets.reshape(logits.shape) > 0.5)
    else:
        # The last columns: in a distillation's targets the labels come behind what the teacher says.
        wanted = targets[:, -logits.shape[1] :].argmax(1) if targets.ndim == 2 else targets
        right = logits.argmax(1) == wanted
    return {**loss, "val_accuracy": float(right.float().mean())}
