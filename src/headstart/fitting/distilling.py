"""`distill`: a small student learns what a big teacher answers, about labelled and unlabelled items."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from headstart import backbones, data
from headstart.artefact.loading import load
from headstart.artefact.model import Model
from headstart.backbones.card import Tokens, Verbatim, Waves
from headstart.data.items import Dataset
from headstart.errors import DataError, OptionError, require
from headstart.evaluation import Evaluation, compare
from headstart.evaluation.distillation import Distilled
from headstart.fitting.arranging import Arrangement, arrange, duplicates
from headstart.fitting.describing import commands
from headstart.fitting.finetuning import RESERVE_SECONDS, keep, train_plan
from headstart.fitting.footprints import footprints
from headstart.fitting.gathering import Gathered, gather
from headstart.fitting.learning import learn
from headstart.fitting.planning import measure
from headstart.fitting.reporting import SEEN_DIGITS, Report, build_model
from headstart.fitting.soft_targets import soft_targets, teacher_logits
from headstart.fitting.strategies import PROBE, Candidate, probe, trained
from headstart.fitting.targets import labelled, require_two_answers
from headstart.modalities import modality
from headstart.progress import Say, quiet
from headstart.training.plan import HEAD, Phase, Plan, Settings, Strategy
from headstart.transfer import planner
from headstart.transfer.features import Features
from headstart.transfer.selection import one_core_each
from headstart.transfer.store import FeatureStore

if TYPE_CHECKING:
    from headstart.backbones import Card
    from headstart.transfer.cost import Cost

_HEAD_EPOCHS, _HEAD_RATE = 20, 1e-3
"""Of a head alone, on cached features: an epoch takes a moment."""


@dataclass(frozen=True)
class Pupil:
    """What the student is to be, and how it is to learn; arguments as for `distill`."""

    backbone: str
    cut: str | None
    size: int | None
    strategy: Strategy | None
    temperature: float
    alpha: float
    epochs: int | None
    minutes: float | None
    engine: str
    seed: int
    offline: bool

    def options(self) -> str:
        """Return what was asked for as options of `headstart distill`."""
        given = {
            "--student": self.backbone,
            "--cut": self.cut,
            "--size": self.size,
            "--strategy": self.strategy,
            "--temperature": f"{self.temperature:g}",
            "--alpha": f"{self.alpha:g}",
            "--epochs": self.epochs,
            "--minutes": self.minutes,
            "--seed": self.seed or None,
        }
        return " ".join(f"{option} {value}" for option, value in given.items() if value is not None)


def distill(
    teacher: Model | Path | str,
    source: Dataset | Path | str | Sequence[Path | str],
    *,
    unlabelled: Dataset | Path | str | Sequence[Path | str] | None = None,
    student: str | None = None,
    cut: str | None = None,
    size: int | None = None,
    strategy: Strategy | None = None,
    temperature: float = 4.0,
    alpha: float = 0.1,
    epochs: int | None = None,
    minutes: float | None = None,
    val_share: float = 0.2,
    seed: int = 0,
    engine: str = "auto",
    run: Path | str | None = None,
    resume: bool = False,
    offline: bool = False,
    say: Say = quiet,
    store: FeatureStore | None = None,
) -> Model:
    """Teach a small network what a big model answers.

    The teacher answers once about every item, through the feature store. The student learns these answers,
    softened by a temperature, and the labels where there are any. Copies of labelled items among those
    without a label are left out, so that nothing that is tested is learned. Validation items decide which
    epoch is kept and calibrate the student; test items are looked at last, once.

    Args:
        teacher: A saved model (its folder) or a Model that answers with one label: fine-tuned, an ensemble,
            or any backbone with a head.
        source: Labelled items, as for `fit`; those without a label count as unlabelled.
        unlabelled: More items; labels that they may have are not looked at. Defaults to None.
        student: Name of the student's backbone. Defaults to None: the modality's default.
        cut: Block that the student ends with. Defaults to None, the last.
        size: Side of the pictures that the student sees, int, in pixels; most tokens in a passage. Defaults
            to None, the backbone's.
        strategy: How much of the student is trained, as for `fit`; "freeze-all" trains a head alone. Defaults
            to None: what the planner chooses, and "scratch" for a backbone that knows nothing.
        temperature: What both networks' logits are divided by, float. Defaults to 4.
        alpha: Share of the label in the loss of a labelled item, float from 0 to 1. Defaults to 0.1.
        epochs: How often the student sees every item, int. Defaults to None: the plan's.
        minutes: All the time there is, float. Defaults to None.
        val_share: Share of each class held out where no val split is given, float. Defaults to 0.2.
        seed: Of everything random, int. Defaults to 0.
        engine: What runs the frozen student, as for `fit`. Defaults to "auto".
        run: Folder of checkpoints and of the training's history. Defaults to None: neither is kept.
        resume: Whether to go on with the training in `run`. Defaults to False.
        offline: Whether to stay off the network. Defaults to False.
        say: Called with a line of text at each step. Defaults to saying nothing.
        store: The feature store. Defaults to the one in the cache.

    Returns:
        The student, a model like any other with the teacher's labels; its report compares both.

    Raises:
        ArtefactError: The teacher is no saved model.
        DataError: Labels that the teacher does not know, nothing labelled to check the student on, or nothing
            readable.
        OptionError: An argument cannot be used, or a teacher that does not answer with one label.
        BackboneError: The student's backbone is unknown or cannot be had.

    References:
        Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network",
        https://arxiv.org/abs/1503.02531.

    Example:
        >>> import headstart as hs
        >>> small = hs.distill("big.headstart", "photos/", student="basic_cnn", size=96)  # doctest: +SKIP
        >>> small.save("small.headstart")  # doctest: +SKIP
    """
    started = time.monotonic()
    require(("sklearn", "scipy", "torch"), "train", "distilling")
    teacher = teacher if isinstance(teacher, Model) else load(teacher)
    student = student or modality(teacher.modality).default_backbone
    pupil = Pupil(student, cut, size, strategy, temperature, alpha, epochs, minutes, engine, seed, offline)
    _check(pupil)
    card = backbones.card(student, offline=offline)  # a wrong name is told before anything is computed
    if isinstance(card.preprocess, Verbatim):
        fix = "name a pretrained backbone: headstart backbones list"
        raise OptionError("a network for a student", f"{student!r}, which learns from labels alone", fix)
    known, unknown = _opened(teacher, source, unlabelled)
    if alpha == 1 and unknown is not None:
        fix = "use a smaller alpha, or leave the unlabelled items out: with alpha 1 only labels teach"
        raise OptionError("an alpha below 1 where items have no label", "1", fix)
    others = 0 if unknown is None else len(unknown)
    say(f"{len(known)} labelled {modality(known.modality).noun}, {others} without a label")
    with ExitStack() as stack:
        store = store or stack.enter_context(FeatureStore())

        def gathered(dataset: Dataset) -> Gathered:
            return gather(
                dataset, store, backbone=student, cut=cut, size=size,
                engine=engine, precision=None, offline=offline, say=say,
            )  # fmt: skip

        floor = _floor(gathered(known), teacher, val_share, seed)
        everything, arrangement = floor.gathered, floor.arrangement
        if unknown is not None:
            everything, arrangement = _with_unlabelled(everything, arrangement, gathered(unknown), say)
        logits = teacher_logits(teacher, everything.dataset, store)
        plan = _plan(pupil, card, floor, len(arrangement.train), store, say)
        say(plan.words())
        training = train_plan(
            everything,
            arrangement,
            plan,
            floor.fitted.on_train,
            store,
            run=None if run is None else Path(run),
            resume=resume,
            deadline=None if minutes is None else started + 60 * minutes - RESERVE_SECONDS,
            offline=offline,
            targets=soft_targets(logits, arrangement.data.y),
            say=say,
        )
        tuned = keep(training, everything, arrangement, store)
    made = trained(plan.strategy, floor, tuned, seed)
    model = build_model(made, (), seconds=time.monotonic() - started, offline=offline, say=say)
    model.plan["teacher"] = {"backbones": [member.backbone.name for member in teacher.members]}
    taught = everything.facts[len(floor.gathered.dataset) :]
    model.data["unlabelled"] = len(taught)
    model.data["seen"] = sorted({*model.data["seen"], *(facts.digest[:SEEN_DIGITS] for facts in taught)})
    return _reported(model, teacher, pupil, floor, made, logits, len(taught), say)


def _check(pupil: Pupil) -> None:
    planner.check(pupil.minutes, pupil.strategy)
    if pupil.strategy == "cut-early":
        raise OptionError("a strategy for the student", "cut-early", "name the block: cut, and freeze-all")
    if not (math.isfinite(pupil.temperature) and pupil.temperature > 0):
        raise OptionError("a temperature above 0", repr(pupil.temperature), "use 4")
    if not 0 <= pupil.alpha <= 1:
        raise OptionError("an alpha from 0 to 1", repr(pupil.alpha), "use 0.1")
    if pupil.epochs is not None and pupil.epochs < 1:
        raise OptionError("at least one epoch", repr(pupil.epochs), "leave it out: the plan knows")


def _opened(teacher: Model, source: Any, unlabelled: Any) -> tuple[Dataset, Dataset | None]:
    """Return the labelled items, and those without a label if there are any."""
    if teacher.target != "label":
        fix = "distil a model for classes"
        raise OptionError("a teacher that answers with one label", f"one for {teacher.target}", fix)
    given = data.open(source, target="label")
    if strange := [label for label in given.classes if label not in teacher.labels]:
        raise DataError(
            f"items labelled {', '.join(teacher.labels[:8])}, as the teacher knows them",
            f"also {', '.join(map(repr, strange[:8]))}",
            "leave those items out, or give them as unlabelled ones",
        )
    known = replace(given, items=tuple(item for item in given if item.label is not None))
    if not len(known):
        fix = "label some, and give the others with --unlabelled"
        raise DataError("labelled items to check the student on", f"{len(given)} without a label", fix)
    require_two_answers(known)
    # Of val and test only labelled items count: nothing there is for learning.
    others = [item for item in given if item.label is None and item.split in (None, "train")]
    if unlabelled is not None:
        others += [replace(item, label=None, split=None) for item in data.open(unlabelled)]
    if unlabelled is not None and not others:
        raise DataError("items in the folder of unlabelled ones", "none", "name another folder")
    return known, replace(known, items=tuple(others), problems=()) if others else None


def _floor(gathered: Gathered, teacher: Model, val_share: float, seed: int) -> Candidate:
    """Return the head that labels alone teach on the student's network as it is: training starts there."""
    started = time.monotonic()
    arrangement = arrange(gathered, folds=False, val_share=val_share, seed=seed)
    if not len(arrangement.val):
        fix = "label more items, or give a val split"
        raise DataError("labelled items to check the student on", f"{len(gathered.dataset)} in all", fix)
    # The student knows all the teacher's labels, in the same order, whichever occur here.
    known = labelled(gathered.dataset, arrangement.data.features, teacher.labels)
    arrangement = replace(arrangement, labels=teacher.labels, data=known)
    with one_core_each():
        fitted = learn(arrangement, gathered, "linear", None, None, seed)
    return probe(PROBE, gathered, arrangement, fitted, time.monotonic() - started)


