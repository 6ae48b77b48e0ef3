"""The hand that paints: an optimiser that changes a picture, can be stopped, and goes on where it was."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor

from headstart.studio.goal import Goal

STEP = 20
"""Evaluations of the loss between two looks at the picture."""
_HISTORY = 20
_RATE = 5.0
"""Grey levels that Adam moves a value at once."""
_LISTS = ("old_dirs", "old_stps", "ro")


class Painter:
    """Changes a picture so that a goal's loss falls.

    Args:
        goal: What the picture is judged by.
        start: Where it begins, float [1, 3, h, w], in grey levels.
        optimiser: "lbfgs" or "adam".
        mask: Where it may change, float [1, 1, h, w] from 0 to 1. Defaults to None: everywhere.
    """

    def __init__(self, goal: Goal, start: Tensor, optimiser: str, mask: Tensor | None = None) -> None:
        self._goal, self._mask = goal, mask
        self._lbfgs = optimiser == "lbfgs"
        # torch's L-BFGS begins with a step whose absolute values sum to 1: in this unit, a grey level each.
        self._unit = float(start.numel()) if self._lbfgs else 1.0
        # It works on flat, contiguous numbers: the picture stays so, the network converts it.
        self._free = (start / self._unit).contiguous().requires_grad_()
        self._optimiser = _optimiser(self._free, lbfgs=self._lbfgs)
        self.loss = float("nan")

    def step(self) -> int:
        """Make about 20 evaluations, and return how many they were; 0: it gets no better."""
        count = 0

        def closure() -> float:
            nonlocal count
            self._optimiser.zero_grad()
            self.loss = self._goal.descend(self._shown())
            count += 1
            return self.loss

        for _ in range(1 if self._lbfgs else STEP):
            self._optimiser.step(closure)
        return count

    @property
    def picture(self) -> Tensor:
        """The picture as it is now, float [1, 3, h, w], from 0 to 255."""
        return self._shown().detach()

    def _shown(self) -> Tensor:
        # Not clamped between steps: that would make the curvature wrong which L-BFGS remembers.
        picture = (self._free * self._unit).clamp(0, 255)
        if self._mask is None:
            return picture
        return self._goal.content + self._mask * (picture - self._goal.content)

    def state(self) -> tuple[dict[str, Tensor], str]:
        """Return everything that is needed to go on: tensors, and the numbers as JSON."""
        tensors: dict[str, Tensor] = {"free": self._free.detach()}
        numbers: dict[str, float] = {}
        for name, value in self._remembered().items():
            if isinstance(value, Tensor):
                tensors[name] = value
            elif name in _LISTS and value:
                tensors[name] = torch.stack([torch.as_tensor(each) for each in value])
            elif isinstance(value, int | float):
                numbers[name] = value
        return tensors, json.dumps(numbers)

    def go_on(self, tensors: dict[str, Tensor], numbers: str) -> None:
        """Take over what `state` returned of a painter of the same goal, start and optimiser."""
        with torch.no_grad():
            self._free.copy_(tensors.pop("free"))
        state: dict[str, Any] = {**json.loads(numbers)}
        for name, value in tensors.items():
            state[name] = list(value) if name in _LISTS else value
        if self._lbfgs:
            state = {**{name: [] for name in _LISTS}, **state, "al": [None] * _HISTORY}
        self._optimiser.load_state_dict({**self._optimiser.state_dict(), "state": {0: state}})

    def _remembered(self) -> dict[str, Any]:
        found: dict[str, Any] = self._optimiser.state_dict()["state"].get(0, {})
        return found


def _optimiser(free: Tensor, *, lbfgs: bool) -> torch.optim.Optimizer:
    if not lbfgs:
        return torch.optim.Adam([free], lr=_RATE)
    return torch.optim.LBFGS(
        [free], max_iter=STEP, max_eval=STEP, history_size=_HISTORY,
        tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe",
    )  # fmt: skip
