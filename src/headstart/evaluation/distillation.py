"""Teacher and student beside each other: how large, how fast, how good. A section of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headstart.evaluation.compare import Comparison
from headstart.evaluation.trials import Trial
from headstart.figures import chart
from headstart.pages import ACCENT, INK, LINE, MUTED, SECOND, Cell, Markup, paragraph, table
from headstart.training.diagnosis_page import training_curves


@dataclass(frozen=True)
class Footprint:
    """What a model needs to answer.

    Args:
        megabytes: Its networks and heads on the disk, float; 1 MB is a million bytes.
        parameters: Numbers in its networks and heads, int.
        milliseconds: For one item, its input prepared, nothing else asked, float.
    """

    megabytes: float
    parameters: int
    milliseconds: float


@dataclass(frozen=True)
class Distilled:
    """What came of a distillation.

    Args:
        teacher: The teacher in a few words, str.
        student: The student in a few words, str.
        footprints: Of teacher and student.
        comparison: Their answers to the same held-out items, A is the teacher.
        split: What these items are: "test" or "validation".
        agreement: Share of these items to which both give the same answer, float.
        alone: Accuracy on them of a head that the labels alone taught, on the student's network as it was
            before, float.
        seen: How many of them the teacher had learned from, int.
        unlabelled: How many items without a label the student learned from, int.
        trial: How its training went.
    """

    teacher: str
    student: str
    footprints: tuple[Footprint, Footprint]
    comparison: Comparison
    split: str
    agreement: float
    alone: float
    seen: int
    unlabelled: int
    trial: Trial

    @property
    def words(self) -> str:
        """The result in one sentence, or in two where the comparison is not fair."""
        teacher, student = self.footprints
        theirs, own = (f"{100 * share:.1f}\u00a0%" for share in self.comparison.accuracy)
        unfair = (
            f" The teacher had learned from {self.seen:,} of them: its accuracy is too optimistic here."
            if self.seen
            else ""
        )
        return (
            f"The student is {_times(teacher.megabytes / student.megabytes, 'smaller', 'larger')} and "
            f"{_times(teacher.milliseconds / student.milliseconds, 'faster', 'slower')} than its teacher: "
            f"{own} right against {theirs} on {self.comparison.items:,} {self.split} items.{unfair}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        who = zip(("teacher", "student"), self.footprints, self.comparison.accuracy, strict=True)
        return {
            **{
                name: {
                    "accuracy": accuracy,
                    "megabytes": round(print_.megabytes, 3),
                    "parameters": print_.parameters,
                    "ms_per_item": round(print_.milliseconds, 3),
                }
                for name, print_, accuracy in who
            },
            "split": self.split,
            "agreement": self.agreement,
            "labels_alone": self.alone,
            "teacher_had_seen": self.seen,
            "unlabelled": self.unlabelled,
            "comparison": self.comparison.to_json(),
        }


def distillation_section(found: Distilled | None) -> tuple[str, list[Markup]] | None:
    """Return the section that compares a student with its teacher; None for other models."""
    if found is None:
        return None
    names = (f"teacher: {found.teacher}", f"student: {found.student}")
    rows: list[list[Cell]] = [
        [
            name,
            f"{100 * accuracy:.1f}\u00a0%",
            f"{print_.megabytes:,.1f}",
            print_.parameters,
            f"{print_.milliseconds:.2f}",
        ]
        for name, print_, accuracy in zip(names, found.footprints, found.comparison.accuracy, strict=True)
    ]
    columns = ["model", f"accuracy ({found.split})", "MB on disk", "parameters", "ms an item"]
    figures = table(columns, rows)
    same, alone = (f"{100 * share:.1f}\u00a0%" for share in (found.agreement, found.alone))
    notes = [
        f"Measured here with OpenVINO, one item at a time. {_sentence(found.comparison.verdict)} They give "
        f"the same answer about {same} of the items. A head that the labels alone taught, on the student's "
        f"network as it was before, is right in {alone}."
    ]
    if found.unlabelled:
        notes.append(f"The student also learned from {found.unlabelled:,} items without a label.")
    parts = [paragraph(found.words), _picture(found, figures), figures, *map(paragraph, notes)]
    if found.trial.run is not None:
        parts += [Markup("<h3>How the student was trained</h3>"), training_curves(found.trial.run)]
    return "Teacher and student", parts


def _picture(found: Distilled, figures: Markup) -> Markup:
    """Draw accuracy, size and time of both as bars."""
    from matplotlib.figure import Figure

    teacher, student = found.footprints
    panels: Sequence[tuple[str, tuple[float, float], str]] = (
        ("accuracy", found.comparison.accuracy, "{:.1%}"),
        ("MB on disk", (teacher.megabytes, student.megabytes), "{:,.1f}"),
        ("ms an item", (teacher.milliseconds, student.milliseconds), "{:.2f}"),
    )
    figure = Figure(figsize=(7.2, 1.7), layout="constrained")
    for place, (name, values, form) in enumerate(panels):
        axes = figure.add_subplot(1, 3, place + 1)
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.spines["left"].set_color(LINE)
        axes.tick_params(colors=MUTED, labelcolor=INK, length=0, labelsize=9)
        axes.set_xticks([])
        axes.barh([1, 0], values, height=0.55, color=[SECOND, ACCENT])
        axes.set_yticks([1, 0], ["teacher", "student"] if place == 0 else ["", ""])
        axes.set_xlim(0, 1.35 * max(*values, 1e-9))
        axes.set_title(name, color=MUTED, fontsize=10, loc="left")
        for height, value in zip((1, 0), values, strict=True):
            axes.annotate(
                form.format(value), (value, height), (5, 0),
                textcoords="offset points", va="center", color=INK, fontsize=9,
            )  # fmt: skip
    return chart(figure, f"Bars of accuracy, size and time of teacher and student. {found.words}", figures)


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]


def _times(ratio: float, more: str, less: str) -> str:
    """Say a ratio: "4.2 times smaller"."""
    return f"{ratio:.1f} times {more}" if ratio >= 1 else f"{1 / ratio:.1f} times {less}"
