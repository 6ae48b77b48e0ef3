"""`refit`: a model learns from corrections beside what it knows, and is compared with what it was."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.model import Model
from headstart.backbones.catalogue import DOCUMENT_CNN
from headstart.data.items import Dataset, Item
from headstart.engines.openvino_engine import openvino_key
from headstart.errors import DataError, OptionError, require
from headstart.evaluation.compare import SIGNIFICANT, Comparison, compare
from headstart.fitting.arranging import Arrangement, arrange
from headstart.fitting.evaluating import answers
from headstart.fitting.gathering import NO_ENGINE, Gathered, open_labelled
from headstart.fitting.learning import Fitted, learn
from headstart.fitting.reporting import SEEN_DIGITS, build_model
from headstart.fitting.strategies import PROBE, probe
from headstart.fitting.two_domains import look, member_view, view_name
from headstart.modalities import modality
from headstart.progress import Say, quiet
from headstart.transfer.features import Features
from headstart.transfer.heads import KINDS, Kind
from headstart.transfer.selection import Labelled, one_core_each
from headstart.transfer.source_head import source_start
from headstart.transfer.store import FeatureStore

MAY_LOSE = 0.005
"""So much accuracy on the old items may be lost; of few items one, for less there is not."""
FOLDS = 5
NAMES = ("champion", "challenger")
_FEEDBACK = "feedback"
"""Where corrections stand in the collection: first part of their names."""
Positions = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Refit:
    """What came of learning from corrections.

    Args:
        model: The challenger.
        fresh: Champion and challenger on corrections that the champion has not learned from; the challenger
            by heads that had not seen them either.
        old: Both on old items: on the test part, or out-of-fold where there is none.
        judged_on: What the old items are, str: "test", or "out-of-fold".
        learned: How many corrections were learned from, int.
        seconds: What it took, float.
    """

    model: Model
    fresh: Comparison
    old: Comparison
    judged_on: str
    learned: int
    seconds: float

    @property
    def better(self) -> bool:
        """Whether the challenger is to answer from now on."""
        gains = self.fresh.difference > 0 and self.fresh.p_value < SIGNIFICANT
        return gains and -self.old.difference <= max(MAY_LOSE, 1 / self.old.items) + 1e-9

    @property
    def verdict(self) -> str:
        """The result in sentences."""
        fresh, old = self.fresh, self.old
        what = (
            f"On {fresh.items:,} corrected items {_percent(fresh.accuracy[0])} were right and now "
            f"{_percent(fresh.accuracy[1])} are (McNemar p = {fresh.p_value:.2g}); on {old.items:,} old ones "
            f"({self.judged_on}) {_percent(old.accuracy[0])} and {_percent(old.accuracy[1])}."
        )
        if self.better:
            return f"{what} The new version is better."
        if fresh.difference <= 0 or fresh.p_value >= SIGNIFICANT:
            return f"{what} The old version stays: that the new one is better may be chance."
        return f"{what} The old version stays: the new one forgets too much."

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {
            "better": self.better,
            "verdict": self.verdict,
            "corrections": self.fresh.to_json(),
            "old": {**self.old.to_json(), "judged_on": self.judged_on},
            "learned": self.learned,
            "seconds": round(self.seconds, 2),
        }


def refit(
    model: Model,
    source: Dataset | Path | str,
    corrections: Sequence[Item],
    *,
    seed: int = 0,
    offline: bool = False,
    store: FeatureStore | None = None,
    say: Say = quiet,
) -> Refit:
    """Fit a model's head again, on what it learned from and on corrections, and compare both models.

    Networks stay as they are: features of old items come from the feature store, so this takes seconds.

    Args:
        model: The champion; it answers with one label.
        source: The data that it was fitted on, as for `fit`. A test part is only judged on.
        corrections: Items with the right label, their content as source; their names must differ.
        seed: As for `fit`. Defaults to 0.
        offline: Whether to stay off the network. Defaults to False.
        store: The feature store. Defaults to the one in the cache.
        say: Called with a line of text at each step. Defaults to saying nothing.

    Returns:
        The challenger and the comparisons; `better` says whether it should take the champion's place.

    Raises:
        DataError: There is no correction that the champion has not learned from, or the data do not fit.
        OptionError: A model for several labels or for numbers, or a document CNN.

    References:
        McNemar, "Note on the sampling error of the difference between correlated proportions", 1947.
    """
    started = time.monotonic()
    require(("sklearn", "scipy", "torch"), "train", "updating")
    _check(model)
    old = open_labelled(source, "label")
    if old.modality != model.modality:
        raise DataError(
            f"data of {modality(model.modality).noun}, as the model knows",
            modality(old.modality).noun,
            "name its own data",
        )
    fresh = tuple(_correction(item) for item in corrections)
    with ExitStack() as stack:
        store = store or stack.enter_context(FeatureStore())
        seen = _see(model, replace(old, items=(*old.items, *fresh)), store, say)
        judged = seen.unknown_to(model)
        if not len(judged):
            fix = "correct some more items, then update again"
            raise DataError("corrections that the model has not learned from", "none", fix)
        arrangement = arrange(seen.gathered, folds=True, val_share=0.2, seed=seed)
        say(f"{len(arrangement.refit):,} items to learn from, {len(seen.fresh):,} of them corrections")
        made, fitted = _made(model, seen, arrangement, started, seed, offline)
        on_fresh = _on_corrections(model, seen, arrangement, fitted, judged, seed)
        if len(arrangement.test):
            on_old, judged_on = _on_test(model, made, old, store, seed), "test"
        else:
            on_old, judged_on = _out_of_fold(model, seen, arrangement, fitted, seed, offline), "out-of-fold"
    learned = int(np.isin(seen.fresh, arrangement.refit).sum())
    made.data["corrections"] = learned
    found = Refit(made, on_fresh, on_old, judged_on, learned, time.monotonic() - started)
    say(found.verdict)
    return found


@dataclass(frozen=True)
class _Seen:
    """Old items and corrections, as the model's networks see them.

    Args:
        gathered: All usable items; the features are the first network's.
        features: Of each member, None of terms.
        fresh: Positions of the corrections, int.
    """

    gathered: Gathered
    features: tuple[Features | None, ...]
    fresh: Positions

    def unknown_to(self, model: Model) -> Positions:
        """Return the positions of corrections that a model has not learned from."""
        known = set(model.data.get("seen", ()))
        facts = self.gathered.facts
        return np.array([n for n in self.fresh if facts[n].digest[:SEEN_DIGITS] not in known], np.int64)


def _check(model: Model) -> None:
    if model.target != "label":
        fix = "fit it again, with the corrections in the data"
        raise OptionError("a model that answers with one label, to update", f"one for {model.target}", fix)
    if any(member.backbone.name == DOCUMENT_CNN for member in model.members):
        fix = "fit it again, with the corrections in the data"
        raise OptionError("a model of a frozen network or of terms", "a document CNN", fix)


def _correction(item: Item) -> Item:
    return replace(item, name=f"{_FEEDBACK}/{item.name}", split="train")


def _see(model: Model, dataset: Dataset, store: FeatureStore, say: Say) -> _Seen:
    looked = [look(model, member, dataset, store) for member in model.members]
    facts = looked[0].facts
    gone = set().union(*(each.missing for each in looked))
    for n in sorted(gone):
        say(f"left out: {dataset.items[n].name}: {facts[n].error or 'it cannot be read'}")
    corrected = {facts[n].digest for n, item in enumerate(dataset) if item.name.startswith(f"{_FEEDBACK}/")}
    # What was corrected is what the correction says, whatever the old label was.
    gone |= {
        n
        for n, item in enumerate(dataset)
        if facts[n].digest in corrected and item.split != "test" and not item.name.startswith(f"{_FEEDBACK}/")
    }
    good = np.array([n for n in range(len(dataset)) if n not in gone], np.int64)
    kept = dataset.take(good.tolist())
    features = tuple(None if each.features is None else each.features.take(good) for each in looked)
    none = Features(np.zeros((len(good), 0), np.float32), np.arange(len(good)), np.arange(len(good)))
    first = next((each for each in features if each is not None), none)
    engine = openvino_key(model.precision)
    if features[0] is None:
        engine = {**engine, "engine": NO_ENGINE}
    gathered = Gathered(kept, first, [facts[n] for n in good], model.backbone, engine, 0)
    fresh = [n for n, item in enumerate(kept) if item.name.startswith(f"{_FEEDBACK}/")]
    return _Seen(gathered, features, np.array(fresh, np.int64))


def _learn(model: Model, seen: _Seen, arrangement: Arrangement, seed: int, offline: bool) -> Fitted:
    """Fit the head as `fit` does: of one frozen network on its features, otherwise on each member's view."""
    kind: Kind = model.head.kind if model.head.kind in KINDS else "linear"
    weight: str | None = model.plan.get("class_weight")
    alone = len(model.members) == 1 and model.members[0].is_ir and model.members[0].weights is None
    views: dict[str, list[Labelled]] | None = None
    start = None
    if alone:
        start = (
            source_start(model.backbone, arrangement.labels, offline=offline) if kind == "linear" else None
        )
    else:
        views, kind = _views(model, seen, arrangement), "linear" if len(model.members) > 1 else kind
    with one_core_each():
        return learn(arrangement, seen.gathered, kind, FOLDS, weight, seed, start, views)


