"""What is trained: a backbone with a head behind it, and which of its parts learn in a phase."""

from __future__ import annotations

from typing import Any, Self, cast

from torch import Tensor, nn

from headstart.backbones.backbone import Backbone
from headstart.errors import OptionError
from headstart.training.initialisation import initialise
from headstart.training.lora import has_adapters, is_adapter
from headstart.training.plan import HEAD, Phase, Plan, Statistics

HIDDEN = 256
"""Units of the hidden layer of the "mlp" head."""


class Network(nn.Module):
    """A backbone with a head behind it; frozen blocks cannot be put into training mode.

    Args:
        backbone: The pretrained network, at the plan's cut and size.
        head: From its features [n, d] to logits [n, classes].

    Example:
        >>> import torch
        >>> from headstart.backbones import Card, Preprocess
        >>> card = Card("toy", "toy", "here", "CC0-1.0", "nothing", Preprocess(8), 4, ("stem",), 112, "")
        >>> backbone = Backbone(card, {"stem": nn.Conv2d(3, 4, 3, stride=2, padding=1)})
        >>> network = Network(backbone, nn.Linear(4, 2))
        >>> tuple(network(torch.zeros(5, 8, 8, 3, dtype=torch.uint8)).shape)
        (5, 2)
        >>> tuple(network(torch.zeros(5, 4), start=HEAD).shape)
        (5, 2)
    """

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self._frozen: tuple[nn.Module, ...] = ()

    def forward(self, x: Tensor, start: str | None = None) -> Tensor:
        """Return the logits.

        Args:
            x: Pixels uint8 [n, side, side, 3], token numbers int32 [n, tokens], what `start` expects, or
                features [n, d].
            start: The first block to run, or "new-head" for the head alone. Defaults to None: from pixels.

        Returns:
            float [n, classes].
        """
        if start != HEAD:
            self._hold_frozen()
            if start is None:
                x = self.backbone.normalise(x)
            x = self.backbone.pool(self.backbone.run_blocks(x, start))[1]
        return cast(Tensor, self.head(x))

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        self._hold_frozen()
        return self

    def parts(self) -> dict[str, list[nn.Module]]:
        """Return the modules of each block and of the head, in order; pooling goes with the last block."""
        found: dict[str, list[nn.Module]] = {name: [block] for name, block in self.backbone.blocks.items()}
        found[self.backbone.card.blocks[-1]].append(self.backbone.pool)
        return {**found, HEAD: [self.head]}

    def freeze(self, trained: set[str], statistics: Statistics = "batch") -> None:
        """Let only the named blocks (and the head, by its name) learn; the others use stored statistics.

        Where a block has adapters, they learn instead of its weights.

        Args:
            trained: Names of what learns.
            statistics: What the batch norms of these use, "batch" or "stored". Defaults to "batch".
        """
        self.requires_grad_(False)
        adapted = has_adapters(self.backbone)
        frozen: list[nn.Module] = []
        for name, modules in self.parts().items():
            if name in trained:
                for module in modules:
                    for key, weight in module.named_parameters():
                        weight.requires_grad_(_learns(name, key, adapted))
                if statistics == "stored":
                    parts = (part for module in modules for part in module.modules())
                    frozen += [part for part in parts if isinstance(part, nn.modules.batchnorm._BatchNorm)]
            else:
                frozen += modules
        self._frozen = tuple(frozen)
        self.train()

    def _hold_frozen(self) -> None:
        # Here and not only in `train`: somebody may have called `train` on the backbone or on a block.
        for module in self._frozen:
            if module.training:
                module.eval()


def bind(network: Network, plan: Plan, phase: Phase) -> list[dict[str, Any]]:
    """Make exactly the phase's blocks trainable: a pure function of plan and phase, also on resume.

    Frozen blocks have no gradients and their BatchNorm uses its stored statistics.

    Args:
        network: What is trained, changed in place.
        plan: Whose settings say the weight decay.
        phase: Whose rates say what is trained.

    Returns:
        Groups for the optimiser in the order of the network, [{"params", "lr", "name", "weight_decay"}]: one
        or two for each block and for the head, the second without weight decay, for norms and biases.

    Raises:
        OptionError: The plan is for another network.
    """
    plan.check(network.backbone.card.name, network.backbone.card.blocks)
    network.freeze({*phase.trainable, HEAD}, plan.settings.statistics)
    groups: list[dict[str, Any]] = []
    for name, modules in network.parts().items():
        if name not in phase.rates:
            continue
        parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        for decays in (True, False):
            chosen = [parameter for parameter in parameters if (parameter.ndim > 1) == decays]
            if chosen:
                decay = plan.settings.weight_decay if decays else 0.0
                groups.append(
                    {"params": chosen, "lr": phase.rates[name], "name": name, "weight_decay": decay}
                )
    return groups


def make_head(plan: Plan, features: int, classes: int) -> nn.Sequential:
    """Return a new head, its weights drawn from the plan's seed.

    Args:
        plan: Whose `head`, dropout and initialisation are used.
        features: Number of features, int.
        classes: Number of logits, int.

    Returns:
        Dropout and Linear; for "mlp" a hidden layer of 256 units with ReLU and dropout in between.

    Raises:
        OptionError: A head that is not trained by gradients.

    Example:
        >>> make_head(Plan("fine-tune-late", "toy", "stem", 32), 8, 3)[1]
        Linear(in_features=8, out_features=3, bias=True)
    """
    dropout = plan.settings.dropout
    if plan.head == "linear":
        head = nn.Sequential(nn.Dropout(dropout), nn.Linear(features, classes))
    elif plan.head == "mlp":
        hidden = (nn.Linear(features, HIDDEN), nn.ReLU())
        head = nn.Sequential(nn.Dropout(dropout), *hidden, nn.Dropout(dropout), nn.Linear(HIDDEN, classes))
    else:
        raise OptionError("a linear or mlp head to train", repr(plan.head), "name one of the two in the plan")
    initialise(head, plan.settings.initialisation, plan.seed)
    return head


def trained_names(network: Network, plan: Plan) -> list[str]:
    """Return which tensors of the state dict any phase of the plan changes: what a checkpoint must hold."""
    trained = {HEAD}.union(*(phase.trainable for phase in plan.phases))
    adapted = has_adapters(network.backbone)
    mine = {
        id(tensor)
        for name, modules in network.parts().items()
        for module in modules
        for key, tensor in module.state_dict(keep_vars=True).items()
        if name in trained and _learns(name, key, adapted)
    }
    return [name for name, tensor in network.state_dict(keep_vars=True).items() if id(tensor) in mine]


def _learns(part: str, key: str, adapted: bool) -> bool:
    """Whether a tensor of a trained part learns: of adapted blocks only the adapters do."""
    return part == HEAD or not adapted or is_adapter(key)
