"""How the members of a model do, alone and together: a section of the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from headstart.evaluation.label_metrics import LabelsEvaluation
from headstart.evaluation.number_metrics import NumberEvaluation
from headstart.evaluation.results import Evaluation
from headstart.evaluation.trials import score_of
from headstart.pages import Cell, Markup, paragraph, table

T = TypeVar("T")
Found = Evaluation | LabelsEvaluation | NumberEvaluation
TOGETHER = "together"
_CALIBRATED_ON = {"validation": "the validation items", "cross-validation": "the answers of cross-validation"}


@dataclass(frozen=True)
class Committee:
    """Scores of the members and of all of them together.

    Args:
        scores: In words, {member or "together": {split: str}}.
        words: How alike the members' answers are, one sentence.
    """

    scores: Mapping[str, Mapping[str, str]]
    words: str

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        members: Sequence[Mapping[str, Found]],
        together: Mapping[str, Found],
        calibrated_on: str,
    ) -> Committee:
        """Compare members on the same items.

        Args:
            names: What the members are called.
            members: Each one's evaluations by split.
            together: The evaluations of all of them together.
            calibrated_on: The split whose items were used to calibrate; members are compared on the first.
        """
        splits = list(together)
        scores = {
            name: {split: score_of(found[split])[0] for split in splits}
            for name, found in zip(names, members, strict=True)
        }
        scores[TOGETHER] = {split: score_of(together[split])[0] for split in splits}
        found = [member[splits[0]] for member in members]
        items = _CALIBRATED_ON.get(calibrated_on, f"the items of {calibrated_on}")
        words = f"{agreement(found)} Their mean was calibrated once more, on {items}."
        return cls(scores, words)


def agreement(members: Sequence[Found]) -> str:
    """Say how alike members are: the more they differ while being right as often, the more a mean helps.

    Args:
        members: Their evaluations on the same items, two or more.

    Returns:
        A sentence with the mean over pairs of the share of equal answers (of numbers: the correlation of the
        errors), and the share of items about which at least one is right.

    References:
        Kuncheva and Whitaker, "Measures of Diversity in Classifier Ensembles", Machine Learning 2003.
    """
    if isinstance(members[0], NumberEvaluation):
        errors = [member.errors for member in members if isinstance(member, NumberEvaluation)]
        alike = _mean_of_pairs(errors, _correlation)
        return f"The errors of two members correlate by {alike:.2f} on average."
    answers: list[NDArray[np.generic]] = []
    right: list[NDArray[np.bool_]] = []
    for member in members:
        if isinstance(member, LabelsEvaluation):
            answers.append(member.chosen)
            right.append((member.chosen == member.y).all(1))
        elif isinstance(member, Evaluation):
            answers.append(member.answers[:, None])
            right.append(member.right)
    alike = _mean_of_pairs(answers, lambda a, b: float((a == b).all(1).mean()))
    some = float(np.any(right, 0).mean())
    return (
        f"Two members give the same answer about {100 * alike:.1f}\u00a0% of the items on average; about "
        f"{100 * some:.1f}\u00a0% at least one is right."
    )


def committee_section(committee: Committee | None) -> tuple[str, list[Markup]] | None:
    """Return the section with the scores of the members; None for a model of one."""
    if committee is None:
        return None
    splits = list(committee.scores[TOGETHER])
    rows: list[list[Cell]] = [
        [name, *(scores[split] for split in splits)] for name, scores in committee.scores.items()
    ]
    words = f"The model answers with the mean of what its members say. {committee.words}"
    return "Its members", [paragraph(words), table(["member", *splits], rows)]


def _mean_of_pairs(values: Sequence[T], measure: Callable[[T, T], float]) -> float:
    return float(np.mean([measure(a, b) for a, b in combinations(values, 2)]))


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float(np.array_equal(a, b))
    return float(np.corrcoef(a, b)[0, 1])
