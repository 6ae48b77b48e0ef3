"""Who learns and who checks: stratified, grouped splits and folds."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.data.items import Dataset, Item, Split
from headstart.errors import DataError, OptionError

Label = str | None
Stratum = Label | tuple[str, ...]
"""What a part of the items should have its share of: a class, or several labels at once; () counts as one."""
Group = str | int | None
_Unit = tuple[list[int], Counter[Label]]  # the items that stay together, and how many of each class they are


def strata(items: Sequence[Item]) -> list[Stratum]:
    """Return what splits and folds should have their share of, for each item.

    Args:
        items: With a label, several labels, or a number each.

    Returns:
        The class, the labels, or the part of the ordered numbers that it is in.

    Example:
        >>> from headstart.data.items import Item
        >>> strata([Item("a", b"", value=float(n)) for n in range(4)])
        ['part 1', 'part 1', 'part 2', 'part 2']
    """
    numbers = [item.value for item in items if item.value is not None]
    if len(numbers) < len(items) or not items:
        return [item.label if item.labels is None else item.labels for item in items]
    return quantile_strata(numbers)


def quantile_strata(numbers: Sequence[float] | NDArray[np.floating]) -> list[Stratum]:
    """Return which part of the ordered numbers each belongs to: ten parts, fewer where they are few.

    Parts have about ten numbers at least. Equal numbers are in the same part.
    """
    values = np.asarray(numbers, np.float64)
    parts = int(np.clip(len(values) // 10, 2, 10))
    edges = np.quantile(values, np.arange(1, parts) / parts)
    return [f"part {part + 1}" for part in np.searchsorted(edges, values).tolist()]


def assign_splits(
    labels: Sequence[Stratum],
    groups: Sequence[Group] | None = None,
    *,
    val_share: float = 0.2,
    seed: int = 0,
) -> list[Split]:
    """Divide items into train and val so that each class has its share in both and no group straddles.

    The groups are taken in an order that only `seed` and their names decide, and a group goes to val
    when that brings its classes closer to their share. Then every class gets at least one item in
    train, and one in val where that robs no other class of its last in train. With named groups the
    result does not depend on the order of the items; an item without a group counts as a group named
    by its position.

    Args:
        labels: The class of each item, str or None; or its labels, tuple of str: then each label gets its
            share, in the spirit of iterative stratification.
        groups: The group of each item, str or int; None for an item on its own. Defaults to None
            (all on their own).
        val_share: The part of each class that goes to val, float between 0 and 1. Defaults to 0.2.
        seed: Which of the many such divisions, int. Defaults to 0.

    Returns:
        "train" or "val" for each item.

    Raises:
        OptionError: val_share is not between 0 and 1, or labels and groups differ in number.

    References:
        Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data", ECML 2011.

    Example:
        >>> splits = assign_splits(["cat"] * 10 + ["dog"] * 5)
        >>> splits[:10].count("val"), splits[10:].count("val")
        (2, 1)
    """
    if not 0 < val_share < 1:
        raise OptionError("a share for val between 0 and 1", str(val_share), "the usual share is 0.2")
    units = _units(labels, groups, seed)
    total = _count(labels)
    carriers = Counter(label for _, counts in units for label in counts)
    # A class that is in several groups gets at least one item in val.
    target = {c: max(val_share * n, 1.0 if carriers[c] > 1 else 0.0) for c, n in total.items()}
    in_val: Counter[Label] = Counter()
    chosen = [False] * len(units)
    for index, (_, counts) in enumerate(units):
        # The change of the squared distance to the targets, each class measured by its size.
        change = sum(n * (n + 2 * (in_val[c] - target[c])) / total[c] for c, n in counts.items())
        if change < 0:
            chosen[index] = True
            in_val.update(counts)
    _repair(units, chosen, total, in_val, carriers)
    splits: list[Split] = ["train"] * len(labels)
    for (members, _), is_val in zip(units, chosen, strict=True):
        if is_val:
            for item in members:
                splits[item] = "val"
    return splits


def settle_splits(data: Dataset, *, val_share: float = 0.2, seed: int = 0) -> Dataset:
    """Give every item a split, keeping what was given.

    An item without a split goes where the rest of its group is, else to train. If nothing is in val
    then, val is taken out of train. Test is never made up. The division depends on the names and
    groups of the items, not on their order.

    Args:
        data: The data set, with all, some or no splits.
        val_share: The part of each class that goes to val, float. Defaults to 0.2.
        seed: Which division, int. Defaults to 0.

    Returns:
        The data set with a split for every item.

    Raises:
        OptionError: val_share is not between 0 and 1.

    Example:
        >>> from headstart.data.items import Item
        >>> data = Dataset(tuple(Item(f"{i}.jpg", b"", "ab"[i % 2]) for i in range(10)), "image")
        >>> len(settle_splits(data).only("val"))
        2
    """
    home: dict[str | None, Split] = {item.group: item.split for item in data if item.split in ("val", "test")}
    home.pop(None, None)
    splits: list[Split] = [item.split or home.get(item.group, "train") for item in data]
    if "val" not in splits:
        loose = [i for i, item in enumerate(data) if splits[i] == "train" and item.group not in home]
        items = [data.items[i] for i in loose]
        groups = [f"item {item.name}" if item.group is None else f"group {item.group}" for item in items]
        divided = assign_splits(strata(items), groups, val_share=val_share, seed=seed)
        for position, split in zip(loose, divided, strict=True):
            splits[position] = split
    return data.with_splits(splits)


def make_folds(
    labels: Sequence[Stratum],
    groups: Sequence[Group] | None = None,
    *,
    folds: int = 5,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Deal items into folds of about the same size and the same classes, without tearing groups apart.

    Large groups are dealt first, each to the fold that has least of its classes. This is what
    scikit-learn's StratifiedGroupKFold aims at, in time proportional to the number of groups, and it
    accepts classes with fewer items than folds.

    Args:
        labels: The class of each item, str or None; or its labels, tuple of str.
        groups: The group of each item, str or int; None for an item on its own. Defaults to None.
        folds: How many folds, int, at least 2. Defaults to 5.
        seed: Which of the many such divisions, int. Defaults to 0.

    Returns:
        The fold of each item, int64 [items], 0 … folds - 1.

    Raises:
        OptionError: folds is below 2, or labels and groups differ in number.
        DataError: There are fewer groups than folds.

    Example:
        >>> make_folds(["a", "a", "b", "b"], ["x", "y", "x", "z"], folds=2).tolist()
        [0, 1, 0, 1]
    """
    if folds < 2:
        raise OptionError("at least 2 folds", str(folds), "the usual number is 5")
    units = _units(labels, groups, seed)
    if len(units) < folds:
        raise DataError(f"at least {folds} groups for {folds} folds", str(len(units)), "ask for fewer folds")
    total = _count(labels)
    held: list[Counter[Label]] = [Counter() for _ in range(folds)]
    sizes = [0] * folds
    result = np.zeros(len(labels), np.int64)
    for members, counts in sorted(units, key=lambda unit: -len(unit[0])):
        best = min(
            range(folds),
            key=lambda fold: (
                sum(n * held[fold][c] / total[c] for c, n in counts.items()),
                sizes[fold],
                fold,
            ),
        )
        held[best].update(counts)
        sizes[best] += len(members)
        result[members] = best
    return result


