"""What an audit finds: each kind of trouble, in one sentence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from headstart.data.duplicates import Duplicate, drop_leaks
from headstart.data.facts import Facts
from headstart.data.items import SPLITS, Answer, Item, Problem, Target, in_words, natural_order
from headstart.data.phrases import count, some
from headstart.data.signals import signal_oddities, silent
from headstart.data.wording import oddities

UNDECIDED = "undecided"
"""What counts call items that are in no split yet."""

_SMALL_CLASS = 10
_EXTREME_IMBALANCE = 20.0


class Finding(NamedTuple):
    """One thing that was found.

    Args:
        severity: "hurts" (training or its figures suffer) or "note" (good to know).
        sentence: What it is, str, one sentence.
    """

    severity: Literal["hurts", "note"]
    sentence: str


def said(item: Item) -> str | None:
    return None if item.answer is None else in_words(item.answer)


def unreadable(corrupt: Sequence[Problem], left_out: Sequence[Problem]) -> Iterator[Finding]:
    """Name what cannot be read, and what was not opened."""
    if corrupt:
        examples = some([f"{problem.name} ({problem.reason})" for problem in corrupt])
        yield Finding("hurts", f"{count(len(corrupt), 'item')} cannot be read: {examples}.")
    if left_out:
        examples = some([f"{problem.name} ({problem.reason})" for problem in left_out])
        verb = "was" if len(left_out) == 1 else "were"
        yield Finding(
            "note", f"{count(len(left_out), 'file or row', 'files or rows')} {verb} not opened: {examples}."
        )


def contradictions(conflicts: Sequence[Duplicate], items: Sequence[Item]) -> Iterator[Finding]:
    """Name copies whose labels differ."""
    if conflicts:
        involved = {index for pair in conflicts for index in pair[:2]}
        first, second = (items[index] for index in conflicts[0][:2])
        example = f"{first.name} ({said(first)}) and {second.name} ({said(second)})"
        sentence = f"{len(involved)} items have the same content but different labels: {example}"
        yield Finding("hurts", f"{sentence}{' and others' if len(involved) > 2 else ''}.")


def leaks(pairs: Sequence[Duplicate], items: Sequence[Item]) -> Iterator[Finding]:
    """Name copies between splits and within one."""
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


def straddling(items: Sequence[Item], what: str, places: Sequence[str | None]) -> Iterator[Finding]:
    """Name groups in more than one split or fold."""
    where: dict[str, set[str]] = defaultdict(set)
    for item, place in zip(items, places, strict=True):
        if item.group is not None and place is not None:
            where[item.group].add(place)
    torn = natural_order(group for group, places in where.items() if len(places) > 1)
    if torn:
        yield Finding("hurts", f"{count(len(torn), 'group')} in more than one {what}: {some(torn)}.")


def parted(
    pairs: Sequence[Duplicate], items: Sequence[Item], what: str, places: Sequence[str | None]
) -> Iterator[Finding]:
    """Name copies that folds or groups tear apart; `fit` joins groups by itself, but obeys folds."""
    torn = [
        f"{items[pair.first].name} and {items[pair.second].name}"
        for pair in pairs
        if None not in (places[pair.first], places[pair.second]) and places[pair.first] != places[pair.second]
    ]
    if torn:
        number = count(len(torn), "pair of copies is", "pairs of copies are")
        severity: Literal["hurts", "note"] = "hurts" if what == "fold" else "note"
        yield Finding(severity, f"{number} in different {what}s: {some(torn)}.")


def odd(modality: str, names: Sequence[str], facts: Sequence[Facts]) -> Iterator[Finding]:
    """Say what is odd about the contents of texts and sounds."""
    if modality == "text":
        yield from (Finding("note", sentence) for sentence in oddities(names, facts))
    if modality == "audio":
        if quiet := [name for name, fact in zip(names, facts, strict=True) if silent(fact)]:
            verb = "holds" if len(quiet) == 1 else "hold"
            yield Finding("hurts", f"{count(len(quiet), 'sound')} {verb} nothing but silence: {some(quiet)}.")
        yield from (Finding("note", sentence) for sentence in signal_oddities(names, facts))


def known(target: Target, answers: Sequence[Answer | None]) -> Iterator[Finding]:
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


def sizes(classes: dict[str, dict[str, int]], parts: dict[str, int], noun: str) -> Iterator[Finding]:
    """Name classes that are small, missing somewhere or very uneven."""
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
