"""The items of two domains in one, as a model sees them: what an adaptation starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart import data
from headstart.artefact.members import Member
from headstart.artefact.model import Model
from headstart.backbones.catalogue import CARDS, TERMS
from headstart.data.duplicates import Duplicate, clusters
from headstart.data.facts import Facts
from headstart.data.items import Dataset, Item, Problem, Split
from headstart.engines.openvino_engine import openvino_key
from headstart.errors import DataError, OptionError
from headstart.fitting.arranging import duplicates
from headstart.fitting.gathering import Gathered
from headstart.fitting.views import OfMember, texts_of
from headstart.modalities import modality
from headstart.progress import Say
from headstart.text.terms import TermsNetwork
from headstart.transfer.features import Features
from headstart.transfer.passes import examine, extract
from headstart.transfer.selection import Labelled
from headstart.transfer.store import FeatureStore
from headstart.transfer.terms import Terms

Positions = NDArray[np.int64]
Data = Dataset | Path | str | Sequence[Path | str]
UNKNOWN = -1
_LISTED = 8


@dataclass(frozen=True)
class TwoDomains:
    """The usable items of a source and of a target.

    Args:
        dataset: The items of both, the source's first; `problems` lists what was left out.
        facts: One for each item.
        views: What each of the model's members sees of them, by name; the class of a target item is `UNKNOWN`
            unless it may teach.
        source: Positions of the source's items, int, ascending.
        target: Positions of the target's items, int, ascending.
        truth: Class of every item as far as the data tells it, `UNKNOWN` elsewhere, int [items]; nothing is
            chosen by the target's.
        names: What the two data sets are called, (source, target), str.
    """

    dataset: Dataset
    facts: list[Facts]
    views: dict[str, list[Labelled]]
    source: Positions
    target: Positions
    truth: NDArray[np.int64]
    names: tuple[str, str]

    @property
    def any_view(self) -> Labelled:
        """The first view: all have the same items, classes and groups."""
        return next(iter(self.views.values()))[0]

    @property
    def dense(self) -> str | None:
        """The name of the first view with features; None where there are only terms."""
        return next((name for name, (view,) in self.views.items() if view.features.X.shape[1]), None)


def check_model(model: Model) -> None:
    """Raise `OptionError` unless a model can be adapted: one label an item, one network or a stack."""
    if model.target != "label":
        fix = "fit a model for classes; of numbers and of several labels no method here knows how to tell"
        raise OptionError("a model that answers with one label, to adapt", f"one for {model.target}", fix)
    if len(model.members) > 1 and model.combine != "sum":
        fix = "adapt one of the models that it was made of"
        raise OptionError("a model of one network, or a stack", "an ensemble", fix)


def open_domains(model: Model, source: Data, target: Data, *, labels: bool) -> tuple[Dataset, Dataset]:
    """Open both data sets and make sure that they are two domains of what the model answers about.

    Args:
        model: The model.
        source: Items with labels.
        target: Items with or without labels.
        labels: Whether labels of the target are to be learned from.

    Returns:
        The source without its test part, and the target.

    Raises:
        DataError: Another modality than the model's, labels that the model does not know, classes of the
            model that the source lacks, an empty data set, or no label in the target where some are to teach.
    """
    its, asked = data.open(source, target="label"), data.open(target, target="label")
    for what, opened in (("source", its), ("target", asked)):
        if opened.modality != model.modality:
            expected = f"{modality(model.modality).noun} in the {what}, as the model knows them"
            raise DataError(expected, modality(opened.modality).noun, "name other data, or another model")
        _check_labels(model, what, opened)
    kept = tuple(item for item in its if item.label is not None and item.split != "test")
    if missing := [label for label in model.labels if label not in {item.label for item in kept}]:
        received = f"none of {', '.join(map(repr, missing[:_LISTED]))}"
        fix = "name the data that the model was fitted on as the source, or give its classes the same names"
        raise DataError(f"source items labelled {', '.join(model.labels[:_LISTED])}", received, fix)
    if not len(asked):
        raise DataError("items in the target", "none", "name the folder with the items of the new domain")
    if labels and not any(_may_teach(item, asked) for item in asked):
        fix = "label some (a manifest with a label column), or leave labels out: none are needed"
        raise DataError("a few target items with labels, to learn from", "none", fix)
    return replace(its, items=kept), asked


def _check_labels(model: Model, what: str, opened: Dataset) -> None:
    if strange := [label for label in opened.classes if label not in model.labels]:
        fix = "rename them as the model's are"
        if what == "target":
            fix += ", or give the items without labels: one folder without others in it"
        received = f"in the {what} {', '.join(map(repr, strange[:_LISTED]))}"
        raise DataError(f"items labelled {', '.join(model.labels[:_LISTED])}", received, fix)


def _may_teach(item: Item, target: Dataset) -> bool:
    """Where the target has splits, labels of its train part teach; otherwise all that there are."""
    return item.label is not None and (item.split == "train" or not target.has_splits)


def see(
    model: Model, source: Dataset, target: Dataset, store: FeatureStore, *, labels: bool, say: Say
) -> TwoDomains:
    """Let the model's networks look at the items of both domains, through the feature store.

    Source items that are also in the target are left out of the source: what is known of them would tell the
    answer.

    Args:
        model: The model.
        source: As `open_domains` returns it.
        target: As `open_domains` returns it.
        store: Keeps the features.
        labels: Whether labels of the target teach.
        say: Where it is told what is left out.

    Returns:
        The items of both domains, as each member sees them.

    Raises:
        DataError: Nothing is readable, both data sets hold the same items, or all that the source knows of a
            class is also in the target.
    """
    both = _joined(source, target)
    items = both.items
    looked = [look(model, member, both, store) for member in model.members]
    facts = looked[0].facts
    gone = set().union(*(look.missing for look in looked))
    bad = [Problem(items[n].name, facts[n].error or "it cannot be read") for n in sorted(gone)]
    for problem in bad:
        say(f"left out: {problem.name}: {problem.reason}")
    good = np.array([n for n in range(len(items)) if n not in gone], np.int64)
    kept = _two(good, len(source), [each.digest for each in facts], say)
    group = _groups(both, facts, good, looked)[kept]
    place = {label: number for number, label in enumerate(model.labels)}
    truth = np.array([place.get(items[n].label or "", UNKNOWN) for n in kept], np.int64)
    of_source = kept < len(source)
    _require_classes(model, {items[n].label for n in good[good < len(source)]}, truth[of_source])
    teaching = [labels and _may_teach(item, target) for item in target]
    y = np.where(np.array([True] * len(source) + teaching)[kept], truth, UNKNOWN)
    usable = replace(both.take(kept.tolist()), problems=(*both.problems, *bad))
    views = {
        view_name(member, number): [
            member_view(member, look.features, kept, group, y, len(model.labels), usable)
        ]
        for number, (member, look) in enumerate(zip(model.members, looked, strict=True))
    }
    return TwoDomains(
        usable,
        [facts[n] for n in kept],
        views,
        np.flatnonzero(of_source),
        np.flatnonzero(~of_source),
        truth,
        (name_of(source, "the source"), name_of(target, "the target")),
    )


def _joined(source: Dataset, target: Dataset) -> Dataset:
    """Return the items of both: the first part of their names tells them apart, and their splits do."""
    sides: tuple[tuple[Split, Dataset], ...] = (("train", source), ("test", target))
    items = (
        replace(item, name=f"{what}/{item.name}", group=item.group and f"{what}/{item.group}", split=split)
        for what, (split, its) in zip(("source", "target"), sides, strict=True)
        for item in its
    )
    return Dataset(tuple(items), source.modality, problems=(*source.problems, *target.problems))


def _two(good: Positions, count: int, digests: Sequence[str], say: Say) -> Positions:
    """Return the readable items without those of the source that are also in the target.

    Raises:
        DataError: A domain has no readable items, or all that it has are in the other one, too.
    """
    source, target = (part.tolist() for part in (good[good < count], good[good >= count]))
    if not source or not target:
        received = f"{len(source)} in the source and {len(target)} in the target"
        raise DataError("readable items in both domains", received, "check the files: headstart inspect")
    ours, theirs = {digests[n] for n in source}, {digests[n] for n in target}
    if ours <= theirs or theirs <= ours:
        fix = "name the data that the model was fitted on as the source, and other items as the target"
        raise DataError("items of two domains", "the same items in source and target", fix)
    copies = [n for n in source if digests[n] in theirs]
    if copies:
        say(f"left out of the source: {len(copies)} items that are also in the target")
    return good[~np.isin(good, copies)]


def _require_classes(model: Model, before: set[str | None], truth: NDArray[np.int64]) -> None:
    """Refuse a source that has lost all items of a class to the target: it could not be answered any more."""
    lost = [label for number, label in enumerate(model.labels) if label in before and number not in truth]
    if lost:
        received = (
            f"{', '.join(map(repr, lost[:_LISTED]))}, whose items in the source are all in the target, too"
        )
        fix = "take them out of the target, or give a source with others of that class"
        raise DataError("items of every class in the source alone", received, fix)


def name_of(dataset: Dataset, otherwise: str) -> str:
    """Return what a data set is called: its folder or file."""
    return dataset.root.name if dataset.root else otherwise


@dataclass(frozen=True)
class Look:
    """What a member saw: all items' facts, features of the readable ones (None of terms), the others."""

    facts: list[Facts]
    features: Features | None
    missing: list[int]


