"""The audit of a data set as one self-contained web page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from headstart import figures, pages
from headstart.data.audit import Audit, Copy
from headstart.data.findings import UNDECIDED
from headstart.data.items import Problem
from headstart.errors import missing_extra

_MOST_BARS = 40
_MOST_CLASSES_WITH_PICTURES = 40
_MOST_PAIRS_WITH_PICTURES = 24
_MOST_ROWS = 500
_COLOURS = {"train": pages.ACCENT, "val": pages.SECOND, "test": pages.GOOD, UNDECIDED: pages.MUTED}


class Gallery(NamedTuple):
    """Large pictures in a section of their own.

    Args:
        heading: Of the section, str.
        words: What the pictures show, str.
        pictures: What each is called, str, and the picture, a JPEG; an empty name is left out.
    """

    heading: str
    words: str
    pictures: tuple[tuple[str, bytes], ...]


def pictured(audit: Audit) -> tuple[str, ...]:
    """Return the names of the items that `audit_html` shows, where it gets a glimpse of them.

    Args:
        audit: The audit.

    Returns:
        The names, tuple of str, each once.
    """
    classes = list(audit.examples.values())[:_MOST_CLASSES_WITH_PICTURES]
    names = [name for examples in classes for name in examples]
    for copies in (audit.conflicts, _across(audit), _within(audit)):
        names += [name for copy in copies[:_MOST_PAIRS_WITH_PICTURES] for name in (copy.first, copy.second)]
    return tuple(dict.fromkeys(names))


def audit_html(
    audit: Audit,
    glimpses: Mapping[str, pages.Glimpse],
    title: str = "Data set",
    augmented: tuple[bytes, str] | None = None,
    galleries: Sequence[Gallery] = (),
) -> str:
    """Draw the audit as an accessible page that needs nothing but itself.

    Args:
        audit: The audit.
        glimpses: Small JPEG pictures or beginnings of texts, by item name; those named by `pictured` are
            shown, and a missing one leaves an empty frame. {} shows none at all.
        title: What the page is called, str. Defaults to "Data set".
        augmented: A contact sheet of distorted pictures, JPEG, and what it shows, str. Defaults to None.
        galleries: Large pictures, behind the examples. Defaults to none.

    Returns:
        The page, one str of HTML.

    Raises:
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> from headstart.data.audit import audit
        >>> from headstart.data.facts import Facts
        >>> from headstart.data.items import Dataset, Item
        >>> data = Dataset((Item("a.jpg", b"", "cat"), Item("b.jpg", b"", "dog")), "image")
        >>> page = audit_html(audit(data, [Facts("aa", 1, (8, 8)), Facts("bb", 99, (8, 9))]), {})
        >>> page.startswith("<!doctype html>")
        True
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise missing_extra("matplotlib", "train", "the page with plots") from error
    page = pages.Page(title, lead=_lead(audit))
    page.section("", _cards(audit), bare=True)
    page.section("Findings", _findings(audit))
    if audit.classes:
        page.section("Labels" if audit.target == "labels" else "Classes", _classes(audit))
    if audit.numbers:
        row: list[pages.Cell] = [float(value) for value in audit.quantiles()["number"].values()]
        page.section(
            "Numbers",
            _histogram(
                audit.numbers, "number", pages.table([*audit.quantiles()["number"]], [row], "Quantiles")
            ),
        )
    if audit.shapes:
        page.section("Sizes", *_shapes(audit))
    if glimpses and audit.examples:
        page.section("Examples", *_examples(audit, glimpses))
    for gallery in galleries:
        page.section(gallery.heading, gallery.words, *_gallery(gallery))
    if augmented:
        page.section("Augmentation", augmented[1], pages.sheet(*augmented))
    for heading, copies in (
        ("Same content, different labels", audit.conflicts),
        ("Copies across splits", _across(audit)),
        ("Copies within a split", _within(audit)),
    ):
        if copies:
            page.section(heading, *_copies(copies, glimpses))
    for heading, problems in (("Cannot be read", audit.corrupt), ("Not opened", audit.left_out)):
        if problems:
            page.section(heading, _problems(problems))
    return page.html()


def _across(audit: Audit) -> list[Copy]:
    return [copy for copy in audit.duplicates if copy.crosses]


def _within(audit: Audit) -> list[Copy]:
    return [copy for copy in audit.duplicates if not copy.crosses]


