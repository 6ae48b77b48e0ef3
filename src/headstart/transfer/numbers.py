"""A number for each item: ridge regression, or a small network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from headstart.data.items import Target
from headstart.data.splits import Stratum, quantile_strata
from headstart.errors import OptionError
from headstart.transfer.calibration import AnyCalibration, Interval
from headstart.transfer.heads import FLOOR, HIDDEN, Head, Kind, Layer, Matrix, Scaler, silent_solvers
from headstart.transfer.selection import Labelled

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_ENOUGH = 200
"""From how many rows on a tenth of them can tell when to stop."""


class Numbers(Labelled):
    """Features with a number for each item.

    Args:
        features: Rows of the items, Features.
        y: The numbers, float64 [items].
        classes: Always 1, the width of the head's output.
    """

    target: ClassVar[Target] = "number"

    def fit(self, kind: Kind, strength: float, class_weight: str | None, seed: int) -> Head:
        """Fit a head on all rows."""
        if class_weight is not None:
            raise OptionError("no class_weight for numbers", repr(class_weight), "leave it out")
        return fit_number_head(
            kind, self.features.X, self.y[self.features.item], strength=strength, seed=seed
        )

    def strengths(self, kind: Kind) -> Sequence[float]:
        """Return the strengths that are worth trying."""
        return STRENGTHS if kind == "linear" else (0.01,)

    def counts(self) -> list[int]:
        """Return how many items there are."""
        return [len(self.y)]

    def strata(self) -> list[Stratum]:
        """Return which part of the ordered numbers each item is in: folds have small and large ones."""
        return quantile_strata(self.y)

    def calibrate(self, logits: Matrix) -> AnyCalibration:
        """Return the interval that out-of-fold answers ask for."""
        return Interval.of(logits, self.y)

    def loss(self, logits: Matrix) -> float:
        """Return the mean squared error over the variance: 1 is answering the mean."""
        error = np.mean((np.asarray(logits, np.float64)[:, 0] - self.y) ** 2)
        return float(error / max(float(self.y.var()), np.finfo(np.float64).tiny))


def fit_number_head(
    kind: Kind, rows: Matrix, y: NDArray[np.floating], *, strength: float = 0.01, seed: int = 0
) -> Head:
    """Fit a head with one output, the number.

    Args:
        kind: "linear": ridge regression; "mlp": one hidden layer of 256 units.
        rows: float32 [n, d].
        y: The number of each row, float [n].
        strength: Inverse regularisation: the ridge's alpha is 1 / strength, on standardised features and
            numbers; the MLP's is 1 / (strength n). Defaults to 0.01.
        seed: For the MLP's start and batches, int. Defaults to 0.

    Returns:
        The head, reading raw features and giving the number in its own unit, [n, 1].

    Raises:
        OptionError: Another kind.

    References:
        Hoerl and Kennard, "Ridge regression", Technometrics 1970.

    Example:
        >>> rows = np.linspace(0, 1, 9, dtype=np.float32)[:, None]
        >>> head = fit_number_head("linear", rows, 100 + 10 * rows[:, 0], strength=1e6)
        >>> head.logits(np.array([[0.25]], np.float32)).round(2).tolist()
        [[102.5]]
    """
    scaler = Scaler.of(rows, FLOOR)
    x = scaler.apply(rows)
    mean, spread = float(y.mean()), float(y.std()) or 1.0
    z = (y - mean) / spread
    if kind == "linear":
        layers = _ridge(x, z, strength)
    elif kind == "mlp":
        layers = _mlp(x, z, strength, seed)
    else:
        raise OptionError("a head of kind linear or mlp for numbers", repr(kind), "use linear")
    weight, bias = layers[-1]
    layers[-1] = weight * spread, bias * spread + mean
    layers[0] = scaler.fold(*layers[0])
    return Head(kind, tuple((w.astype(np.float32), b.astype(np.float32)) for w, b in layers))


def _ridge(x: Matrix, z: NDArray[np.floating], strength: float) -> list[Layer]:
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=1 / strength).fit(x, z)
    return [(model.coef_[:, None].astype(np.float64), np.array([model.intercept_], np.float64))]


def _mlp(x: Matrix, z: NDArray[np.floating], strength: float, seed: int) -> list[Layer]:
    from sklearn.neural_network import MLPRegressor

    # Adam moves every weight by as much, so that a step changes the answer in proportion to the number of
    # features. Small inputs keep the first steps from throwing it far off, where few items would leave it: R²
    # by cross-validation on 80 pictures was −1.2 without them, 0.81 with them; on 400 pictures −1.9 and 0.92.
    small = min(1.0, 4 / np.sqrt(x.shape[1]))
    model = MLPRegressor(
        hidden_layer_sizes=HIDDEN,
        alpha=1 / strength / len(z),
        early_stopping=len(z) >= _ENOUGH,
        n_iter_no_change=20,
        max_iter=1000,
        random_state=seed,
    )
    with silent_solvers():
        model.fit(x * np.float32(small), z)
    first, *rest = zip(model.coefs_, model.intercepts_, strict=True)
    return [(first[0] * small, first[1]), *rest]
