"""What somebody should know about a data set before learning from it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from headstart.data import findings
from headstart.data.duplicates import Duplicate, find_duplicates, label_conflicts
from headstart.data.facts import Facts
from headstart.data.findings import UNDECIDED, Finding, said
from headstart.data.items import SPLITS, Dataset, Item, Problem, Target, natural_order
from headstart.errors import OptionError

_QUANTILES = {"min": 0.0, "5%": 0.05, "25%": 0.25, "median": 0.5, "75%": 0.75, "95%": 0.95, "max": 1.0}
_EXAMPLES = 5
_AXES = {
    ("image", 2): ("width", "height"),
    ("text", 2): ("characters", "words"),
    ("audio", 2): ("milliseconds", "samples a second"),
}


@dataclass(frozen=True, slots=True)
class Copy:
    """Two items with the same or nearly the same content, by name.

    Args:
        first, second: Their names, str.
        kind: "exact" or "near".
        distance: In how many bits the fingerprints differ, int.
        splits: The splits of the two, "undecided" where there is none.
        labels: The labels of the two, in words.
    """

    first: str
    second: str
    kind: str
    distance: int
    splits: tuple[str, str]
    labels: tuple[str | None, str | None]

    @property
    def crosses(self) -> bool:
        """Whether the two are in different splits."""
        return self.splits[0] != self.splits[1]


@dataclass(frozen=True)
class Audit:
    """The findings about a data set, and the figures behind them.

    Args:
        modality: "image", "text" or "audio".
        items: How many items there are, int.
        classes: For each class (or label), in natural order, the number of its readable items in each split.
        examples: For each class the names of a few readable items, spread evenly.
        kinds: How many items there are of each kind ("JPEG"), most frequent first.
        shapes: The shape of each readable item whose shape is known: (width, height) of a picture,
            (characters, words) of a text.
        corrupt: The items that cannot be read, and why.
        left_out: What could not be opened, and why.
        duplicates: Items with the same or nearly the same content.
        conflicts: Exact duplicates with different labels.
        findings: What to know, worst first.
        target: What is known about the items. Defaults to "label".
        parts: The number of readable items in each split about which that is known. Defaults to none.
        numbers: Their numbers, where that is what is known. Defaults to ().
        measures: What else was measured of the readable items, such as sounds' "level". Defaults to none.
    """

    modality: str
    items: int
    classes: dict[str, dict[str, int]]
    examples: dict[str, tuple[str, ...]]
    kinds: dict[str, int]
    shapes: tuple[tuple[int, ...], ...]
    corrupt: tuple[Problem, ...]
    left_out: tuple[Problem, ...]
    duplicates: tuple[Copy, ...]
    conflicts: tuple[Copy, ...]
    findings: tuple[Finding, ...]
    target: Target = "label"
    parts: dict[str, int] = field(default_factory=dict)
    numbers: tuple[float, ...] = ()
    measures: dict[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def hurts(self) -> bool:
        """Whether something would hurt training or make its figures untrue."""
        return any(finding.severity == "hurts" for finding in self.findings)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that labelled items are in, in the order train, val, test, undecided."""
        return tuple(self.parts)

    @property
    def imbalance(self) -> float | None:
        """How many times larger the largest class is than the smallest; None without classes."""
        sizes = [sum(counts.values()) for counts in self.classes.values()]
        return max(sizes) / min(sizes) if sizes else None

    @property
    def evenness(self) -> float | None:
        """The entropy of the class sizes over its maximum: 1 is balanced; None below two classes."""
        sizes = np.array([sum(counts.values()) for counts in self.classes.values()], float)
        if len(sizes) < 2:
            return None
        shares = sizes / sizes.sum()
        return min(1.0, float(-(shares * np.log(shares)).sum() / math.log(len(sizes))))

    def quantiles(self) -> dict[str, dict[str, float]]:
        """Return minimum, quantiles and maximum of the numbers and dimensions, and of width / height."""
        columns: dict[str, list[float]] = defaultdict(list)
        if self.numbers:
            columns["number"].extend(self.numbers)
        for shape in self.shapes:
            axes = _AXES.get((self.modality, len(shape))) or _unnamed(len(shape))
            for axis, size in zip(axes, shape, strict=True):
                columns[axis].append(size)
            if axes == ("width", "height"):
                columns["aspect ratio"].append(shape[0] / max(shape[1], 1))
        columns |= {name: list(values) for name, values in self.measures.items()}
        return {
            name: dict(zip(_QUANTILES, np.quantile(values, list(_QUANTILES.values())).tolist(), strict=True))
            for name, values in columns.items()
        }

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values; the shapes as quantiles."""
        return {
            "modality": self.modality,
            "target": self.target,
            "items": self.items,
            "splits": self.parts,
            "classes": self.classes,
            "imbalance": self.imbalance,
            "evenness": self.evenness,
            "kinds": self.kinds,
            "shapes": self.quantiles(),
            "corrupt": [asdict(problem) for problem in self.corrupt],
            "left_out": [asdict(problem) for problem in self.left_out],
            "duplicates": {
                "across_splits": [_copy_json(copy) for copy in self.duplicates if copy.crosses],
                "within_splits": [_copy_json(copy) for copy in self.duplicates if not copy.crosses],
            },
            "label_conflicts": [_copy_json(copy) for copy in self.conflicts],
            "findings": [finding._asdict() for finding in self.findings],
            "hurts": self.hurts,
        }


def audit(data: Dataset, facts: Sequence[Facts], *, distance: int = 4) -> Audit:
    """Look for what would hurt training: bad files, copies, leaks, contradictions, small classes.

    Args:
        data: The data set.
        facts: What is known about the content of each item, in the same order.
        distance: In how many bits the fingerprints of near-duplicates differ at most, int. Defaults to 4.

    Returns:
        The audit. Nothing is changed or deleted.

    Raises:
        OptionError: There are not as many facts as items.

    Example:
        >>> from headstart.data.items import Item
        >>> data = Dataset((Item("a.jpg", b"", "cat"), Item("b.jpg", b"", "dog")), "image")
        >>> found = audit(data, [Facts("aa", 1, (64, 64), "JPEG"), Facts("aa", 1, (64, 64), "JPEG")])
        >>> found.hurts, found.findings[0].sentence
        (True, '2 items have the same content but different labels: a.jpg (cat) and b.jpg (dog).')
    """
    if len(facts) != len(data):
        raise OptionError(f"facts about each of the {len(data)} items", f"{len(facts)}", "give one of each")
    good = [index for index, fact in enumerate(facts) if fact.error is None]
    items = [data.items[index] for index in good]
    splits = [item.split for item in items]
    pairs = find_duplicates(
        [facts[i].digest for i in good], [facts[i].fingerprint for i in good], splits, distance=distance
    )
    conflicts = label_conflicts(pairs, [item.answer for item in items])
    corrupt = tuple(
        Problem(item.name, fact.error)
        for item, fact in zip(data, facts, strict=True)
        if fact.error is not None
    )
    classes = _classes(items)
    parts = _in_order(Counter(item.split or UNDECIDED for item in items if item.answer is not None))
    found = [
        *findings.unreadable(corrupt, data.problems),
        *findings.contradictions(conflicts, items),
        *findings.leaks(pairs, items),
        *findings.straddling(items, "split", [item.split for item in items]),
        *findings.straddling(items, "fold", [item.fold for item in items]),
        *findings.parted(pairs, items, "fold", [item.fold for item in items]),
        *findings.parted(pairs, items, "group", [item.group for item in items]),
        *findings.odd(data.modality, [item.name for item in items], [facts[index] for index in good]),
        *findings.known(data.target, [item.answer for item in items]),
        *findings.sizes(classes, parts, "class" if data.target == "label" else "label"),
    ]
    return Audit(
        modality=data.modality,
        items=len(data),
        classes=classes,
        examples=_examples(items),
        kinds=dict(Counter(facts[index].kind for index in good).most_common()),
        shapes=tuple(facts[index].shape for index in good if facts[index].shape),
        corrupt=corrupt,
        left_out=data.problems,
        duplicates=tuple(_copy(pair, items) for pair in pairs),
        conflicts=tuple(_copy(pair, items) for pair in conflicts),
        findings=tuple(sorted(found, key=lambda finding: finding.severity == "note")),
        target=data.target,
        parts=parts,
        numbers=tuple(item.value for item in items if item.value is not None),
        measures=_measures([facts[index] for index in good]),
    )


def _measures(facts: Sequence[Facts]) -> dict[str, tuple[float, ...]]:
    names = dict.fromkeys(name for fact in facts for name in fact.measures)
    return {name: tuple(fact.measures[name] for fact in facts if name in fact.measures) for name in names}


def _unnamed(count: int) -> tuple[str, ...]:
    return tuple("size" if axis == 0 else f"size {axis + 1}" for axis in range(count))


def _classes(items: Sequence[Item]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        for tag in item.tags:
            counts[tag][item.split or UNDECIDED] += 1
    return {label: _in_order(counts[label]) for label in natural_order(counts)}


def _in_order(counts: Counter[str]) -> dict[str, int]:
    return {split: counts[split] for split in (*SPLITS, UNDECIDED) if counts[split]}


def _examples(items: Sequence[Item]) -> dict[str, tuple[str, ...]]:
    names: dict[str, list[str]] = defaultdict(list)
    ordered = sorted((item.value, item.name) for item in items if item.value is not None)
    if ordered:
        parts = np.array_split(np.array([name for _, name in ordered], object), 3)
        return {
            what: tuple(part[:_EXAMPLES].tolist())
            for what, part in zip(
                ("small", "middle", "large"), (parts[0], parts[1], parts[2][::-1]), strict=True
            )
        }
    for item in items:
        for tag in item.tags:
            names[tag].append(item.name)
    picks = {
        label: np.linspace(0, len(n) - 1, min(len(n), _EXAMPLES)).astype(int) for label, n in names.items()
    }
    return {label: tuple(names[label][i] for i in picks[label]) for label in natural_order(names)}


def _copy(pair: Duplicate, items: Sequence[Item]) -> Copy:
    first, second = items[pair.first], items[pair.second]
    splits = first.split or UNDECIDED, second.split or UNDECIDED
    return Copy(first.name, second.name, pair.kind, pair.distance, splits, (said(first), said(second)))


def _copy_json(copy: Copy) -> dict[str, Any]:
    return {**asdict(copy), "splits": list(copy.splits), "labels": list(copy.labels)}
