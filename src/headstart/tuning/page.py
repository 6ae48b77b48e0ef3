"""The page of a search: how it went, what mattered, what was found. Pictures first."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headstart.figures import chart, plot
from headstart.pages import (
    ACCENT,
    LINE,
    MUTED,
    SECOND,
    SURFACE,
    Cell,
    Markup,
    Page,
    cards,
    fragment,
    paragraph,
    short,
    table,
)
from headstart.training.plan import minutes_in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import Locator

    from headstart.tuning.result import Tried, Tuning

# With a ratio above this between ends, a range of positive numbers is drawn on a logarithmic axis.
_LOGARITHMIC = 30.0
_SMALLEST = 1e-9  # below it no axis is logarithmic
_TICKS = 6
Heights = NDArray[np.float64]
_BEHIND_TEXT = {"facecolor": SURFACE, "edgecolor": "none", "alpha": 0.85, "pad": 1.0}
_STATES = {
    "complete": "finished",
    "pruned": "given up early",
    "failed": "failed",
    "interrupted": "interrupted",
}


def tuning_page(tuning: Tuning) -> str:
    """Make the page.

    Args:
        tuning: What was found.

    Returns:
        A whole HTML page without external resources, str.
    """
    page = Page(f"Tuning on {tuning.name}", lead=tuning.headline)
    page.section("", _key_numbers(tuning), bare=True)
    page.section("The search", history_chart(tuning), *_epochs(tuning))
    if tuning.importances:
        page.section("What mattered", importance_chart(tuning), _IMPORTANCE)
    varied = _varied(tuning)
    if varied:
        page.section("All plans side by side", parallel_chart(tuning, varied), _PARALLEL)
    page.section("The best plan", tuning.plan.words(), _changes(tuning), _commands(tuning))
    page.section("Trials", _trials(tuning))
    return page.html()


_IMPORTANCE = paragraph(
    "The share of the differences between finished trials that each setting explains, by itself and together "
    "with others (fANOVA, a forest of regression trees). It says what was worth varying here, within the "
    "ranges that were searched; from few trials it is a rough guide.",
    quiet=True,
)
_PARALLEL = paragraph(
    "Each line is a plan; it crosses each axis at the plan's value. The best tenth is drawn strong, what was "
    "given up early is thin.",
    quiet=True,
)


def _key_numbers(tuning: Tuning) -> Markup:
    best, first = tuning.best, tuning.first
    states = [trial.state for trial in tuning.trials]
    found = []
    if best.accuracy is not None:
        before = f"{100 * first.accuracy:.1f}\u00a0% at the start" if first.accuracy is not None else ""
        found.append(("Accuracy", f"{100 * best.accuracy:.1f}\u00a0%", before))
    if best.loss is not None:
        before = f"{first.loss:.4f} at the start" if first.loss is not None else ""
        found.append(("Loss", f"{best.loss:.4f}", before))
    others = [f"{states.count(state)} {_STATES[state]}" for state in _STATES if state in states]
    found.append(("Trials", f"{len(states):,}", ", ".join(others) if len(others) > 1 else ""))
    seconds = sum(trial.seconds for trial in tuning.trials)
    found.append(("Time", minutes_in_words(seconds / 60), "of all trials together"))
    found.append(("Judged on", tuning.judged.split()[0], " ".join(tuning.judged.split()[1:])))
    return cards(found)


def shown(tuning: Tuning, trial: Tried) -> float | None:
    """Return the figure of a trial that the search is about."""
    return trial.accuracy if tuning.metric == "accuracy" else trial.loss


def history_chart(tuning: Tuning) -> Markup:
    """Draw each trial's figure and the best so far."""
    figure, axes = plot(7.2, 3.6)
    marks = {"complete": ("o", ACCENT, 26), "pruned": ("x", MUTED, 22)}
    rows: list[list[Cell]] = []
    best: list[tuple[int, float]] = []
    ahead: Tried | None = None
    for trial in tuning.trials:
        value = shown(tuning, trial)
        if value is None or trial.state not in marks:
            continue
        marker, colour, size = marks[trial.state]
        axes.scatter(
            [trial.number + 1], [value], s=size, marker=marker, color=colour, linewidths=1.2, zorder=3
        )
        if trial.state == "complete" and (ahead is None or (trial.value or 0) < (ahead.value or 0)):
            ahead = trial
            best.append((trial.number + 1, value))
        rows.append([trial.number + 1, _STATES[trial.state], value, best[-1][1] if best else None])
    if best:
        x, y = zip(*best, (tuning.trials[-1].number + 1, best[-1][1]), strict=True)
        axes.step(x, y, where="post", color=SECOND, linewidth=1.6)
        at_top = tuning.metric == "accuracy"
        axes.annotate(
            "best so far",
            (x[-1], y[-1]),
            (0, 5 if at_top else -5),
            textcoords="offset points",
            ha="right",
            va="bottom" if at_top else "top",
            color=SECOND,
            fontsize=9,
        )
    axes.set(xlabel="trial", ylabel=tuning.metric)
    axes.margins(y=0.14)
    _spread_losses(axes, tuning)
    axes.xaxis.set_major_locator(_whole_numbers())
    alt = (
        f"{tuning.metric.capitalize()} of {len(rows)} trials in order; crosses were given up early. "
        f"The best, {shown(tuning, tuning.best):.4f}, is trial {tuning.best.number + 1}."
    )
    return chart(figure, alt, table(["trial", "how it ended", tuning.metric, "best so far"], rows))


