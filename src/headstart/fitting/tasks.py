"""Several questions about the same items: one pass of the backbone, one ordinary model for each question."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart import data
from headstart.artefact.model import Model
from headstart.artefact.saving import check_place
from headstart.data.items import Dataset, Item
from headstart.data.splits import assign_splits
from headstart.engines.precision import Precision
from headstart.errors import DataError, OptionError, require
from headstart.evaluation.trials import Trial, score_of
from headstart.fitting.arranging import Arrangement, arrange
from headstart.fitting.gathering import Gathered, gather
from headstart.fitting.judging import AnyEvaluation, judge, judge_folds
from headstart.fitting.learning import learn
from headstart.fitting.reporting import build_model
from headstart.fitting.strategies import Candidate, keep_best, probe
from headstart.fitting.targets import require_two_answers
from headstart.fitting.views import views_of
from headstart.modalities import modality
from headstart.pages import Cell, Markup, Page, Shown, paragraph, table
from headstart.progress import Say, quiet
from headstart.transfer.heads import Head
from headstart.transfer.selection import Selection, assign_folds, one_core_each
from headstart.transfer.shots.answers import source_space
from headstart.transfer.shots.choices import is_few
from headstart.transfer.source_head import source_start
from headstart.transfer.store import FeatureStore
from headstart.transfer.tasks.shared import UNKNOWN, fit_shared

OWN, SHARED = "own head", "shared trunk"
_VAL_SHARE = 0.2

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tasks(Shown):
    """A model for each of several questions about the same items, and what they gained from each other.

    Args:
        models: By task, which is the column's name.
        trials: By task, how its own head and the shared trunk did on validation; the kept one is marked.
        known: By task, of how many items the answer was known.
        weights: By task, how much it counted in training the shared trunk, 1 on average.
        noun: What the items are called, plural, str.
    """

    models: Mapping[str, Model]
    trials: Mapping[str, Sequence[Trial]]
    known: Mapping[str, int]
    weights: Mapping[str, float]
    noun: str = field(default="items")

    @property
    def gains(self) -> dict[str, float]:
        """How much higher each task's accuracy on validation is with the shared trunk; below 0 it lost."""
        return {task: own.rank[0] - shared.rank[0] for task, (own, shared) in self.trials.items()}

    @property
    def kept(self) -> dict[str, str]:
        """What each task's model is: its own head, or the layer on the shared trunk."""
        return {task: next(t.name for t in tried if t.kept) for task, tried in self.trials.items()}

    @property
    def headline(self) -> str:
        """The result in one sentence."""
        shared = [task for task, kept in self.kept.items() if kept == SHARED]
        count = len(self.models)
        if not shared:
            return f"None of {count} tasks does better on a shared trunk: each keeps a head of its own."
        do = "does" if len(shared) == 1 else "do"
        return f"{len(shared)} of {count} tasks {do} better on the shared trunk: {', '.join(shared)}."

    def save_models(self, folder: Path | str) -> dict[str, Path]:
        """Write each task's model as FOLDER/TASK.headstart, and the page as FOLDER/tasks.html.

        Args:
            folder: Where.

        Returns:
            The models' places, by task.

        Raises:
            StorageError: It cannot be written.
        """
        places = {task: Path(folder) / f"{task}.headstart" for task in self.models}
        for place in places.values():
            check_place(place)
        for task, model in self.models.items():
            model.save(places[task])
        self.save(Path(folder) / "tasks.html")
        return places

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {
            task: {
                "items": self.known[task],
                "kept": self.kept[task],
                OWN: own.score,
                SHARED: shared.score,
                "gain": round(self.gains[task], 4),
                "weight": round(self.weights[task], 3),
            }
            for task, (own, shared) in self.trials.items()
        }

    def html(self) -> str:
        """Return what each task gained or lost as one self-contained page."""
        page = Page("Tasks", lead=self.headline)
        rows: list[list[Cell]] = [
            [
                task, self.known[task], str(own.score), str(shared.score),
                f"{100 * self.gains[task]:+.1f}", f"{self.weights[task]:.2f}", self.kept[task],
            ]
            for task, (own, shared) in self.trials.items()
        ]  # fmt: skip
        columns = ["task", self.noun, OWN, SHARED, "gain, points", "weight", "kept"]
        page.section("What each task gained", table(columns, rows), *_explained())
        return page.html()


def _explained() -> tuple[Markup, ...]:
    return (
        paragraph(
            "One network of two layers answers all tasks: the first layer is shared, the second is its "
            "own. A task gains where others teach the shared layer what it has too few items to learn, or "
            "where two layers say more than the one of its own head, and loses where others pull the layer "
            "elsewhere. So each task keeps what does better on the validation part, and its own head where "
            "both do alike.",
            quiet=True,
        ),
        paragraph(
            "Weight is how much the task counted in training the shared layer: less, the more uncertain its "
            "answers stayed.",
            quiet=True,
        ),
    )


