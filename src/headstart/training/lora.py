"""LoRA: a transformer's blocks learn through small adapters, their own weights stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from headstart.errors import OptionError, require

if TYPE_CHECKING:
    from headstart.backbones.backbone import Backbone
    from headstart.training.plan import Plan

ATTENTION = ("query", "value", "q_proj", "v_proj", "qkv", "q_lin", "v_lin", "q", "v")
"""What the layers that make queries and values are called: they get adapters, as in the paper."""

DROPOUT = 0.1
"""Of what goes into an adapter."""


def add(backbone: Backbone, plan: Plan) -> str:
    """Put adapters into the blocks that a plan trains; from then on only these learn, not the blocks.

    An adapter adds B·A·x · 2 to what an attention layer makes of x; A has `plan.settings.lora` rows. B starts
    at zero, so nothing changes at first.

    Args:
        backbone: At the plan's cut and size; changed in place.
        plan: Whose phases say which blocks, whose settings say the rank.

    Returns:
        How many weights learn and how many stay, in words.

    Raises:
        OptionError: The blocks have no attention layers, or they would learn from random numbers.
        MissingExtraError: peft is not installed.

    References:
        Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", https://arxiv.org/abs/2106.09685.

    Example:
        >>> backbone = hs.backbones.load("hf:facebook/dinov2-small")  # doctest: +SKIP
        >>> add(backbone, plan)  # doctest: +SKIP
        'LoRA of rank 8 in layer8 to layer12: 61,440 weights learn instead of 8,876,928'
    """
    require(("peft",), "train", "LoRA adapters")
    if plan.strategy == "scratch":
        fix = "leave one of the two out"
        raise OptionError("pretrained weights for LoRA to adapt", "the strategy scratch", fix)
    trained = {name for phase in plan.phases for name in phase.trainable}
    names = [name for name in backbone.blocks if name in trained]
    layers = attention_layers(backbone, names)
    blocks = nn.ModuleDict({name: backbone.blocks[name] for name in names})
    before = sum(weight.numel() for weight in blocks.parameters())
    _inject(blocks, layers, plan.settings.lora, plan.seed)
    learning = sum(weight.numel() for name, weight in blocks.named_parameters() if is_adapter(name))
    where = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    return f"LoRA of rank {plan.settings.lora} in {where}: {learning:,} weights learn instead of {before:,}"


def attention_layers(backbone: Backbone, names: Sequence[str]) -> list[str]:
    """Return the layers of some blocks that can have adapters.

    Args:
        backbone: The network.
        names: Of the blocks.

    Returns:
        Names, the block's first, as in "layer1.attention.q_proj".

    Raises:
        OptionError: There are none.
    """
    found = [
        f"{name}.{inner}"
        for name in names
        for inner, module in backbone.blocks[name].named_modules()
        if isinstance(module, nn.Linear) and inner.rsplit(".", 1)[-1] in ATTENTION
    ]
    if not found:
        received = f"{backbone.card.name!r}, which has none in {', '.join(names) or 'no blocks at all'}"
        fix = "leave LoRA out: with the strategy fine-tune-late the last blocks themselves are trained"
        raise OptionError("blocks with attention layers to put LoRA adapters into", received, fix)
    return found


def merge(module: nn.Module) -> None:
    """Add what the adapters have learned to the weights that they adapt, and take them out.

    Args:
        module: A backbone, or anything else with adapters; changed in place. Without any nothing happens.
    """
    if not has_adapters(module):
        return
    from peft.tuners.lora import LoraLayer

    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoraLayer):
                child.merge()
                setattr(parent, name, child.get_base_layer())


def has_adapters(module: nn.Module) -> bool:
    """Return whether there are adapters anywhere in a module."""
    return any(is_adapter(name) for name, _ in module.named_parameters())


def is_adapter(name: str) -> bool:
    """Return whether a weight belongs to an adapter, by its name.

    Example:
        >>> is_adapter("layer1.attention.q_proj.lora_A.default.weight")
        True
        >>> is_adapter("layer1.attention.q_proj.base_layer.weight")
        False
    """
    return ".lora_" in name


def _inject(blocks: nn.ModuleDict, layers: list[str], rank: int, seed: int) -> None:
    """Replace the named layers by adapted ones; A is drawn from the seed."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=DROPOUT, target_modules=layers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, blocks)
    blocks.eval()
