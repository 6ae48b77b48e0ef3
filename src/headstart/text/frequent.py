"""Which terms are frequent in a stream of texts of any length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

BOUND = 1_000_000
"""So many distinct terms are counted at once: about 150 MB."""


class FrequentTerms:
    """Counts in how many texts each term occurs, in memory that does not grow with the texts.

    While the distinct terms fit, every count is exact. When there are more than `bound`, the rarest are
    dropped until half of them are left; a term that comes again starts from zero. So a count is at most
    `missed` too low and never too high, and every term that is in more than `missed` texts is there.

    Args:
        bound: How many terms are held at most, int. Defaults to 1,000,000.

    References:
        Manku and Motwani, "Approximate frequency counts over data streams", VLDB 2002, for the idea.

    Example:
        >>> counter = FrequentTerms()
        >>> counter.add(["a", "b", "a"]), counter.add(["a"])
        (None, None)
        >>> counter.most_common(1), counter.texts, counter.missed
        (['a'], 2, 0)
    """

    def __init__(self, bound: int = BOUND) -> None:
        self.counts: Counter[str] = Counter()
        self.bound = bound
        self.texts = self.missed = 0

    def add(self, terms: Iterable[str]) -> None:
        """Count the terms of one text, each once."""
        self.counts.update(set(terms))
        self.texts += 1
        if len(self.counts) > self.bound:
            self._prune()

    def _prune(self) -> None:
        numbers = np.fromiter(self.counts.values(), np.int64, len(self.counts))
        floor = int(np.partition(numbers, len(numbers) // 2)[len(numbers) // 2])
        self.counts = Counter({term: count for term, count in self.counts.items() if count > floor})
        self.missed += floor

    def most_common(self, number: int, least: int = 1) -> list[str]:
        """Return the terms that are in the most texts, ties in alphabetical order.

        Args:
            number: How many at most, int.
            least: In how many texts they must be, int. Defaults to 1.
        """
        common = [item for item in self.counts.items() if item[1] >= least]
        return [term for term, _ in sorted(common, key=lambda item: (-item[1], item[0]))[:number]]
