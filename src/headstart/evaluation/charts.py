"""The charts of the report: confusion matrix, ROC and precision-recall curves, reliability, confidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart.evaluation.curves import MEAN, Curve
from headstart.evaluation.results import Calibration, Evaluation
from headstart.figures import chart, plot
from headstart.pages import ACCENT, LINE, MUTED, SECOND, Cell, Markup, short, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NUMBERED = 15  # with more classes the counts no longer fit into the cells
_NAMED = 60  # with more classes the names no longer fit beside the rows
_SHADES = 12
_TABLE_ROWS = 400
_SQUARE = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5]])


def confusion_chart(evaluation: Evaluation) -> Markup:
    """Draw the confusion matrix: right and wrong answers in two colours, shaded by share of the row."""
    matrix, labels = evaluation.confusion, evaluation.labels
    classes = len(labels)
    size = float(np.clip(2.4 + 0.26 * classes, 3.6, 9.0))
    figure, axes = plot(size, size * 0.94)
    axes.grid(False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set(xlim=(-0.5, classes - 0.5), ylim=(classes - 0.5, -0.5), aspect="equal")
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    _draw_cells(axes, share)
    if classes <= _NUMBERED:
        for i, j in zip(*np.nonzero(matrix), strict=True):
            colour = "white" if share[i, j] > 0.4 else "black"
            axes.text(j, i, f"{matrix[i, j]:,}", ha="center", va="center", color=colour, fontsize=9)
    if classes <= _NAMED:
        font = float(np.clip(260 / classes, 5, 9))
        names = [short(label, 18) for label in labels]
        axes.set_xticks(range(classes), names, rotation=45 if classes <= 20 else 90, fontsize=font)
        axes.set_yticks(range(classes), names, fontsize=font)
        for tick in axes.get_xticklabels():
            tick.set(
                ha="right" if classes <= 20 else "center", rotation_mode="anchor" if classes <= 20 else None
            )
    order = "" if classes <= _NAMED else " (its place in the table below)"
    axes.set(xlabel=f"answer{order}", ylabel=f"true class{order}")
    wrong = int(matrix.sum() - np.trace(matrix))
    alt = (
        f"Confusion matrix of {classes} classes, true class by row and answer by column: "
        f"{int(np.trace(matrix)):,} right answers on the diagonal, {wrong:,} wrong ones beside it."
    )
    return chart(figure, alt, _confusion_table(evaluation))


def _draw_cells(axes: Axes, share: NDArray[np.float64]) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    # One path for each colour and shade: 120 classes would be 14,400 elements otherwise. The root, and that
    # no shade is very faint, make the few mistakes of a good model visible.
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    shade = np.ceil(np.sqrt(share) * _SHADES).astype(int)
    diagonal = np.eye(len(share), dtype=bool)
    for on_diagonal, colour in ((True, ACCENT), (False, SECOND)):
        for level in range(1, _SHADES + 1):
            cells = np.argwhere((shade == level) & (diagonal == on_diagonal))
            if len(cells):
                corners = (cells[:, None, ::-1] + _SQUARE).reshape(-1, 2)
                path = Path(corners, np.tile(codes, len(cells)))
                axes.add_patch(
                    PathPatch(path, facecolor=colour, alpha=(level + 3) / (_SHADES + 3), linewidth=0)
                )


def _confusion_table(evaluation: Evaluation) -> Markup:
    matrix, labels = evaluation.confusion, evaluation.labels
    if len(labels) <= _NUMBERED:
        rows: list[list[Cell]] = [
            [label, *(int(count) for count in matrix[i])] for i, label in enumerate(labels)
        ]
        return table(["true \\ answer", *labels], rows)
    cells = sorted(np.argwhere(matrix > 0).tolist(), key=lambda cell: -matrix[cell[0], cell[1]])
    wrong = [cell for cell in cells if cell[0] != cell[1]]
    right = [cell for cell in cells if cell[0] == cell[1]]
    kept = right + wrong[:_TABLE_ROWS]
    caption = "" if len(wrong) <= _TABLE_ROWS else f"the {_TABLE_ROWS} most frequent mistakes"
    return table(
        ["true class", "answer", "items"],
        [[labels[i], labels[j], int(matrix[i, j])] for i, j in kept],
        caption,
    )


def roc_chart(evaluation: Evaluation) -> Markup:
    """Draw the ROC curves."""
    area = "area under it" if len(evaluation.roc) == 1 else "mean area under them"
    alt = f"ROC curves, true positive rate against false positive rate; {area}: {evaluation.auc:.4f}."
    return curve_chart(evaluation.roc, "false positive rate", "true positive rate", alt, "AUC")


def pr_chart(evaluation: Evaluation) -> Markup:
    """Draw the precision-recall curves."""
    alt = f"Precision-recall curves; average precision: {evaluation.average_precision:.4f}."
    return curve_chart(evaluation.pr, "recall", "precision", alt, "average precision")


def curve_chart(curves: Sequence[Curve], xlabel: str, ylabel: str, alt: str, area: str) -> Markup:
    """Draw curves between 0 and 1: the first strongly, with its area, the others in grey."""
    figure, axes = plot(4.6, 4.0)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=xlabel, ylabel=ylabel)
    headline, *others = curves
    for curve in others:
        axes.plot(curve.x, curve.y, color=MUTED, linewidth=0.8, alpha=0.45)
    axes.plot(headline.x, headline.y, color=ACCENT, linewidth=2)
    name = short(headline.label) if headline.label != MEAN else MEAN
    axes.text(0.97, 0.06, f"{name}\n{area} {headline.area:.4f}", ha="right", color=ACCENT, fontsize=10)
    return chart(
        figure, alt, table(["curve", area], [[curve.label, f"{curve.area:.4f}"] for curve in curves])
    )


def reliability_chart(evaluation: Evaluation) -> Markup:
    """Draw the reliability diagram, before and after calibration."""
    figure, axes = plot(4.6, 4.0)
    axes.set(xlim=(0, 1.02), ylim=(-0.02, 1.04), xlabel="confidence", ylabel="share that is right")
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 4)))
    shown: list[tuple[str, Calibration, str, str]] = [("calibrated", evaluation.calibration, ACCENT, "o-")]
    if evaluation.uncalibrated is not None:
        shown.insert(0, ("before calibration", evaluation.uncalibrated, SECOND, "s--"))
    for height, (name, figures, colour, style) in enumerate(reversed(shown)):
        points = [(b.confidence, b.accuracy) for b in figures.bins if b.count]
        x, y = np.array(points, dtype=float).T
        axes.plot(x, y, style, color=colour, markersize=5, linewidth=1.5)
        if len(shown) > 1:
            axes.text(0.98, 0.05 + 0.08 * height, name, ha="right", color=colour, fontsize=10)
    ece = ", ".join(f"{name} {figures.ece:.3f}" for name, figures, _, _ in shown)
    alt = f"Reliability diagram: share of right answers by confidence. Expected calibration error: {ece}."
    columns = ["when", "confidence from", "to", "items", "mean confidence", "share right"]
    rows: list[list[Cell]] = []
    for name, figures, _, _ in shown:
        rows += [[name, b.low, b.high, b.count, b.confidence, b.accuracy] for b in figures.bins if b.count]
    return chart(figure, alt, table(columns, rows))


def confidence_chart(evaluation: Evaluation) -> Markup:
    """Draw how confident right and wrong answers are, and where the model abstains."""
    figure, axes = plot(4.6, 4.0)
    edges = np.linspace(0, 1, 21)
    right = np.histogram(evaluation.confidence[evaluation.right], edges)[0]
    wrong = np.histogram(evaluation.confidence[~evaluation.right], edges)[0]
    width = 0.021
    axes.bar(edges[:-1] + 0.0145, right, width, color=ACCENT)
    axes.bar(edges[:-1] + 0.0355, wrong, width, color=SECOND)
    axes.set_yscale("symlog", linthresh=1)
    top = max(int(right.max()), int(wrong.max()), 1)
    ticks = [0, *(10**i for i in range(len(str(top))))]
    axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    low = float(np.floor(min(evaluation.confidence.min(), 0.95) * 10) / 10)
    axes.set(xlim=(low - 0.01, 1.01), ylim=(0, top * 2.5), xlabel="confidence", ylabel="items (logarithmic)")
    axes.grid(False, axis="x")
    axes.text(low, top * 1.6, "right", color=ACCENT, fontsize=10, va="center")
    axes.text(low + 0.12 * (1 - low), top * 1.6, "wrong", color=SECOND, fontsize=10, va="center")
    alt = f"Histogram of confidence: {int(right.sum()):,} right and {int(wrong.sum()):,} wrong answers."
    if evaluation.abstention is not None:
        threshold = evaluation.abstention.threshold
        axes.axvline(threshold, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
        alt += f" Below {threshold:.2f} the model can abstain."
    rows: list[list[Cell]] = [
        [f"{edges[i]:.2f}", f"{edges[i + 1]:.2f}", int(right[i]), int(wrong[i])]
        for i in range(20)
        if right[i] + wrong[i]
    ]
    return chart(figure, alt, table(["confidence from", "to", "right", "wrong"], rows))


def count_chart(counts: dict[str, dict[str, int]], what: str = "class") -> Markup:
    """Draw how many items each class has, over all splits; `counts` is {split: {label: items}}.

    Where an item may have several labels, `what` is "label", and there is no sum.
    """
    labels = list(dict.fromkeys(label for split in counts.values() for label in split))
    totals = [sum(split.get(label, 0) for split in counts.values()) for label in labels]
    rows: list[list[Cell]] = [
        [label, *(split.get(label, 0) for split in counts.values()), total]
        for label, total in zip(labels, totals, strict=True)
    ]
    if what == "class":
        rows.append(["all", *(sum(split.values()) for split in counts.values()), sum(totals)])
    numbers = table([what, *counts, "all"], rows)
    height = float(np.clip(0.6 + 0.26 * len(labels), 1.6, 12))
    figure, axes = plot(6.4, height)
    axes.barh(range(len(labels)), totals, 0.7, color=ACCENT)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_yticks(
        range(len(labels)),
        [short(label) for label in labels],
        fontsize=float(np.clip(400 / len(labels), 4, 9)),
    )
    axes.grid(False, axis="y")
    axes.spines[["left", "bottom"]].set_color(LINE)
    axes.set_xlabel("items")
    kinds = f"{len(labels)} {'classes' if what == 'class' else 'labels'}"
    alt = f"Items of each of {kinds}, from {min(totals):,} to {max(totals):,}."
    return chart(figure, alt, numbers)
