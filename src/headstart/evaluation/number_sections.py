"""The report where answers are numbers: its sentence, its key figures, its sections."""

from __future__ import annotations

import math

import numpy as np

from headstart.evaluation.number_metrics import NumberEvaluation
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
    MUTED,
    SECOND,
    Cell,
    Markup,
    cards,
    details,
    fragment,
    paragraph,
    side_by_side,
    table,
)

_SHOWN_LOSSES = 24
_DOTS = 2000
_PARTS = 8


def figure_text(value: float) -> str:
    """Return a number with three significant digits, as people write it.

    Example:
        >>> [figure_text(x) for x in (1234.5, 12.345, 0.012345, 0.0, -2.0, 1.2e-7)]
        ['1,234', '12.3', '0.0123', '0', '−2.00', '1.2e-07']
    """
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    text = f"{abs(value):,.{max(0, 2 - size)}f}" if -4 <= size < 9 else f"{abs(value):.3g}"
    return f"−{text}" if value < 0 else text


def sentence(evaluation: NumberEvaluation) -> str:
    """Return how good it is, to follow "On 120 pictures it had never seen, "."""
    low, high = map(figure_text, evaluation.mae_interval)
    return (
        f"the model is off by {figure_text(evaluation.mae)} on average (95\u00a0% interval {low}–{high}); "
        f"one answer for all, the middle one, would be off by {figure_text(evaluation.baseline)}."
    )


def key_numbers(evaluation: NumberEvaluation) -> Markup:
    """Return the figures that people ask for first, as cards."""
    low, high = map(figure_text, evaluation.mae_interval)
    median = f"median {figure_text(evaluation.median_absolute_error)}"
    found = [("Mean absolute error", figure_text(evaluation.mae), f"{low}–{high}; {median}")]
    low, high = map(figure_text, evaluation.rmse_interval)
    found.append(("RMSE", figure_text(evaluation.rmse), f"{low}–{high}"))
    if evaluation.r2 is not None:
        interval = evaluation.r2_interval
        note = f"{interval[0]:.3f}–{interval[1]:.3f}; 1 is perfect" if interval else "1 is perfect"
        found.append(("R²", f"{evaluation.r2:.3f}", note))
    found.append(("Bias", figure_text(evaluation.bias), "answer − truth, on average"))
    if evaluation.coverage is not None and evaluation.mean_width is not None:
        width = f"of the truths; {figure_text(evaluation.mean_width)} wide on average"
        found.append(("Inside its interval", percent(evaluation.coverage), width))
    return cards(found)


def agreement(report: ReportInput) -> tuple[str, list[Markup]] | None:
    """Answers against truths, and how far off they are."""
    evaluation: NumberEvaluation = report.evaluation
    text = "Left: each dot an item; on the line the answer is the truth. Right: how far off the answers are."
    if evaluation.coverage is not None:
        text += " Dashed: the interval that it gives with each answer."
    pictures = side_by_side(scatter_chart(evaluation), error_chart(evaluation))
    return "Answers and truths", [paragraph(text, quiet=True), pictures, _by_size(evaluation)]


def scatter_chart(evaluation: NumberEvaluation) -> Markup:
    """Draw the answers against the truths."""
    figure, axes = plot(4.6, 4.4)
    y, answers = evaluation.y, evaluation.answers
    shown = np.arange(len(y))
    if len(y) > _DOTS:
        shown = np.sort(np.random.default_rng(0).permutation(len(y))[:_DOTS])
    low, high = float(min(y.min(), answers.min())), float(max(y.max(), answers.max()))
    margin = 0.04 * (high - low) or 1.0
    ends = np.array([low - margin, high + margin])
    axes.plot(ends, ends, color=MUTED, linewidth=1)
    if evaluation.width is not None:
        half = float(evaluation.width.mean())
        for sign in (-1, 1):
            axes.plot(ends, ends + sign * half, color=MUTED, linewidth=1, linestyle=(0, (4, 4)))
    opacity = float(np.clip(60 / len(shown), 0.15, 0.8))
    axes.scatter(y[shown], answers[shown], s=14, color=ACCENT, alpha=opacity, linewidths=0)
    axes.set(xlim=tuple(ends), ylim=tuple(ends), xlabel="truth", ylabel="answer")
    r2 = "" if evaluation.r2 is None else f" R² is {evaluation.r2:.3f}."
    alt = f"Answers against truths, from {figure_text(low)} to {figure_text(high)}.{r2}"
    rows: list[list[Cell]] = [[evaluation.names[i], f"{y[i]:.6g}", f"{answers[i]:.6g}"] for i in shown[:200]]
    return chart(figure, alt, table(["item", "truth", "answer"], rows))


