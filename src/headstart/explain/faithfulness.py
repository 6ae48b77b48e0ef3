"""How faithful a map of evidence is: the answer must fall as its top places go, and rise as they come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.errors import OptionError
from headstart.explain.overlay import Floats, blur, spread
from headstart.images.decode import Pixels

Answer = Callable[[Pixels], NDArray[np.floating]]
"""From pictures as the network gets them, uint8 [n, h, w, 3], to the probability of the label, float [n]."""

_STEPS = 20


@dataclass(frozen=True, eq=False)
class Curve:
    """How an answer changes as more and more of a picture is changed, the strongest evidence first.

    Args:
        shares: Of the pixels that are changed, float64 [steps + 1], from 0 to 1.
        answers: The probability of the label, float64 [steps + 1].
    """

    shares: Floats
    answers: Floats

    @property
    def area(self) -> float:
        """The area below the curve: small is good of a deletion, large of an insertion."""
        return float(np.trapezoid(self.answers, self.shares))


def deletion(answer: Answer, pixels: Pixels, evidence: NDArray[np.floating], steps: int = _STEPS) -> Curve:
    """Cover a picture with its mean colour, the places with the strongest evidence first.

    Args:
        answer: Gives the followed probability of pictures, such as
            `lambda pictures: model.answer_inputs(pictures)[:, column]`.
        pixels: The picture as the network gets it, uint8 [h, w, 3].
        evidence: float [rows, columns]; what it is covers the whole picture.
        steps: In how many parts, int. Defaults to 20.

    Returns:
        The Curve; the smaller its area, the more faithful the evidence.

    Raises:
        OptionError: No step.

    References:
        Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models",
        BMVC 2018, https://arxiv.org/abs/1806.07421.

    Example:
        >>> half = np.repeat(np.array([[[255] * 3, [0] * 3]], np.uint8), 2, 0)
        >>> left_is_white = lambda pictures: pictures[:, 0, 0, 0] / 255
        >>> deletion(left_is_white, half, np.array([[1.0, 0.0]]), 2).answers.round(2)
        array([1. , 0.5, 0.5])
    """
    covered = np.broadcast_to(pixels.mean((0, 1)).round().astype(np.uint8), pixels.shape)
    return _curve(answer, pixels, covered, evidence, steps)


def insertion(answer: Answer, pixels: Pixels, evidence: NDArray[np.floating], steps: int = _STEPS) -> Curve:
    """Let a picture appear out of its blur, the places with the strongest evidence first.

    Args:
        answer: As for `deletion`.
        pixels: As for `deletion`.
        evidence: As for `deletion`.
        steps: As for `deletion`.

    Returns:
        The Curve; the larger its area, the more faithful the evidence.

    Raises:
        OptionError: No step.

    References:
        As for `deletion`.

    Example:
        >>> half = np.repeat(np.array([[[255] * 3, [0] * 3]], np.uint8), 2, 0)
        >>> left_is_white = lambda pictures: pictures[:, 0, 0, 0] / 255
        >>> float(insertion(left_is_white, half, np.array([[1.0, 0.0]]), 2).answers[-1])
        1.0
    """
    return _curve(answer, blur(pixels), pixels, evidence, steps)


def _curve(answer: Answer, start: Pixels, end: Pixels, evidence: NDArray[np.floating], steps: int) -> Curve:
    """Turn one picture into another, the places with the strongest evidence first."""
    if steps < 1:
        raise OptionError("at least one step", f"steps = {steps}", "ask for 1 or more")
    height, width = start.shape[:2]
    order = np.argsort(-spread(evidence, height, width).ravel(), kind="stable")
    shares = np.linspace(0, 1, steps + 1)
    pictures = np.repeat(start.reshape(1, -1, 3), steps + 1, 0)
    for picture, share in zip(pictures, shares, strict=True):
        changed = order[: round(share * len(order))]
        picture[changed] = end.reshape(-1, 3)[changed]
    answers = answer(pictures.reshape(-1, height, width, 3))
    return Curve(shares, np.asarray(answers, np.float64))
