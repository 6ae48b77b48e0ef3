"""A fair sample of what goes by, written once a second by a thread of its own."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from headstart.errors import StorageError

T = TypeVar("T")

CHANCE = random.SystemRandom()
"""Has no state: worker processes do not share one, and the common generator is not ours to change."""
A_SECOND = 20


class Sample(Generic[T]):
    """Keeps at most 20 things of each second, each of which is as likely to be kept.

    Args:
        write: Called with what was kept, on another thread. That it has no room does not stop answers.

    References:
        Vitter, "Random sampling with a reservoir", ACM Transactions on Mathematical Software 1985.

    Example:
        >>> kept = []
        >>> sample = Sample(kept.extend)
        >>> for number in range(1000):
        ...     sample.add(number)
        >>> sample.flush()
        >>> len(kept) >= 20
        True
    """

    def __init__(self, write: Callable[[Sequence[T]], None]) -> None:
        self._write = write
        self._chance = random.Random()
        self._lock = threading.Lock()
        self._kept: list[T] = []
        self._seen = 0

    def add(self, thing: T) -> None:
        """Take note of something."""
        with self._lock:
            self._seen += 1
            if len(self._kept) < A_SECOND:
                self._kept.append(thing)
            elif (place := self._chance.randrange(self._seen)) < A_SECOND:
                self._kept[place] = thing
            first = self._seen == 1
        if first:
            threading.Thread(target=self._soon, name="feedback", daemon=True).start()

    def flush(self) -> None:
        """Write at once what was kept."""
        with self._lock:
            kept, self._kept, self._seen = self._kept, [], 0
        self._write(kept)

    def _soon(self) -> None:
        time.sleep(1)
        try:
            self.flush()
        except StorageError:
            return  # a full disk costs a second of monitoring, not an answer
