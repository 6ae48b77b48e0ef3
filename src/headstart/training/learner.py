"""What the studio's trainings keep: a network, its optimiser and the average of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from headstart.errors import OptionError
from headstart.training.averaging import Average
from headstart.training.checkpoints import load_optimiser, optimiser_state


def learner_state(network: nn.Module, optimiser: Optimizer, average: Average) -> dict[str, Tensor]:
    """Return all that goes on from, tensors by name, for `Checkpoints.save`."""
    parts = {
        "network": network.state_dict(),
        "adam": optimiser_state(optimiser),
        "average": average.state(),
    }
    return {f"{part}/{name}": value for part, each in parts.items() for name, value in each.items()}


def load_learner(
    tensors: Mapping[str, Tensor], network: nn.Module, optimiser: Optimizer, average: Average
) -> None:
    """Put back what `learner_state` returned."""
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "adam": {}, "average": {}}
    for key, tensor in tensors.items():
        part, name = key.split("/", 1)
        parts[part][name] = tensor
    network.load_state_dict(parts["network"])
    load_optimiser(optimiser, parts["adam"])
    average.load_state(parts["average"])


def check_options(found: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    """Compare the options of a run to resume with those that are asked for.

    Raises:
        OptionError: They differ; it names where.

    Example:
        >>> check_options({"rate": 0.1}, {"rate": 0.1})
        >>> check_options({"rate": 0.1}, {"rate": 0.2})
        Traceback (most recent call last):
        ...
        headstart.errors.OptionError: expected the options of the run to resume, received another rate, ...
    """
    if found != mine:
        differ = ", ".join(name for name in {**found, **mine} if found.get(name) != mine.get(name))
        fix = "give the options of that run, or start without --resume"
        raise OptionError("the options of the run to resume", f"another {differ}", fix)