def _tags(label: Stratum) -> Sequence[Label]:
    return (label or (None,)) if isinstance(label, tuple) else (label,)


def _count(labels: Iterable[Stratum]) -> Counter[Label]:
    return Counter(tag for label in labels for tag in _tags(label))


def _units(labels: Sequence[Stratum], groups: Sequence[Group] | None, seed: int) -> list[_Unit]:
    """Return the groups in an order that depends on the seed and their names only."""
    if groups is not None and len(groups) != len(labels):
        raise OptionError(
            f"a group for each of the {len(labels)} items", f"{len(groups)} groups", "give as many"
        )
    members: dict[Group | tuple[int], list[int]] = defaultdict(list)
    for item in range(len(labels)):
        group = None if groups is None else groups[item]
        members[(item,) if group is None else group].append(item)

    def order(name: Group | tuple[int]) -> tuple[bytes, str]:
        text = f"{seed}/{name!r}"
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), text

    return [(members[name], _count(labels[i] for i in members[name])) for name in sorted(members, key=order)]


def _repair(
    units: Sequence[_Unit],
    chosen: list[bool],
    total: Counter[Label],
    in_val: Counter[Label],
    carriers: Counter[Label],
) -> None:
    """Give train the classes that are all in val, then val those that it lacks and train can spare."""
    for label in sorted(total, key=str):
        if in_val[label] == total[label]:
            moved = _smallest(units, label, (i for i, is_val in enumerate(chosen) if is_val), lambda _: True)
            if moved is not None:
                chosen[moved] = False
                in_val.subtract(units[moved][1])
    for label in sorted(total, key=str):
        if in_val[label] == 0 and carriers[label] > 1:
            stays = (i for i, is_val in enumerate(chosen) if not is_val)
            moved = _smallest(
                units, label, stays, lambda counts: all(in_val[c] + n < total[c] for c, n in counts.items())
            )
            if moved is not None:
                chosen[moved] = True
                in_val.update(units[moved][1])


def _smallest(
    units: Sequence[_Unit], label: Label, indices: Iterable[int], allowed: Callable[[Counter[Label]], bool]
) -> int | None:
    """Return the smallest of some groups that has items of a class, or None."""
    fitting = (i for i in indices if label in units[i][1] and allowed(units[i][1]))
    return min(fitting, key=lambda i: len(units[i][0]), default=None)
