"""`fit`: from a data set to a model, the whole way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.model import Model
from headstart.data.items import Dataset, Target
from headstart.engines.precision import Precision
from headstart.errors import DataError, OptionError, require
from headstart.fitting.arranging import Arrangement, arrange
from headstart.fitting.gathering import Gathered, gather, open_labelled
from headstart.fitting.judging import AnyEvaluation, judge, judge_folds
from headstart.fitting.reporting import build_model
from headstart.fitting.targets import describe, require_two_answers, require_variety
from headstart.progress import Say, quiet
from headstart.transfer.calibration import AnyCalibration
from headstart.transfer.heads import KINDS, Head, Kind
from headstart.transfer.selection import Labelled, Selection, assign_folds, one_core_each, select
from headstart.transfer.source_head import (
    SOURCE,
    SourceStart,
    Started,
    select_start,
    source_start,
    start_choices,
)
from headstart.transfer.store import FeatureStore

_FOLDS = 5


@dataclass(frozen=True)
class Fitted:
    """What a fit produced, before it becomes a `Model`.

    Args:
        head: Fitted on train and val.
        calibration: From out-of-fold answers on the same items.
        selection: The final cross-validation, whose out-of-fold logits belong to `arrangement.refit`.
        strengths: Cross-validated loss of each regularisation strength that was tried, {strength: loss}.
        evaluations: By split, the most important first.
        plan: What was done, JSON-able.
        start: What the source classifier knows of the classes, where it names enough of them; whether the
            head started from it is in the plan. Defaults to None.
        losses: Cross-validated loss by what the head starts from, {"zero" | "source classes": float}.
            Defaults to none, where only one was tried.
    """

    head: Head
    calibration: AnyCalibration
    selection: Selection
    strengths: dict[float, float]
    evaluations: dict[str, AnyEvaluation]
    plan: dict[str, Any]
    start: SourceStart | None = None
    losses: dict[str, float] = field(default_factory=dict)


def fit(
    source: Dataset | Path | str | Sequence[Path | str],
    *,
    target: Target | None = None,
    backbone: str | None = None,
    head: Kind = "linear",
    folds: int | None = None,
    val_share: float = 0.2,
    class_weight: str | None = None,
    seed: int = 0,
    engine: str = "auto",
    precision: Precision | None = None,
    offline: bool = False,
    say: Say = quiet,
    store: FeatureStore | None = None,
) -> Model:
    """Learn to tell the classes of a collection apart, to name several labels, or to estimate a number.

    A pretrained backbone turns each item into features (computed once, kept in the feature store); a head
    is fitted on them, its regularisation chosen by cross-validation; temperature, prediction sets and the
    abstention threshold come from out-of-fold answers. Given splits are respected; otherwise a fifth of
    each class is held out. Then the head is fitted again on train and val. Test is looked at once, last.

    Args:
        source: A data set, or what `headstart.data.open` opens: a folder for each class, a manifest, …
        target: "label" (one class an item), "labels" (several or none) or "number". Defaults to None: what
            the data set was opened for, see `headstart.data.open`.
        backbone: Name of the pretrained network. Defaults to None: the modality's default.
        head: "linear", "mlp" or (one class an item only) "centroid". Defaults to "linear".
        folds: Estimate by this many cross-validation folds instead of a held-out part, int ≥ 2. A `fold`
            column in the manifest is honoured. Defaults to None.
        val_share: Share of each class held out where no val split is given, float. Defaults to 0.2.
        class_weight: "balanced" weighs rare classes up. Defaults to None.
        seed: For the splits, folds and the MLP, int. Defaults to 0.
        engine: "auto", "openvino" or "torch". Defaults to "auto".
        precision: "bf16", "fp32" or "int8". Defaults to None: the engine's own choice.
        offline: Whether to stay off the network. Defaults to False.
        say: Called with a line of text at each step. Defaults to saying nothing.
        store: The feature store. Defaults to the one in the cache.

    Returns:
        The model, with its report.

    Raises:
        DataError: The data cannot teach anything: empty, unlabelled, all labelled alike, nothing readable.
        OptionError: An argument cannot be used.
        BackboneError: The backbone is unknown or cannot be had.

    References:
        Kornblith, Shlens and Le, "Do Better ImageNet Models Transfer Better?", CVPR 2019, for the
        logistic-regression probe.

    Example:
        >>> import headstart as hs
        >>> model = hs.fit("photos/")  # doctest: +SKIP
        >>> model.save("photos.headstart")  # doctest: +SKIP
    """
    started = time.monotonic()
    require(("sklearn", "scipy", "torch"), "train", "fitting")
    _check(head, folds, val_share, class_weight)
    dataset = open_labelled(source, target)
    _check_head(head, class_weight, dataset.target)
    say(f"{len(dataset)} {dataset.modality}s {describe(dataset)}")
    own_store = store is None
    store = store or FeatureStore()
    try:
        gathered = gather(
            dataset, store, backbone=backbone, engine=engine, precision=precision, offline=offline, say=say
        )
        require_two_answers(gathered.dataset)
        known = len(gathered.dataset) - gathered.computed
        say(f"features: {gathered.computed} computed, {known} already known")
        use_folds = _wanted_folds(gathered.dataset, folds)
        arrangement = arrange(gathered, folds=use_folds is not None, val_share=val_share, seed=seed)
        start = None
        if head == "linear" and dataset.target == "label":
            start = source_start(gathered.card, arrangement.labels, offline=offline, say=say)
        with one_core_each():
            fitted = learn(arrangement, gathered, head, use_folds, class_weight, seed, start)
        seconds = time.monotonic() - started
        return build_model(gathered, arrangement, fitted, seconds=seconds, offline=offline, say=say)
    finally:
        if own_store:
            store.close()


def learn(
    arrangement: Arrangement,
    gathered: Gathered,
    kind: Kind,
    folds: int | str | None,
    class_weight: str | None,
    seed: int,
    start: SourceStart | None = None,
) -> Fitted:
    """Choose, check and fit the head on cached features."""
    data = arrangement.data
    require_variety(data.take(arrangement.train))
    choices = start_choices(data, start)
    evaluations: dict[str, AnyEvaluation] = {}
    refit = data.take(arrangement.refit)
    # A collection so small that nothing could be set aside is judged by cross-validation instead.
    if folds is None and len(arrangement.val):
        data, first, losses = select_start(
            choices, arrangement.train, kind, class_weight=class_weight, seed=seed
        )
        refit = data.take(arrangement.refit)
        checked, calibration = _fit_on(data, arrangement.train, kind, first, class_weight, seed)
        evaluations["validation"] = _answer(
            arrangement, gathered, arrangement.val, checked, calibration, seed
        )
        final = select(refit, kind, strengths=(first.strength,), class_weight=class_weight, seed=seed)
        strengths = first.losses
    else:
        assigned: int | NDArray[np.int64] = _FOLDS
        if folds == "given":
            assigned = _given_folds(gathered.dataset, arrangement.refit)
        elif folds is not None:
            assigned = assign_folds(refit, int(folds), seed)
        data, final, losses = select_start(
            choices, arrangement.refit, kind, folds=assigned, class_weight=class_weight, seed=seed
        )
        strengths = final.losses
        names = [gathered.dataset.items[n].name for n in arrangement.refit]
        evaluations["cross-validation"] = judge_folds(
            arrangement.labels, refit, final, names=names, seed=seed
        )
    head, calibration = _fit_on(data, arrangement.refit, kind, final, class_weight, seed)
    if len(arrangement.test):
        test = _answer(arrangement, gathered, arrangement.test, head, calibration, seed)
        evaluations = {"test": test, **evaluations}
    plan = _plan(gathered, kind, final, class_weight, seed, folds)
    if isinstance(data, Started):
        plan["head_start"] = SOURCE
    return Fitted(head, calibration, final, strengths, evaluations, plan, start, losses)


def _fit_on(
    data: Labelled,
    items: NDArray[np.int64],
    kind: Kind,
    selection: Selection,
    class_weight: str | None,
    seed: int,
) -> tuple[Head, AnyCalibration]:
    part = data.take(items)
    return part.fit(kind, selection.strength, class_weight, seed), part.calibrate(selection.logits)


def _answer(
    arrangement: Arrangement,
    gathered: Gathered,
    items: NDArray[np.int64],
    head: Head,
    calibration: AnyCalibration,
    seed: int,
) -> AnyEvaluation:
    part = arrangement.data.take(items)
    names = [gathered.dataset.items[n].name for n in items]
    return judge(arrangement.labels, part, part.logits(head), calibration, names=names, seed=seed)


def _wanted_folds(dataset: Dataset, folds: int | None) -> int | str | None:
    given = [item.fold for item in dataset if item.split != "test"]
    without = given.count(None)
    if 0 < without < len(given):
        fix = "fill the fold column, or leave it out"
        raise DataError("a fold for every item or for none", f"{without} of {len(given)} without one", fix)
    if given and all(fold is not None for fold in given) and len(set(given)) > 1:
        return "given"
    return folds


def _given_folds(dataset: Dataset, items: NDArray[np.int64]) -> NDArray[np.int64]:
    names, folds = np.unique([str(dataset.items[n].fold) for n in items], return_inverse=True)
    if len(names) < 2:
        fix = "name more folds in the manifest, or leave that column out"
        raise DataError("items to learn from in at least two folds", f"only fold {names[0]}", fix)
    return folds.astype(np.int64)


def _plan(
    gathered: Gathered,
    kind: Kind,
    selection: Selection,
    class_weight: str | None,
    seed: int,
    folds: int | str | None,
) -> dict[str, Any]:
    return {
        "strategy": "freeze-all",
        "backbone": gathered.card.name,
        "cut": gathered.card.blocks[-1],
        "input_size": gathered.card.preprocess.size,
        "head": kind,
        "strength": selection.strength,
        "class_weight": class_weight,
        "folds": folds,
        "seed": seed,
    }


def _check_head(head: str, class_weight: str | None, target: Target) -> None:
    if target != "label" and head == "centroid":
        raise OptionError(f"a head of kind linear or mlp for the target {target}", head, "use linear")
    if class_weight is not None and (target == "number" or (target == "labels" and head != "linear")):
        received = f"{class_weight!r} with a {head} head for the target {target}"
        raise OptionError("class_weight where classes can be weighed", received, "leave it out")


def _check(head: str, folds: int | None, val_share: float, class_weight: str | None) -> None:
    if head not in KINDS:
        raise OptionError(f"a head of kind {', '.join(KINDS)}", repr(head), "choose one of them")
    if folds is not None and folds < 2:
        raise OptionError("at least 2 folds", repr(folds), "use 5, or leave it out")
    if not 0 < val_share < 1:
        raise OptionError("a val_share between 0 and 1", repr(val_share), "use 0.2")
    if class_weight not in (None, "balanced"):
        raise OptionError("class_weight None or 'balanced'", repr(class_weight), "use one of the two")
