"""Random numbers and algorithms that are the same every time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch


@contextlib.contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Leave the caller's random numbers alone; on a CPU use algorithms that give the same every time.

    Args:
        device: Where the network is.

    Example:
        >>> before = torch.get_rng_state()
        >>> with reproducible(torch.device("cpu")):
        ...     _ = torch.rand(3)
        >>> bool((torch.get_rng_state() == before).all())
        True
    """
    settings = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled()
    filled = settings.fill_uninitialized_memory  # type: ignore[attr-defined]
    with torch.random.fork_rng():
        try:
            if device.type == "cpu":
                torch.use_deterministic_algorithms(True)
                # Filling takes time, and nothing reads what it fills.
                settings.fill_uninitialized_memory = False  # type: ignore[attr-defined]
            yield
        finally:
            torch.use_deterministic_algorithms(before)
            settings.fill_uninitialized_memory = filled  # type: ignore[attr-defined]


def seed_torch(key: tuple[int, ...]) -> None:
    """Start torch's random numbers at a place that is a function of some numbers.

    Example:
        >>> seed_torch((0, 1, 2)); a = torch.rand(1); seed_torch((0, 1, 2)); bool(a == torch.rand(1))
        True
    """
    sequence = np.random.SeedSequence([abs(part) for part in key])
    torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0]))