def _lead(audit: Audit) -> str:
    if not audit.hurts:
        return "Nothing was found that would hurt training."
    count = sum(finding.severity == "hurts" for finding in audit.findings)
    return "One thing would hurt training." if count == 1 else f"{count} things would hurt training."


def _cards(audit: Audit) -> Markup:
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in list(audit.kinds.items())[:3])
    by_split = ", ".join(f"{split} {count:,}" for split, count in audit.parts.items())
    across = len(_across(audit))
    imbalance = "" if audit.imbalance is None else f"largest / smallest = {audit.imbalance:.1f}"
    return pages.cards(
        [
            ("items", f"{audit.items:,}", by_split),
            _known(audit, imbalance),
            ("kinds", f"{len(audit.kinds):,}", kinds),
            ("cannot be read", f"{len(audit.corrupt):,}", ""),
            ("copies", f"{len(audit.duplicates):,}", f"{across:,} across splits" if across else ""),
        ]
    )


def _known(audit: Audit, imbalance: str) -> tuple[str, str, str]:
    if audit.numbers:
        low, high = min(audit.numbers), max(audit.numbers)
        return "numbers", f"{len(audit.numbers):,}", f"from {low:.6g} to {high:.6g}"
    return "labels" if audit.target == "labels" else "classes", f"{len(audit.classes):,}", imbalance


def _findings(audit: Audit) -> Markup:
    if not audit.findings:
        return pages.paragraph("None.")
    rows = [[finding.severity, finding.sentence] for finding in audit.findings]
    return pages.table(["severity", "finding"], rows)


def _classes(audit: Audit) -> Markup:
    totals = {label: sum(counts.values()) for label, counts in audit.classes.items()}
    noun, many = ("label", "labels") if audit.target == "labels" else ("class", "classes")
    columns = [noun, *audit.splits, "all"]
    rows: list[list[pages.Cell]] = [
        [label, *(counts.get(split, 0) for split in audit.splits), totals[label]]
        for label, counts in audit.classes.items()
    ]
    numbers = pages.table(columns, rows, f"Items of each {noun}")
    largest, smallest = max(totals, key=totals.__getitem__), min(totals, key=totals.__getitem__)
    alt = (
        f"Items of each of {len(totals)} {many}. The largest, {largest}, has {totals[largest]:,}; "
        f"the smallest, {smallest}, {totals[smallest]:,}."
    )
    if len(totals) > _MOST_BARS:
        figure, axes = figures.plot()
        axes.plot(range(1, len(totals) + 1), sorted(totals.values(), reverse=True), color=pages.ACCENT)
        axes.set(xlabel=f"{many}, largest first", ylabel="items")
        axes.set_ylim(bottom=0)
        return figures.chart(figure, alt, numbers)
    figure, axes = figures.plot(height=1.2 + 0.26 * len(totals))
    names = [pages.short(label) for label in totals]
    places = np.arange(len(totals))
    left = np.zeros(len(totals))
    for split in audit.splits:
        widths = np.array([counts.get(split, 0) for counts in audit.classes.values()], float)
        axes.barh(places, widths, left=left, height=0.7, color=_COLOURS[split], label=split)
        left += widths
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set_xlabel("items")
    if len(audit.splits) > 1:
        axes.legend(frameon=False, labelcolor=pages.INK, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)
    return figures.chart(figure, alt, numbers)


def _shapes(audit: Audit) -> list[Markup]:
    quantiles = {name: values for name, values in audit.quantiles().items() if name != "number"}
    rows: list[list[pages.Cell]] = [
        [name, *map(float, values.values())] for name, values in quantiles.items()
    ]
    numbers = pages.table(["", *next(iter(quantiles.values()))], rows, "Quantiles")
    if "width" not in quantiles:
        axis = "words" if "words" in quantiles else next(iter(quantiles))
        place = list(quantiles).index(axis)
        sizes = [float(shape[place]) for shape in audit.shapes]
        if axis == "milliseconds":
            return [_histogram([size / 1000 for size in sizes], "seconds", numbers), *_levels(audit)]
        return [_histogram(sizes, axis, numbers)]
    pairs = np.array([shape for shape in audit.shapes if len(shape) == 2], float)
    ratios = (pairs[:, 0] / np.maximum(pairs[:, 1], 1)).tolist()
    return [
        pages.side_by_side(
            _scatter(pairs, numbers), _histogram(ratios, "aspect ratio (width / height)", numbers)
        )
    ]


