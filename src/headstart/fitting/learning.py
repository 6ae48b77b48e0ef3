"""The head on cached features: chosen by cross-validation, judged, and fitted on all it may learn from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headstart.data.items import Dataset
from headstart.errors import DataError
from headstart.fitting.arranging import Arrangement
from headstart.fitting.gathering import Gathered
from headstart.fitting.judging import AnyEvaluation, judge, judge_folds
from headstart.fitting.targets import require_variety
from headstart.fitting.views import Answers, AtBlock, view_plan
from headstart.transfer.calibration import AnyCalibration, Interval
from headstart.transfer.heads import Head, Kind
from headstart.transfer.selection import Labelled, Selection, assign_folds, select
from headstart.transfer.shots.answers import SourceAnswers, SourceSpace
from headstart.transfer.shots.choices import ANSWERS, MEANS, ONE_SCALE, OneScale, few_choices
from headstart.transfer.shots.means import ClassMeans
from headstart.transfer.source_head import (
    SOURCE,
    SourceStart,
    Started,
    select_start,
    start_choices,
)
from headstart.transfer.stacking import Stacked, StackedHead, select_view

if TYPE_CHECKING:
    from headstart.fitting.views import AnyHead

_MADE_BY: dict[type[Labelled], str] = {
    Started: SOURCE,
    SourceAnswers: ANSWERS,
    ClassMeans: MEANS,
    OneScale: ONE_SCALE,
}


@dataclass(frozen=True)
class Beside:
    """A view that answers beside the backbone's features, such as terms.

    Args:
        view: All items.
        on_train: Its model fitted on train alone.
        head: The one fitted on train and val.
    """

    view: Labelled
    on_train: AnyHead
    head: AnyHead


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
        view: The items as the chosen view shows them, which the head was fitted on. Defaults to None.
        on_train: The head fitted on train alone on what the backbone's last block says, where there is a val
            part and such a head was chosen: what training may start from, for it has not seen the items that
            the training is checked on. Defaults to None.
        beside: What else the chosen view consists of, where there is a val part: it may answer together with
            a trained network. Defaults to none.
    """

    head: AnyHead
    calibration: AnyCalibration
    selection: Selection
    strengths: dict[float, float]
    evaluations: dict[str, AnyEvaluation]
    plan: dict[str, Any]
    start: SourceStart | None = None
    losses: dict[str, float] = field(default_factory=dict)
    on_train: Head | None = None
    view: Labelled | None = None
    beside: tuple[Beside, ...] = ()


def learn(
    arrangement: Arrangement,
    gathered: Gathered,
    kind: Kind,
    folds: int | str | None,
    class_weight: str | None,
    seed: int,
    start: SourceStart | None = None,
    views: Mapping[str, Sequence[Labelled]] | None = None,
    space: SourceSpace | None = None,
) -> Fitted:
    """Choose, check and fit the head on cached features, or on the best of several views of the items."""
    data = arrangement.data
    require_variety(data.take(arrangement.train))
    choices = start_choices(data, start)
    if kind == "linear" and not views:
        choices = few_choices(data, start, data.take(arrangement.train), space)
    choose = partial(select_view, views) if views else partial(select_start, choices)
    checked, on_train = None, None
    evaluations: dict[str, AnyEvaluation] = {}
    # A collection so small that nothing could be set aside is judged by cross-validation instead.
    if folds is None and len(arrangement.val):
        data, first, losses = choose(arrangement.train, kind, class_weight=class_weight, seed=seed)
        refit = data.take(arrangement.refit)
        checked, calibration = _fit_on(data, arrangement.train, kind, first, class_weight, seed)
        evaluations["validation"] = _answer(
            data, arrangement, gathered, arrangement.val, checked, calibration, seed
        )
        if isinstance(checked, Head) and _own(data, gathered.card.blocks[-1]):
            on_train = _tempered(checked, calibration)
        final = select(refit, kind, strengths=(first.strength,), class_weight=class_weight, seed=seed)
        strengths = first.losses
    else:
        assigned: NDArray[np.int64] | None = None
        if folds == "given":
            assigned = _given_folds(gathered.dataset, arrangement.refit)
        elif folds is not None:
            assigned = assign_folds(data.take(arrangement.refit), int(folds), seed)
        data, final, losses = choose(
            arrangement.refit, kind, folds=assigned, class_weight=class_weight, seed=seed
        )
        strengths = final.losses
        names = [gathered.dataset.items[n].name for n in arrangement.refit]
        evaluations["cross-validation"] = judge_folds(
            arrangement.labels, data.take(arrangement.refit), final, names=names, seed=seed
        )
    head, calibration = _fit_on(data, arrangement.refit, kind, final, class_weight, seed)
    if len(arrangement.test):
        test = _answer(data, arrangement, gathered, arrangement.test, head, calibration, seed)
        evaluations = {"test": test, **evaluations}
    plan = _plan(gathered, kind, final, class_weight, seed, folds)
    if made_by := [name for kind_of_view, name in _MADE_BY.items() if isinstance(data, kind_of_view)]:
        plan["head_start"] = made_by[0]
    plan |= view_plan(data)
    beside = () if checked is None else _beside(data, checked, head)
    return Fitted(
        head, calibration, final, strengths, evaluations, plan, start, losses, on_train, data, beside
    )


def _tempered(head: Head, calibration: AnyCalibration) -> Head:
    """Return a head whose logits mean what they say, to train from: those of class means have no scale."""
    return head if isinstance(calibration, Interval) else head.tempered(calibration.temperature)


def _beside(data: Labelled, checked: AnyHead, head: AnyHead) -> tuple[Beside, ...]:
    """Return the parts of the chosen view that do not read the backbone's features."""
    parts: Iterable[tuple[Labelled, Any, Any]] = [(data, checked, head)]
    if isinstance(data, Stacked) and isinstance(checked, StackedHead) and isinstance(head, StackedHead):
        parts = zip(data.views, checked.heads, head.heads, strict=True)
    return tuple(Beside(*part) for part in parts if not _own(part[0]))


def _own(view: Labelled, block: str | None = None) -> bool:
    """Whether a view is the backbone's own features, of a block where one is named."""
    if isinstance(view, AtBlock):
        return block in (None, view.block)
    return type(view) is not Stacked and not isinstance(view, Answers) and view.features.X.shape[1] > 0


def _fit_on(
    data: Labelled,
    items: NDArray[np.int64],
    kind: Kind,
    selection: Selection,
    class_weight: str | None,
    seed: int,
) -> tuple[AnyHead, AnyCalibration]:
    part = data.take(items)
    return part.fit(kind, selection.strength, class_weight, seed), part.calibrate(selection.logits)


def _answer(
    data: Labelled,
    arrangement: Arrangement,
    gathered: Gathered,
    items: NDArray[np.int64],
    head: AnyHead,
    calibration: AnyCalibration,
    seed: int,
) -> AnyEvaluation:
    part = data.take(items)
    names = [gathered.dataset.items[n].name for n in items]
    return judge(arrangement.labels, part, part.logits(head), calibration, names=names, seed=seed)


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
        "strategy": "cut-early" if gathered.cut else "freeze-all",
        "backbone": gathered.card.name,
        "cut": gathered.card.blocks[-1],
        "input_size": gathered.card.preprocess.size,
        "head": kind,
        "strength": selection.strength,
        "class_weight": class_weight,
        "folds": folds,
        "seed": seed,
    }
