"""Golden vectors: a few inputs and the answers they must get, wherever the model goes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.errors import ArtefactError

MOST = 4
TOLERANCE = 0.02
"""How far a probability may be off: CPUs without bf16 round differently."""


@dataclass(frozen=True, eq=False)
class Golden:
    """Inputs as the network gets them, and the probabilities they must be answered with.

    Args:
        inputs: uint8 [m, h, w, 3].
        probabilities: float64 [m, classes].
    """

    inputs: NDArray[np.uint8]
    probabilities: NDArray[np.float64]

    def check(self, probabilities: NDArray[np.floating], what: str) -> None:
        """Compare answers with the expected ones.

        Args:
            probabilities: What the inputs are answered with now, float [m, classes].
            what: What answered, for the message, str.

        Raises:
            ArtefactError: Another label, or a probability that is off by more than `TOLERANCE`.
        """
        expected = "the golden vectors to be answered as when the model was saved"
        fix = "do not use it; save or export the model again, with the versions that are named in it"
        if probabilities.shape != self.probabilities.shape:
            received = (
                f"{list(probabilities.shape)} probabilities by {what}, not {list(self.probabilities.shape)}"
            )
            raise ArtefactError(expected, received, fix)
        off = np.abs(probabilities - self.probabilities).max(initial=0.0)
        if not off <= TOLERANCE:  # NaN is no agreement either
            raise ArtefactError(expected, f"a probability by {what} that is off by {off:.3f}", fix)
        # Two labels within the tolerance of each other may change places: that is no other answer.
        answers = probabilities.argmax(1)
        rows = np.arange(len(answers))
        behind = self.probabilities.max(1) - self.probabilities[rows, answers]
        if (behind > TOLERANCE).any():
            raise ArtefactError(expected, f"another label by {what}", fix)


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
