"""How good answers that are numbers are; the figures equal scikit-learn's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headstart.errors import DataError
from headstart.evaluation.resampling import draws, mean_interval, percentiles

_RESAMPLES = 2000
_KEPT_LOSSES = 48
_NOTHING = 1e-200
"""A variance of less is none: it could not be divided by."""


@dataclass(frozen=True)
class NumberMistake:
    """One item, its true number, the answer, and how far off it is (answer − truth)."""

    name: str
    true: float
    answer: float
    off: float


@dataclass(frozen=True, eq=False)
class NumberEvaluation:
    """Everything that is known about answers that are numbers; `evaluate_numbers` makes it.

    Args:
        names: The items, n of str.
        y: The true numbers, float [n].
        answers: The model's, float [n].
        width: From each answer to either end of its interval, float [n]; None without intervals.
        mae: Mean absolute error, float.
        mae_interval: Its 95 % bootstrap interval, (low, high).
        rmse: Root of the mean squared error, float.
        rmse_interval: Its 95 % bootstrap interval, (low, high).
        r2: Share of the variance that is explained, float; None if all numbers are the same.
        r2_interval: Its 95 % bootstrap interval, (low, high), or None.
        median_absolute_error: float.
        bias: Mean of answer − truth, float.
        baseline: Mean absolute error of always answering the median of these items, float.
        coverage: Share of items whose number is inside its interval, float, or None.
        mean_width: Mean length of the intervals, end to end, float, or None.
        losses: The items that are most off.
    """

    names: tuple[str, ...]
    y: NDArray[np.float64]
    answers: NDArray[np.float64]
    width: NDArray[np.float64] | None
    mae: float
    mae_interval: tuple[float, float]
    rmse: float
    rmse_interval: tuple[float, float]
    r2: float | None
    r2_interval: tuple[float, float] | None
    median_absolute_error: float
    bias: float
    baseline: float
    coverage: float | None
    mean_width: float | None
    losses: tuple[NumberMistake, ...]

    @property
    def errors(self) -> NDArray[np.float64]:
        """Answer minus truth, float [n]."""
        return self.answers - self.y

    @property
    def figures(self) -> dict[str, Any]:
        """The figures that people ask for first, by name."""
        return {
            "items": len(self.y),
            "mae": self.mae,
            "mae_interval": self.mae_interval,
            "rmse": self.rmse,
            "r2": self.r2,
            "median_absolute_error": self.median_absolute_error,
            "bias": self.bias,
            "baseline_mae": self.baseline,
            "interval_coverage": self.coverage,
            "interval_mean_width": self.mean_width,
        }

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "target": "number",
            **{name: list(v) if isinstance(v, tuple) else v for name, v in self.figures.items()},
            "rmse_interval": list(self.rmse_interval),
            "r2_interval": None if self.r2_interval is None else list(self.r2_interval),
            "top_losses": [asdict(loss) for loss in self.losses],
        }


def evaluate_numbers(
    y: ArrayLike,
    answers: ArrayLike,
    *,
    names: Sequence[str],
    width: ArrayLike | None = None,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
) -> NumberEvaluation:
    """Measure answers that are numbers.

    Args:
        y: The true numbers, float [n].
        answers: The model's, float [n].
        names: The items, n of str.
        width: From the answer to either end of its interval, float or float [n]. Defaults to None.
        groups: The group of each item, for the intervals. Defaults to None (independent items).
        seed: Of the bootstrap, int. Defaults to 0.

    Returns:
        The NumberEvaluation.

    Raises:
        DataError: Shapes do not fit, there is no item, or something is not a finite number.

    Example:
        >>> found = evaluate_numbers([1, 2, 3], [1.5, 2.0, 2.0], names=["a", "b", "c"], width=0.75)
        >>> found.mae, found.losses[0].name, round(found.coverage, 2)
        (0.5, 'c', 0.67)
    """
    truth, said = np.asarray(y, np.float64), np.asarray(answers, np.float64)
    if not len(names):
        raise DataError("at least one item", "none", "name data that has items with a number")
    fix = "give one finite number for each item"
    if truth.shape != (len(names),) or said.shape != (len(names),):
        raise DataError(f"{len(names)} true numbers and answers", f"{truth.shape} and {said.shape}", fix)
    if not (np.isfinite(truth).all() and np.isfinite(said).all()):
        raise DataError("finite numbers", "NaN or infinity among them", fix)
    off = said - truth
    half = None if width is None else np.broadcast_to(np.asarray(width, np.float64), truth.shape)
    weights = draws(len(truth), groups, _RESAMPLES, seed)
    squares = weights @ off**2 / weights.sum(1)
    return NumberEvaluation(
        names=tuple(names),
        y=truth,
        answers=said,
        width=half,
        mae=float(np.abs(off).mean()),
        mae_interval=mean_interval(np.abs(off), groups, seed=seed),
        rmse=float(np.sqrt((off**2).mean())),
        rmse_interval=percentiles(np.sqrt(squares)),
        r2=_r2(truth, off),
        r2_interval=_r2_interval(truth, squares, weights),
        median_absolute_error=float(np.median(np.abs(off))),
        bias=float(off.mean()),
        baseline=float(np.abs(truth - np.median(truth)).mean()),
        coverage=None if half is None else float((np.abs(off) <= half).mean()),
        mean_width=None if half is None else float(2 * half.mean()),
        losses=tuple(
            NumberMistake(names[i], float(truth[i]), float(said[i]), float(off[i]))
            for i in np.argsort(-np.abs(off), kind="stable")[:_KEPT_LOSSES]
        ),
    )


def _r2(y: NDArray[np.float64], off: NDArray[np.float64]) -> float | None:
    total = float(((y - y.mean()) ** 2).sum())
    return None if total <= _NOTHING else 1 - float((off**2).sum()) / total


def _r2_interval(
    y: NDArray[np.float64], squares: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[float, float] | None:
    centred = y - y.mean()
    total = weights.sum(1)
    variance = weights @ centred**2 / total - (weights @ centred / total) ** 2
    varied = variance > 1e-12 * max(float((centred**2).mean()), 1e12 * _NOTHING)
    return percentiles(1 - squares[varied] / variance[varied]) if varied.any() else None