def _with_unlabelled(
    known: Gathered, arrangement: Arrangement, more: Gathered, say: Say
) -> tuple[Gathered, Arrangement]:
    """Add items without a label to those that are learned from; copies of labelled ones stay out."""
    count = len(known.dataset)
    splits = (*arrangement.splits, *("train" for _ in more.dataset))
    whole = _joined(known, more)
    marked = replace(whole, dataset=whole.dataset.with_splits(splits))  # type: ignore[arg-type]
    copies = {pair.second for pair in duplicates(marked) if pair.first < count <= pair.second}
    if copies:
        say(f"left out: {len(copies)} items without a label that are copies of labelled ones")
    kept = [place for place in range(len(more.dataset)) if count + place not in copies]
    whole = _joined(known, _taken(more, kept))
    fresh = np.arange(count, len(whole.dataset))
    return whole, replace(arrangement, train=np.concatenate([arrangement.train, fresh]))


def _taken(gathered: Gathered, items: list[int]) -> Gathered:
    features = gathered.features.take(np.array(items, np.int64))
    facts = [gathered.facts[n] for n in items]
    return replace(gathered, dataset=gathered.dataset.take(items), features=features, facts=facts)


def _joined(first: Gathered, second: Gathered) -> Gathered:
    """Return the items of both, the first ones in their old places."""
    count, a, b = len(first.dataset), first.features, second.features
    return replace(
        first,
        dataset=replace(first.dataset, items=(*first.dataset.items, *second.dataset.items)),
        features=Features(
            np.concatenate([a.X, b.X]),
            np.concatenate([a.item, b.item + count]),
            np.arange(count + len(second.dataset)),
        ),
        facts=[*first.facts, *second.facts],
        computed=first.computed + second.computed,
    )


