"""What the training loop holds: where it is, what lives as long as a phase, and why it ends early."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch.optim import Optimizer

from headstart.training.averaging import Average
from headstart.training.inputs import Inputs
from headstart.training.plan import Phase
from headstart.training.schedules import Plateau


@dataclass
class State:
    """Where the training is: with the tensors, all that a resumed run needs. JSON-able."""

    phase: int = 0
    epoch: int = 0  # in the phase
    step: int = 0  # in the epoch: the next one to do
    length: int = 0  # epochs that this phase will have, where there is no time for all; 0: as planned
    epochs: int = 0  # done, through all phases
    steps: int = 0
    measured: int = 0  # the step of the last closer look
    loss: float = 0.0  # sum over the epoch's items so far
    seen: int = 0
    waited: int = 0  # epochs of this phase without a better validation loss
    best: dict[str, Any] | None = None  # the history's line of the best epoch
    plateau: dict[str, Any] = field(default_factory=lambda: Plateau().state_dict())
    stopped: str | None = None


@dataclass
class Live:
    """What lives as long as a phase."""

    phase: Phase
    inputs: Inputs
    optimiser: Optimizer
    average: Average | None
    plateau: Plateau


class TimeUp(Exception):
    """The deadline has come."""


class Unwanted(Exception):
    """`on_epoch` has seen enough."""


class Diverged(Exception):
    """The loss is no number any more; says where that began."""
