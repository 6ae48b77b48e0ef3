"""The report where items have several labels: its sentence, its key figures, its sections."""

from __future__ import annotations

import numpy as np

from headstart.evaluation.charts import curve_chart
from headstart.evaluation.label_metrics import LabelMistake, LabelsEvaluation
from headstart.evaluation.reasons import shown_errors
from headstart.evaluation.sections import (
    WHAT_SPLITS_ARE,
    ReportInput,
    Section,
    data,
    item_map,
    making,
    percent,
    tried,
)
from headstart.figures import chart, plot
from headstart.pages import (
    ACCENT,
    LINE,
    SECOND,
    Cell,
    Markup,
    bar,
    cards,
    details,
    fragment,
    paragraph,
    short,
    side_by_side,
    table,
)

_SHOWN_LOSSES = 24


def sentence(evaluation: LabelsEvaluation) -> str:
    """Return how good it is, to follow "On 120 pictures it had never seen, "."""
    if evaluation.mean_average_precision is None or evaluation.map_interval is None:
        right = percent(evaluation.subset_accuracy)
        return f"none of which has any of its labels, the model rightly names none for {right}."
    low, high = evaluation.map_interval
    many = "1 label" if len(evaluation.labels) == 1 else f"{len(evaluation.labels)} labels"
    return (
        f"the average precision over {many} is {evaluation.mean_average_precision:.3f} "
        f"(95\u00a0% interval {low:.3f}–{high:.3f}); {percent(evaluation.micro['precision'])} of the labels "
        f"it names are right, and it names {percent(evaluation.micro['recall'])} of those there are."
    )


def key_numbers(evaluation: LabelsEvaluation) -> Markup:
    """Return the figures that people ask for first, as cards."""
    found = []
    if evaluation.mean_average_precision is not None and evaluation.map_interval is not None:
        low, high = evaluation.map_interval
        interval = f"{low:.3f}–{high:.3f}; 1 is perfect"
        found.append(("mAP", f"{evaluation.mean_average_precision:.3f}", interval))
    low, high = evaluation.micro_f1_interval
    macro = f"{low:.3f}–{high:.3f}; macro {evaluation.macro['f1']:.3f}"
    found.append(("Micro F1", f"{evaluation.micro['f1']:.3f}", macro))
    found.append(
        ("Precision", percent(evaluation.micro["precision"]), "of the labels it names, how many are right")
    )
    found.append(
        ("Recall", percent(evaluation.micro["recall"]), "of the labels there are, how many it names")
    )
    low, high = evaluation.subset_interval
    interval = f"{percent(low, unit=False)}–{percent(high)}"
    found.append(("All labels right", percent(evaluation.subset_accuracy), f"of the items; {interval}"))
    found.append(
        ("Hamming loss", f"{evaluation.hamming_loss:.3f}", f"log loss {evaluation.log_loss:.3f} a label")
    )
    return cards(found)


def each_label(report: ReportInput) -> tuple[str, list[Markup]] | None:
    """How well each label is told, at every threshold and at its own."""
    evaluation: LabelsEvaluation = report.evaluation
    words = paragraph(
        "Average precision says how well the label's probability puts the items that have it before those "
        "that do not; the orange mark is what guessing would reach. Precision (of the items it names so, how "
        "many are), recall (of the items that are, how many it names so) and F1 are those at the threshold.",
        quiet=True,
    )
    pictures = [ap_chart(evaluation)]
    if evaluation.pr:
        alt = f"Precision-recall curves; average precision: {evaluation.pr[0].area:.4f}."
        pictures.append(curve_chart(evaluation.pr, "recall", "precision", alt, "average precision"))
    rows: list[list[Cell]] = [
        [
            s.label,
            s.support,
            None if s.average_precision is None else bar(s.average_precision, f"{s.average_precision:.3f}"),
            s.precision,
            s.recall,
            s.f1,
            s.threshold,
        ]
        for s in evaluation.per_label
    ]
    columns = ["label", "items", "average precision", "precision", "recall", "F1", "threshold"]
    averages = table(
        ["average", "precision", "recall", "F1"],
        [
            [name, figures["precision"], figures["recall"], figures["f1"]]
            for name, figures in (("micro", evaluation.micro), ("macro", evaluation.macro))
        ],
    )
    few = len(evaluation.labels) <= 15
    drawn = [side_by_side(*pictures)] if few else pictures
    return "Label by label", [words, *drawn, table(columns, rows), details("Averages", averages)]