def _epochs(tuning: Tuning) -> tuple[Markup, ...]:
    """Draw how the trials went step by step, where they have several."""
    stepped = [trial for trial in tuning.trials if len(trial.steps) > 0]
    if max((len(trial.steps) for trial in stepped), default=0) < 2:
        return ()
    what = "epoch" if tuning.start.changes_backbone else "folds answered"
    figure, axes = plot(7.2, 3.2)
    for trial in stepped:
        if trial.number != tuning.best.number:
            ended = "x" if trial.state == "pruned" else ""
            steps, values = list(trial.steps), list(trial.steps.values())
            axes.plot(steps, values, color=MUTED, linewidth=0.9, alpha=0.55)
            axes.plot(steps[-1:], values[-1:], ended, color=MUTED, markersize=4)
    best = tuning.best.steps
    axes.plot(list(best), list(best.values()), color=ACCENT, linewidth=2)
    if best:
        axes.plot(list(best)[-1:], list(best.values())[-1:], "o", color=ACCENT, markersize=5)
    axes.set(xlabel=what, ylabel="wrong answers" if tuning.metric == "accuracy" else "loss")
    _spread_losses(axes, tuning)
    axes.xaxis.set_major_locator(_whole_numbers())
    last = max(max(trial.steps) for trial in stepped)
    columns = ["trial", *(f"{what} {step}" for step in range(1, last + 1))]
    rows = [[t.number + 1, *(t.steps.get(step) for step in range(1, last + 1))] for t in stepped]
    pruned = sum(trial.state == "pruned" for trial in stepped)
    alt = f"The same step by step: {pruned} of {len(stepped)} trials were given up early, at the crosses."
    said = "The best trial is the strong line; crosses mark where others were given up."
    if tuning.start.changes_backbone:
        said += " Losses during training are before calibration, those of finished trials after it."
    caption = paragraph(said, quiet=True)
    return chart(figure, alt, table(columns, rows)), caption


def importance_chart(tuning: Tuning) -> Markup:
    """Draw how much each setting explains."""
    names = list(tuning.importances)
    shares = [tuning.importances[name] for name in names]
    figure, axes = plot(7.2, 0.7 + 0.32 * len(names))
    axes.barh(range(len(names)), shares, 0.62, color=ACCENT)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, max(1.0, *shares))
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.grid(False, axis="y")
    axes.set_xlabel("share of the differences explained")
    alt = f"Importance of {len(names)} settings; most of it is {names[0].replace('_', ' ')}, {shares[0]:.2f}."
    rows: list[list[Cell]] = [[name, share] for name, share in tuning.importances.items()]
    return chart(figure, alt, table(["setting", "importance"], rows))


def _spread_losses(axes: Axes, tuning: Tuning) -> None:
    """Most plans end close to each other, a few far off: their losses are better told apart by ratio."""
    losses = [trial.loss for trial in tuning.trials if trial.loss is not None]
    if tuning.metric == "loss" and losses and _SMALLEST < min(losses) < max(losses) * 3 / _LOGARITHMIC:
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.minorticks_off()


def _whole_numbers() -> Locator:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(integer=True)


def _varied(tuning: Tuning) -> list[str]:
    """Return the names whose values differ between trials, the most important first."""
    tried = {
        name: {str(t.values[name]) for t in tuning.trials if name in t.values} for name in tuning.best.values
    }
    order = list(tuning.importances)
    names = [name for name, values in tried.items() if len(values) > 1]
    return sorted(names, key=lambda name: order.index(name) if name in order else len(order))


