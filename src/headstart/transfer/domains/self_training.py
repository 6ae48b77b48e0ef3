"""Self-training: what the model is sure about on the target teaches the next model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.transfer.calibration import fit_temperature, softmax
from headstart.transfer.domains.domains import Domains
from headstart.transfer.selection import Labelled, select

_FOLDS = 3


@dataclass(frozen=True)
class SelfTraining:
    """Fit on the source and on the target items that the last model is most sure about, a few times over.

    The same share of each class is chosen, so that an easy class does not crowd out the others; the share
    grows from round to round. Items count as much as calibrated probability lifts them above guessing. Works
    on any view: terms learn the target's own words.

    Args:
        rounds: How many, int. Defaults to 4.
        share: Of each class's target items that the last round chooses, float. Defaults to 1.
        trust: What the target's items count beside the source's, float. Defaults to 1.

    References:
        Lee, "Pseudo-label", ICML workshop 2013. Zou, Yu, Kumar and Wang, "Unsupervised domain adaptation for
        semantic segmentation via class-balanced self-training", ECCV 2018.

    Example:
        >>> from headstart.transfer.features import Features
        >>> X, item = np.array([[-1], [1], [-2], [2], [-3], [3]], np.float32), np.arange(6)
        >>> data = Labelled(Features(X, item, item), np.array([0, 1, 0, 1, -1, -1]), 2)
        >>> domains = Domains(data, item[:4], item[4:])
        >>> domains.target_view.logits(SelfTraining().fit(domains, 1.0, 0)).argmax(1)
        array([0, 1])
    """

    rounds: int = 4
    share: float = 1.0
    trust: float = 1.0
    name: str = "self-training"
    needs_features: bool = False
    needs_known: bool = False

    def fit(self, domains: Domains, strength: float, seed: int) -> Any:
        """Fit in rounds; see `Method`."""
        data, labelled = domains.data, domains.labelled
        asked = np.setdiff1d(domains.target, labelled)
        own = data.take(labelled)
        head = own.fit("linear", strength, None, seed)
        temperature = _temperature(own, strength, seed)
        view = data.take(asked)
        for number in range(self.rounds if len(asked) else 0):
            said = softmax(view.logits(head), temperature)
            chosen = surest(said, self.share * (number + 1) / self.rounds)
            y, weight = data.y.copy(), np.ones(len(data.y))
            y[asked] = said.argmax(1)
            floor = 1 / data.classes
            weight[asked] = self.trust * (said.max(1) - floor) / (1 - floor)
            items = np.sort(np.concatenate([labelled, asked[chosen]]))
            head = data.relabel(y, weight).take(items).fit("linear", strength, None, seed)
        return head


def surest(probabilities: NDArray[np.float64], share: float) -> NDArray[np.int64]:
    """Return the positions of the items of each answered class that are most sure.

    Args:
        probabilities: float [n, classes].
        share: Of each class's items, rounded up, float from 0 to 1.

    Returns:
        Positions, ascending.

    Example:
        >>> surest(np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]]), 0.5)
        array([0, 2])
    """
    answered, confidence = probabilities.argmax(1), probabilities.max(1)
    chosen: list[NDArray[np.int64]] = []
    for one in np.unique(answered):
        items = np.flatnonzero(answered == one)
        order = items[np.argsort(-confidence[items], kind="stable")]
        chosen.append(order[: int(np.ceil(share * len(items)))])
    return np.sort(np.concatenate(chosen))


def _temperature(own: Labelled, strength: float, seed: int) -> float:
    """Return the temperature of logits for items that are not fitted on; 1 where it cannot be found."""
    if len(np.unique(own.features.group)) < _FOLDS:
        return 1.0
    found = select(own, "linear", folds=_FOLDS, strengths=(strength,), seed=seed)
    return fit_temperature(found.logits, own.y)
