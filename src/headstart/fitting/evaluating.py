"""`evaluate_model`: how good a saved model is on labelled items."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.members import Member, combined
from headstart.artefact.model import Model
from headstart.data.items import SPLITS, Dataset, Problem, Split, in_words
from headstart.engines.openvino_engine import openvino_key
from headstart.errors import DataError, OptionError, require
from headstart.evaluation import Comparison, Evaluation, compare
from headstart.evaluation.label_errors import LabelIssue, find_label_issues
from headstart.evaluation.sections import ReportInput
from headstart.fitting.gathering import open_labelled_any
from headstart.fitting.judging import judge
from headstart.fitting.reasons import reasons
from headstart.fitting.recalling import near, recall
from headstart.fitting.reporting import SEEN_DIGITS, Report, glimpses
from headstart.fitting.targets import labelled
from headstart.modalities import modality
from headstart.progress import Say, quiet
from headstart.transfer.features import Features
from headstart.transfer.passes import Pass, extract
from headstart.transfer.selection import Labelled
from headstart.transfer.store import FeatureStore

# Items of a data set's train part that this model has not seen are as good as any other new ones.
_NAMES: dict[Split, str] = {"test": "test", "val": "validation", "train": "test"}


@dataclass(frozen=True)
class Answers:
    """A model's answers to labelled items.

    Args:
        dataset: The items that could be read; `problems` lists the others.
        known: Their features with the true classes as positions in the model's labels (or the labels that
            each has, or the numbers).
        logits: Before calibration, float [n, columns].
        probabilities: After it, float [n, columns]; for numbers the answers, [n, 1].
        seen: Whether the model was fitted on the item, bool [n].
    """

    dataset: Dataset
    known: Labelled
    logits: NDArray[np.floating]
    probabilities: NDArray[np.float64]
    seen: NDArray[np.bool_]

    @property
    def y(self) -> NDArray[Any]:
        """The truth: int [n] classes, bool [n, labels], or float [n] numbers."""
        return self.known.y


def answers(
    model: Model,
    source: Dataset | Path | str | Sequence[Path | str],
    *,
    split: Split | None = None,
    say: Say = quiet,
    store: FeatureStore | None = None,
) -> Answers:
    """Let a model answer about labelled items, through the feature store.

    Args:
        model: The model.
        source: The data, as for `fit`.
        split: "train", "val" or "test". Defaults to None: test, or else val, where the data
            has it; otherwise all of it.
        say: Where progress is told. Defaults to nowhere.
        store: The feature store. Defaults to the one in the cache.

    Returns:
        The answers.

    Raises:
        DataError: No item can be used, or none has a label that the model knows.
        OptionError: Unknown split, or data opened for another target than the model's.
    """
    opened = _part(open_labelled_any(source, model.target), split)
    dataset = _known(opened, model)
    for problem in dataset.problems[len(opened.problems) :]:
        say(f"left out: {problem.name}: {problem.reason}")
    own_store = store is None
    store = store or FeatureStore()
    try:
        reads = [_read(model, member, dataset, store) for member in model.members]
    finally:
        if own_store:
            store.close()
    result = reads[0].result
    missing = sorted(set().union(*(read.missing for read in reads)))
    gone = set(missing)
    good = np.array([n for n in range(len(dataset)) if n not in gone], np.int64)
    bad = tuple(Problem(dataset.items[n].name, result.facts[n].error or "unreadable") for n in missing)
    for problem in bad:
        say(f"left out: {problem.name}: {problem.reason}")
    if len(good) == 0:
        raise DataError(
            "at least one readable item", f"{len(bad)} unreadable ones", "check the files: headstart inspect"
        )
    usable = replace(dataset.take(good.tolist()), problems=dataset.problems + bad)
    each = []
    for read, member in zip(reads, model.members, strict=True):
        kept = np.isin(read.item, good)
        rows = read.rows if kept.all() else read.rows[kept]
        features = Features(rows, np.searchsorted(good, read.item[kept]), np.arange(len(good)))
        each.append(features.pool(member.head.logits(rows)))
    logits = combined(each, model.target, model.combine)
    truth = labelled(usable, features, model.labels)
    known_digests = set(model.data.get("seen", ()))
    seen = np.array([result.facts[n].digest[:SEEN_DIGITS] in known_digests for n in good], np.bool_)
    return Answers(usable, truth, logits, model.calibration.answers(logits), seen)


@dataclass(frozen=True)
class _Read:
    """A member's feature rows of a data set."""

    result: Pass
    rows: NDArray[np.float32]
    item: NDArray[np.int64]
    missing: list[int]


def _read(model: Model, member: Member, dataset: Dataset, store: FeatureStore) -> _Read:
    key = openvino_key(model.precision) if member.is_ir else model.engine_of(member).key
    result = extract(dataset, store, member.backbone, key, lambda: model.engine_of(member))
    return _Read(result, *result.read(store))


