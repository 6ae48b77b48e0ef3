"""Which of two models is better on the same items, and whether that could be chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headstart.errors import DataError
from headstart.evaluation.metrics import item_losses
from headstart.evaluation.resampling import mean_interval

SIGNIFICANT = 0.05


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two models' answers to the same items; differences are B minus A. `compare` makes it.

    Args:
        names: What the models are called, (A, B).
        items: Number of items, int.
        accuracy: Of (A, B), float.
        difference: In accuracy, float.
        interval: The difference's 95 % interval, paired bootstrap, (low, high).
        p_value: McNemar's test, mid-p: how likely a difference at least this large is by chance, float.
        only_a: Items that only A has right, positions, int [*].
        only_b: Items that only B has right, positions, int [*].
        log_loss: Of (A, B), nats, float.
        log_loss_difference: float; below 0 B is better.
        log_loss_interval: Its 95 % interval, paired bootstrap, (low, high).
    """

    names: tuple[str, str]
    items: int
    accuracy: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    p_value: float
    only_a: NDArray[np.intp]
    only_b: NDArray[np.intp]
    log_loss: tuple[float, float]
    log_loss_difference: float
    log_loss_interval: tuple[float, float]

    @property
    def verdict(self) -> str:
        """The result in plain words."""
        if len(self.only_a) + len(self.only_b) == 0:
            return f"{self.names[0]} and {self.names[1]} are right on exactly the same items."
        p = "p < 0.001" if self.p_value < 0.001 else f"p = {self.p_value:.2g}"
        if self.difference == 0:
            return (
                f"{self.names[0]} and {self.names[1]} are right equally often, on different items "
                f"(95 % interval of the difference {self._points(self.interval, 1)} points)."
            )
        better, sign = (self.names[1], 1) if self.difference > 0 else (self.names[0], -1)
        size = (
            f"{better} is better by {abs(self.difference) * 100:.1f} points "
            f"(95 % interval {self._points(self.interval, sign)})"
        )
        if self.p_value < SIGNIFICANT:
            return f"{size}; the difference is unlikely to be chance: {p}."
        return f"{size}, but a difference this small may well be chance: {p}."

    @staticmethod
    def _points(interval: tuple[float, float], sign: int) -> str:
        low, high = sorted(100 * sign * end for end in interval)
        return f"{low:.1f} to {high:.1f}".replace("-", "−")

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {
            "models": list(self.names),
            "items": self.items,
            "accuracy": list(self.accuracy),
            "difference": self.difference,
            "interval": list(self.interval),
            "p_value": self.p_value,
            "only_a": len(self.only_a),
            "only_b": len(self.only_b),
            "log_loss": list(self.log_loss),
            "log_loss_difference": self.log_loss_difference,
            "log_loss_interval": list(self.log_loss_interval),
            "verdict": self.verdict,
        }


def compare(
    y: ArrayLike,
    p_a: ArrayLike,
    p_b: ArrayLike,
    *,
    names: tuple[str, str] = ("A", "B"),
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare two models that answered the same items, item by item.

    Args:
        y: True class of each item, int [n].
        p_a: Probabilities of model A, float [n, k].
        p_b: Probabilities of model B, float [n, k], the same classes in the same order.
        names: What to call the models, (str, str). Defaults to ("A", "B").
        groups: The group of each item, for the intervals. Defaults to None (independent items).
        seed: Of the bootstrap, int. Defaults to 0.

    Returns:
        The Comparison. McNemar's test (1947) takes items as independent; where groups are large, trust the
        interval.

    Raises:
        DataError: The shapes do not fit, or there is no item.

    Example:
        >>> y = [0] * 20
        >>> good, bad = [[0.9, 0.1]] * 20, [[0.2, 0.8]] * 12 + [[0.9, 0.1]] * 8
        >>> compare(y, bad, good, names=("old", "new")).verdict.split(" (")[0]
        'new is better by 60.0 points'
    """
    truth, first, second = np.asarray(y), np.asarray(p_a, dtype=float), np.asarray(p_b, dtype=float)
    if first.ndim != 2 or first.shape != second.shape or truth.shape != first.shape[:1] or not len(truth):
        raise DataError(
            "two models' probabilities for the same items and classes",
            f"shapes {first.shape} and {second.shape} for {truth.shape} labels",
            "let both models answer the same items, with the same classes in the same order",
        )
    right_a, right_b = first.argmax(axis=1) == truth, second.argmax(axis=1) == truth
    loss_a, loss_b = item_losses(truth, first), item_losses(truth, second)
    gains = right_b.astype(float) - right_a.astype(float)
    only_a, only_b = np.flatnonzero(gains < 0), np.flatnonzero(gains > 0)
    return Comparison(
        names=names,
        items=len(truth),
        accuracy=(float(right_a.mean()), float(right_b.mean())),
        difference=float(gains.mean()),
        interval=mean_interval(gains, groups, seed=seed),
        p_value=mcnemar(len(only_a), len(only_b)),
        only_a=only_a,
        only_b=only_b,
        log_loss=(float(loss_a.mean()), float(loss_b.mean())),
        log_loss_difference=float((loss_b - loss_a).mean()),
        log_loss_interval=mean_interval(loss_b - loss_a, groups, seed=seed),
    )


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the two-sided mid-p value of McNemar's test.

    The exact test is too careful on few disagreements; counting half of the outcomes as likely as the one
    seen mends that (Fagerland, Lydersen and Laake 2013).

    Args:
        only_a: Items that only the first has right, int.
        only_b: Items that only the second has right, int.

    Returns:
        The p-value, float.

    Example:
        >>> round(mcnemar(1, 9), 4)
        0.0117
    """
    from scipy.stats import binom, binomtest

    trials, fewer = only_a + only_b, min(only_a, only_b)
    if trials == 0:
        return 1.0
    as_likely = binom.pmf(fewer, trials, 0.5) * (1 if only_a == only_b else 2)
    return float(binomtest(fewer, trials).pvalue - as_likely / 2)