def _levels(audit: Audit) -> list[Markup]:
    """Draw how loud and how silent recordings are, beside each other."""
    shown = (("level", "level in dB of full scale"), ("silent", "share of time that is silent"))
    charts = []
    for name, what in shown:
        if values := audit.measures.get(name):
            row = [float(value) for value in np.quantile(values, [0, 0.25, 0.5, 0.75, 1])]
            numbers = pages.table(["least", "25%", "median", "75%", "most"], [row])
            charts.append(_histogram(values, what, numbers))
    return [pages.side_by_side(*charts)] if charts else []


def _scatter(pairs: np.ndarray, numbers: Markup) -> Markup:
    figure, axes = figures.plot()
    # Items of about the same size become one dot, so that the page stays small.
    step = np.maximum(pairs.max(axis=0) / 50, 1)
    cells, counts = np.unique(np.floor(pairs / step), axis=0, return_counts=True)
    x, y = ((cells + 0.5) * step).T
    axes.scatter(x, y, s=10 + 190 * counts / counts.max(), color=pages.ACCENT, alpha=0.6, linewidths=0)
    axes.set(xlabel="width in pixels", ylabel="height in pixels")
    axes.set_xlim(0, x.max() * 1.1)
    axes.set_ylim(0, y.max() * 1.1)
    width, height = np.median(pairs, axis=0)
    median = f"The median is {width:.0f} × {height:.0f} pixels."
    alt = f"Widths and heights; larger dots stand for more items. {median}"
    return figures.chart(figure, alt, numbers)


def _histogram(values: Sequence[float], what: str, numbers: Markup) -> Markup:
    figure, axes = figures.plot()
    axes.hist(values, bins=30, color=pages.ACCENT)
    axes.set(xlabel=what, ylabel="items")
    low, middle, high = np.quantile(values, [0, 0.5, 1])
    alt = f"Distribution of the {what}, from {low:.4g} to {high:.4g} with the median at {middle:.4g}."
    return figures.chart(figure, alt, numbers)


def _examples(audit: Audit, glimpses: Mapping[str, pages.Glimpse]) -> list[Markup]:
    shown = list(audit.examples.items())[:_MOST_CLASSES_WITH_PICTURES]
    parts = []
    for label, names in shown:
        items = [(glimpses.get(name), f"{label}: {name}", pages.short(name)) for name in names]
        parts += [pages.fragment("<h3>{}</h3>", label), pages.glimpses(items)]
    if len(audit.examples) > len(shown):
        parts.append(pages.paragraph(f"{len(audit.examples) - len(shown):,} more classes.", quiet=True))
    return parts


def _gallery(gallery: Gallery) -> list[Markup]:
    parts = []
    for name, picture in gallery.pictures:
        if name:
            parts.append(pages.fragment("<h3>{}</h3>", name))
        parts.append(pages.sheet(picture, f"{gallery.heading}: {name}" if name else gallery.heading))
    return parts


def _copies(copies: Sequence[Copy], glimpses: Mapping[str, pages.Glimpse]) -> list[Markup]:
    rows = [
        [
            copy.first,
            copy.splits[0],
            copy.labels[0],
            copy.second,
            copy.splits[1],
            copy.labels[1],
            _likeness(copy),
        ]
        for copy in copies[:_MOST_ROWS]
    ]
    columns = ["item", "split", "label", "other item", "its split", "its label", "likeness"]
    parts = [_cut(pages.table(columns, rows), len(copies))]
    if glimpses:
        pairs = [
            (glimpses.get(name), name, f"{pages.short(name)} ({split}, {label})")
            for copy in copies[:_MOST_PAIRS_WITH_PICTURES]
            for name, split, label in zip((copy.first, copy.second), copy.splits, copy.labels, strict=True)
        ]
        parts.insert(0, pages.glimpses(pairs))
    return parts


def _likeness(copy: Copy) -> str:
    return "same bytes" if copy.kind == "exact" else f"{copy.distance} of 64 bits differ"


def _problems(problems: Sequence[Problem]) -> Markup:
    rows = [[problem.name, problem.reason] for problem in problems[:_MOST_ROWS]]
    return _cut(pages.table(["name", "reason"], rows), len(problems))


def _cut(table: Markup, count: int) -> Markup:
    """Say how many rows are left out of a long table."""
    if count <= _MOST_ROWS:
        return table
    return table + pages.paragraph(f"{count - _MOST_ROWS:,} more in the JSON output.", quiet=True)