def evaluate_model(
    model: Model,
    source: Dataset | Path | str | Sequence[Path | str],
    *,
    split: Split | None = None,
    seed: int = 0,
    say: Say = quiet,
    store: FeatureStore | None = None,
) -> Report:
    """Measure a model on labelled items.

    Args:
        model: The model.
        source: The data, as for `fit`.
        split: As for `answers`. Defaults to None.
        seed: For the bootstrap, int. Defaults to 0.
        say: Where progress is told. Defaults to nowhere.
        store: The feature store. Defaults to the one in the cache.

    Returns:
        The report; its first evaluation has the figures.

    Raises:
        DataError: No item can be used.
        OptionError: Unknown split.
    """
    require(("sklearn", "scipy", "matplotlib"), "train", "evaluating")
    with nullcontext(store) if store is not None else closing(FeatureStore()) as kept:
        found = answers(model, source, split=split, say=say, store=kept)
        learned = recall(model, kept, found.dataset)
    names = [item.name for item in found.dataset]
    groups = [item.group for item in found.dataset]
    evaluation = judge(
        model.labels, found.known, found.logits, model.calibration, names=names, groups=groups, seed=seed
    )
    name = _what(found)
    known = int(found.seen.sum())
    notes = []
    if known:
        many = f"{known:,} of these {len(found.y):,} items"
        sentence = f"The model was fitted on {many}: the figures are too optimistic."
        say(sentence)
        notes = [sentence, "An honest estimate is in the report of the fit, or needs items it has not seen."]
    issues: Sequence[LabelIssue] = ()
    if isinstance(evaluation, Evaluation):
        issues = find_label_issues(model.labels, found.y, found.probabilities, names=names)
    number = found.dataset.counts()
    vectors = found.known.features.pool(np.asarray(found.known.features.X, np.float32))
    alike = near(learned, found.dataset, vectors, evaluation.losses)
    content = ReportInput(
        title=found.dataset.root.name if found.dataset.root else "Evaluation",
        evaluations={name: evaluation},
        noun=modality(found.dataset.modality).noun,
        facts=[
            ("Backbone", " + ".join(member.backbone.name for member in model.members)),
            ("Head", " + ".join(member.head.kind for member in model.members)),
            ("Fitted", model.created),
        ],
        counts={} if model.target == "number" else {name: {x: number.get(x, 0) for x in model.labels}},
        data_notes=notes,
        left_out=found.dataset.problems,
        label_issues=issues,
        glimpse=glimpses(found.dataset, None if learned is None else learned.dataset),
        reasons=reasons(model, found.dataset, evaluation.losses, alike),
    )
    return Report(content, tuple({"path": x.name, "label": in_words(x.answer)} for x in found.dataset))


def _what(found: Answers) -> str:
    """Name what was evaluated, by what the model knows of it."""
    if found.seen.all():
        return "train"
    if found.seen.any():
        return "partly seen items"
    splits = {item.split for item in found.dataset}
    only = splits.pop() if len(splits) == 1 else None
    return _NAMES[only] if only else "test"


def compare_models(
    first: Model,
    second: Model,
    source: Dataset | Path | str | Sequence[Path | str],
    *,
    names: tuple[str, str] = ("A", "B"),
    split: Split | None = None,
    seed: int = 0,
    say: Say = quiet,
    store: FeatureStore | None = None,
) -> Comparison:
    """Compare two models on the same labelled items.

    Args:
        first: One model.
        second: Another, with the same labels.
        source: The data, as for `fit`.
        names: What to call them. Defaults to "A" and "B".
        split: As for `answers`. Defaults to None.
        seed: For the bootstrap, int. Defaults to 0.
        say: Where progress is told. Defaults to nowhere.
        store: The feature store. Defaults to the one in the cache.

    Returns:
        The comparison.

    Raises:
        DataError: The models tell different classes apart, or no item can be used.
        OptionError: A model answers with several labels or with a number.
    """
    if other := {first.target, second.target} - {"label"}:
        fix = "evaluate each of them: headstart evaluate"
        raise OptionError("two models that answer with one label", f"one for {min(other)}", fix)
    if set(first.labels) != set(second.labels):
        odd = sorted(set(first.labels) ^ set(second.labels))
        raise DataError(
            "two models with the same labels",
            f"labels that only one has: {', '.join(odd[:8])}",
            "fit both on the same classes",
        )
    a = answers(first, source, split=split, say=say, store=store)
    b = answers(second, source, split=split, say=say, store=store)
    column = [second.labels.index(label) for label in first.labels]
    groups = [item.group for item in a.dataset]
    return compare(a.y, a.probabilities, b.probabilities[:, column], names=names, groups=groups, seed=seed)


def _known(dataset: Dataset, model: Model) -> Dataset:
    """Keep the items that the model can be right about; say of the others why they are left out."""
    if model.target == "number":
        return dataset
    known, problems = [], []
    for item in dataset:
        strange = [tag for tag in item.tags if tag not in model.labels]
        if strange:
            what = ", ".join(map(repr, strange))
            of_several = "; its other labels count" if model.target == "labels" else ""
            problems.append(Problem(item.name, f"the model does not know the label {what}{of_several}"))
        if not strange or model.target == "labels":
            known.append(item)
    if not set(dataset.classes) & set(model.labels):
        raise DataError(
            f"items labelled {', '.join(model.labels[:8])}",
            f"only {', '.join(map(repr, dataset.classes[:8])) or 'items without a label'}"
            if len(dataset)
            else "no items",
            "name the data that this model was made for",
        )
    return replace(dataset, items=tuple(known), problems=(*dataset.problems, *problems))


def _part(dataset: Dataset, split: Split | None) -> Dataset:
    if split is not None and split not in SPLITS:
        raise OptionError("the split train, val or test", repr(split), "choose one of them")
    if split is not None:
        part = dataset.only(split)
        if not len(part):
            raise DataError(f"items in {split}", "none", "leave the split out, or name data that has it")
        return part
    for name in ("test", "val"):
        if len(part := dataset.only(name)):
            return part
    return dataset
