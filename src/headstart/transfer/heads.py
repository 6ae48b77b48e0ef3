"""Heads: the small part that is fitted to your data, on cached features."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from headstart.errors import ArtefactError, OptionError

Kind = Literal["linear", "mlp", "centroid"]
Combine = Literal["mean", "sum"]
"""How several heads answer together: with the mean of their probabilities, or the sum of their logits."""
Matrix = NDArray[np.float32]
Layer = tuple[Matrix, Matrix]

KINDS: tuple[Kind, ...] = get_args(Kind)
HIDDEN = 256
MAX_ITERATIONS = 300
FLOOR = 0.3
"""Of the mean spread: the least that features are scaled by, where answers are numbers or several labels.

ReLU features that are nearly always 0 in training reach a thousand spreads elsewhere, and one such item
ruins a mean squared error. R² by cross-validation on 90 pictures, ridge and MLP: 0.78 and 0.76 with a floor
of 0.001, 0.91 and 0.91 with this one; log loss of four labels on 500 pictures: 0.046 and 0.035, of four
others on 245: 0.427 and 0.424.
"""


@dataclass(frozen=True)
class Head:
    """From feature rows to logits: one or more linear layers with ReLU between them.

    Whatever scaling was fitted is folded into the first layer, so a head reads raw features.

    Args:
        kind: "linear" (logistic regression), "mlp" or "centroid" (nearest class mean).
        layers: Pairs of weight float32 [in, out] and bias float32 [out].

    Example:
        >>> head = Head("linear", ((np.eye(2, dtype=np.float32), np.zeros(2, np.float32)),))
        >>> head.logits(np.array([[1.0, 3.0]], np.float32))
        array([[1., 3.]], dtype=float32)
    """

    kind: Kind
    layers: tuple[Layer, ...]

    def logits(self, rows: NDArray[np.floating]) -> Matrix:
        """Return the logits of feature rows.

        Args:
            rows: float [rows, features].

        Returns:
            float32 [rows, classes].
        """
        x = np.asarray(rows, np.float32)
        for number, (weight, bias) in enumerate(self.layers):
            x = (np.maximum(x, 0) if number else x) @ weight + bias
        return x

    def tempered(self, temperature: float) -> Head:
        """Return the head whose logits are these divided by a temperature.

        Example:
            >>> head = Head("linear", ((np.eye(2, dtype=np.float32), np.zeros(2, np.float32)),))
            >>> head.tempered(2.0).logits(np.array([[1.0, 3.0]], np.float32))
            array([[0.5, 1.5]], dtype=float32)
        """
        *body, (weight, bias) = self.layers
        share = np.float32(1 / temperature)
        return Head(self.kind, (*body, (weight * share, bias * share)))

    def tensors(self) -> dict[str, Matrix]:
        """Return the layers by name, for a safetensors file."""
        named: dict[str, Matrix] = {}
        for number, (weight, bias) in enumerate(self.layers):
            named[f"layer{number}.weight"] = np.ascontiguousarray(weight, np.float32)
            named[f"layer{number}.bias"] = np.ascontiguousarray(bias, np.float32)
        return named

    @classmethod
    def from_tensors(cls, kind: str, tensors: Mapping[str, Matrix]) -> Head:
        """Build a head from what `tensors` returned.

        Raises:
            ArtefactError: A layer is missing or the shapes do not follow each other.
        """
        layers: list[Layer] = []
        while f"layer{len(layers)}.weight" in tensors and f"layer{len(layers)}.bias" in tensors:
            layers.append((tensors[f"layer{len(layers)}.weight"], tensors[f"layer{len(layers)}.bias"]))
        shapes = [weight.shape for weight, _ in layers]
        fits = all(a[1] == b[0] for a, b in pairwise(shapes))
        if kind not in KINDS or not layers or not fits or len(tensors) != 2 * len(layers):
            raise ArtefactError(
                f"a head of kind {', '.join(KINDS)} with layers that follow each other",
                f"{kind!r} with {[(name, value.shape) for name, value in tensors.items()]}",
                "save the model again",
            )
        return cls(kind, tuple(layers))


@dataclass(frozen=True)
class Scaler:
    """Standardisation of features: (x − mean) × scale, with a floor for features that hardly vary."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Matrix, floor: float = 1e-3) -> Scaler:
        """Measure the mean and spread of rows [n, d], a slice at a time so that memory stays flat.

        Spreads below `floor` times the mean spread count as that: a feature that is almost constant here must
        not be blown up into noise.
        """
        total = np.zeros(rows.shape[1])
        square = np.zeros(rows.shape[1])
        for start in range(0, len(rows), 1024):
            part = np.asarray(rows[start : start + 1024], np.float64)
            total += part.sum(0)
            square += (part**2).sum(0)
        mean = total / len(rows)
        spread = np.sqrt(np.maximum(square / len(rows) - mean**2, 0))
        return cls(mean, 1 / np.maximum(spread, max(floor * float(spread.mean()), 1e-12)))

    def apply(self, rows: Matrix) -> Matrix:
        """Return standardised rows, float32: one copy, for the rows are the largest thing in memory."""
        x = rows - self.mean.astype(np.float32)
        x *= self.scale.astype(np.float32)
        return x

    def fold(self, weight: NDArray[np.floating], bias: NDArray[np.floating]) -> Layer:
        """Return the layer that does on raw rows what (weight, bias) does on standardised ones."""
        folded = weight * self.scale[:, None]
        return folded.astype(np.float32), (bias - self.mean @ folded).astype(np.float32)


