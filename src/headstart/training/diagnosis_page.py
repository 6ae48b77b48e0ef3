"""The diagnosis of a training run as one web page, pictures first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from headstart import figures, pages
from headstart.pages import Markup
from headstart.training.diagnostics import Diagnosis, Line, Run, called, told, update_ratios
from headstart.training.plan import HEAD

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 60  # of the strip: what a reader can tell apart
_ROWS = 400
_WIDE = 1e4  # the largest loss, of the smallest, that a linear scale shows
_IDLE, _WILD = -6.0, -1.0  # powers of ten at the ends of the strip's colours


def diagnosis_html(diagnosis: Diagnosis) -> str:
    """Draw a diagnosis as an accessible page that needs nothing but itself.

    Args:
        diagnosis: What `diagnostics.read` returned.

    Returns:
        The page, one str of HTML.
    """
    run = diagnosis.run
    page = pages.Page(f"Training run {run.name}", lead=diagnosis.findings[0].sentence)
    if run.epochs:
        page.section("Training curves", training_curves(run))
    rows = [[finding.severity, finding.sentence] for finding in diagnosis.findings]
    page.section("Findings", pages.table(["severity", "finding"], rows))
    page.section("The plan", run.plan.words())
    if any(line.get("updates") for line in run.steps):
        page.section("What each step changes", *_strip(run))
    if any(line.get("rates") for line in run.steps):
        page.section("Learning rates", _rates(run))
    if any(line.get("squared_gradient") is not None for line in run.epochs):
        page.section("Gradient and curvature", *_conditioning(run))
    if any(line.get("dead") for line in run.epochs):
        page.section("Dead units", *_dead(run))
    return page.html()


def training_curves(run: Run) -> Markup:
    """Draw the losses, and where there are classes the accuracy, of a run of at least one epoch."""
    curves = [_loss(run)]
    if any(line.get("val_accuracy") is not None for line in run.epochs):
        curves.append(_accuracy(run))
    return pages.side_by_side(*curves)


def _loss(run: Run) -> Markup:
    figure, axes = figures.plot(height=3.4)
    x = [line["epoch"] for line in run.epochs]
    _shade(axes, run)
    for key, colour, name in (
        ("train_loss", pages.MUTED, "training"),
        ("val_loss", pages.ACCENT, "validation"),
    ):
        axes.plot(x, _values(run.epochs, key), color=colour, marker="o", markersize=3, label=name)
    if (best := run.best) is not None:
        axes.plot([best["epoch"]], [best["val_loss"]], "o", color=pages.GOOD, markersize=7)
    losses = [value for key in ("train_loss", "val_loss") for value in _values(run.epochs, key) if value > 0]
    if losses and max(losses) > _WIDE * min(losses):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}")  # the default needs mathtext
        axes.minorticks_off()
    axes.set(xlabel="epoch", ylabel="loss")
    axes.legend(frameon=False, labelcolor=pages.INK)
    last = run.epochs[-1]
    alt = (
        f"Training and validation loss by epoch; at the end {told(last.get('train_loss'))} and "
        f"{told(last['val_loss'])}."
    )
    rows = [[line["epoch"], line["phase"], line.get("train_loss"), line["val_loss"]] for line in run.epochs]
    return figures.chart(figure, alt, pages.table(["epoch", "phase", "training", "validation"], rows))


def _accuracy(run: Run) -> Markup:
    figure, axes = figures.plot(height=3.4)
    _shade(axes, run)
    values = _values(run.epochs, "val_accuracy")
    x = [line["epoch"] for line in run.epochs]
    axes.plot(x, values, color=pages.ACCENT, marker="o", markersize=3)
    axes.set(xlabel="epoch", ylabel="validation accuracy")
    alt = f"Validation accuracy by epoch, at most {max(v for v in values if not math.isnan(v)):.3f}."
    rows = [[line["epoch"], line.get("val_accuracy")] for line in run.epochs]
    return figures.chart(figure, alt, pages.table(["epoch", "accuracy"], rows))


def _shade(axes: Axes, run: Run) -> None:
    """Tell the phases apart: every second one is shaded, each has its name on top."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    first = run.epochs[0]["epoch"]
    axes.set_xlim(first - 0.5, run.epochs[-1]["epoch"] + 0.5)
    for number, name in enumerate(dict.fromkeys(line["phase"] for line in run.epochs)):
        epochs = [line["epoch"] for line in run.epochs if line["phase"] == name]
        left, right = min(epochs) - 0.5, max(epochs) + 0.5
        if number % 2:
            axes.axvspan(left, right, color=pages.LINE, alpha=0.35, linewidth=0)
        axes.annotate(
            pages.short(name, 16),
            (max(left, first - 0.5), 1.02),
            xycoords=("data", "axes fraction"),
            color=pages.MUTED,
            fontsize=9,
        )


