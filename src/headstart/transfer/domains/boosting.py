"""TrAdaBoost: a few labels of the target decide which source items may go on teaching."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.errors import DataError
from headstart.transfer.domains.domains import Domains, fit_dense, rows_of
from headstart.transfer.heads import FLOOR, Head, Matrix, Scaler, fit_head

Floats = NDArray[np.float64]
FitWeighted = Callable[[Floats], Head]


@dataclass(frozen=True)
class TrAdaBoost:
    """Fit in rounds: source items that are answered wrongly lose weight, target items gain it.

    Works where the classes (or numbers) of some target items are known. The answer is the mean of the second
    half's linear heads, which is one linear head; the papers take a vote, and a median of numbers.

    Args:
        rounds: How many, int. Defaults to 20.

    References:
        Dai, Yang, Xue and Yu, "Boosting for transfer learning", ICML 2007. Pardoe and Stone, "Boosting for
        regression transfer", ICML 2010, for numbers (TrAdaBoost.R2).

    Example:
        >>> from headstart.transfer.features import Features
        >>> from headstart.transfer.selection import Labelled
        >>> X, item = np.array([[-1], [1], [-2], [2], [-3], [3]], np.float32), np.arange(6)
        >>> data = Labelled(Features(X, item, item), np.array([0, 1, 0, 1, -1, 1]), 2)
        >>> domains = Domains(data, item[:4], item[4:])
        >>> domains.target_view.logits(TrAdaBoost().fit(domains, 1.0, 0)).argmax(1)
        array([0, 1])
    """

    rounds: int = 20
    name: str = "TrAdaBoost"
    needs_features: bool = True
    needs_known: bool = True

    def fit(self, domains: Domains, strength: float, seed: int) -> Any:
        """Fit in rounds; see `Method`.

        Raises:
            DataError: Nothing is known about the target.
        """
        if not len(domains.known):
            raise DataError("labels of some target items", "none", "label a few, or use another method")
        return fit_dense(domains, strength, seed, self._fit)

    def _fit(self, domains: Domains, strength: float, seed: int) -> Head:
        view = domains.data.take(domains.labelled)
        rows, y = rows_of(view)
        own = np.isin(domains.labelled, domains.target)[view.features.item]
        if view.target == "number":
            return boost(own, lambda w: ridge(rows, y, w, strength), _off(rows, y), self.rounds)

        def fit(weight: Floats) -> Head:
            return fit_head("linear", rows, y, view.classes, strength=strength, weight=weight, seed=seed)

        def wrong(head: Head) -> Floats:
            return np.asarray(head.logits(rows).argmax(1) != y, np.float64)

        return boost(own, fit, wrong, self.rounds)


def boost(own: NDArray[np.bool_], fit: FitWeighted, errors: Callable[[Head], Floats], rounds: int) -> Head:
    """Fit with weights that follow the errors; return the mean head of the second half of the rounds.

    Args:
        own: Which rows are the target's, bool [n].
        fit: Fits a linear head with weights of mean 1, float [n].
        errors: How wrong a head is about each row, float [n] from 0 to 1.
        rounds: How many, int at least 1.

    Returns:
        A linear head.
    """
    weight = np.ones(len(own))
    fade = 1 / (1 + np.sqrt(2 * np.log(max((~own).sum(), 2)) / rounds))
    kept: list[tuple[float, Head]] = []
    for number in range(rounds):
        weight /= weight.mean()
        head = fit(weight)
        error = errors(head)
        # Half wrong is no better than chance, and none wrong would weigh infinitely.
        share = float(np.clip(np.average(error[own], weights=weight[own]), 0.01, 0.49))
        rate = share / (1 - share)
        if number >= rounds // 2:
            kept.append((-np.log(rate), head))
        weight *= np.where(own, rate**-error, fade**error)
    total = sum(vote for vote, _ in kept)
    weights = sum(vote / total * head.layers[0][0] for vote, head in kept)
    biases = sum(vote / total * head.layers[0][1] for vote, head in kept)
    return Head("linear", ((np.asarray(weights, np.float32), np.asarray(biases, np.float32)),))


def ridge(rows: Matrix, y: NDArray[np.floating], weight: Floats, strength: float) -> Head:
    """Fit a ridge regression with weights, as `fit_number_head` does without.

    Example:
        >>> rows = np.array([[0.0], [1.0], [2.0]], np.float32)
        >>> head = ridge(rows, np.array([0.0, 1.0, 9.0]), np.array([1.0, 1.0, 0.0]), 1e6)
        >>> head.logits(rows)[:, 0].round(2).tolist()
        [0.0, 1.0, 2.0]
    """
    from sklearn.linear_model import Ridge

    scaler = Scaler.of(rows, FLOOR)
    middle, spread = float(y.mean()), float(y.std()) or 1.0
    model = Ridge(alpha=1 / strength).fit(scaler.apply(rows), (y - middle) / spread, weight)
    layer = scaler.fold(
        model.coef_[:, None].astype(np.float64) * spread, np.array([model.intercept_ * spread + middle])
    )
    return Head("linear", (layer,))


def _off(rows: Matrix, y: NDArray[np.floating]) -> Callable[[Head], Floats]:
    def errors(head: Head) -> Floats:
        off = np.abs(head.logits(rows)[:, 0] - y)
        return np.asarray(off / max(float(off.max()), 1e-12), np.float64)

    return errors