def _views(model: Model, seen: _Seen, arrangement: Arrangement) -> dict[str, list[Labelled]]:
    data, dataset = arrangement.data, seen.gathered.dataset
    every = np.arange(len(dataset))
    return {
        view_name(member, number): [
            member_view(member, features, every, data.features.group, data.y, data.classes, dataset)
        ]
        for number, (member, features) in enumerate(zip(model.members, seen.features, strict=True))
    }


def _made(
    model: Model,
    seen: _Seen,
    arrangement: Arrangement,
    started: float,
    seed: int,
    offline: bool,
) -> tuple[Model, Fitted]:
    fitted = _learn(model, seen, arrangement, seed, offline)
    fitted = replace(fitted, plan={**fitted.plan, "updated_from": model.created})
    candidate = probe(PROBE, seen.gathered, arrangement, fitted, time.monotonic() - started)
    made = build_model(candidate, (), seconds=time.monotonic() - started, offline=offline, say=quiet)
    return made, fitted


def _on_corrections(
    model: Model, seen: _Seen, arrangement: Arrangement, fitted: Fitted, judged: Positions, seed: int
) -> Comparison:
    """Compare on corrections that neither model has learned from."""
    judged = judged[np.isin(judged, arrangement.refit)]
    if not len(judged):
        fix = "correct items that are not in the test part of the data"
        raise DataError("corrections to learn from", "only copies of test items", fix)
    sources = [seen.gathered.dataset.items[n].source for n in judged]
    before = _in_columns(model.predict_proba(sources), model.labels, arrangement.labels)
    rows = np.searchsorted(arrangement.refit, judged)
    after = fitted.calibration.answers(fitted.selection.logits[rows])
    return compare(arrangement.data.y[judged], before, after, names=NAMES, seed=seed)