def _plan(pupil: Pupil, card: Card, floor: Candidate, items: int, store: FeatureStore, say: Say) -> Plan:
    """Plan the student's training: as for any network, but towards the teacher's answers."""
    strategy = pupil.strategy or (None if card.pretrained else "scratch")
    own, val = floor.gathered.card, len(floor.arrangement.val)
    plan = Plan(
        "freeze-all", own.name, own.blocks[-1], own.preprocess.size, seed=pupil.seed, modality=own.modality
    )
    cost: Cost | None = None
    if strategy != "freeze-all":
        evidence, cost = measure(
            floor.gathered, floor.arrangement, store,
            seed=pupil.seed, engine=pupil.engine, offline=pupil.offline, say=say,
        )  # fmt: skip
        evidence = replace(evidence, items=items)
        if evidence.modality == "audio":  # the student answers from its last block, whatever others know
            evidence = replace(evidence, depths=evidence.depths[-1:])
        found = planner.plan(evidence, cost, minutes=pupil.minutes, strategy=strategy, seed=pupil.seed)
        plan = found if found.phases else plan.replace(evidence=found.evidence)
        if pupil.size is not None:
            plan = plan.replace(size=pupil.size)
    settings = replace(plan.settings, label_smoothing=0.0, class_weight=None)
    if not plan.phases:
        plan = plan.replace(phases=(Phase("head", _HEAD_EPOCHS, {HEAD: _HEAD_RATE}),))
        settings = Settings(dropout=0.0, precision="fp32")
    taught = replace(settings, loss="distillation", temperature=pupil.temperature, alpha=pupil.alpha)
    if pupil.epochs is not None:
        most = (pupil.epochs + 1) // 2  # so that every stored view is met twice
        plan = plan.replace(
            phases=tuple(
                replace(phase, epochs=pupil.epochs, views=min(phase.views, most)) for phase in plan.phases
            )
        )
    minutes = None if cost is None else round(cost.minutes(plan, items, val), 2)
    return plan.replace(settings=taught, minutes=minutes)