def fit_head(
    kind: Kind,
    rows: Matrix,
    y: NDArray[np.int64],
    classes: int,
    *,
    strength: float = 0.01,
    class_weight: str | None = None,
    weight: NDArray[np.floating] | None = None,
    seed: int = 0,
    standardise: bool = True,
) -> Head:
    """Fit a head on feature rows.

    Args:
        kind: "linear": multinomial logistic regression; "mlp": one hidden layer of 256 units with early
            stopping; "centroid": nearest class mean in the standardised space.
        rows: float32 [n, d].
        y: Class of each row, int [n], 0 to classes − 1; classes without a row are allowed and get −∞-like
            logits.
        classes: Number of classes, int.
        strength: Inverse regularisation (scikit-learn's C; the MLP's weight decay is 1 / (C n)), float.
            Defaults to 0.01.
        class_weight: "balanced" weighs classes inversely to their number. Defaults to None.
        weight: How much each row counts, float [n], at least 0. Defaults to None: all the same.
        seed: For the MLP's start and batches, int. Defaults to 0.
        standardise: Whether each feature is brought to the same mean and spread first. Defaults to True.

    Returns:
        The head, reading raw features.

    Raises:
        OptionError: Unknown kind.

    References:
        Nearest class mean: Mensink et al., "Distance-based image classification", PAMI 2013.
    """
    scaler = Scaler.of(rows) if standardise else Scaler(np.zeros(rows.shape[1]), np.ones(rows.shape[1]))
    present, compact = np.unique(y, return_inverse=True)
    if len(present) == 1:  # a fold that holds out all items of the other classes: this one always wins
        nothing = np.zeros((rows.shape[1], 1), np.float32), np.zeros(1, np.float32)
        return Head(kind, (widened(nothing, present, classes),))
    x = scaler.apply(rows)
    if kind == "linear":
        first, *rest = _linear(x, compact, strength, class_weight, weight)
    elif kind == "mlp":
        first, *rest = _mlp(x, compact, strength, class_weight, weight, seed)
    elif kind == "centroid":
        first, *rest = _centroid(x, compact, weight)
    else:
        raise OptionError(f"a head of kind {', '.join(KINDS)}", repr(kind), "choose one of them")
    layers = [scaler.fold(*first), *rest]
    layers[-1] = widened(layers[-1], present, classes)
    return Head(kind, tuple(layers))


def widened(layer: Layer, present: NDArray[np.int64], classes: int) -> Layer:
    """Give absent classes columns of their own that never win."""
    weight, bias = layer
    wide = np.zeros((weight.shape[0], classes), np.float32)
    offset = np.full(classes, -30.0, np.float32)
    wide[:, present], offset[present] = weight, bias
    return wide, offset


@contextmanager
def silent_solvers() -> Iterator[None]:
    """Silence what scikit-learn's solvers say that nobody can act on.

    Stopping at the iteration limit costs nothing measurable here, for calibration follows anyway; and few
    items of many classes are what they are. Threads share Python's list of filters, so what is silenced in
    one has to be silent around all of them.
    """
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")
        yield


def _linear(
    x: Matrix,
    y: NDArray[np.int64],
    strength: float,
    class_weight: str | None,
    weights: NDArray[np.floating] | None,
) -> list[Layer]:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, class_weight=class_weight, max_iter=MAX_ITERATIONS, tol=1e-3)
    with silent_solvers():
        model.fit(x, y, weights)
    weight, bias = model.coef_.T, model.intercept_
    if weight.shape[1] == 1:  # two classes: scikit-learn keeps the difference of the two logits
        weight, bias = np.hstack([-weight / 2, weight / 2]), np.array([-bias[0] / 2, bias[0] / 2])
    return [(weight, bias)]


def _mlp(
    x: Matrix,
    y: NDArray[np.int64],
    strength: float,
    class_weight: str | None,
    weight: NDArray[np.floating] | None,
    seed: int,
) -> list[Layer]:
    from sklearn.neural_network import MLPClassifier

    if class_weight is not None:
        x, y, weight = _oversample(x, y, weight, seed)
    # Its early stopping counts right answers, whatever their weight.
    enough = weight is None and np.bincount(y).min() >= 10
    model = MLPClassifier(
        HIDDEN, alpha=1 / strength / len(y), early_stopping=bool(enough), max_iter=200, random_state=seed
    )
    with silent_solvers():
        model.fit(x, y, weight)
    (w0, w1), (b0, b1) = model.coefs_, model.intercepts_
    if w1.shape[1] == 1:
        w1, b1 = np.hstack([-w1 / 2, w1 / 2]), np.array([-b1[0] / 2, b1[0] / 2])
    return [(w0, b0), (w1.astype(np.float32), b1.astype(np.float32))]


def _oversample(
    x: Matrix, y: NDArray[np.int64], weight: NDArray[np.floating] | None, seed: int
) -> tuple[Matrix, NDArray[np.int64], NDArray[np.floating] | None]:
    """Repeat rows of rare classes: scikit-learn's MLP takes no weights of classes."""
    generator = np.random.default_rng(seed)
    most = np.bincount(y).max()
    extra = [generator.choice(np.flatnonzero(y == k), most - np.sum(y == k)) for k in np.unique(y)]
    chosen = np.concatenate([np.arange(len(y)), *extra])
    return x[chosen], y[chosen], None if weight is None else weight[chosen]


def _centroid(x: Matrix, y: NDArray[np.int64], weight: NDArray[np.floating] | None) -> list[Layer]:
    counts = np.ones(len(y)) if weight is None else weight
    means = np.stack([np.average(x[y == k], 0, counts[y == k]) for k in range(y.max() + 1)])
    # −|x − m|² / d without its part that is the same for all classes; the temperature sets the scale.
    return [(2 * means.T / x.shape[1], -(means**2).sum(1) / x.shape[1])]