def _strip(run: Run) -> list[Markup]:
    """Draw a row of squares for each block: faint where it stands still, strong where it moves."""
    from matplotlib.patches import Rectangle

    logged = [line for line in run.steps if line.get("updates")]
    groups = _grouped(logged, _COLUMNS)
    blocks = _blocks(logged, "updates")
    figure, axes = figures.plot(height=0.9 + 0.3 * len(blocks))
    axes.grid(False)
    for column, lines in enumerate(groups):
        for row, block in enumerate(blocks):
            ratios = [line["updates"][block] for line in lines if line["updates"].get(block)]
            if not ratios:
                continue
            power = sum(math.log10(ratio) for ratio in ratios) / len(ratios)
            shade = round((min(max(power, _IDLE), _WILD) - _IDLE) / (_WILD - _IDLE), 2)
            colour = pages.SECOND if power > math.log10(0.05) else pages.ACCENT
            axes.add_patch(
                Rectangle((column, row + 0.08), 1, 0.84, color=colour, alpha=max(shade, 0.04), linewidth=0)
            )
    axes.set(xlim=(0, len(groups)), ylim=(len(blocks), 0), xlabel="step")
    axes.set_yticks([row + 0.5 for row in range(len(blocks))], [called(block) for block in blocks])
    ticks = sorted({0, len(groups) // 2, len(groups) - 1})
    axes.set_xticks([tick + 0.5 for tick in ticks], [f"{groups[tick][0]['step']:,}" for tick in ticks])
    phases = list(dict.fromkeys(line["phase"] for line in logged))
    medians = {phase: update_ratios(run, phase) for phase in phases}
    rows = [[called(block), *(_power(medians[phase].get(block)) for phase in phases)] for block in blocks]
    alt = (
        "Change of each block's weights in a step relative to their size, over the steps: the stronger the "
        "colour the larger; orange is more than a twentieth."
    )
    table = pages.table(["block", *phases], rows, "Median change in a step, relative to the weights")
    text = "The stronger, the more a step changes a block: 1e-06 to 1e-01 of its size; 1e-03 is healthy."
    return [figures.chart(figure, alt, table), pages.paragraph(text, quiet=True)]


def _rates(run: Run) -> Markup:
    logged = [line for line in run.steps if line.get("rates")]
    figure, axes = figures.plot(height=3.0)
    blocks = _blocks(logged, "rates")
    for number, block in enumerate(blocks):
        colour = pages.SECOND if block == HEAD else pages.ACCENT
        strength = 1.0 if block == HEAD else 0.35 + 0.65 * (number + 1) / len(blocks)
        values = [line["rates"].get(block) or math.nan for line in logged]
        axes.plot(
            [line["step"] for line in logged], values, color=colour, alpha=strength, label=called(block)
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}")  # the default needs mathtext
    axes.minorticks_off()
    axes.set(xlabel="step", ylabel="learning rate")
    if len(blocks) <= 8:
        axes.legend(frameon=False, labelcolor=pages.INK, fontsize=8)
    rows = [
        [line["step"], line["phase"], *(_power(line["rates"].get(block)) for block in blocks)]
        for line in _thinned(logged)
    ]
    alt = "Learning rate of each trained block over the steps; the later the stronger, the head is orange."
    return figures.chart(figure, alt, pages.table(["step", "phase", *map(called, blocks)], rows))


def _conditioning(run: Run) -> list[Markup]:
    lines = [line for line in run.epochs if line.get("squared_gradient") is not None]
    rows = []
    for line in lines:
        squared, curvature = line["squared_gradient"], line.get("curvature")
        largest = 2 * squared / curvature if curvature and curvature > 0 else None
        rows.append([line["epoch"], line["phase"], *map(_power, (squared, curvature, largest))])
    columns = ["epoch", "phase", "squared gradient", "curvature along it", "largest rate that goes down"]
    text = (
        "A step of plain gradient descent lowers the loss as long as its rate is below 2 gᵀg / gᵀHg "
        "(Goodfellow, Bengio and Courville, Deep Learning, 8.2.1); Adam scales weights and may go further."
    )
    return [pages.table(columns, rows), pages.paragraph(text, quiet=True)]


def _dead(run: Run) -> list[Markup]:
    lines = [line for line in run.epochs if line.get("dead")]
    blocks = _blocks(lines, "dead")
    shown = [lines[0], lines[-1]] if len(lines) > 1 else lines
    rows = []
    for block in blocks:
        shares = [line["dead"].get(block) for line in shown]
        rows.append([called(block), *(None if s is None else pages.bar(s, f"{s:.0%}") for s in shares)])
    columns = ["block", *(f"epoch {line['epoch']}" for line in shown)]
    text = "Share of channels that give one value in all places of all items of a small batch."
    return [pages.table(columns, rows), pages.paragraph(text, quiet=True)]


def _grouped(lines: Sequence[Line], most: int) -> list[Sequence[Line]]:
    size = math.ceil(len(lines) / most)
    return [lines[start : start + size] for start in range(0, len(lines), size)]


def _thinned(lines: Sequence[Line]) -> Iterable[Line]:
    return lines[:: math.ceil(len(lines) / _ROWS)]


def _blocks(lines: Sequence[Line], key: str) -> list[str]:
    """Return the blocks that any line has, in the order of the network."""
    longest = max((line[key] for line in lines), key=len)
    return list(dict.fromkeys([*longest, *(block for line in lines for block in line[key])]))


def _values(lines: Sequence[Line], key: str) -> list[float]:
    return [math.nan if line.get(key) is None else float(line[key]) for line in lines]


def _power(value: float | None) -> str | None:
    return None if value is None else f"{value:.1e}"
