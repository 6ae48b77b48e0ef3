"""What tuning asks for each plan: how well does it do? Only train and val are ever there to answer it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart import backbones
from headstart.data.items import Dataset
from headstart.engines.precision import Precision
from headstart.errors import DataError
from headstart.files import digest_json
from headstart.fitting.arranging import Arrangement, arrange
from headstart.fitting.gathering import Gathered, gather
from headstart.progress import Say, quiet
from headstart.training.plan import Plan
from headstart.transfer.depths import depth_features
from headstart.transfer.features import Features
from headstart.transfer.heads import Head, Matrix, silent_solvers
from headstart.transfer.selection import Labelled, assign_folds, one_core_each
from headstart.transfer.store import FeatureStore

_FOLDS = 5
_PROBE_STRENGTH = 0.01


@dataclass(frozen=True)
class Score:
    """How well a plan does on items that it has not learned from.

    Args:
        loss: Log loss after a temperature (for numbers the mean squared error), float.
        accuracy: Share of right answers, float; None where items have several labels or a number.
        items: On how many items, int.
    """

    loss: float
    accuracy: float | None
    items: int

    def value(self, metric: str) -> float:
        """Return what the search makes as small as possible.

        For "accuracy" that is the share of wrong answers, and among equals the loss decides: it counts for
        less than half an item.
        """
        if metric == "loss" or self.accuracy is None:
            return self.loss
        return 1 - self.accuracy + 0.5 / self.items * min(self.loss, 10.0) / 10.0

    @classmethod
    def of(cls, data: Labelled, logits: Matrix) -> Score:
        """Judge logits of some items, by heads that were not fitted on them."""
        accuracy = float((logits.argmax(1) == data.y).mean()) if data.target == "label" else None
        return cls(data.loss(logits), accuracy, len(data.y))


Report = Callable[[int, Score], None]
"""Hears of the score so far after each step (fold or epoch, from 1); raises `GivenUp` to end the trial."""

TIME_UP = "time was up"


class GivenUp(Exception):
    """A trial is not worth going on with, or there is no time for it; says why where that is not plain."""


@dataclass(frozen=True)
class Task:
    """All that a process needs to try plans; small, for it is sent to each.

    Args:
        dataset: The items, without those of the test split.
        plan: Where the search starts.
        folds: Judge by cross-validation with so many folds instead of the val split, int. None does so only
            where there is no val split.
        val_share: Share of each class for validation where the data has no val split, float.
        seed: For that division, int.
        engine: "auto", "openvino" or "torch".
        precision: None for the engine's own choice.
        offline: Whether to stay off the network.
        store: The feature store's folder.
    """

    dataset: Dataset
    plan: Plan
    folds: int | None
    val_share: float
    seed: int
    engine: str
    precision: Precision | None
    offline: bool
    store: Path


class Objective:
    """Tries plans on one division of the data; features are computed once and kept in the store.

    Args:
        task: What to try them on.
        store: The feature store.
        say: Where progress is told. Defaults to nowhere.
    """

    def __init__(self, task: Task, store: FeatureStore, say: Say = quiet) -> None:
        self.task = task
        self._store, self._say = store, say
        self._gathered: dict[tuple[str, str, int], Gathered] = {}
        self._depths: dict[tuple[str, int], dict[str, Features]] = {}
        self.gathered = self._gather(task.plan)
        given = [item.fold for item in self.gathered.dataset]
        by_folds = not task.plan.changes_backbone and (task.folds is not None or None not in given)
        self.arrangement: Arrangement = arrange(
            self.gathered, folds=by_folds, val_share=task.val_share, seed=task.seed
        )
        if task.plan.changes_backbone and not len(self.arrangement.val):
            fix = "add some, or give a val split in the data"
            raise DataError("items to check the training on", "no val part", fix)
        self.folds = self._assign_folds() if by_folds or not len(self.arrangement.val) else None

    @property
    def steps(self) -> int:
        """How many steps a trial has at most: epochs of a plan that trains, folds of one that does not."""
        if self.task.plan.changes_backbone:
            return self.task.plan.epochs
        return 1 if self.folds is None else len(np.unique(self.folds))

    @property
    def judged(self) -> str:
        """What trials are judged on, in words."""
        if self.folds is None:
            return f"{len(self.arrangement.val):,} validation items"
        return f"{len(np.unique(self.folds))} folds of {len(self.folds):,} items"

    @property
    def division(self) -> str:
        """A digest of which items are for what."""
        folds = None if self.folds is None else self.folds.tolist()
        return digest_json([self.arrangement.train.tolist(), self.arrangement.val.tolist(), folds])

    def prepare(self, plan: Plan) -> None:
        """Compute what every trial of a plan's backbone and size needs, so that no trial's time has it."""
        if not plan.changes_backbone:
            self._features(plan)

    def __call__(self, plan: Plan, report: Report, deadline: float | None = None) -> Score:
        """Try a plan.

        Args:
            plan: What to do.
            report: Hears of the score after each step, and may end the trial.
            deadline: `time.monotonic()` at which to have stopped, float. Defaults to None.

        Returns:
            Its score on val, or over all folds.

        Raises:
            GivenUp: The report said so, or time was up.
        """
        if plan.changes_backbone:
            return self._trained(plan, report, deadline)
        data = self._features(plan)
        strength = float(plan.evidence.get("strength", _PROBE_STRENGTH))
        with one_core_each(), silent_solvers():
            if self.folds is None:
                head = self._fit(data.take(self.arrangement.train), plan, strength)
                val = data.take(self.arrangement.val)
                return Score.of(val, val.logits(head))
            data = data.take(self.arrangement.refit)
            return self._cross_validated(data, self.folds, plan, strength, report)

    def _cross_validated(
        self, data: Labelled, folds: NDArray[np.int64], plan: Plan, strength: float, report: Report
    ) -> Score:
        logits = np.zeros((len(data.y), data.classes), np.float32)
        for step, fold in enumerate(np.unique(folds), 1):
            held = np.flatnonzero(folds == fold)
            head = self._fit(data.take(np.flatnonzero(folds != fold)), plan, strength)
            logits[held] = data.take(held).logits(head)
            done = np.flatnonzero(folds <= fold)
            score = Score.of(data.take(done), logits[done])
            report(step, score)
        return score

    def _trained(self, plan: Plan, report: Report, deadline: float | None) -> Score:
        from headstart.fitting.finetuning import train_plan

        val = self.arrangement.data.take(self.arrangement.val)
        steps = itertools.count(1)

        def on_epoch(line: dict[str, Any]) -> bool:
            accuracy = line["val_accuracy"] if val.target == "label" else None
            report(next(steps), Score(line["val_loss"], accuracy, len(val.y)))
            return True

        gathered = self._gather(plan)
        arrangement = self.arrangement.with_features(gathered.features)
        done = train_plan(
            gathered,
            arrangement,
            plan,
            self._probe(plan, arrangement),
            self._store,
            deadline=deadline,
            offline=self.task.offline,
            on_epoch=on_epoch,
            progress=False,
            say=quiet,
        )
        if done.trained.stopped == TIME_UP:
            raise GivenUp(TIME_UP)
        return Score.of(val, done.trained.val_logits * done.scale.spread + done.scale.mean)

    def _fit(self, data: Labelled, plan: Plan, strength: float) -> Head:
        return data.fit(plan.head, strength, plan.settings.class_weight, self.task.seed)

    def _probe(self, plan: Plan, arrangement: Arrangement) -> Head | None:
        """Return the head on frozen features that training starts from."""
        if plan.strategy == "scratch" or plan.head == "centroid":
            return None
        with one_core_each(), silent_solvers():
            return self._fit(arrangement.data.take(arrangement.train), plan, _PROBE_STRENGTH)

    def _features(self, plan: Plan) -> Labelled:
        """Return the pooled features at a plan's cut: one pass of the network serves all cuts."""
        key = plan.backbone, plan.size
        if key not in self._depths:
            network = backbones.load(plan.backbone, offline=self.task.offline).at(plan.size)
            found, missing = depth_features(
                self.gathered.dataset,
                network,
                self._store,
                engine=self.task.engine,
                precision=self.task.precision,
            )
            if missing:
                gone = self.gathered.dataset.items[missing[0]].name
                raise DataError("files that stay as they are during tuning", f"{gone}, changed", "start anew")
            self._depths[key] = found
        return self.arrangement.with_features(self._depths[key][plan.cut]).data

    def _gather(self, plan: Plan) -> Gathered:
        """Return the items with features as they leave a plan's frozen network."""
        key = plan.backbone, plan.cut, plan.size
        if key not in self._gathered:
            task = self.task
            self._gathered[key] = gather(
                task.dataset,
                self._store,
                backbone=plan.backbone,
                cut=plan.cut,
                size=plan.size,
                engine=task.engine,
                precision=task.precision,
                offline=task.offline,
                say=quiet if self._gathered else self._say,  # what cannot be read is said once
            )
        return self._gathered[key]

    def _assign_folds(self) -> NDArray[np.int64]:
        items = self.arrangement.refit
        given = {str(self.gathered.dataset.items[n].fold) for n in items}
        if self.task.folds is None and len(given) > 1 and "None" not in given:
            names = [str(self.gathered.dataset.items[n].fold) for n in items]
            return np.unique(names, return_inverse=True)[1].astype(np.int64)
        data = self.arrangement.data.take(items)
        groups = len(np.unique(data.features.group))
        if groups < 2:
            fix = "add items, or name fewer of them as one group"
            raise DataError("items that do not all belong together", "a single group of them", fix)
        return assign_folds(data, min(self.task.folds or _FOLDS, groups), self.task.seed)