def _on_test(model: Model, made: Model, old: Dataset, store: FeatureStore, seed: int) -> Comparison:
    """Compare on the old test items, which neither has seen."""
    test = replace(old.only("test"), problems=())
    asked = replace(test, items=tuple(item for item in test if item.label in model.labels))
    first, second = (answers(each, asked, split="test", store=store) for each in (model, made))
    labels = made.labels
    truth = np.array([labels.index(item.label) for item in first.dataset if item.label is not None], np.int64)
    before = _in_columns(first.probabilities, model.labels, labels)
    groups = [item.group for item in first.dataset]
    return compare(truth, before, second.probabilities, names=NAMES, groups=groups, seed=seed)


def _out_of_fold(
    model: Model, seen: _Seen, arrangement: Arrangement, fitted: Fitted, seed: int, offline: bool
) -> Comparison:
    """Compare the answers about old items of heads that had not seen them, with corrections and without."""
    without = replace(arrangement, refit=np.setdiff1d(arrangement.refit, seen.fresh))
    without = replace(without, train=np.setdiff1d(arrangement.train, seen.fresh))
    alone = _learn(model, seen, without, seed, offline)
    rows = np.searchsorted(arrangement.refit, without.refit)
    before = alone.calibration.answers(alone.selection.logits)
    after = fitted.calibration.answers(fitted.selection.logits[rows])
    return compare(arrangement.data.y[without.refit], before, after, names=NAMES, seed=seed)


def _in_columns(
    probabilities: NDArray[np.floating], labels: Sequence[str], wanted: Sequence[str]
) -> NDArray[np.float64]:
    """Return probabilities in the order of other labels; of one that a model does not know it says 0."""
    found = np.zeros((len(probabilities), len(wanted)))
    for column, label in enumerate(wanted):
        if label in labels:
            found[:, column] = probabilities[:, labels.index(label)]
    return found


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
