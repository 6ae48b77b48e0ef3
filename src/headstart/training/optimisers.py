"""Optimisers by name, and learning rates that fall towards the input. Loads torch only to build one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headstart.errors import OptionError
from headstart.training.plan import Settings

if TYPE_CHECKING:
    from torch.optim import Optimizer

_EPSILON = 1e-7  # Keras's


def build(settings: Settings, groups: Sequence[dict[str, Any]]) -> Optimizer:
    """Return the optimiser that the settings name.

    AdamW shrinks the weights by themselves (Loshchilov and Hutter, https://arxiv.org/abs/1711.05101); with
    the others weight decay is an L2 term in the gradient. Adam has the moments 0.9 and 0.999 and epsilon
    1e-7; RMSprop forgets with 0.9, as in Hinton's lecture.

    Args:
        settings: Of these `optimiser`, `momentum` and `weight_decay` are used.
        groups: {"params": list of Parameter, "lr": float, "name": str} of each group, the rate being the
            peak; "weight_decay" where a group has one of its own.

    Returns:
        The Optimizer; its `param_groups` keep the names.

    Raises:
        OptionError: There is nothing to train.

    Example:
        >>> import torch
        >>> layer = torch.nn.Linear(2, 2)
        >>> group = {"params": list(layer.parameters()), "lr": 1e-3, "name": "head"}
        >>> build(Settings(optimiser="adam"), [group]).param_groups[0]["name"]
        'head'
    """
    from torch import optim

    if not any(group["params"] for group in groups):
        raise OptionError("at least one weight to train", "none", "thaw a block or train the head")
    kept = [dict(group) for group in groups]
    decay, momentum = settings.weight_decay, settings.momentum
    match settings.optimiser:
        case "adamw":
            return optim.AdamW(kept, betas=(0.9, 0.999), eps=_EPSILON, weight_decay=decay, fused=True)
        case "adam":
            return optim.Adam(kept, betas=(0.9, 0.999), eps=_EPSILON, weight_decay=decay, fused=True)
        case "sgd":
            return optim.SGD(kept, momentum=momentum, weight_decay=decay, fused=True)
        case "nesterov":
            # Nesterov without momentum is plain descent, which torch refuses to call Nesterov.
            return optim.SGD(kept, momentum=momentum, weight_decay=decay, nesterov=momentum > 0, fused=True)
        case "adagrad":
            return optim.Adagrad(kept, eps=_EPSILON, weight_decay=decay, fused=True)
        case "rmsprop":
            return optim.RMSprop(kept, alpha=0.9, eps=_EPSILON, weight_decay=decay)


def discriminative(peak: float, blocks: Sequence[str], decay: float) -> dict[str, float]:
    """Return a learning rate for each block, falling towards the input.

    Early blocks hold what is general and need little change. Paper: Howard and Ruder, "Universal Language
    Model Fine-tuning for Text Classification", https://arxiv.org/abs/1801.06146 (there decay is 1 / 2.6).

    Args:
        peak: Rate of the last block, float.
        blocks: Names in the order of the network, str, "head" last where it is among them.
        decay: What a block's rate is of the next block's, float in (0, 1].

    Returns:
        The rates, {name: float}, in the order of `blocks`.

    Raises:
        OptionError: A peak or a decay outside its range.

    Example:
        >>> discriminative(1.0, ["block4", "block5", "head"], 0.5)
        {'block4': 0.25, 'block5': 0.5, 'head': 1.0}
    """
    if not peak > 0:
        raise OptionError("a positive learning rate", repr(peak), "use one such as 1e-3")
    if not 0 < decay <= 1:
        raise OptionError("a decay above 0, 1 at most", repr(decay), "use one such as 0.5")
    return {name: peak * decay ** (len(blocks) - 1 - place) for place, name in enumerate(blocks)}