def look(model: Model, member: Member, both: Dataset, store: FeatureStore) -> Look:
    """Let a member look at items, through the feature store.

    Args:
        model: The model that it belongs to.
        member: The member.
        both: The items.
        store: Keeps what its network says.
    """
    if not member.is_ir:
        facts = examine(both, store)
        return Look(facts, None, [n for n, each in enumerate(facts) if each.error or not each.digest])
    key = openvino_key(model.precision)
    done = extract(both, store, member.backbone, key, lambda: model.engine_of(member))
    rows, item, missing = done.read(store)
    return Look(done.facts, Features(rows, item, np.arange(len(both))), missing)


def _groups(both: Dataset, facts: Sequence[Facts], good: Positions, looked: Sequence[Look]) -> Positions:
    """Return the group of each item: those that the data names, joined with those that copies make."""
    every = np.arange(len(both))
    none = Features(np.zeros((len(both), 0), np.float32), every, every)
    features = next((look.features for look in looked if look.features is not None), none).take(good)
    card = CARDS[TERMS]  # which network it was does not matter for copies
    part = Gathered(both.take(good.tolist()), features, [facts[n] for n in good], card, {}, 0)
    links = [
        pair._replace(first=int(good[pair.first]), second=int(good[pair.second])) for pair in duplicates(part)
    ]
    first: dict[str, int] = {}
    for n, item in enumerate(both):
        if item.group is not None and first.setdefault(item.group, n) != n:
            links.append(Duplicate(first[item.group], n, "near", 0))
    return np.array(clusters(links, len(both)), np.int64)


def view_name(member: Member, number: int) -> str:
    """Return what the view of a model's member is called."""
    own = member.backbone.name if not member.is_ir else f"{member.backbone.name} {member.backbone.blocks[-1]}"
    return f"{own} ({number + 1})" if number and not own.startswith("terms") else own


def member_view(
    member: Member,
    features: Features | None,
    kept: Positions,
    group: NDArray[np.int64],
    y: NDArray[np.int64],
    classes: int,
    usable: Dataset,
) -> Labelled:
    """Return what a member sees of items, with their classes.

    Args:
        member: The member.
        features: What `look` found, None of terms.
        kept: Which of the items are meant, int, ascending.
        group: The group of each of them, int.
        y: The class of each of them, int.
        classes: Number of classes, int.
        usable: They.
    """
    if features is None:
        alone = Features(np.zeros((len(kept), 0), np.float32), np.arange(len(kept)), group)
        settings = TermsNetwork.load(member.network).settings
        return Terms(alone, y, classes, texts_of(usable, member.backbone), settings)
    return OfMember(replace(features.take(kept), group=group), y, classes, member)
