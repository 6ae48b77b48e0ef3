"""The same thing twice: exact duplicates by content, near-duplicates by perceptual hash, and what leaks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headstart.data.items import Answer, Split
from headstart.errors import OptionError

_BITS = 64


class Duplicate(NamedTuple):
    """Two items that are the same, or nearly.

    Args:
        first: Position of the earlier item, int.
        second: Position of the later item, int.
        kind: "exact" (same bytes) or "near" (similar picture).
        distance: In how many of the 64 bits the fingerprints differ, int; 0 for exact duplicates.
    """

    first: int
    second: int
    kind: Literal["exact", "near"]
    distance: int


class Leaks(NamedTuple):
    """What must not be learned from, because it is tested on.

    Args:
        training: Items in train (or without a split) that are also in val or test, set of int.
        not_for_refit: Items in val that are also in test: they may choose a model, but a head that is
            fitted on train and val must not see them, set of int.
        repeats: Later exact copies of an item inside train, set of int.
    """

    training: set[int]
    not_for_refit: set[int]
    repeats: set[int]


def find_duplicates(
    digests: Sequence[str],
    fingerprints: Sequence[int | None],
    splits: Sequence[Split | None],
    *,
    distance: int = 4,
) -> list[Duplicate]:
    """Find the items that have the same bytes, or fingerprints that differ in a few bits at most.

    Nothing is missed: if an item has a duplicate in a split, it is in a pair with an item of that
    split, and linking the pairs links all that is to be linked. Not every pair among many identical
    items is listed, but each is paired with the first of every split: 1,000 copies give about 1,000
    pairs, not 500,000.

    Near-duplicates are found by multi-index hashing (Norouzi, Punjani and Fleet, "Fast Search in
    Hamming Space with Multi-Index Hashing", CVPR 2012): two fingerprints that differ in at most d bits
    agree exactly in one of d + 1 bands at least, so only those that share a band are compared.

    Args:
        digests: The content digest of each item, str.
        fingerprints: The perceptual hash of each item, an unsigned 64-bit int, or None (undecodable).
        splits: The split of each item, or None.
        distance: In how many bits near-duplicates differ at most, int, 0 … 16. Defaults to 4.

    Returns:
        The pairs, sorted.

    Raises:
        OptionError: distance is out of range, or the sequences differ in length.

    Example:
        >>> find_duplicates(["aa", "bb", "aa"], [7, 6, 7], ["train", "train", "test"])[0]
        Duplicate(first=0, second=1, kind='near', distance=1)
    """
    if not 0 <= distance <= 16:
        raise OptionError("a distance from 0 to 16 bits", str(distance), "the usual distance is 4")
    if not len(digests) == len(fingerprints) == len(splits):
        received = f"{len(digests)}, {len(fingerprints)} and {len(splits)}"
        raise OptionError(
            "as many digests as fingerprints and splits", received, "give one of each for every item"
        )
    found: dict[tuple[int, int], int] = {}
    by_digest: dict[str, list[int]] = defaultdict(list)
    by_print: dict[int, list[int]] = defaultdict(list)
    for item, (digest, fingerprint) in enumerate(zip(digests, fingerprints, strict=True)):
        by_digest[digest].append(item)
        if fingerprint is not None:
            by_print[fingerprint].append(item)
    for same in (*by_digest.values(), *by_print.values()):
        if len(same) > 1:
            found.update(dict.fromkeys(_links(same, same, splits), 0))
    unique = np.fromiter(by_print, np.uint64, len(by_print))
    for one, other, bits in zip(*_close(unique, distance), strict=True):
        members = by_print[int(unique[one])], by_print[int(unique[other])]
        if len(members[0]) == len(members[1]) == 1:  # by far the most common case
            pairs: Iterable[tuple[int, int]] = [(min(members)[0], max(members)[0])]
        else:
            pairs = _links(*members, splits)
        for pair in pairs:
            found.setdefault(pair, int(bits))
    return [
        Duplicate(i, j, "exact", 0) if digests[i] == digests[j] else Duplicate(i, j, "near", bits)
        for (i, j), bits in sorted(found.items())
    ]


def clusters(pairs: Iterable[Duplicate], count: int) -> list[int]:
    """Return a group number for each item, the same for items that pairs link, directly or by others.

    Args:
        pairs: The duplicates.
        count: How many items there are, int.

    Returns:
        For each item the smallest position in its group, so an item on its own has its own.

    Example:
        >>> clusters([Duplicate(0, 2, "near", 1), Duplicate(2, 3, "exact", 0)], 5)
        [0, 1, 0, 0, 4]
    """
    parent = list(range(count))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for pair in pairs:
        low, high = sorted((root(pair.first), root(pair.second)))
        parent[high] = low
    return [root(item) for item in range(count)]


def drop_leaks(pairs: Iterable[Duplicate], splits: Sequence[Split | None]) -> Leaks:
    """Decide which copies are left out: test and val stay as they were given, the training copy goes.

    Args:
        pairs: What `find_duplicates` found for the same splits.
        splits: The split of each item, or None (counts as train).

    Returns:
        The items to leave out, see `Leaks`.

    Example:
        >>> drop_leaks([Duplicate(0, 1, "near", 2)], ["train", "test"])
        Leaks(training={0}, not_for_refit=set(), repeats=set())
    """
    leaks = Leaks(set(), set(), set())
    for pair in pairs:
        first, second = splits[pair.first] or "train", splits[pair.second] or "train"
        for item, own, other in ((pair.first, first, second), (pair.second, second, first)):
            if own == "train" and other != "train":
                leaks.training.add(item)
            elif own == "val" and other == "test":
                leaks.not_for_refit.add(item)
        if pair.kind == "exact" and first == second == "train":
            leaks.repeats.add(pair.second)
    return leaks


def label_conflicts(pairs: Iterable[Duplicate], labels: Sequence[Answer | None]) -> list[Duplicate]:
    """Return the exact duplicates that carry different labels: one of the two must be wrong.

    Example:
        >>> label_conflicts([Duplicate(0, 1, "exact", 0)], ["cat", "dog"])
        [Duplicate(first=0, second=1, kind='exact', distance=0)]
    """
    return [pair for pair in pairs if pair.kind == "exact" and labels[pair.first] != labels[pair.second]]


def _links(
    some: Sequence[int], others: Sequence[int], splits: Sequence[Split | None]
) -> Iterator[tuple[int, int]]:
    """Pair each item of one side with the first of every split on the other side."""
    for left, right in ((some, others), (others, some)):
        firsts: dict[Split | None, int] = {}
        for item in right:
            firsts.setdefault(splits[item], item)
        for item in left:
            for first in firsts.values():
                if item != first:
                    yield (item, first) if item < first else (first, item)


def _close(prints: NDArray[np.uint64], distance: int) -> tuple[list[int], list[int], list[int]]:
    """Return the positions of all pairs of different fingerprints within the distance, and their distance."""
    codes = [np.empty(0, np.int64)]
    count = len(prints)
    edges = [round(_BITS * band / (distance + 1)) for band in range(distance + 2)]
    for low, high in pairwise(edges):
        band = (prints >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(band, kind="stable")
        ordered, band = prints[order], band[order]
        left = np.arange(count - 1)
        shift = 1
        # Compare each with the next, the next but one, …, as long as they share the band.
        while len(left := left[left + shift < count]) and len(left := left[band[left + shift] == band[left]]):
            near = left[np.bitwise_count(ordered[left] ^ ordered[left + shift]) <= distance]
            one, other = order[near], order[near + shift]
            codes.append(np.minimum(one, other) * count + np.maximum(one, other))
            shift += 1
    one, other = np.divmod(np.unique(np.concatenate(codes)), max(count, 1))
    bits = np.bitwise_count(prints[one] ^ prints[other])
    return one.tolist(), other.tolist(), bits.tolist()
