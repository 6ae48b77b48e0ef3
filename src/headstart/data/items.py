"""Items and data sets: what comes in, whatever it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

Target = Literal["label", "labels", "number"]
"""What is to be learned about items: which one class, which of several labels (maybe none), or a number."""
TARGETS: tuple[Target, ...] = get_args(Target)

Answer = str | tuple[str, ...] | float
"""What is known about one item: its class, its labels, or its number."""

Source = Path | str | bytes | NDArray[np.uint8]
"""Where an item's content is: a Path to a file, encoded bytes, an array, or (a text item) the text itself."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to learn from or to answer about.

    Args:
        name: What people see and what reports, manifests and errors call it, str, unique in its data
            set: the path relative to the root, with forward slashes.
        source: Where the content is, see `Source`.
        label: Its class, str. Defaults to None (unlabelled).
        split: "train", "val" or "test". Defaults to None (not decided yet).
        group: Items of one group (author, burst, session) never straddle a split, str. Defaults to None.
        fold: The cross-validation fold that the manifest asks for, str. Defaults to None.
        labels: Its labels where it may have several, tuple of str; () means none of them. Defaults to None
            (unlabelled, or one class only).
        value: Its number, float. Defaults to None.

    Example:
        >>> Item("a.jpg", b"", labels=("cat", "dog")).tags, Item("b.jpg", b"", value=3.5).answer
        (('cat', 'dog'), 3.5)
    """

    name: str
    source: Source
    label: str | None = None
    split: Split | None = None
    group: str | None = None
    fold: str | None = None
    labels: tuple[str, ...] | None = None
    value: float | None = None

    @property
    def answer(self) -> Answer | None:
        """What is known about it, whatever the kind; None is unlabelled."""
        return next((each for each in (self.label, self.labels, self.value) if each is not None), None)

    @property
    def tags(self) -> tuple[str, ...]:
        """Its class or its labels, as a tuple; () for a number."""
        return (self.labels or ()) if self.label is None else (self.label,)


def in_words(answer: Answer | None) -> str:
    """Return an answer as text: "cat", "cat | dog", "no label", "3.5"; "" for None."""
    if isinstance(answer, tuple):
        return " | ".join(answer) or "no label"
    return "" if answer is None else f"{answer:g}" if isinstance(answer, float) else answer


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that was left out or looks wrong, and why.

    Args:
        name: The item, file or manifest row it is about, str.
        reason: One sentence that a person understands, str.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """An ordered collection of items of one modality.

    Args:
        items: The items, tuple of Item.
        modality: "image", "text" or "audio".
        root: The folder or manifest that was opened, Path. Defaults to None (made from lists).
        problems: What could not be opened, tuple of Problem. Defaults to ().
        target: What is to be learned about the items, see `Target`. Defaults to "label".

    Example:
        >>> items = Item("a.jpg", Path("a.jpg"), "cat"), Item("b.jpg", Path("b.jpg"), "dog")
        >>> data = Dataset(items, "image")
        >>> data.classes, data.counts(), len(data)
        (('cat', 'dog'), {'cat': 1, 'dog': 1}, 2)
    """

    items: tuple[Item, ...]
    modality: str
    root: Path | None = None
    problems: tuple[Problem, ...] = ()
    target: Target = "label"

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels that occur, in natural order ("class 2" before "class 10"); () for numbers."""
        return natural_order({label for item in self.items for label in item.tags})

    @property
    def has_splits(self) -> bool:
        """Whether any item says which split it belongs to."""
        return any(item.split is not None for item in self.items)

    def counts(self) -> dict[str, int]:
        """Return how many items have each label, in the order of `classes`."""
        found = Counter(label for item in self.items for label in item.tags)
        return {label: found[label] for label in self.classes}

    def only(self, split: Split) -> Dataset:
        """Return the data set of one split."""
        return replace(self, items=tuple(item for item in self.items if item.split == split))

    def take(self, indices: Iterable[int]) -> Dataset:
        """Return the data set of some items, by position."""
        return replace(self, items=tuple(self.items[index] for index in indices))

    def with_splits(self, splits: Sequence[Split | None]) -> Dataset:
        """Return the same items with other splits, one for each item."""
        pairs = zip(self.items, splits, strict=True)
        return replace(self, items=tuple(replace(item, split=split) for item, split in pairs))


def natural_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Sort labels as a person would: numbers inside them by value.

    Args:
        labels: The labels, str.

    Returns:
        The distinct labels, a sorted tuple.

    Example:
        >>> natural_order(["n10", "n2", "n1"])
        ('n1', 'n2', 'n10')
    """

    def key(label: str) -> tuple[list[tuple[int, int, str]], str]:
        parts: list[tuple[int, int, str]] = []
        for part in filter(None, re.split(r"([0-9]+)", label)):
            digits = part.lstrip("0")
            # Longer is larger; int() would refuse more than 4,300 digits.
            parts.append((0, len(digits), digits) if part[0] in "0123456789" else (1, 0, part.casefold()))
        return parts, label

    return tuple(sorted(set(labels), key=key))
