"""Several labels an item: a logistic output for each label."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from headstart.data.items import Target
from headstart.data.splits import Stratum
from headstart.errors import OptionError
from headstart.transfer.calibration import AnyCalibration, Thresholds, label_log_loss
from headstart.transfer.heads import (
    FLOOR,
    HIDDEN,
    MAX_ITERATIONS,
    Head,
    Kind,
    Layer,
    Matrix,
    Scaler,
    silent_solvers,
)
from headstart.transfer.selection import Labelled


class LabelSets(Labelled):
    """Features with the labels that each item has.

    Args:
        features: Rows of the items, Features.
        y: Which labels each item has, bool [items, labels].
        classes: Number of labels, int.
    """

    target: ClassVar[Target] = "labels"

    def fit(self, kind: Kind, strength: float, class_weight: str | None, seed: int) -> Head:
        """Fit a head on all rows."""
        rows_y = self.y[self.features.item]
        return fit_label_head(
            kind, self.features.X, rows_y, strength=strength, class_weight=class_weight, seed=seed
        )

    def counts(self) -> list[int]:
        """Return how many items have each label."""
        found: list[int] = self.y.sum(0).tolist()
        return found

    def strata(self) -> list[Stratum]:
        """Return each item's labels: every label gets its share of every fold."""
        return [tuple(map(str, np.flatnonzero(row))) for row in self.y]

    def calibrate(self, logits: Matrix) -> AnyCalibration:
        """Return the temperature and the thresholds that out-of-fold logits ask for."""
        return Thresholds.of(logits, self.y)

    def loss(self, logits: Matrix) -> float:
        """Return the mean binary log loss after a temperature."""
        return label_log_loss(logits / Thresholds.of(logits, self.y).temperature, self.y)


def fit_label_head(
    kind: Kind,
    rows: Matrix,
    y: NDArray[np.bool_],
    *,
    strength: float = 0.01,
    class_weight: str | None = None,
    seed: int = 0,
) -> Head:
    """Fit a head with one logistic output for each label.

    Args:
        kind: "linear": a logistic regression for each label; "mlp": one hidden layer of 256 units that all
            labels share.
        rows: float32 [n, d].
        y: Which labels each row has, bool [n, labels]. A label that all rows have, or none, gets the same
            logit for everything: the logarithm of its odds, with half an item added on either side.
        strength: Inverse regularisation, as for `fit_head`. Defaults to 0.01.
        class_weight: "balanced" weighs the rarer side of each label up (linear only). Defaults to None.
        seed: For the MLP's start and batches, int. Defaults to 0.

    Returns:
        The head, reading raw features; its logits are [n, labels].

    Raises:
        OptionError: Another kind, or weights for an MLP.

    Example:
        >>> rows = np.array([[-2.0], [-1.0], [1.0], [2.0]], np.float32)
        >>> head = fit_label_head("linear", rows, rows > np.array([0.0, -9.0]), strength=1.0)
        >>> (head.logits(rows) > 0).tolist()
        [[False, True], [False, True], [True, True], [True, True]]
    """
    varies = np.flatnonzero(y.any(0) & ~y.all(0))
    scaler = Scaler.of(rows, FLOOR)
    x = scaler.apply(rows)
    if kind == "linear":
        layers = [_logistic(x, y[:, varies], strength, class_weight)]
    elif kind == "mlp" and class_weight is None:
        layers = _mlp(x, y[:, varies], strength, seed)
    else:
        received = repr(kind) if class_weight is None else f"{kind!r} with class_weight={class_weight!r}"
        fix = "use linear; class_weight works with it"
        raise OptionError("a head of kind linear or mlp for several labels", received, fix)
    layers[0] = scaler.fold(*layers[0])
    weight, bias = layers[-1]
    wide = np.zeros((weight.shape[0], y.shape[1]), np.float32)
    have = y.sum(0)
    odds = np.log((have + 0.5) / (len(y) - have + 0.5)).astype(np.float32)
    wide[:, varies], odds[varies] = weight, bias
    layers[-1] = wide, odds
    return Head(kind, tuple(layers))


def _logistic(x: Matrix, y: NDArray[np.bool_], strength: float, class_weight: str | None) -> Layer:
    from sklearn.linear_model import LogisticRegression

    weight, bias = np.zeros((x.shape[1], y.shape[1])), np.zeros(y.shape[1])
    for column in range(y.shape[1]):
        model = LogisticRegression(C=strength, class_weight=class_weight, max_iter=MAX_ITERATIONS, tol=1e-3)
        with silent_solvers():
            model.fit(x, y[:, column])
        weight[:, column], bias[column] = model.coef_[0], model.intercept_[0]
    return weight.astype(np.float32), bias.astype(np.float32)


def _mlp(x: Matrix, y: NDArray[np.bool_], strength: float, seed: int) -> list[Layer]:
    from sklearn.neural_network import MLPClassifier

    if not y.shape[1]:
        return [(np.zeros((x.shape[1], 0), np.float32), np.zeros(0, np.float32))]
    model = MLPClassifier(
        hidden_layer_sizes=HIDDEN,
        alpha=1 / strength / len(y),
        early_stopping=len(y) >= 100,
        max_iter=200,
        random_state=seed,
    )
    with silent_solvers():
        model.fit(x, y[:, 0] if y.shape[1] == 1 else y.astype(np.int64))
    return list(zip(model.coefs_, (bias.astype(np.float32) for bias in model.intercepts_), strict=True))
