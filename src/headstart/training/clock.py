"""A deadline that holds: whether one more step, and what must follow it, still fits."""

from __future__ import annotations

import math
import time
from collections import deque


class Clock:
    """Foresees from what steps, validation and saving took so far.

    Args:
        deadline: `time.monotonic()` at which training must be over, float; None for never.
        share: Items to validate on, as a multiple of the items in a step, float. Until the first validation
            it is taken to cost as much for an item as a training step does.

    Example:
        >>> clock = Clock(time.monotonic() + 1.0, share=10)
        >>> clock.fits()
        True
        >>> clock.step(0.2)  # ten of these are two seconds of validation
        >>> clock.fits()
        False
    """

    def __init__(self, deadline: float | None, share: float) -> None:
        self._deadline, self._share = deadline, share
        self._steps: deque[float] = deque(maxlen=8)
        self._validation: float | None = None
        self._epoch: float | None = None
        self.saving = 0.0
        """Seconds that the last checkpoint took."""

    def step(self, seconds: float) -> None:
        """Note what a step took."""
        self._steps.append(seconds)

    def validated(self, seconds: float) -> None:
        """Note what a validation took."""
        self._validation = seconds

    def epoch(self, seconds: float) -> None:
        """Note what a whole epoch took, its validation included."""
        self._epoch = seconds

    def epochs(self) -> float:
        """Return how many more epochs can be done before the deadline, a whole number or infinity."""
        if self._deadline is None or not self._epoch:
            return math.inf
        left = self._deadline - time.monotonic() - self.saving
        return max(0.0, left // (1.05 * self._epoch))  # a twentieth more: other programs may be busy, too

    def fits(self, steps: int = 1) -> bool:
        """Whether so many steps, a validation and a checkpoint can be done before the deadline."""
        if self._deadline is None:
            return True
        step = max(self._steps, default=0.0)
        validation = self._validation if self._validation is not None else step * self._share
        # A tenth more: other programs may be busy, too.
        return time.monotonic() + 1.1 * (steps * step + validation + self.saving) < self._deadline
