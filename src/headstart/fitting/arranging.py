"""Second step of a fit: duplicates, groups and splits; what may be learned from, and what must not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from headstart.data.duplicates import Duplicate, clusters, drop_leaks, find_duplicates, label_conflicts
from headstart.data.items import Dataset, Item
from headstart.data.splits import settle_splits
from headstart.fitting.gathering import Gathered
from headstart.fitting.targets import answer_labels, labelled
from headstart.modalities import modality
from headstart.transfer.features import Features
from headstart.transfer.selection import Labelled

# Two items with near-equal fingerprints are taken for the same only if the backbone agrees.
_SAME_COSINE = 0.9

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Arrangement:
    """What each item is for.

    Args:
        data: Features, classes and groups of all usable items.
        labels: The classes or labels, in natural order; for numbers only what the answer is called.
        splits: Each item's split.
        train: Items that the model is chosen on, int [n].
        val: Items that the choice is checked on, int [n]; empty with folds.
        test: Items that nothing is chosen on, int [n].
        refit: Items that the final head is fitted on: train and val without what is also in test, int [n].
        duplicates: (kept item, item like it, what was done), names.
        notes: Sentences about the data for the report.
    """

    data: Labelled
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    train: Indices
    val: Indices
    test: Indices
    refit: Indices
    duplicates: list[tuple[str, str, str]]
    notes: list[str]

    def with_features(self, features: Features) -> Arrangement:
        """Return the same arrangement of the same items, described by other features."""
        own = Features(features.X, features.item, self.data.features.group)
        return replace(self, data=replace(self.data, features=own))

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many items with each label each split has."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        return {
            split: dict(zip(self.labels, self.data.take(indices).counts(), strict=True))
            for split, indices in parts.items()
            if len(indices)
        }


def arrange(gathered: Gathered, *, folds: bool, val_share: float, seed: int) -> Arrangement:
    """Decide what each item is for, so that nothing leaks from what is tested into what is learned.

    Args:
        gathered: The usable items with features.
        folds: Whether the estimate will come from cross-validation: then nothing is set aside as val.
        val_share: Share of each class for validation where the data has no val, float.
        seed: For that division, int.

    Returns:
        The arrangement.
    """
    dataset = gathered.dataset
    pairs = duplicates(gathered)
    group = _groups(dataset, pairs)
    dataset = _with_groups(dataset, group)
    if folds:
        dataset = dataset.with_splits(["test" if item.split == "test" else "train" for item in dataset])
    else:
        dataset = settle_splits(_undecided_to_train(dataset), val_share=val_share, seed=seed)
    splits = [item.split or "train" for item in dataset]
    leaks = drop_leaks(pairs, splits)
    conflicts = label_conflicts(pairs, [item.answer for item in dataset])
    contradictory = {n for pair in conflicts for n in (pair.first, pair.second) if splits[n] == "train"}
    unwanted = leaks.training | leaks.repeats | contradictory
    where = {
        name: np.array([n for n, s in enumerate(splits) if s == name], np.int64)
        for name in ("train", "val", "test")
    }
    train = where["train"][~np.isin(where["train"], list(unwanted))]
    refit = np.sort(np.concatenate([train, where["val"][~np.isin(where["val"], list(leaks.not_for_refit))]]))
    labels = answer_labels(dataset)
    features = Features(gathered.features.X, gathered.features.item, np.array(group, np.int64))
    return Arrangement(
        labelled(dataset, features, labels),
        labels,
        tuple(splits),
        train,
        where["val"],
        where["test"],
        refit,
        _described(pairs, dataset.items, splits, unwanted, leaks.not_for_refit),
        _notes(dataset, pairs, leaks.training, leaks.repeats, contradictory, leaks.not_for_refit, splits),
    )


def _undecided_to_train(dataset: Dataset) -> Dataset:
    """Where some items have a split, the others are for training: test and val stay as they were given."""
    if not dataset.has_splits:
        return dataset
    return dataset.with_splits([item.split or "train" for item in dataset])


def duplicates(gathered: Gathered) -> list[Duplicate]:
    """Return the items that are the same: by their bytes, or by fingerprint and features."""
    digests = [facts.digest for facts in gathered.facts]
    prints = [facts.fingerprint for facts in gathered.facts]
    dataset = gathered.dataset
    near = modality(dataset.modality).near
    pairs = find_duplicates(digests, prints, [item.split for item in dataset], distance=near)
    if not any(pair.kind == "near" for pair in pairs):
        return pairs
    pooled = gathered.features.pool(gathered.features.X)

    def alike(pair: Duplicate) -> bool:
        a, b = pooled[pair.first], pooled[pair.second]
        return float(a @ b) >= _SAME_COSINE * float(np.linalg.norm(a) * np.linalg.norm(b))

    return [pair for pair in pairs if pair.kind == "exact" or alike(pair)]


def _groups(dataset: Dataset, pairs: Sequence[Duplicate]) -> list[int]:
    """Join the groups that the data names with those that duplicates make."""
    first: dict[str, int] = {}
    links = list(pairs)
    for n, item in enumerate(dataset):
        if item.group is not None:
            links.append(Duplicate(first.setdefault(item.group, n), n, "near", 0))
    return clusters((link for link in links if link.first != link.second), len(dataset))


def _with_groups(dataset: Dataset, group: list[int]) -> Dataset:
    size = np.bincount(group, minlength=len(group))
    items = tuple(
        replace(item, group=str(number) if size[number] > 1 else None)
        for item, number in zip(dataset, group, strict=True)
    )
    return replace(dataset, items=items)


def _described(
    pairs: Sequence[Duplicate],
    items: Sequence[Item],
    splits: Sequence[str],
    unwanted: set[int],
    not_for_refit: set[int],
) -> list[tuple[str, str, str]]:
    rows = []
    for pair in pairs:
        kept, other = (pair.second, pair.first) if pair.first in unwanted else (pair.first, pair.second)
        if other in unwanted:
            done = f"{pair.kind} copy, left out of training"
        elif other in not_for_refit or kept in not_for_refit:
            done = f"{pair.kind} copy in val and test, not used for the final fit"
        elif splits[kept] == splits[other]:
            done = f"{pair.kind} copy, kept together in {splits[kept]}"
        else:
            done = f"{pair.kind} copy across {splits[kept]} and {splits[other]}"
        rows.append((items[kept].name, items[other].name, done))
    return rows


def _notes(
    dataset: Dataset,
    pairs: Sequence[Duplicate],
    training: set[int],
    repeats: set[int],
    contradictory: set[int],
    not_for_refit: set[int],
    splits: Sequence[str],
) -> list[str]:
    exact = sum(pair.kind == "exact" for pair in pairs)
    notes = [f"{exact} exact and {len(pairs) - exact} near-duplicate pairs were found."]
    said = (
        (training, "training items that also occur in val or test were left out of training."),
        (repeats, "repeated copies inside train were left out."),
        (contradictory, "training items with the same content but different labels were left out."),
        (not_for_refit, "val items that also occur in test were kept out of the final fit."),
    )
    notes.extend(f"{len(items)} {sentence}" for items, sentence in said if items)
    lonely = [label for label, count in dataset.counts().items() if count == 1]
    if lonely:
        notes.append(f"Only one item of {', '.join(lonely)}: whether the model knows it cannot be checked.")
    missing = sorted(
        set(dataset.classes)
        - {tag for i, s in zip(dataset, splits, strict=True) if s == "train" for tag in i.tags}
    )
    if missing:
        notes.append(f"No training item of {', '.join(missing)}: the model never learned it.")
    return notes + unchecked(dataset, splits)


def unchecked(dataset: Dataset, splits: Sequence[str]) -> list[str]:
    """Say which classes there is nothing to check with, in the splits that there are.

    Args:
        dataset: The items.
        splits: Of each item, str.

    Returns:
        A sentence for val and for test, where a class has no item there.
    """
    found = []
    for split, what in (("val", "validation"), ("test", "test")):
        here = [item for item, its in zip(dataset, splits, strict=True) if its == split]
        if (
            absent := sorted(set(dataset.classes) - {tag for item in here for tag in item.tags})
            if here
            else []
        ):
            more = f" and {len(absent) - 8} more" if len(absent) > 8 else ""
            named = ", ".join(absent[:8]) + more
            found.append(f"No {what} item of {named}: how well the model knows it is not checked there.")
    return found