def _reported(
    model: Model,
    teacher: Model,
    pupil: Pupil,
    floor: Candidate,
    made: Candidate,
    logits: NDArray[np.float32],
    unlabelled: int,
    say: Say,
) -> Model:
    """Compare the student with its teacher on the same held-out items, and put that into its report."""
    arrangement, gathered = made.arrangement, made.gathered
    split = "test" if len(arrangement.test) else "validation"
    held = arrangement.test if split == "test" else arrangement.val
    student = cast(Evaluation, made.fitted.evaluations[split])
    alone = cast(Evaluation, floor.fitted.evaluations[split])
    of_teacher = np.exp(logits[held] - np.logaddexp.reduce(logits[held], axis=1, keepdims=True))
    groups = [str(group) for group in arrangement.data.features.group[held]]
    comparison = compare(
        student.y, of_teacher, student.probabilities, names=("the teacher", "the student"), groups=groups
    )
    already = set(teacher.data.get("seen", ()))
    large, small = footprints([teacher, model])
    found = Distilled(
        teacher=_name(teacher),
        student=_name(model),
        footprints=(large, small),
        comparison=comparison,
        split=split,
        agreement=float((of_teacher.argmax(1) == student.answers).mean()),
        alone=alone.accuracy,
        seen=sum(gathered.facts[n].digest[:SEEN_DIGITS] in already for n in held),
        unlabelled=unlabelled,
        trial=made.trial,
    )
    say(found.words)
    if isinstance(model.report, Report):
        content = model.report.content
        more = " --unlabelled MORE" if unlabelled else ""
        again = commands(made, "distill TEACHER", pupil.options() + more)
        content = replace(content, distilled=found, commands=again)
        model.report = replace(model.report, content=content)
    return model


def _name(model: Model) -> str:
    cards = [member.backbone for member in model.members]
    each = [f"{card.name} up to {card.blocks[-1]}, {_seen(card)}" for card in cards]
    return "; ".join(each) if len(each) < 3 else f"{len(each)} networks, first {each[0]}"


def _seen(card: Card) -> str:
    spec = card.preprocess
    if isinstance(spec, Verbatim):
        return "the text itself"
    if isinstance(spec, Waves):
        return f"{spec.size} frames"
    return f"{spec.size} tokens" if isinstance(spec, Tokens) else f"{spec.size} pixels"