def ap_chart(evaluation: LabelsEvaluation) -> Markup:
    """Draw the average precision of each label, the best first, with what guessing would reach."""
    known = [s for s in evaluation.per_label if s.average_precision is not None]
    known.sort(key=lambda score: -(score.average_precision or 0))
    values = [score.average_precision or 0.0 for score in known]
    chance = [score.support / len(evaluation.y) for score in known]
    figure, axes = plot(4.6 if len(known) <= 15 else 6.4, float(np.clip(0.8 + 0.26 * len(known), 4.0, 12)))
    places = np.arange(len(known))
    axes.barh(places, values, 0.7, color=ACCENT)
    axes.scatter(chance, places, marker="|", s=120, color=SECOND, linewidths=2.5, zorder=3)
    axes.set_ylim(len(known) - 0.4, -0.6)
    size = float(np.clip(400 / max(len(known), 1), 4, 9))
    axes.set_yticks(places, [short(score.label) for score in known], fontsize=size)
    axes.set(xlim=(0, 1.02), xlabel="average precision")
    axes.grid(False, axis="y")
    axes.spines[["left", "bottom"]].set_color(LINE)
    best, worst = (f"{known[i].label} {values[i]:.3f}" if known else "none" for i in (0, -1))
    alt = f"Average precision of {len(known)} labels, from {best} down to {worst}."
    rows: list[list[Cell]] = [
        [s.label, value, guess] for s, value, guess in zip(known, values, chance, strict=True)
    ]
    return chart(figure, alt, table(["label", "average precision", "by guessing"], rows))


def surprises(report: ReportInput) -> tuple[str, list[Markup]] | None:
    """The items with the largest loss."""
    evaluation: LabelsEvaluation = report.evaluation
    losses = evaluation.losses[:_SHOWN_LOSSES]
    words = paragraph(f"The {report.noun} whose labels surprised the model most.", quiet=True)
    rows: list[list[Cell]] = [
        [x.name, _list(x.true), _list(x.missed), _list(x.added), x.loss] for x in losses
    ]
    listed = table(["item", "labels", "missed", "wrongly named", "loss"], rows)
    if report.glimpse is None:
        return "Top losses", [words, listed]
    shown = [(x.name, f"{x.name}: {_list(x.true)}", _caption(x)) for x in losses]
    return "Top losses", [words, *shown_errors(shown, report.why, report.glimpse), details("Table", listed)]


def _caption(x: LabelMistake) -> Markup:
    parts = [fragment("has <b>{}</b>", _list(x.true))]
    if x.missed:
        parts.append(fragment('missed <b class="bad">{}</b>', _list(x.missed)))
    if x.added:
        parts.append(fragment('wrongly <b class="bad">{}</b>', _list(x.added)))
    parts.append(fragment('<span class="quiet">{}</span>', x.name))
    return Markup("<br>").join(parts)


def _list(labels: tuple[str, ...]) -> str:
    return ", ".join(labels) or "–"


def splits(report: ReportInput) -> tuple[str, list[Markup]] | None:
    """All evaluations beside each other."""
    rows: list[list[Cell]] = []
    for name, evaluation in report.evaluations.items():
        figures = [evaluation.mean_average_precision, evaluation.micro["f1"], evaluation.macro["f1"]]
        exact = percent(evaluation.subset_accuracy)
        rows.append([name, len(evaluation.y), *figures, exact, WHAT_SPLITS_ARE.get(name, "")])
    columns = ["split", "items", "mAP", "micro F1", "macro F1", "all labels right", "what it is"]
    return "On which data", [table(columns, rows)]


SECTIONS: tuple[Section, ...] = (each_label, surprises, item_map, splits, tried, data, making)
"""The sections in the order in which people want to know."""
