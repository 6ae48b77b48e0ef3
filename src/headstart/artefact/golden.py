"""Golden vectors: a few inputs and the answers they must get, wherever the model goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.data.items import Target
from headstart.errors import ArtefactError
from headstart.transfer.calibration import AnyCalibration, Interval

MOST = 4
TOLERANCE = 0.02
"""How far a probability may be off: CPUs without bf16 round differently."""
_OF_INTERVAL, _OF_SPREAD = 0.1, 0.02


@dataclass(frozen=True, eq=False)
class Golden:
    """Inputs as the network gets them, and the probabilities (or numbers) they must be answered with.

    Args:
        inputs: uint8 [m, h, w, 3]; of texts int32 [m, tokens] or uint8 [m, bytes], filled up with zeros.
        probabilities: float64 [m, classes]; numbers, float64 [m, 1], where the target is "number".
        target: What kind of answers they are. Defaults to "label".
        tolerance: How far an answer may be off, float. Defaults to `TOLERANCE`.
        others: The same items for further front ends of the model, as `inputs`. Defaults to none.
    """

    inputs: NDArray[Any]
    probabilities: NDArray[np.float64]
    target: Target = "label"
    tolerance: float = TOLERANCE
    others: tuple[NDArray[Any], ...] = ()

    def check(self, probabilities: NDArray[np.floating], what: str) -> None:
        """Compare answers with the expected ones.

        Args:
            probabilities: What the inputs are answered with now, float [m, columns].
            what: What answered, for the message, str.

        Raises:
            ArtefactError: Another label, or an answer that is off by more than the tolerance.
        """
        expected = "the golden vectors to be answered as when the model was saved"
        fix = "do not use it; save or export the model again, with the versions that are named in it"
        nouns = "numbers" if self.target == "number" else "probabilities"
        if probabilities.shape != self.probabilities.shape:
            received = f"{list(probabilities.shape)} {nouns} by {what}, not {list(self.probabilities.shape)}"
            raise ArtefactError(expected, received, fix)
        off = np.abs(probabilities - self.probabilities).max(initial=0.0)
        if not off <= self.tolerance:  # NaN is no agreement either
            received = f"a number by {what} that is off by {off:.3g}"
            if self.target != "number":
                received = f"a probability by {what} that is off by {off:.3f}"
            raise ArtefactError(expected, received, fix)
        if self.target != "label":
            return
        # Two labels within the tolerance of each other may change places: that is no other answer.
        answers = probabilities.argmax(1)
        rows = np.arange(len(answers))
        behind = self.probabilities.max(1) - self.probabilities[rows, answers]
        if (behind > self.tolerance).any():
            raise ArtefactError(expected, f"another label by {what}", fix)


def stacked(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return inputs as one array; shorter texts are filled up with zeros, which are padding.

    Example:
        >>> stacked([np.array([1, 2, 3]), np.array([4])])
        array([[1, 2, 3],
               [4, 0, 0]])
    """
    if len({row.shape for row in rows}) == 1:
        return np.stack(rows)
    longest = max(len(row) for row in rows)
    return np.stack([np.pad(row, (0, longest - len(row))) for row in rows])


def tolerance(calibration: AnyCalibration, answers: NDArray[np.floating]) -> float:
    """Return how far an answer may be off: for numbers it depends on their size.

    Args:
        calibration: Of the model.
        answers: To the golden inputs, float [m, columns].
    """
    if not isinstance(calibration, Interval):
        return TOLERANCE
    rounding = 16 * float(np.finfo(np.float32).eps) * float(np.abs(answers).max(initial=1.0))
    return _OF_INTERVAL * calibration.width + _OF_SPREAD * float(np.ptp(answers)) + rounding


def choose_spread(numbers: NDArray[np.floating], most: int = MOST) -> list[int]:
    """Choose which items make good golden vectors where answers are numbers: evenly from small to large.

    Args:
        numbers: Answers to the candidates, float [n].
        most: How many to choose at most, int. Defaults to 4.

    Returns:
        Positions of the items.

    Example:
        >>> choose_spread(np.array([5.0, 1.0, 3.0]), most=2)
        [1, 0]
    """
    order = np.argsort(numbers, kind="stable")
    places = np.unique(np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(int))
    return [int(order[place]) for place in places]


def choose(probabilities: NDArray[np.floating], most: int = MOST) -> list[int]:
    """Choose which items make good golden vectors: answered with different labels, and confidently.

    Args:
        probabilities: Answers to the candidates, float [n, classes].
        most: How many to choose at most, int. Defaults to 4.

    Returns:
        Positions of the items, at most one for each label while there are enough labels.

    Example:
        >>> choose(np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]), most=2)
        [0, 2]
    """
    confidence, answers = probabilities.max(1), probabilities.argmax(1)
    order = np.argsort(-confidence, kind="stable")
    _, firsts = np.unique(answers[order], return_index=True)
    chosen = [int(position) for position in order[np.sort(firsts)]]
    return (chosen + [int(position) for position in order if position not in chosen])[:most]
