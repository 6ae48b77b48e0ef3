"""What is measured while a network trains, cheaply: what `headstart diagnose` later puts into words.

A line of history.jsonl about a step has {"phase", "epoch", "step", "loss", "rates"} and, every so many steps,
`gradients` and `updates`; a line about an epoch has {"phase", "epoch", "step", "train_loss", "val_loss",
"val_accuracy"} and what `measure` returns. Steps count on through all phases; so do epochs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from headstart.backbones.backbone import Backbone
from headstart.training.losses import Criterion
from headstart.training.plan import HEAD

_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Sigmoid, nn.Tanh)
Before = dict[str, list[Tensor]]


class Trainable(Protocol):
    """A backbone with a head behind it (training/network.py)."""

    backbone: Backbone
    head: nn.Module

    def __call__(self, x: Tensor, start: str | None = None) -> Tensor: ...


def gradient_norms(optimiser: Optimizer) -> dict[str, float]:
    """Return the Euclidean norm of the gradient of each group, after the backward pass.

    Args:
        optimiser: Its groups have names; groups of one name count as one.

    Returns:
        {name: norm}.

    Example:
        >>> weight = nn.Parameter(torch.zeros(2))
        >>> weight.grad = torch.tensor([3.0, 4.0])
        >>> gradient_norms(torch.optim.SGD([{"params": [weight], "name": "head"}], lr=1.0))
        {'head': 5.0}
    """
    return {
        name: _norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        for name, parameters in _by_name(optimiser).items()
    }


def before_step(optimiser: Optimizer) -> Before:
    """Copy the weights of each group, so that `update_ratios` can say what the next step did to them."""
    return {
        name: [parameter.detach().clone() for parameter in parameters]
        for name, parameters in _by_name(optimiser).items()
    }


def update_ratios(optimiser: Optimizer, before: Before) -> dict[str, float]:
    """Return by how much one step changed the weights of each group, relative to their size.

    About a thousandth is healthy; far less is standing still, a tenth is being thrown about.

    Args:
        optimiser: After its step.
        before: What `before_step` returned.

    Returns:
        {name: norm of the change / norm of the weights}.

    Example:
        >>> weight = nn.Parameter(torch.tensor([10.0]))
        >>> optimiser = torch.optim.SGD([{"params": [weight], "name": "head"}], lr=1.0)
        >>> before = before_step(optimiser)
        >>> weight.data -= 0.01
        >>> round(update_ratios(optimiser, before)["head"], 5)
        0.001
    """
    ratios = {}
    for name, parameters in _by_name(optimiser).items():
        changes = torch._foreach_sub([parameter.detach() for parameter in parameters], before[name])
        ratios[name] = _norm(list(changes)) / max(_norm(before[name]), 1e-12)
    return ratios


def measure(
    network: Trainable, criterion: Criterion, x: Tensor, targets: Tensor, start: str | None = None
) -> dict[str, Any]:
    """Return what is measured once an epoch, on a small batch, leaving the network as it was.

    Args:
        network: The network, some of whose weights are trained.
        criterion: The loss.
        x: What the network gets, a few items (16 are enough, two are needed).
        targets: Theirs.
        start: The first block that runs on `x`. Defaults to None, from pixels.

    Returns:
        {"dead": {block: share}, "squared_gradient": gᵀg, "curvature": gᵀHg}, JSON-able.
    """
    with _as_in_evaluation(cast(nn.Module, network)):
        dead = dead_units(network, x, start)
        squared, curvature = conditioning(lambda: criterion(network(x, start), targets), trained(network))
    return {"dead": dead, "squared_gradient": squared, "curvature": curvature}


def trained(network: Trainable) -> list[nn.Parameter]:
    """Return the weights that have a gradient."""
    return [p for p in cast(nn.Module, network).parameters() if p.requires_grad]


def dead_units(network: Trainable, x: Tensor, start: str | None = None) -> dict[str, float]:
    """Return the share of units of each block that say the same whatever they are shown.

    A unit is a channel behind an activation function (or of the block's output, where a block has none that
    is a module); it is dead where it has one value in all places of all items: a ReLU that is never active.

    Args:
        network: The network, in evaluation mode.
        x: What it gets.
        start: The first block that runs. Defaults to None.

    Returns:
        {block or "head": share from 0 to 1}, the blocks that ran; a head without activations is left out.
    """
    units: dict[str, list[Tensor]] = {}

    def watch(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def look(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            units.setdefault(name, []).append(_constant(output))

        return look

    with contextlib.ExitStack() as stack:
        for name, block in [*network.backbone.blocks.items(), (HEAD, network.head)]:
            watched: list[nn.Module] = [part for part in block.modules() if isinstance(part, _ACTIVATIONS)]
            if not watched and name != HEAD:
                watched = [block]
            for part in watched:
                stack.callback(part.register_forward_hook(watch(name)).remove)
        with torch.no_grad():
            network(x, start)
    return {name: float(torch.cat(found).float().mean()) for name, found in units.items()}


def conditioning(loss: Callable[[], Tensor], parameters: list[nn.Parameter]) -> tuple[float, float]:
    """Return the squared norm of the gradient and the curvature along it, by a Hessian-vector product.

    A small step −εg changes the loss by −ε gᵀg + ½ ε² gᵀHg: where the second term outgrows the first, the
    loss rises although the gradient is not small. Goodfellow, Bengio and Courville, "Deep Learning", 2016,
    chapter 8.2.1.

    Args:
        loss: A function that computes it, Tensor [].
        parameters: What is trained.

    Returns:
        gᵀg and gᵀHg, floats.

    Example:
        >>> w = nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> conditioning(lambda: (w**2 * torch.tensor([1.0, 5.0])).sum(), [w])
        (104.0, 1008.0)
    """
    # The fused attention kernels have no second derivative.
    with torch.enable_grad(), torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        gradients = torch.autograd.grad(loss(), parameters, create_graph=True, materialize_grads=True)
        squared = torch.stack([(gradient.double() ** 2).sum() for gradient in gradients]).sum()
        if not squared.requires_grad:  # the loss is linear in the weights
            return float(squared), 0.0
        # The gradient of gᵀg is 2 Hg, which saves a copy of g.
        products = torch.autograd.grad(squared, parameters, materialize_grads=True)
    curvature = sum(
        float((g.detach().double() * hg.double()).sum()) for g, hg in zip(gradients, products, strict=True)
    )
    return float(squared.detach()), curvature / 2


def _constant(output: Tensor) -> Tensor:
    """Return which channels of [n, c, …] (or tokens [n, t, c]) have one value everywhere, bool [c]."""
    channel = output.ndim - 1 if output.ndim == 3 else 1
    values = output.detach().transpose(0, channel).flatten(1)
    return values.amin(1) == values.amax(1)


def _norm(tensors: list[Tensor]) -> float:
    if not tensors:
        return 0.0
    return float(torch.stack(list(torch._foreach_norm(tensors))).double().norm())


def _by_name(optimiser: Optimizer) -> dict[str, list[nn.Parameter]]:
    found: dict[str, list[nn.Parameter]] = {}
    for group in optimiser.param_groups:
        found.setdefault(group["name"], []).extend(group["params"])
    return found


@contextlib.contextmanager
def _as_in_evaluation(network: nn.Module) -> Iterator[None]:
    """Switch dropout off and use stored statistics, and put every part back as it was."""
    modes = [(part, part.training) for part in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
