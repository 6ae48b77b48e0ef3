"""What was tried on the way to a model, and how the training went: sections of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headstart.evaluation.label_metrics import LabelsEvaluation
from headstart.evaluation.number_metrics import NumberEvaluation
from headstart.evaluation.results import Evaluation
from headstart.pages import Cell, Markup, paragraph, table
from headstart.training.diagnosis_page import training_curves
from headstart.training.diagnostics import Run
from headstart.training.plan import minutes_in_words


@dataclass(frozen=True)
class Trial:
    """One way to make the model, and how it did on validation.

    Args:
        name: "probe", or the strategy, str.
        score: What people ask for first, such as "accuracy 0.981", str.
        rank: The smaller the better, compared in order, tuple of float.
        seconds: What it took, float.
        stopped: Why the training ended before its last epoch, str; "" where it did not.
        run: What the training wrote down. Defaults to None: nothing was trained.
        kept: Whether this is the model. Defaults to False.
    """

    name: str
    score: str
    rank: tuple[float, ...]
    seconds: float
    stopped: str = ""
    run: Run | None = None
    kept: bool = False


def score_of(found: Evaluation | LabelsEvaluation | NumberEvaluation) -> tuple[str, tuple[float, ...]]:
    """Return what trials are ranked by: in words, and as numbers of which the smaller is better.

    Args:
        found: The evaluation on validation.

    Returns:
        Accuracy, then log loss; mean average precision, then log loss; or the root mean squared error.
    """
    if isinstance(found, NumberEvaluation):
        return f"off by {found.rmse:.4g} (RMSE)", (found.rmse,)
    if isinstance(found, LabelsEvaluation):
        precision = found.mean_average_precision or 0.0
        return f"mean average precision {precision:.3f}", (-precision, found.log_loss)
    loss = found.calibration.log_loss
    return f"accuracy {found.accuracy:.3f}, log loss {loss:.3f}", (-found.accuracy, loss)


def trials_section(trials: Sequence[Trial]) -> tuple[str, list[Markup]] | None:
    """Return the section that compares what was tried, with the training curves; None for the probe alone."""
    if len(trials) < 2:
        return None
    kept = next(trial for trial in trials if trial.kept)
    if kept.name == "probe":
        words = (
            "Training did not beat the head on the frozen network (the probe) on validation: it was not kept."
        )
    else:
        words = (
            f"{kept.name} was the best on validation and was kept; the probe is a head on the frozen network."
        )
    rows: list[list[Cell]] = [
        [
            trial.name,
            trial.score,
            minutes_in_words(trial.seconds / 60),
            trial.stopped or "to the end",
            "kept" if trial.kept else "",
        ]
        for trial in trials
    ]
    parts = [paragraph(words), table(["what", "on validation", "took", "ran", ""], rows)]
    for trial in trials:
        if trial.run is not None:
            parts += [Markup("<h3>{}</h3>").format(f"Training: {trial.name}"), training_curves(trial.run)]
    return "What was tried", parts
