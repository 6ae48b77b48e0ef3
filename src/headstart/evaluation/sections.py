"""The sections of the report. Each is a function of the report's input; a room may add its own.

A section returns its heading and what is under it, or None where it has nothing to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headstart.data.items import Problem
from headstart.evaluation.charts import (
    confidence_chart,
    confusion_chart,
    count_chart,
    pr_chart,
    reliability_chart,
    roc_chart,
)
from headstart.evaluation.committee import Committee, committee_section
from headstart.evaluation.distillation import Distilled, distillation_section
from headstart.evaluation.label_errors import LabelIssue
from headstart.evaluation.label_metrics import LabelsEvaluation
from headstart.evaluation.reasons import Reason, shown_errors
from headstart.evaluation.results import Abstention, Evaluation
from headstart.evaluation.trials import Trial, trials_section
from headstart.pages import (
    Cell,
    Glimpse,
    Markup,
    bar,
    details,
    facts,
    fragment,
    glimpses,
    paragraph,
    side_by_side,
    table,
)
from headstart.retrieval.maps import ItemMap, map_section

_SHOWN_LOSSES = 24
_SHOWN_ISSUES = 24
_SHOWN_ROWS = 500


@dataclass(frozen=True, eq=False)
class ReportInput:
    """What a report is made from.

    Args:
        title: Name of the model or the data, str.
        evaluations: By split, the most important first: it gives the headline and the charts. The names
            "test", "validation" and "cross-validation" are explained in plain words. All are of one kind:
            Evaluation, LabelsEvaluation or NumberEvaluation.
        noun: What the items are called, plural, str. Defaults to "items".
        facts: How the model was made, (name, value) in order. Defaults to ().
        plan: The plan in plain words, str. Defaults to "".
        commands: How to make and use the model again, str, one command a line. Defaults to "".
        counts: Items by split and class, {split: {label: items}}. Defaults to none.
        data_notes: Sentences about the data. Defaults to ().
        left_out: What could not be used, and why. Defaults to ().
        duplicates: (kept item, item like it, what was done) for each duplicate. Defaults to ().
        label_issues: Ranked by `find_label_issues`; those that are likely are shown. Defaults to ().
        trials: What was tried on the way to the model. Defaults to ().
        committee: The members of the model, alone and together. Defaults to None.
        distilled: The model beside its teacher. Defaults to None: it had none.
        glimpse: Shows an item by its name: a small JPEG, the beginning of a text, or None. Defaults to None.
        places: Makes the map of the items, in a second or two, when the page is written. Defaults to None.
        reasons: Finds why the first of the worst errors were made, in their order, when the page is written.
            Defaults to None.
    """

    title: str
    evaluations: Mapping[str, Any]
    noun: str = "items"
    facts: Sequence[tuple[str, str]] = ()
    plan: str = ""
    commands: str = ""
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    data_notes: Sequence[str] = ()
    left_out: Sequence[Problem] = ()
    duplicates: Sequence[tuple[str, str, str]] = ()
    label_issues: Sequence[LabelIssue] = ()
    trials: Sequence[Trial] = ()
    committee: Committee | None = None
    distilled: Distilled | None = None
    glimpse: Callable[[str], Glimpse | None] | None = None
    places: Callable[[], ItemMap | None] | None = None
    reasons: Callable[[], Sequence[Reason]] | None = None

    @property
    def why(self) -> Sequence[Reason]:
        """Why the first of the worst errors were made, in their order; none where that is not known."""
        return [] if self.reasons is None else self.reasons()

    @property
    def split(self) -> str:
        """Name of the evaluation that counts most."""
        return next(iter(self.evaluations))

    @property
    def evaluation(self) -> Any:
        """The evaluation that counts most."""
        return self.evaluations[self.split]


Section = Callable[[ReportInput], tuple[str, list[Markup]] | None]


def percent(share: float, unit: bool = True) -> str:
    """Return a share as people read it: "99.0 %", with a space that does not break."""
    return f"{100 * share:.1f}" + ("\u00a0%" if unit else "")


def _points(interval: tuple[float, float]) -> str:
    return f"{percent(interval[0], unit=False)}–{percent(interval[1])}"


WHAT_SPLITS_ARE = {
    "test": "never used for any choice: this is what to expect from new data like it",
    "validation": "not used for fitting, but for choosing settings: slightly optimistic",
    "cross-validation": "each item answered by a model that was not fitted on it",
    "train": "the model was fitted on these: far too optimistic",
}


def mistakes(report: ReportInput) -> tuple[str, list[Markup]] | None:
    """Where the answers are wrong: confusion matrix and most-confused pairs."""
    evaluation: Evaluation = report.evaluation
    words = paragraph(
        "Rows are the true classes, columns the answers. Blue is right, orange is wrong; the stronger the "
        "colour, the larger the share of that row.",
        quiet=True,
    )
    picture = confusion_chart(evaluation)
    if not evaluation.confused:
        return "Where it is right and wrong", [words, picture]
    rows: list[list[Cell]] = [
        [pair.true, pair.answer, pair.count, bar(pair.share, percent(pair.share))]
        for pair in evaluation.confused[:10]
    ]
    pairs = table(["class", "taken for", "items", "of the class"], rows)
    listed = fragment("<h3>Most confused</h3>{}", pairs)
    few = len(evaluation.labels) <= 12
    return "Where it is right and wrong", [
        words,
        *([side_by_side(picture, listed)] if few else [picture, listed]),
    ]


def classes(report: ReportInput) -> tuple[str, list[Markup]] | None:
    """The figures of each class."""
    evaluation: Evaluation = report.evaluation

    def share(value: float | None) -> Cell:
        return None if value is None else bar(value, f"{value:.3f}")

    rows: list[list[Cell]] = [
        [s.label, s.support, share(s.precision), share(s.recall), share(s.f1), s.roc_auc]
        for s in evaluation.per_class
    ]
    words = paragraph(
        "Precision: of the items answered so, how many are. Recall: of the items that are, how many are "
        "answered so. F1 is their harmonic mean.",
        quiet=True,
    )
    averages = table(
        ["average", "precision", "recall", "F1"],
        [
            [n, evaluation.precision[n], evaluation.recall[n], evaluation.f1[n]]
            for n in ("macro", "micro", "weighted")
        ],
    )
    every = table(["class", "items", "precision", "recall", "F1", "ROC AUC"], rows)
    return "Class by class", [words, every, details("Averages", averages)]


def curves(report: ReportInput) -> tuple[str, list[Markup]] | None:
    """ROC and precision-recall curves."""
    evaluation: Evaluation = report.evaluation
    if not evaluation.roc:
        return None
    if len(evaluation.labels) == 2:
        second = evaluation.labels[1]
        text = f"How well the probability of “{second}” separates the two classes, at every threshold."
    else:
        text = "How well each class is separated from the rest, at every threshold; grey: single classes."
    return "Separation", [
        paragraph(text, quiet=True),
        side_by_side(roc_chart(evaluation), pr_chart(evaluation)),
    ]


def confidence(report: ReportInput) -> tuple[str, list[Markup]] | None:
    """Whether the confidence can be believed."""
    evaluation: Evaluation = report.evaluation
    text = (
        "Where it says 90 %, is it right 9 times in 10? The mean gap is "
        f"{percent(evaluation.calibration.ece)} (expected calibration error, 15 bins of equal width)"
    )
    before = evaluation.uncalibrated
    text += f"; before calibration it was {percent(before.ece)}." if before else "."
    found = [paragraph(text), side_by_side(reliability_chart(evaluation), confidence_chart(evaluation))]
    if evaluation.abstention is not None:
        found.append(paragraph(_on_silence(evaluation.abstention, report.noun)))
    if evaluation.sets is not None:
        sets = evaluation.sets
        found.append(
            paragraph(
                f"Its conformal sets hold the true class for {percent(sets.coverage)} of the {report.noun}, "
                f"with {sets.mean_size:.2f} classes on average; {percent(sets.single)} name a single class."
            )
        )
    return "Can its confidence be believed?", found


def _on_silence(quiet: Abstention, noun: str) -> str:
    """Say what withholding uncertain answers would change."""
    if quiet.answered == 1:
        return f"Asked to withhold uncertain answers, it would still answer about all {noun}."
    result = "" if quiet.accuracy is None else f" and is right in {percent(quiet.accuracy)} of these"
    return (
        f"Keeping quiet below a confidence of {quiet.threshold:.2f} (the dashed line), it answers "
        f"{percent(quiet.answered)} of the {noun}{result}."
    )


def surprises(report: ReportInput) -> tuple[str, list[Markup]] | None:
    """The items with the largest loss."""
    losses = report.evaluation.losses[:_SHOWN_LOSSES]
    words = paragraph(f"The {report.noun} whose true class surprised the model most.", quiet=True)
    rows: list[list[Cell]] = [
        [x.name, x.true, x.answer, x.confidence, x.true_probability, x.loss] for x in losses
    ]
    columns = ["item", "true class", "answer", "confidence", "probability of the true class", "loss"]
    if report.glimpse is None:
        return "Top losses", [words, table(columns, rows)]
    shown = [
        (
            x.name,
            f"{x.name}: {x.true}, answered {x.answer}",
            fragment(
                'is <b>{}</b>, answer <b class="{}">{}</b> {}<br><span class="quiet">{}</span>',
                x.true,
                "good" if x.true == x.answer else "bad",
                x.answer,
                percent(x.confidence),
                x.name,
            ),
        )
        for x in losses
    ]
    errors = shown_errors(shown, report.why, report.glimpse)
    return "Top losses", [words, *errors, details("Table", table(columns, rows))]


def labels(report: ReportInput) -> tuple[str, list[Markup]] | None:
    """Labels that are probably wrong."""
    if not report.label_issues:
        return None
    likely = [issue for issue in report.label_issues if issue.likely]
    checked = f"{len(report.label_issues):,} labels were checked by models that had not seen them"
    if not likely:
        return "Likely label errors", [paragraph(f"{checked}; none looks wrong.")]
    many = "one looks wrong" if len(likely) == 1 else f"{len(likely):,} look wrong"
    words = paragraph(f"{checked} (confident learning, Northcutt et al. 2021); {many}. Please look at them.")
    rows: list[list[Cell]] = [
        [issue.name, issue.given, issue.suggested, issue.score] for issue in likely[:_SHOWN_ROWS]
    ]
    listed = table(["item", "label", "more likely", "suspicion"], rows)
    if report.glimpse is None:
        return "Likely label errors", [words, listed]
    shown = [
        (
            report.glimpse(issue.name),
            f"{issue.name}: labelled {issue.given}, more likely {issue.suggested}",
            fragment(
                'labelled <b>{}</b>, more likely <b>{}</b><br><span class="quiet">{}</span>',
                issue.given,
                issue.suggested,
                issue.name,
            ),
        )
        for issue in likely[:_SHOWN_ISSUES]
    ]
    return "Likely label errors", [words, glimpses(shown), details("Table", listed)]


def data(report: ReportInput) -> tuple[str, list[Markup]] | None:
    """What the model learned from and was tried on."""
    found = [paragraph(note) for note in report.data_notes]
    if report.counts:
        several = isinstance(report.evaluation, LabelsEvaluation)
        found.append(count_chart(report.counts, "label" if several else "class"))
    if report.duplicates:
        pairs = table(["item", "is like", "what was done"], report.duplicates[:_SHOWN_ROWS])
        found.append(details(f"Duplicates ({len(report.duplicates):,})", pairs))
    if report.left_out:
        problems = table(
            ["file", "why"], [[problem.name, problem.reason] for problem in report.left_out[:_SHOWN_ROWS]]
        )
        found.append(
            details(f"Left out ({len(report.left_out):,})", problems, is_open=len(report.left_out) <= 10)
        )
    return ("The data", found) if found else None


def splits(report: ReportInput) -> tuple[str, list[Markup]] | None:
    """All evaluations beside each other."""
    rows: list[list[Cell]] = []
    for name, evaluation in report.evaluations.items():
        accuracy = f"{percent(evaluation.accuracy)} ({_points(evaluation.accuracy_interval)})"
        figures = [evaluation.f1["macro"], evaluation.calibration.log_loss, evaluation.calibration.ece]
        rows.append([name, len(evaluation.y), accuracy, *figures, WHAT_SPLITS_ARE.get(name, "")])
    columns = ["split", "items", "accuracy (95 % interval)", "macro F1", "log loss", "ECE", "what it is"]
    return "On which data", [table(columns, rows)]


def members(report: ReportInput) -> tuple[str, list[Markup]] | None:
    """How the members of the model do, alone and together."""
    return committee_section(report.committee)


def teacher(report: ReportInput) -> tuple[str, list[Markup]] | None:
    """The model beside its teacher: size, speed, accuracy."""
    return distillation_section(report.distilled)


def item_map(report: ReportInput) -> tuple[str, list[Markup]] | None:
    """Where the items lie by their features."""
    return None if report.places is None else map_section(report.places(), report.noun, report.glimpse)


def tried(report: ReportInput) -> tuple[str, list[Markup]] | None:
    """What was tried on the way to the model, with training curves."""
    return trials_section(report.trials)


def making(report: ReportInput) -> tuple[str, list[Markup]] | None:
    """How the model was made, and how to make it again."""
    found = []
    if report.plan:
        found.append(paragraph(report.plan))
    if report.facts:
        found.append(facts(report.facts))
    if report.commands:
        found += [Markup("<h3>To do it again</h3>"), fragment("<pre><code>{}</code></pre>", report.commands)]
    return ("How it was made", found) if found else None


SECTIONS: tuple[Section, ...] = (
    teacher,
    mistakes,
    classes,
    curves,
    confidence,
    surprises,
    labels,
    item_map,
    splits,
    members,
    tried,
    data,
    making,
)
"""The sections in the order in which people want to know. A later room adds its own: `(*SECTIONS, mine)`."""