def fit_tasks(
    source: Path | str,
    columns: Sequence[str],
    *,
    backbone: str | None = None,
    class_weight: str | None = None,
    email: bool = False,
    engine: str = "auto",
    precision: Precision | None = None,
    offline: bool = False,
    seed: int = 0,
    say: Say = quiet,
    store: FeatureStore | None = None,
    **opening: str,
) -> Tasks:
    """Learn several label columns of a manifest at once: one pass of the backbone, one model for each column.

    Each task is fitted alone, as by `headstart.fit`, and by a network whose first layer all tasks share. What
    does better on validation is kept, task by task. Cells may be empty.

    Args:
        source: A manifest, or a folder with one.
        columns: Its label columns, at least two, str.
        backbone: Name of the pretrained network. Defaults to None: the modality's default.
        class_weight: "balanced" weighs rare classes up, in the tasks' own heads. Defaults to None.
        email: Whether headers, quotes and signatures of e-mails are taken off texts first. Defaults to False.
        engine: "auto", "openvino" or "torch". Defaults to "auto".
        precision: "bf16", "fp32" or "int8". Defaults to None: the engine's own choice.
        offline: Whether to stay off the network. Defaults to False.
        seed: For the splits and the shared trunk, int. Defaults to 0.
        say: Called with a line of text at each step. Defaults to saying nothing.
        store: The feature store. Defaults to the one in the cache.
        opening: Other columns, as for `headstart.data.open`, such as text_column.

    Returns:
        The models, by column.

    Raises:
        DataError: A column is missing or empty, or all of its labels are the same.
        OptionError: Fewer than two columns are named, or one twice.

    Example:
        >>> import headstart as hs
        >>> tasks = hs.fit_tasks("birds.csv", ["species", "habitat"])  # doctest: +SKIP
        >>> tasks.kept  # doctest: +SKIP
        {'species': 'own head', 'habitat': 'shared trunk'}
    """
    require(("sklearn", "scipy", "torch"), "train", "fitting")
    if len(columns) < 2 or len(set(columns)) < len(columns):
        raise OptionError("at least two different label columns", ", ".join(columns) or "none", "name them")
    began = time.monotonic()
    whole, answers = _open(source, columns, opening)
    with ExitStack() as stack:
        store = store or stack.enter_context(FeatureStore())
        gathered = gather(
            whole, store, backbone=backbone, engine=engine, precision=precision, offline=offline,
            email=email, say=say,
        )  # fmt: skip
        say(f"features: {gathered.computed} computed, {len(gathered.dataset) - gathered.computed} known")
        gathered = replace(gathered, dataset=_with_splits(gathered.dataset, answers, seed))
        parts = {task: _part(gathered, its) for task, its in answers.items()}
        arranged = {
            task: arrange(part, folds=False, val_share=_VAL_SHARE, seed=seed)
            for task, (part, _) in parts.items()
        }
        together = _Together(gathered, parts, arranged, seed)
        models, trials = {}, {}
        for task, (part, _) in parts.items():
            arrangement = arranged[task]
            if not len(arrangement.val):
                fix = "label more items of each class, or name a val part in a split column"
                raise DataError(f"items of {task!r} to check on", "none", fix)
            began_task = time.monotonic()
            start = source_start(part.card, arrangement.labels, offline=offline, say=say)
            space, of_train = None, arrangement.data.take(arrangement.train)
            if is_few(of_train):
                space = source_space(part.card, offline=offline, say=say)
            views = views_of(
                arrangement.data, part, default=backbone is None, start=None, store=store,
                offline=offline, say=say, known=of_train,
            )  # fmt: skip
            with one_core_each():
                fitted = learn(arrangement, part, "linear", None, class_weight, seed, start, views, space)
            own = probe(OWN, part, arrangement, fitted, time.monotonic() - began_task)
            found = [own, together.candidate(task, own)]
            best, trials[task] = keep_best(found, guard=True, say=quiet)
            say(f"{task}: {OWN} {own.trial.score}, {SHARED} {found[1].trial.score}: {best.trial.name} kept")
            models[task] = build_model(
                best, trials[task], seconds=time.monotonic() - began, offline=offline, say=quiet
            )
    known = {task: len(part.dataset) for task, (part, _) in parts.items()}
    made = Tasks(models, trials, known, together.weights, modality(whole.modality).noun)
    say(made.headline)
    return made


def _open(
    source: Path | str, columns: Sequence[str], opening: Mapping[str, str]
) -> tuple[Dataset, dict[str, dict[str, str]]]:
    """Return all items that have a label in any of the columns, and the labels of each column by item."""
    opened = {
        task: data.open(source, target="label", label_column=task, unlabelled=True, **opening)
        for task in columns
    }
    answers: dict[str, dict[str, str]] = {}
    items: dict[str, Item] = {}
    for task, dataset in opened.items():
        answers[task] = {item.name: item.label for item in dataset if item.label is not None}
        if not answers[task]:
            fix = "fill the column, or leave it out"
            raise DataError(f"labels in the column {task!r}", f"{len(dataset)} empty cells", fix)
        if len(classes := set(answers[task].values())) < 2:
            received = f"only {next(iter(classes))!r}"
            fix = "add items of what it should be told apart from, or leave the column out"
            raise DataError(f"at least two classes in the column {task!r}", received, fix)
        items |= {item.name: replace(item, label=None) for item in dataset if item.label is not None}
    first = opened[columns[0]]
    problems = tuple(dict.fromkeys(each for dataset in opened.values() for each in dataset.problems))
    return replace(first, items=tuple(items.values()), problems=problems), answers


