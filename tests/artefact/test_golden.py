from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.artefact.golden import MOST, TOLERANCE, Golden, choose
from headstart.errors import ArtefactError

_INPUTS = np.zeros((2, 4, 4, 3), np.uint8)


@settings(deadline=None, max_examples=100)
@given(n=st.integers(1, 30), classes=st.integers(2, 8), seed=st.integers(0, 2**32 - 1))
def test_choice_is_few_different_and_confident(n: int, classes: int, seed: int) -> None:
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(classes), n)
    chosen = choose(probabilities)
    answers, confidence = probabilities.argmax(1), probabilities.max(1)
    assert len(chosen) == len(set(chosen)) == min(n, MOST)
    assert len(set(answers[chosen])) == min(len(set(answers)), MOST)
    for position in chosen:  # nothing of the same label was more confident and left out
        rivals = [p for p in range(n) if answers[p] == answers[position] and p not in chosen]
        assert all(confidence[rival] <= confidence[position] for rival in rivals)


def test_same_answers_pass() -> None:
    expected = np.array([[0.9, 0.1], [0.2, 0.8]])
    Golden(_INPUTS, expected).check(expected + np.array([[0.019, -0.019]]), "a test")


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([[0.87, 0.13], [0.2, 0.8]], "off by 0.030"),
        ([[0.1, 0.9], [0.2, 0.8]], "off by 0.800"),
        ([[np.nan, 0.1], [0.2, 0.8]], "off by nan"),
        ([[0.9, 0.1]], r"\[1, 2\] probabilities by a test, not \[2, 2\]"),
    ],
)
def test_other_answers_fail(answers: list[list[float]], says: str) -> None:
    with pytest.raises(ArtefactError, match=says):
        Golden(_INPUTS, np.array([[0.9, 0.1], [0.2, 0.8]])).check(np.array(answers), "a test")


def test_another_label_fails_also_when_all_is_within_the_tolerance() -> None:
    tie = Golden(_INPUTS[:1], np.array([[0.35, 0.34, 0.31]]))
    tie.check(np.array([[0.34, 0.35, 0.31]]), "a tie that fell the other way")
    golden = Golden(_INPUTS[:1], np.array([[0.36, 0.33, 0.31]]))
    with pytest.raises(ArtefactError, match="another label"):
        golden.check(np.array([[0.341, 0.349, 0.31]]), "a test")
    assert TOLERANCE == 0.02
