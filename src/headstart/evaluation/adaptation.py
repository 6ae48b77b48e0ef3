"""What came of an adaptation: one self-contained page for people, and the same figures for machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.data.items import Problem
from headstart.evaluation.results import Evaluation
from headstart.evaluation.sections import ReportInput, classes, mistakes, percent
from headstart.pages import (
    Cell,
    Markup,
    Page,
    Shown,
    bar,
    cards,
    facts,
    fragment,
    paragraph,
    side_by_side,
    table,
)
from headstart.retrieval.maps import Points, draw, tsne

SOURCE_ONLY = "source only"
_SHOWN_PROBLEMS = 200


@dataclass(frozen=True)
class Tried:
    """One method.

    Args:
        name: What it is called, str.
        score: How good its answers about the target are, judged without labels, float in nats.
        accuracy: The accuracy on the target's labels, float, only shown. Defaults to None: none are known.
        kept: Whether it was chosen. Defaults to False.
        distance: Proxy A-distance of what it makes of the domains, float. Defaults to None: not measured.
    """

    name: str
    score: float
    accuracy: float | None = None
    kept: bool = False
    distance: float | None = None


@dataclass(frozen=True, eq=False)
class DomainMap:
    """Where items of both domains lie, before and after.

    Args:
        domains: Which domain each item is of, str [n].
        labels: What each item is, str [n].
        before: Features of the model, float32 [n, d].
        after: What the kept method makes of them, float32 [n, k]; None where it leaves them as they are.
    """

    domains: tuple[str, ...]
    labels: tuple[str, ...]
    before: NDArray[np.float32]
    after: NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class Adaptation(Shown):
    """What was tried to carry a model over to another domain, and what was kept.

    Args:
        names: What source and target are called, (str, str).
        noun: What the items are called, plural, str.
        items: How many the source and the target have, (int, int).
        taught: How many labels of the target were learned from, int.
        tried: The methods, in order; one of them is kept.
        why: Why it was kept, the beginning of a sentence.
        scored: How the methods were judged without labels, in sentences.
        most: The largest score that is possible, float.
        distance: Proxy A-distance of the domains before and after, (float, float); None where there are no
            features, or where the kept method leaves them as they are.
        evaluation: Of the kept method on the target's labels, only shown. Defaults to None: none are known.
        facts: How the model was made, (name, value) in order. Defaults to ().
        left_out: What could not be used. Defaults to ().
        places: Makes what the maps are drawn from. Defaults to None.
    """

    names: tuple[str, str]
    noun: str
    items: tuple[int, int]
    taught: int
    tried: Sequence[Tried]
    why: str
    scored: str
    most: float
    distance: tuple[float | None, float | None]
    evaluation: Evaluation | None = None
    facts: Sequence[tuple[str, str]] = ()
    left_out: Sequence[Problem] = ()
    places: Callable[[], DomainMap | None] | None = None

    @property
    def kept(self) -> Tried:
        """The method that answers."""
        return next(each for each in self.tried if each.kept)

    @property
    def floor(self) -> Tried:
        """What the source alone says."""
        return next(each for each in self.tried if each.name == SOURCE_ONLY)

    @property
    def headline(self) -> str:
        """The result in a sentence or two."""
        kept, floor, target = self.kept, self.floor, self.names[1]
        first = f"{_sentence(self.why)}."
        if kept.accuracy is None or floor.accuracy is None:
            return f"{first} No label of {target} was looked at."
        count = 0 if self.evaluation is None else len(self.evaluation.y)
        against = "" if kept is floor else f", and {percent(floor.accuracy)} by source only"
        return (
            f"{first} Labels of {target}, which nothing was chosen by, say that {percent(kept.accuracy)} of "
            f"{count:,} {self.noun} are right{against}."
        )

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {
            "source": self.names[0],
            "target": self.names[1],
            "items": {"source": self.items[0], "target": self.items[1]},
            "target_labels_learned": self.taught,
            "method": self.kept.name,
            "why": self.why,
            "methods": [
                {
                    "name": each.name,
                    "nats": each.score,
                    "a_distance": each.distance,
                    "target_accuracy_shown_only": each.accuracy,
                }
                for each in self.tried
            ],
            "a_distance": dict(zip(("before", "after"), self.distance, strict=True)),
            "headline": self.headline,
        }

    def html(self) -> str:
        """Return the report as one self-contained page."""
        source, target = self.names
        page = Page(f"From {source} to {target}", lead=self.headline)
        page.section("", _cards(self), bare=True)
        for section in (_methods, _distance, _maps, *_shown(self)):
            found = section(self)
            if found is not None:
                page.section(found[0], *found[1])
        page.section("How it was made", facts(self.facts))
        if self.left_out:
            rows = [[problem.name, problem.reason] for problem in self.left_out[:_SHOWN_PROBLEMS]]
            page.section(f"Left out: {len(self.left_out):,} items", table(["item", "why"], rows))
        return page.html()


Section = tuple[str, list[Markup]]


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]


def _cards(found: Adaptation) -> Markup:
    kept, floor = found.kept, found.floor
    chosen = "source only" if kept is floor else kept.name
    against = "nats" if kept is floor else f"nats; source only: {floor.score:.3f}"
    values = [
        ("Kept", chosen, f"of {len(found.tried)} candidates"),
        ("Score without labels", f"{kept.score:.3f}", against),
    ]
    if kept.accuracy is not None:
        against = "only shown"
        if floor.accuracy is not None and kept is not floor:
            against = f"source only: {percent(floor.accuracy)}; only shown"
        values.append(("Right on the target", percent(kept.accuracy), against))
    if found.distance[0] is not None:
        after = found.distance[1]
        now = "" if after is None else f"after: {after:.2f}"
        values.append(("A-distance", f"{found.distance[0]:.2f}", now))
    counts = f"{found.items[0]:,} → {found.items[1]:,}"
    values.append((found.noun[0].upper() + found.noun[1:], counts, "source → target"))
    return cards(values)


def _methods(found: Adaptation) -> Section:
    """What was tried, and what was chosen by."""
    with_labels = any(each.accuracy is not None for each in found.tried)
    with_distance = any(each.distance is not None for each in found.tried)

    def row(each: Tried) -> list[Cell]:
        name = fragment("<strong>{}</strong> (kept)", each.name) if each.kept else each.name
        cells: list[Cell] = [name, bar(each.score / found.most, f"{each.score:.3f}")]
        if with_distance:
            cells.append(None if each.distance is None else f"{each.distance:.2f}")
        if with_labels:
            cells.append(None if each.accuracy is None else bar(each.accuracy, percent(each.accuracy)))
        return cells

    columns = ["method", "score without labels, nats (chosen by this)"]
    columns += ["A-distance"] if with_distance else []
    columns += ["right on the target (only shown)"] if with_labels else []
    shown = sorted(
        found.tried, key=lambda each: not each.kept
    )  # long tables scroll: the kept one is seen first
    words = [paragraph(found.scored)]
    if found.taught:
        words.append(paragraph(f"{found.taught:,} labels of the target were learned from, as was asked for."))
    if with_labels:
        note = (
            f"{found.names[1]} has labels. They are in the last column for you to see; no method learned "
            "from them, and none was chosen by them."
        )
        words.append(paragraph(note, quiet=True))
    return "What was tried", [*words, table(columns, [row(each) for each in shown])]


def _distance(found: Adaptation) -> Section | None:
    """How well a classifier tells the two domains apart."""
    before, after = found.distance
    if before is None:
        return None
    source, target = found.names
    first = (
        f"A linear classifier that is asked whether one of the {found.noun} is from {source} or {target}, by "
        f"the model's features, makes a proxy A-distance of {before:.2f}: 0 would be no better than "
        "guessing, 2 always right."
    )
    if after is None:
        second = f"{_sentence(found.kept.name)} leaves the features as they are."
    else:
        second = f"On what {found.kept.name} makes of them it is {after:.2f}."
    size = {"before": before} | ({} if after is None else {"after": after})
    rows: list[list[Cell]] = [[name, bar(value / 2, f"{value:.2f}")] for name, value in size.items()]
    return "How far apart the domains are", [
        paragraph(first),
        paragraph(second),
        table(["", "proxy A-distance (0 to 2)"], rows),
    ]


def _maps(found: Adaptation) -> Section | None:
    """t-SNE of both domains, before and after, by domain and by class."""
    places = None if found.places is None else found.places()
    if places is None:
        return None
    whose = "their own labels" if found.evaluation is not None else "the adapted model's answers"
    parts = [
        paragraph(
            f"Each dot is one of the {found.noun}: left coloured by domain (blue {found.names[0]}, orange "
            f"{found.names[1]}), right by class (of the target {whose}). Near dots look alike to the network "
            "(t-SNE).",
            quiet=True,
        )
    ]
    for title, vectors in (("Before", places.before), (f"After: {found.kept.name}", places.after)):
        if vectors is not None:
            points = tsne(vectors)
            parts += [
                fragment("<h3>{}</h3>", title),
                side_by_side(
                    _map(points, places.domains, f"{title}, by domain", named=False),
                    _map(points, places.labels, f"{title}, by class", named=True),
                ),
            ]
    return "Map of both domains", parts


def _map(points: Points, tags: Sequence[str], what: str, *, named: bool) -> Markup:
    names = sorted(set(tags))
    rows: list[list[Cell]] = []
    for name in names:
        own = points[np.array(tags) == name]
        rows.append([name, len(own), *(round(float(x), 1) for x in np.median(own, axis=0))])
    listed = table(["colour", "dots", "middle across", "middle up"], rows)
    return draw(points, tags, "t-SNE", f"{what}.", listed, named=named)


def _shown(found: Adaptation) -> list[Callable[[Adaptation], Section | None]]:
    """The sections on the target's labels, where there are any."""
    if found.evaluation is None:
        return []
    report = ReportInput(found.names[1], {"target": found.evaluation}, noun=found.noun)
    warned = paragraph("By the target's labels, which nothing was chosen by.", quiet=True)

    def with_warning(
        section: Callable[[ReportInput], Section | None],
    ) -> Callable[[Adaptation], Section | None]:
        def shown(_: Adaptation) -> Section | None:
            made = section(report)
            return None if made is None else (made[0], [warned, *made[1]])

        return shown

    return [with_warning(mistakes), with_warning(classes)]