def parallel_chart(tuning: Tuning, names: list[str]) -> Markup:
    """Draw all plans as lines across the axes of what was varied, up to how well they did."""
    drawn = [
        t for t in tuning.trials if shown(tuning, t) is not None and all(name in t.values for name in names)
    ]
    drawn.sort(key=lambda t: (t.state == "complete", -(t.value or 0)))  # the best is drawn last, on top
    columns: list[list[Any]] = [[t.values[name] for t in drawn] for name in names]
    columns.append([shown(tuning, t) for t in drawn])
    figure, axes = plot(max(7.2, 1.15 * len(columns)), 4.2)
    places = []
    for position, column in enumerate(columns):
        heights, ticks = _axis(column)
        places.append(heights)
        axes.axvline(position, color=LINE, linewidth=1)
        for height, text in ticks:
            style: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": 8, "color": MUTED}
            axes.text(position - 0.04, height, short(text, 16), bbox=_BEHIND_TEXT, zorder=4, **style)
    lines = np.stack(places, 1)
    finished = [n for n, t in enumerate(drawn) if t.state == "complete"]
    best = set(finished[-max(1, round(len(finished) / 10)) :])
    for n, trial in enumerate(drawn):
        style = {"color": MUTED, "linewidth": 1.0, "alpha": 0.45}
        if trial.state != "complete":
            style |= {"linewidth": 0.6, "alpha": 0.35}
        if n in best:
            style = {"color": ACCENT, "linewidth": 2.0, "alpha": 1.0}
        axes.plot(range(len(columns)), lines[n], **style)
    axes.set_xticks(
        range(len(columns)), [name.replace("_", " ") for name in [*names, tuning.metric]], fontsize=9
    )
    axes.set_yticks([])
    axes.set(xlim=(-0.55, len(columns) - 0.8), ylim=(-0.06, 1.06))
    axes.grid(False)
    axes.spines[["left", "bottom"]].set_visible(False)
    heading = ["trial", *(name.replace("_", " ") for name in names), tuning.metric]
    rows: list[list[Cell]] = [
        [t.number + 1, *(_cell(t.values[name]) for name in names), shown(tuning, t)] for t in reversed(drawn)
    ]
    alt = f"Parallel coordinates of {len(drawn)} plans over {', '.join(heading[1:])}."
    return chart(figure, alt, table(heading, rows))


def _axis(column: list[Any]) -> tuple[Heights, list[tuple[float, str]]]:
    """Return where each value of an axis is, from 0 to 1, and its ticks (place, text)."""
    if any(not isinstance(value, int | float) for value in column):
        names = sorted(set(map(str, column)))
        step = 1 / max(1, len(names) - 1)
        return np.array([names.index(str(value)) * step for value in column]), [
            (n * step, name) for n, name in enumerate(names)
        ]
    values = np.array(column, np.float64)
    low, high = float(values.min()), float(values.max())
    different = sorted(set(values.tolist()))
    place = _logarithmic if low > _SMALLEST and high / low > _LOGARITHMIC else _linear
    if len(different) <= _TICKS:
        marks = np.array(different)
    elif all(isinstance(value, int) for value in column):
        marks = np.unique(np.linspace(low, high, _TICKS).round())
    else:
        marks = (np.geomspace if place is _logarithmic else np.linspace)(low, high, _TICKS)
    ticks = zip(place(marks, low, high).tolist(), marks.tolist(), strict=True)
    return place(values, low, high), [(height, f"{mark:.3g}") for height, mark in ticks]


def _linear(x: Heights, low: float, high: float) -> Heights:
    return (x - low) / max(high - low, 1e-12)


def _logarithmic(x: Heights, low: float, high: float) -> Heights:
    return _linear(np.log(x), np.log(low), np.log(high))


def _changes(tuning: Tuning) -> Markup:
    """Return what the best plan has that the first one had not."""
    first = tuning.first.values
    rows: list[list[Cell]] = [
        [name.replace("_", " "), _cell(first.get(name)), _cell(value)]
        for name, value in tuning.best.values.items()
    ]
    return table(["setting", "at the start", "best"], rows)


def _commands(tuning: Tuning) -> Markup:
    name = shlex.quote(tuning.name)
    plan = shlex.quote(str(tuning.folder / "best.json"))
    return fragment("<pre><code>{}</code></pre>", f"headstart fit {name} --plan {plan} -o MODEL")


def _trials(tuning: Tuning) -> Markup:
    names = list(tuning.best.values)
    ordered = sorted(tuning.trials, key=lambda t: (t.state != "complete", t.value is None, t.value or 0.0))
    rows: list[list[Cell]] = [
        [
            trial.number + 1,
            _STATES[trial.state],
            trial.accuracy,
            None if trial.loss is None else f"{trial.loss:.4f}",
            f"{trial.seconds:.1f} s",
            *(_cell(trial.values.get(name)) for name in names),
            short(trial.reason, 120),
        ]
        for trial in ordered
    ]
    columns = [
        "trial",
        "how it ended",
        "accuracy",
        "loss",
        "time",
        *(n.replace("_", " ") for n in names),
        "note",
    ]
    if not any(trial.reason for trial in ordered):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return table(columns, rows)


def _cell(value: Any) -> Cell:
    return f"{value:.3g}" if isinstance(value, float) else None if value is None else str(value)
