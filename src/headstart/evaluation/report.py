"""The report: one self-contained HTML page for people, and the same figures as JSON for machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from headstart.errors import OptionError
from headstart.evaluation import label_sections, number_sections
from headstart.evaluation.label_metrics import LabelsEvaluation
from headstart.evaluation.number_metrics import NumberEvaluation
from headstart.evaluation.results import Evaluation
from headstart.evaluation.sections import SECTIONS, ReportInput, Section, percent
from headstart.pages import Markup, Page, cards


@dataclass(frozen=True)
class _Form:
    """How a kind of evaluation is told: a sentence, key figures, sections."""

    sentence: Callable[[Any], str]
    cards: Callable[[Any], Markup]
    sections: tuple[Section, ...]


def report_html(report: ReportInput, sections: Sequence[Section] | None = None) -> str:
    """Make the report.

    Args:
        report: What it is made from.
        sections: What it says, in order. Defaults to None: the `SECTIONS` for one label, several or numbers.

    Returns:
        A whole HTML page without external resources, str.

    Raises:
        OptionError: There is no evaluation.

    Example:
        >>> from headstart.evaluation import evaluate
        >>> found = evaluate(["cat", "dog"], [0, 1], [[0.9, 0.1], [0.6, 0.4]], names=["a.jpg", "b.jpg"])
        >>> "right 50.0" in report_html(ReportInput("Pets", {"test": found}))
        True
    """
    _check(report)
    page = Page(report.title, lead=headline(report))
    form = _form(report)
    page.section("", form.cards(report.evaluation), bare=True)
    for section in form.sections if sections is None else sections:
        found = section(report)
        if found is not None:
            page.section(found[0], *found[1])
    return page.html()


def report_json(report: ReportInput) -> dict[str, Any]:
    """Return what the report says as JSON values.

    Args:
        report: What it is made from.

    Returns:
        {"title", "headline", "evaluations": {split: figures}, "facts", "plan", "counts", "data_notes",
        "left_out", "duplicates", "label_issues" (the likely ones), "reasons" (why the first of the top losses
        were made: each {"name", "nearest", "explanation"})}.

    Raises:
        OptionError: There is no evaluation.
    """
    _check(report)
    return {
        "title": report.title,
        "headline": headline(report),
        "evaluations": {name: evaluation.to_json() for name, evaluation in report.evaluations.items()},
        "facts": dict(report.facts),
        "plan": report.plan,
        "counts": report.counts,
        "data_notes": list(report.data_notes),
        "left_out": [asdict(problem) for problem in report.left_out],
        "duplicates": [list(row) for row in report.duplicates],
        "label_issues": [asdict(issue) for issue in report.label_issues if issue.likely],
        "reasons": [
            {"name": loss.name, **reason.to_json()}
            for loss, reason in zip(report.evaluation.losses, report.why, strict=False)
        ],
    }


def headline(report: ReportInput) -> str:
    """Return the result in one sentence.

    Args:
        report: What the report is made from.

    Returns:
        The sentence, str.

    Example:
        >>> from headstart.evaluation import evaluate
        >>> found = evaluate(["cat", "dog"], [0] * 8, [[0.9, 0.1]] * 7 + [[0.4, 0.6]], names=list("abcdefgh"))
        >>> headline(ReportInput("Pets", {"test": found}, noun="photographs")).split(" (")[0]
        'On 8 photographs it had never seen, the model is right 87.5\xa0% of the time'
    """
    evaluation = report.evaluation
    count = f"{len(evaluation.y):,} {report.noun}"
    where = {
        "test": f"{count} it had never seen",
        "validation": f"{count} it was not fitted on",
        "cross-validation": f"{count}, each answered without having been learned from",
        "train": f"the {count} it was fitted on",
    }
    return f"On {where.get(report.split, f'{count} ({report.split})')}, {_form(report).sentence(evaluation)}"


def sentence(evaluation: Evaluation) -> str:
    """Return how good it is, to follow "On 120 pictures it had never seen, "."""
    low, high = evaluation.accuracy_interval
    return (
        f"the model is right {percent(evaluation.accuracy)} of the time "
        f"(95\u00a0% interval {percent(low, unit=False)}–{percent(high)})."
    )


def key_numbers(evaluation: Evaluation) -> Markup:
    """Return the figures that people ask for first, as cards."""
    low, high = evaluation.accuracy_interval
    wrong = int((~evaluation.right).sum())
    found = [
        ("Accuracy", percent(evaluation.accuracy), f"{percent(low, unit=False)}–{percent(high)}"),
        ("Mistakes", f"{wrong:,}", f"of {len(evaluation.y):,}"),
    ]
    if evaluation.top5 is not None:
        found.append(("Top 5", percent(evaluation.top5), "true class among the five likeliest"))
    balanced = f"balanced accuracy {evaluation.balanced_accuracy:.3f}"
    found.append(("Macro F1", f"{evaluation.f1['macro']:.3f}", balanced))
    if evaluation.auc is not None:
        found.append(("ROC AUC", f"{evaluation.auc:.4f}", "1 is perfect, 0.5 is guessing"))
    found.append(
        ("Log loss", f"{evaluation.calibration.log_loss:.3f}", f"Brier score {evaluation.brier:.3f}")
    )
    before = evaluation.uncalibrated
    note = f", {before.ece:.3f} before" if before else ""
    found.append(("ECE", f"{evaluation.calibration.ece:.3f}", f"calibration error{note}"))
    return cards(found)


def _form(report: ReportInput) -> _Form:
    if isinstance(report.evaluation, LabelsEvaluation):
        return _Form(label_sections.sentence, label_sections.key_numbers, label_sections.SECTIONS)
    if isinstance(report.evaluation, NumberEvaluation):
        return _Form(number_sections.sentence, number_sections.key_numbers, number_sections.SECTIONS)
    return _Form(sentence, key_numbers, SECTIONS)


def _check(report: ReportInput) -> None:
    if not report.evaluations:
        raise OptionError("at least one evaluation", "none", "evaluate the model on labelled items first")