def error_chart(evaluation: NumberEvaluation) -> Markup:
    """Draw the histogram of answer − truth."""
    figure, axes = plot(4.6, 4.4)
    reach = float(np.abs(evaluation.errors).max()) or 1.0
    edges = np.linspace(-reach, reach, 26)
    counts, _ = np.histogram(evaluation.errors, edges)
    axes.bar((edges[:-1] + edges[1:]) / 2, counts, 0.92 * (edges[1] - edges[0]), color=ACCENT)
    axes.axvline(0, color=MUTED, linewidth=1)
    if evaluation.width is not None:
        for sign in (-1, 1):
            half = sign * float(evaluation.width.mean())
            axes.axvline(half, color=SECOND, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.set(xlabel="answer − truth", ylabel="items")
    axes.grid(False, axis="x")
    alt = (
        f"Histogram of answer minus truth: half of the items are off by less than "
        f"{figure_text(evaluation.median_absolute_error)}, the worst by {figure_text(reach)}."
    )
    rows: list[list[Cell]] = [
        [figure_text(edges[i]), figure_text(edges[i + 1]), int(count)]
        for i, count in enumerate(counts)
        if count
    ]
    return chart(figure, alt, table(["from", "to", "items"], rows))


def _by_size(evaluation: NumberEvaluation) -> Markup:
    """Return a table of the errors on small and on large numbers."""
    order = np.argsort(evaluation.y, kind="stable")
    parts = np.array_split(order, min(_PARTS, max(1, len(order) // 5)))
    rows: list[list[Cell]] = []
    for part in parts:
        y, errors = evaluation.y[part], evaluation.errors[part]
        span = f"{figure_text(y.min())} to {figure_text(y.max())}"
        mean, off = figure_text(float(np.abs(errors).mean())), figure_text(float(errors.mean()))
        row: list[Cell] = [span, len(part), mean, off]
        if evaluation.width is not None:
            row.append(percent(float((np.abs(errors) <= evaluation.width[part]).mean())))
        rows.append(row)
    columns = ["truth", "items", "mean absolute error", "bias"]
    columns += ["inside the interval"] if evaluation.width is not None else []
    return table(columns, rows, "From small to large numbers")


def surprises(report: ReportInput) -> tuple[str, list[Markup]] | None:
    """The items that are most off."""
    evaluation: NumberEvaluation = report.evaluation
    losses = evaluation.losses[:_SHOWN_LOSSES]
    words = paragraph(f"The {report.noun} that the model is most wrong about.", quiet=True)
    rows: list[list[Cell]] = [
        [x.name, f"{x.true:.6g}", f"{x.answer:.6g}", figure_text(x.off)] for x in losses
    ]
    listed = table(["item", "truth", "answer", "off by"], rows)
    if report.glimpse is None:
        return "Most off", [words, listed]
    shown = [
        (
            x.name,
            f"{x.name}: {figure_text(x.true)}, answered {figure_text(x.answer)}",
            fragment(
                'is <b>{}</b>, answer <b>{}</b><br><span class="quiet">{}</span>',
                f"{x.true:.6g}",
                figure_text(x.answer),
                x.name,
            ),
        )
        for x in losses
    ]
    return "Most off", [words, *shown_errors(shown, report.why, report.glimpse), details("Table", listed)]


def splits(report: ReportInput) -> tuple[str, list[Markup]] | None:
    """All evaluations beside each other."""
    rows: list[list[Cell]] = []
    for name, evaluation in report.evaluations.items():
        low, high = map(figure_text, evaluation.mae_interval)
        off = f"{figure_text(evaluation.mae)} ({low}–{high})"
        coverage = None if evaluation.coverage is None else percent(evaluation.coverage)
        figures: list[Cell] = [off, figure_text(evaluation.rmse), evaluation.r2, coverage]
        rows.append([name, len(evaluation.y), *figures, WHAT_SPLITS_ARE.get(name, "")])
    columns = ["split", "items", "mean absolute error (95 % interval)", "RMSE", "R²", "inside its interval"]
    return "On which data", [table([*columns, "what it is"], rows)]


SECTIONS: tuple[Section, ...] = (agreement, surprises, item_map, splits, tried, data, making)
"""The sections in the order in which people want to know."""
