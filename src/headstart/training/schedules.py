"""How learning rates change in the course of a phase: pure functions of the step, and one with a memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

from headstart.errors import OptionError
from headstart.training.plan import Settings

_START, _END = 1 / 25, 1e-4 / 25  # where one-cycle starts and ends, as in fastai and torch


def factor(settings: Settings, step: int, steps: int) -> float:
    """Return what the peak rates are multiplied by in one step of a phase.

    "one-cycle" rises and falls along half cosines (Smith, https://arxiv.org/abs/1803.09820), "cosine" rises
    along a line and falls along half a cosine to nothing (Loshchilov and Hutter, https://arxiv.org/abs/1608.03983);
    both rise for the share `warmup` of the steps. "constant" and "plateau" stay at 1 (`Plateau` brings the
    latter down). It is taken at the middle of the step, so that no step is wasted on a rate of 0.

    Args:
        settings: Of these `schedule` and `warmup` are used.
        step: Number of the step in the phase, int from 0.
        steps: How many the phase has, int.

    Returns:
        The factor, float above 0, 1 at most.

    Raises:
        OptionError: A step outside the phase.

    Example:
        >>> [round(factor(Settings(schedule="cosine", warmup=0.5), step, 4), 2) for step in range(4)]
        [0.25, 0.75, 0.85, 0.15]
    """
    if not 0 <= step < steps:
        raise OptionError(
            f"a step from 0 to below {steps}", repr(step), "count the steps of each phase from 0"
        )
    place, rise = (step + 0.5) / steps, settings.warmup
    match settings.schedule:
        case "one-cycle":
            if place < rise:
                return _between(_START, 1.0, place / rise)
            return _between(1.0, _END, (place - rise) / (1 - rise))
        case "cosine":
            return place / rise if place < rise else _between(1.0, 0.0, (place - rise) / (1 - rise))
        case "constant" | "plateau":
            return 1.0


def _between(first: float, last: float, share: float) -> float:
    """Go from one value to another along half a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


class Plateau:
    """Lowers the rates when the validation loss has stopped falling.

    Args:
        shrink: What the factor is multiplied by then, float. Defaults to 0.3.
        patience: How many epochs without a better loss are waited for, int. Defaults to 2.
        least: Below this the factor does not fall, float. Defaults to 1e-3.

    Example:
        >>> plateau = Plateau(shrink=0.5, patience=1)
        >>> [plateau.update(loss) for loss in (1.0, 0.8, 0.9, 0.9, 0.7)]
        [1.0, 1.0, 1.0, 0.5, 0.5]
    """

    def __init__(self, shrink: float = 0.3, patience: int = 2, least: float = 1e-3) -> None:
        self.shrink, self.patience, self.least = shrink, patience, least
        self.factor = 1.0
        self._best: float | None = None
        self._waited = 0

    def update(self, loss: float) -> float:
        """Take in the validation loss of an epoch (not a number counts as no better); return the factor."""
        # A ten-thousandth is noise, as in torch's ReduceLROnPlateau.
        if math.isfinite(loss) and (self._best is None or loss < self._best - 1e-4 * abs(self._best)):
            self._best, self._waited = loss, 0
            return self.factor
        self._waited += 1
        if self._waited > self.patience:
            self.factor, self._waited = max(self.least, self.factor * self.shrink), 0
        return self.factor

    def state_dict(self) -> dict[str, Any]:
        """Return what was learned so far, as a JSON object."""
        return {"factor": self.factor, "best": self._best, "waited": self._waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> Self:
        """Go on from what `state_dict` returned; returns itself."""
        self.factor, self._best, self._waited = state["factor"], state["best"], state["waited"]
        return self
