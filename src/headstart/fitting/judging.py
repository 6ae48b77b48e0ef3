"""How good answers are: the evaluation that fits the target, held out or cross-validated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.evaluation import Evaluation, LabelsEvaluation, NumberEvaluation
from headstart.evaluation.label_metrics import evaluate_labels
from headstart.evaluation.metrics import evaluate
from headstart.evaluation.number_metrics import evaluate_numbers
from headstart.transfer.calibration import AnyCalibration, Calibration, Interval, Thresholds, softmax
from headstart.transfer.selection import Labelled, Selection

AnyEvaluation = Evaluation | LabelsEvaluation | NumberEvaluation


def judge(
    labels: Sequence[str],
    data: Labelled,
    logits: NDArray[np.floating],
    calibration: AnyCalibration,
    *,
    names: Sequence[str],
    groups: Sequence[str | None] | None = None,
    raw: NDArray[np.floating] | None = None,
    seed: int = 0,
) -> AnyEvaluation:
    """Measure what a head says about items.

    Args:
        labels: The columns of the logits.
        data: The items, with the truth.
        logits: What the head says, float [items, columns].
        calibration: What makes answers of it.
        names: The items'.
        groups: Of the items, for the intervals. Defaults to None: those of `data`.
        raw: The logits before any calibration, where `logits` are no longer. Defaults to None.
        seed: For the bootstrap, int. Defaults to 0.

    Returns:
        The evaluation.
    """
    groups = [str(group) for group in data.features.group] if groups is None else groups
    answers = calibration.answers(logits)
    if isinstance(calibration, Thresholds):
        return evaluate_labels(
            labels,
            data.y,
            answers,
            calibration.chosen(answers),
            names=names,
            thresholds=calibration.thresholds,
            groups=groups,
            seed=seed,
        )
    if isinstance(calibration, Interval):
        return evaluate_numbers(
            data.y, answers[:, 0], width=calibration.width, names=names, groups=groups, seed=seed
        )
    return evaluate(
        labels,
        data.y,
        answers,
        names=names,
        uncalibrated=softmax(logits if raw is None else raw),
        conformal=calibration.conformal.sets(answers),
        abstain_below=calibration.abstention.confidence,
        groups=groups,
        seed=seed,
    )


def judge_folds(
    labels: Sequence[str], data: Labelled, selection: Selection, *, names: Sequence[str], seed: int
) -> AnyEvaluation:
    """Measure out-of-fold answers, each fold calibrated on the other folds.

    Args:
        labels: The columns of the logits.
        data: The items that the selection was made on.
        selection: With folds and out-of-fold logits.
        names: The items'.
        seed: For the bootstrap, int.

    Returns:
        The evaluation.
    """
    whole = data.calibrate(selection.logits)
    logits = selection.logits.astype(np.float64)
    chosen = np.zeros(logits.shape, np.bool_)
    width = np.zeros(len(logits))
    for fold in np.unique(selection.folds):
        held = selection.folds == fold
        others = data.take(np.flatnonzero(~held)).calibrate(selection.logits[~held])
        if isinstance(others, Interval):
            width[held] = others.width
            continue
        logits[held] /= others.temperature  # the evaluation below then calibrates with 1
        if isinstance(others, Thresholds):
            chosen[held] = others.chosen(others.answers(selection.logits[held]))
    groups = [str(group) for group in data.features.group]
    if isinstance(whole, Thresholds):
        p = Thresholds(1.0, whole.thresholds).answers(logits)
        return evaluate_labels(
            labels, data.y, p, chosen, names=names, thresholds=whole.thresholds, groups=groups, seed=seed
        )
    if isinstance(whole, Interval):
        return evaluate_numbers(data.y, logits[:, 0], width=width, names=names, groups=groups, seed=seed)
    unit = Calibration(1.0, whole.conformal, whole.abstention)
    return judge(labels, data, logits, unit, names=names, raw=selection.logits, seed=seed)