def _with_splits(dataset: Dataset, answers: Mapping[str, Mapping[str, str]], seed: int) -> Dataset:
    """Decide once, for all tasks, who checks: what one task learns from must not check another."""
    if any(item.split == "val" for item in dataset):
        return dataset.with_splits([item.split or "train" for item in dataset])
    free = [n for n, item in enumerate(dataset) if item.split != "test"]
    strata = [
        tuple(
            f"{task}={its[dataset.items[n].name]}"
            for task, its in answers.items()
            if dataset.items[n].name in its
        )
        for n in free
    ]
    groups = [dataset.items[n].group for n in free]
    decided = dict(zip(free, assign_splits(strata, groups, val_share=_VAL_SHARE, seed=seed), strict=True))
    return dataset.with_splits([decided.get(n, "test") for n in range(len(dataset))])


def _part(gathered: Gathered, labels: Mapping[str, str]) -> tuple[Gathered, Indices]:
    """Return what is gathered about the items that a task has labels for, and their places."""
    places = np.array([n for n, item in enumerate(gathered.dataset) if item.name in labels], np.int64)
    if not len(places):
        raise DataError("items with a label that can be read", "none", "check the files: headstart inspect")
    items = tuple(replace(item, label=labels[item.name]) for item in gathered.dataset.take(places.tolist()))
    dataset = replace(gathered.dataset, items=items)
    require_two_answers(dataset)
    depths = {block: its.take(places) for block, its in gathered.depths.items()}
    facts = [gathered.facts[n] for n in places]
    features = gathered.features.take(places)
    return replace(gathered, dataset=dataset, features=features, facts=facts, depths=depths), places


class _Together:
    """The shared trunk, fitted on train to be compared, and on train and val to answer."""

    def __init__(
        self,
        gathered: Gathered,
        parts: Mapping[str, tuple[Gathered, Indices]],
        arranged: Mapping[str, Arrangement],
        seed: int,
    ) -> None:
        self.seed = seed
        self.on_train: dict[str, Head] = {}
        self.heads: dict[str, Head] = {}
        if not gathered.features.X.shape[1]:
            fix = "name a sentence encoder: headstart backbones list"
            raise OptionError("a backbone that gives features, for tasks to share", gathered.card.name, fix)
        for heads, chosen in ((self.on_train, "train"), (self.heads, "refit")):
            y = np.full((len(gathered.dataset), len(parts)), UNKNOWN, np.int64)
            for column, (task, (_, places)) in enumerate(parts.items()):
                items = getattr(arranged[task], chosen)
                y[places[items], column] = arranged[task].data.y[items]
            used = np.flatnonzero((y != UNKNOWN).any(1))
            part = gathered.features.take(used)
            classes = [len(each.labels) for each in arranged.values()]
            rows = np.asarray(part.X, np.float32)
            found, weights = fit_shared(rows, y[used][part.item], classes, seed=seed)
            heads.update(zip(parts, found, strict=True))
            self.weights = dict(zip(parts, weights, strict=True))

    def candidate(self, task: str, own: Candidate) -> Candidate:
        """Return the task's layer on the trunk, judged on the same items as its own head."""
        arrangement, names = own.arrangement, [item.name for item in own.gathered.dataset]
        val = arrangement.data.take(arrangement.val)
        logits = val.logits(self.on_train[task])
        calibration = val.calibrate(logits)
        halves = Selection(float("nan"), {}, assign_folds(val, 2, self.seed), logits)
        val_names = [names[n] for n in arrangement.val]
        evaluations: dict[str, AnyEvaluation] = {
            "validation": judge_folds(arrangement.labels, val, halves, names=val_names, seed=self.seed)
        }
        if len(arrangement.test):
            test = arrangement.data.take(arrangement.test)
            found = judge(
                arrangement.labels, test, test.logits(self.heads[task]), calibration,
                names=[names[n] for n in arrangement.test], seed=self.seed,
            )  # fmt: skip
            evaluations = {"test": found, **evaluations}
        plan = {**own.fitted.plan, "head": "mlp", "tasks": sorted(self.heads)}
        fitted = replace(
            own.fitted, head=self.heads[task], calibration=calibration, evaluations=evaluations,
            view=arrangement.data, plan=plan, beside=(), on_train=None,
        )  # fmt: skip
        score, rank = score_of(evaluations["validation"])
        return Candidate(own.gathered, arrangement, fitted, Trial(SHARED, score, rank, 0.0))
