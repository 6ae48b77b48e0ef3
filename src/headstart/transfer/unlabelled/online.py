"""A head that goes on learning item by item, without the items that it learned from before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headstart.errors import DataError, OptionError
from headstart.transfer.calibration import softmax
from headstart.transfer.heads import Head, Scaler

_CURVATURE = 0.25  # p (1 − p) of one class is nowhere more: steps are rather too small than too large

Floats = NDArray[np.float64]


class OnlineHead:
    """A linear head that is updated with one item after the other, each seen once.

    Recursive least squares on the log loss: it remembers how much is known in every direction of the features
    (a matrix of d × d), so that a new item moves the head much where little was known and little elsewhere.

    Args:
        head: A fitted linear head to start from.
        rows: The features that it was fitted on, float [n, d]: what is known already.
        strength: The strength that it was fitted with, float. Defaults to 0.01.

    Raises:
        OptionError: The head is not linear.

    References:
        Böhning, "Multinomial logistic regression algorithm", AISM 1992, for the bound on the curvature;
        Haykin, "Adaptive filter theory", for recursive least squares.

    Example:
        >>> from headstart.transfer.heads import fit_head
        >>> rows = np.random.default_rng(0).normal(0, 1, (60, 4)).astype(np.float32)
        >>> y = (rows[:, 0] > 0).astype(np.int64)
        >>> online = OnlineHead(fit_head("linear", rows[:10], y[:10], 2), rows[:10])
        >>> for row, label in zip(rows[10:], y[10:]):
        ...     online.update(row, label)
        >>> online.seen, online.head.kind
        (50, 'linear')
    """

    def __init__(self, head: Head, rows: NDArray[np.floating], strength: float = 0.01) -> None:
        if head.kind != "linear":
            fix = "fit a linear head, or fit this one anew with all items"
            raise OptionError("a linear head to update", f"one of kind {head.kind}", fix)
        self.seen = 0
        self._scaler = Scaler.of(np.asarray(rows, np.float32))
        ((weight, bias),) = head.layers
        # The same head on standardised rows, the bias as its last line.
        unscaled: Floats = weight.astype(np.float64) / self._scaler.scale[:, None]
        offset = bias.astype(np.float64) + self._scaler.mean @ weight.astype(np.float64)
        self._weights = np.asarray(np.vstack([unscaled, offset]), np.float64)
        x = self._rows(np.asarray(rows, np.float32))
        precision = _CURVATURE * (x.T @ x) + np.eye(x.shape[1]) / strength
        self._covariance = np.asarray(np.linalg.inv(precision), np.float64)

    def update(self, row: NDArray[np.floating], y: int) -> None:
        """Learn from one item.

        Args:
            row: Its features, float [d].
            y: Its class, int.

        Raises:
            DataError: There is no such class, or the features are not of this kind.
        """
        classes = self._weights.shape[1]
        if not 0 <= y < classes:
            fix = "fit a new head for new classes"
            raise DataError(f"a class from 0 to {classes - 1}", str(y), fix)
        row = np.asarray(row, np.float32)
        if row.shape != self._scaler.mean.shape or not np.isfinite(row).all():
            expected = f"{len(self._scaler.mean)} finite features"
            raise DataError(expected, f"an array {list(row.shape)}", "give the features of the same backbone")
        x = self._rows(row[None])[0]
        gain = self._covariance @ x
        self._covariance -= np.outer(gain, gain) * (_CURVATURE / (1 + _CURVATURE * float(x @ gain)))
        error = -softmax((x @ self._weights)[None])[0].astype(np.float64)
        error[y] += 1
        self._weights += np.outer(self._covariance @ x, error)
        self.seen += 1

    @property
    def head(self) -> Head:
        """The head as it is now: an ordinary one, for raw features."""
        return Head("linear", (self._scaler.fold(self._weights[:-1], self._weights[-1]),))

    def _rows(self, rows: NDArray[np.float32]) -> Floats:
        x = self._scaler.apply(rows).astype(np.float64)
        return np.hstack([x, np.ones((len(x), 1))])
