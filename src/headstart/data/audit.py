"""What somebody should know about a data set before learning from it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from headstart.data.duplicates import Duplicate, drop_leaks, find_duplicates, label_conflicts
from headstart.data.facts import Facts
from headstart.data.items import SPLITS, Answer, Dataset, Item, Problem, Target, in_words, natural_order
from headstart.data.phrases import count, some
from headstart.data.signals import signal_oddities, silent
from headstart.data.wording import oddities
from headstart.errors import OptionError

UNDECIDED = "undecided"
"""What counts call items that are in no split yet."""

_QUANTILES = {"min": 0.0, "5%": 0.05, "25%": 0.25, "median": 0.5, "75%": 0.75, "95%": 0.95, "max": 1.0}
_SMALL_CLASS = 10
_EXTREME_IMBALANCE = 20.0
_EXAMPLES = 5
_AXES = {
    ("image", 2): ("width", "height"),
    ("text", 2): ("characters", "words"),
    ("audio", 2): ("milliseconds", "samples a second"),
}


class Finding(NamedTuple):
    """One thing that was found.

    Args:
        severity: "hurts" (training or its figures suffer) or "note" (good to know).
        sentence: What it is, str, one sentence.
    """

    severity: Literal["hurts", "note"]
    sentence: str


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
    findings = [
        *_unreadable(corrupt, data.problems),
        *_contradictions(conflicts, items),
        *_leaks(pairs, items),
        *_straddling(items, "split", [item.split for item in items]),
        *_straddling(items, "fold", [item.fold for item in items]),
        *_parted(pairs, items),
        *_oddities(data.modality, [item.name for item in items], [facts[index] for index in good]),
        *_known(data.target, [item.answer for item in items]),
        *_sizes(classes, parts, "class" if data.target == "label" else "label"),
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
        findings=tuple(sorted(findings, key=lambda finding: finding.severity == "note")),
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
    return Copy(first.name, second.name, pair.kind, pair.distance, splits, (_said(first), _said(second)))


def _said(item: Item) -> str | None:
    return None if item.answer is None else in_words(item.answer)


def _copy_json(copy: Copy) -> dict[str, Any]:
    return {**asdict(copy), "splits": list(copy.splits), "labels": list(copy.labels)}


def _unreadable(corrupt: Sequence[Problem], left_out: Sequence[Problem]) -> Iterator[Finding]:
    if corrupt:
        examples = some([f"{problem.name} ({problem.reason})" for problem in corrupt])
        yield Finding("hurts", f"{count(len(corrupt), 'item')} cannot be read: {examples}.")
    if left_out:
        examples = some([f"{problem.name} ({problem.reason})" for problem in left_out])
        verb = "was" if len(left_out) == 1 else "were"
        yield Finding(
            "note", f"{count(len(left_out), 'file or row', 'files or rows')} {verb} not opened: {examples}."
        )


def _contradictions(conflicts: Sequence[Duplicate], items: Sequence[Item]) -> Iterator[Finding]:
    if conflicts:
        involved = {index for pair in conflicts for index in pair[:2]}
        first, second = (items[index] for index in conflicts[0][:2])
        example = f"{first.name} ({_said(first)}) and {second.name} ({_said(second)})"
        sentence = f"{len(involved)} items have the same content but different labels: {example}"
        yield Finding("hurts", f"{sentence}{' and others' if len(involved) > 2 else ''}.")


def _leaks(pairs: Sequence[Duplicate], items: Sequence[Item]) -> Iterator[Finding]:
    leaks = drop_leaks(pairs, [item.split for item in items])
    for where, indices in (("train", leaks.training), ("val", leaks.not_for_refit)):
        if indices:
            others = "val or test" if where == "train" else "test"
            examples = some([items[index].name for index in sorted(indices)])
            verb = "is" if len(indices) == 1 else "are"
            sentence = f"{count(len(indices), 'item')} of {where} {verb} also in {others}: {examples}."
            yield Finding("hurts", sentence)
    within = [p for p in pairs if items[p.first].split == items[p.second].split]
    for kind in ("exact", "near"):
        repeated = {pair.second for pair in within if pair.kind == kind}
        if repeated:
            examples = some([items[index].name for index in sorted(repeated)])
            how = "repeat" if kind == "exact" else "nearly repeat"
            verb = f"{how}s" if len(repeated) == 1 else how
            sentence = f"{count(len(repeated), 'item')} {verb} another in the same split: {examples}."
            yield Finding("note", sentence)


def _straddling(items: Sequence[Item], what: str, places: Sequence[str | None]) -> Iterator[Finding]:
    where: dict[str, set[str]] = defaultdict(set)
    for item, place in zip(items, places, strict=True):
        if item.group is not None and place is not None:
            where[item.group].add(place)
    torn = natural_order(group for group, places in where.items() if len(places) > 1)
    if torn:
        yield Finding("hurts", f"{count(len(torn), 'group')} in more than one {what}: {some(torn)}.")


def _parted(pairs: Sequence[Duplicate], items: Sequence[Item]) -> Iterator[Finding]:
    """Find copies that folds or groups tear apart."""
    severity: Literal["hurts", "note"]
    for what, severity, place in (
        ("fold", "hurts", lambda item: item.fold),
        ("group", "note", lambda item: item.group),
    ):
        torn = [
            f"{first.name} and {second.name}"
            for first, second in ((items[pair.first], items[pair.second]) for pair in pairs)
            if None not in (place(first), place(second)) and place(first) != place(second)
        ]
        if torn:
            pair = count(len(torn), "pair of copies is", "pairs of copies are")
            yield Finding(severity, f"{pair} in different {what}s: {some(torn)}.")


def _oddities(modality: str, names: Sequence[str], facts: Sequence[Facts]) -> Iterator[Finding]:
    if modality == "text":
        yield from (Finding("note", sentence) for sentence in oddities(names, facts))
    if modality == "audio":
        if quiet := [name for name, fact in zip(names, facts, strict=True) if silent(fact)]:
            verb = "holds" if len(quiet) == 1 else "hold"
            yield Finding("hurts", f"{count(len(quiet), 'sound')} {verb} nothing but silence: {some(quiet)}.")
        yield from (Finding("note", sentence) for sentence in signal_oddities(names, facts))


def _known(target: Target, answers: Sequence[Answer | None]) -> Iterator[Finding]:
    """Say whether there is anything to learn at all."""
    known = {answer for answer in answers if answer is not None}
    if not known:
        if answers:
            yield Finding("note", "No item has a label: a model can answer about them, not learn from them.")
    elif len(known) == 1:
        only = in_words(next(iter(known)))
        if target == "label":
            yield Finding("hurts", f"There is only one class ({only}): nothing to tell apart.")
        else:
            what = "number" if target == "number" else "labels"
            yield Finding("hurts", f"All items have the same {what} ({only}): nothing to learn.")


def _sizes(classes: dict[str, dict[str, int]], parts: dict[str, int], noun: str) -> Iterator[Finding]:
    if not classes:
        return
    many = "classes" if noun == "class" else "labels"
    severity: Literal["hurts", "note"]
    totals = {label: sum(counts.values()) for label, counts in classes.items()}
    single = [label for label, total in totals.items() if total == 1]
    if single:
        yield Finding(
            "hurts", f"{count(len(single), 'class', 'classes')} with a single item: {some(single)}."
        )
    small = [f"{label} ({total})" for label, total in totals.items() if 1 < total < _SMALL_CLASS]
    if small:
        what = count(len(small), noun, many)
        yield Finding("note", f"{what} with fewer than {_SMALL_CLASS} items: {some(small)}.")
    for split in SPLITS:
        missing = [
            label for label, counts in classes.items() if split not in counts and UNDECIDED not in counts
        ]
        if split in parts and missing:
            what = count(len(missing), noun, many)
            severity = "hurts" if split == "train" else "note"
            yield Finding(severity, f"{what} missing in {split}: {some(missing)}.")
    imbalance = max(totals.values()) / min(totals.values())
    if imbalance > _EXTREME_IMBALANCE:
        largest, smallest = max(totals, key=totals.__getitem__), min(totals, key=totals.__getitem__)
        sizes = f"{largest} has {totals[largest]:,} items, {smallest} {totals[smallest]:,}"
        severity = "hurts" if noun == "class" else "note"  # most labels are rare, by their nature
        yield Finding(severity, f"The {many} are extremely uneven: {sizes}.")
