"""Ensembles: several fitted models that answer as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.golden import choose, choose_spread
from headstart.artefact.members import Member, combined
from headstart.artefact.model import Model
from headstart.data.items import Dataset, Source, Split, Target
from headstart.engines.openvino_engine import default_precision
from headstart.errors import DataError, OptionError, require
from headstart.evaluation import LabelsEvaluation, NumberEvaluation
from headstart.evaluation.committee import Committee
from headstart.evaluation.sections import ReportInput
from headstart.fitting.arranging import arrange
from headstart.fitting.evaluating import answers
from headstart.fitting.gathering import gather, open_labelled, open_labelled_any
from headstart.fitting.judging import AnyEvaluation, judge, judge_folds
from headstart.fitting.reasons import reasons
from headstart.fitting.reporting import Report, figures
from headstart.fitting.spine import fit
from headstart.fitting.targets import labelled
from headstart.modalities import modality
from headstart.progress import Say, quiet
from headstart.training.plan import Strategy
from headstart.transfer.calibration import Interval
from headstart.transfer.features import Features
from headstart.transfer.selection import Labelled, Selection, assign_folds
from headstart.transfer.store import FeatureStore

# The shared calibration is fitted on these items and judged on them, too: never on the same part.
_PARTS = 5
_FEWEST = 10
_ESTIMATES = ("validation", "cross-validation")


@dataclass(frozen=True)
class Unseen:
    """What members say about items that they were not fitted on.

    Args:
        split: What the items are called, str.
        names: Theirs.
        truth: Their classes, labels or numbers.
        logits: Of each member, calibrated, float [n, columns].
    """

    split: str
    names: tuple[str, ...]
    truth: Labelled
    logits: Sequence[NDArray[np.floating]]


def fit_ensemble(
    source: Dataset | Path | str | Sequence[Path | str],
    *,
    backbones: Sequence[str | None] = (None,),
    strategies: Sequence[Strategy | None] = (None,),
    members: int | None = None,
    target: Target | None = None,
    folds: int | None = None,
    val_share: float = 0.2,
    seed: int = 0,
    minutes: float | None = None,
    run: Path | str | None = None,
    offline: bool = False,
    say: Say = quiet,
    store: FeatureStore | None = None,
    **options: Any,
) -> Model:
    """Fit several models on the same data, divided in the same way, and combine them into one.

    Member number i takes the i-th backbone, the i-th strategy (each list starts again at its end) and the
    seed + i. Linear heads on the same frozen backbone are all the same: members have to differ by backbone,
    strategy, or a seed that matters (an MLP, or training).

    Args:
        source: The data, as for `fit`.
        backbones: Names of pretrained networks; None is the modality's default. Defaults to (None,).
        strategies: As for `fit`. Defaults to (None,).
        members: How many, int. Defaults to None: the length of the longer list, at least 2.
        target: As for `fit`. Defaults to None.
        folds: As for `fit`. Defaults to None.
        val_share: As for `fit`. Defaults to 0.2.
        seed: Of the division and of the first member, int. Defaults to 0.
        minutes: All the time there is, float, shared evenly. Defaults to None.
        run: Folder for the members' runs, as for `fit`. Defaults to None.
        offline: Whether to stay off the network. Defaults to False.
        say: Where progress is told. Defaults to nowhere.
        store: The feature store. Defaults to the one in the cache.
        options: Further options of `fit`, for all members.

    Returns:
        The model; its report compares the members with all of them together.

    Raises:
        OptionError: Fewer than two members, or an option that `fit` refuses.
        DataError: As for `fit`.

    Example:
        >>> import headstart as hs
        >>> hs.fit_ensemble("photos/", backbones=["efficientnet_lite0", "vgg16"])  # doctest: +SKIP
        <Model for pictures: 2 classes, linear head on efficientnet_lite0 and linear head on vgg16>
    """
    count = members if members is not None else max(len(backbones), len(strategies), 2)
    if count < 2 or not backbones or not strategies:
        raise OptionError("at least two members", str(count), "use fit for a single model")
    # The head alone is fitted, and a seed makes no other linear head.
    alike = minutes is None and options.get("plan") is None and not any(strategies)
    different = len(set(backbones)) if alike and options.get("head") != "mlp" else count
    if count > different:
        fix = "name several backbones, use a head of kind mlp, or let the network be trained"
        raise OptionError("members that differ", f"{count} of which {different} do", fix)
    require(("sklearn", "scipy", "torch"), "train", "fitting")
    dataset = open_labelled(source, target)
    with ExitStack() as stack:
        store = store or stack.enter_context(FeatureStore())
        if folds is None:
            dataset = _divided(dataset, backbones[0], val_share, seed, offline, options, store, say)
        fitted = []
        for number in range(count):
            backbone, strategy = backbones[number % len(backbones)], strategies[number % len(strategies)]
            say(f"member {number + 1} of {count}")
            fitted.append(
                fit(
                    dataset,
                    backbone=backbone,
                    strategy=strategy,
                    folds=folds,
                    seed=seed + number,
                    minutes=None if minutes is None else minutes / count,
                    run=None if run is None else Path(run) / f"member-{number + 1}",
                    offline=offline,
                    say=say,
                    store=store,
                    **options,
                )
            )
        return ensemble(fitted, dataset, seed=seed, say=say, store=store)


def _divided(
    dataset: Dataset,
    backbone: str | None,
    val_share: float,
    seed: int,
    offline: bool,
    options: Mapping[str, Any],
    store: FeatureStore,
    say: Say,
) -> Dataset:
    """Return the usable items with the splits that the first member alone would have made."""
    engine, precision = options.get("engine", "auto"), options.get("precision")
    gathered = gather(
        dataset, store, backbone=backbone, engine=engine, precision=precision, offline=offline, say=say
    )
    arrangement = arrange(gathered, folds=False, val_share=val_share, seed=seed)
    return gathered.dataset.with_splits([cast(Split, split) for split in arrangement.splits])


def ensemble(
    models: Sequence[Model],
    source: Dataset | Path | str | Sequence[Path | str],
    *,
    seed: int = 0,
    say: Say = quiet,
    store: FeatureStore | None = None,
) -> Model:
    """Combine fitted models into one that answers with the mean of their calibrated probabilities.

    The mean is calibrated once more, on answers about items that no member was fitted on: those in the
    reports of models that were just fitted, otherwise (loaded models) the items of `source` that are new to
    all of them.

    Args:
        models: Two or more, with the same labels in the same order, of one member each.
        source: The data that the models were fitted on, or for loaded models other labelled data.
        seed: For the parts on which the calibration is checked, int. Defaults to 0.
        say: Where progress is told. Defaults to nowhere.
        store: The feature store. Defaults to the one in the cache.

    Returns:
        The model, with a report that compares it with its members.

    Raises:
        OptionError: Fewer than two models, or models that cannot answer together.
        DataError: Fewer than ten items that no model was fitted on.

    Example:
        >>> import headstart as hs
        >>> both = [hs.load("a.headstart"), hs.load("b.headstart")]  # doctest: +SKIP
        >>> hs.ensemble(both, "new-photos/").save("both.headstart")  # doctest: +SKIP
    """
    _check(models)
    dataset = open_labelled_any(source, models[0].target)
    found = _from_reports(models, dataset) or [_from_data(models, dataset, say, store)]
    basis = next((each for each in found if each.split in _ESTIMATES), found[0])
    first, target = models[0], models[0].target
    logits = combined(basis.logits, target)
    calibration = basis.truth.calibrate(logits.astype(np.float32))
    evaluations: dict[str, AnyEvaluation] = {}
    each: list[dict[str, AnyEvaluation]] = [{} for _ in models]
    for unseen in found:
        together = combined(unseen.logits, target)
        if unseen is basis:
            evaluations[unseen.split] = _judge_parts(first.labels, unseen, together, seed)
        else:
            evaluations[unseen.split] = judge(
                first.labels, unseen.truth, together, calibration, names=unseen.names, seed=seed
            )
        for scores, own in zip(each, unseen.logits, strict=True):
            scores[unseen.split] = _judge_parts(first.labels, unseen, own, seed)
    members = [_member(model) for model in models]
    model = Model(
        labels=first.labels,
        modality=first.modality,
        front_end=members[0].front_end,
        backbone=members[0].backbone,
        network=members[0].network,
        head=members[0].head,
        weights=members[0].weights,
        tokenizer=members[0].tokenizer,
        others=members[1:],
        calibration=calibration,
        precision=first.precision,
        plan={"strategy": "ensemble", "combine": "mean", "members": [model.plan for model in models]},
        metrics={split: figures(evaluation) for split, evaluation in evaluations.items()},
        data=_data(models),
    )
    model.record_golden(_golden_sources(dataset, basis, calibration.answers(logits)))
    names = [f"{number}: {_name(each)}" for number, each in enumerate(models, 1)]
    committee = Committee.of(names, each, evaluations, basis.split)
    model.report = _report(model, models, dataset, evaluations, committee)
    say(model.report.headline)
    say(committee.words)
    return model


def _check(models: Sequence[Model]) -> None:
    if len(models) < 2:
        raise OptionError("at least two models", str(len(models)), "use the model as it is")
    first = models[0]
    for model in models:
        if len(model.members) > 1:
            fix = "combine the models that it was made of"
            raise OptionError("models of one member", f"one of {len(model.members)}", fix)
        if (model.labels, model.target, model.modality) != (first.labels, first.target, first.modality):
            odd = sorted(set(model.labels) ^ set(first.labels)) or [model.target, model.modality]
            fix = "fit all on the same classes"
            raise OptionError("models with the same labels", f"others: {', '.join(odd[:8])}", fix)
        if default_precision(model.precision) != default_precision(first.precision):
            fix = "fit all with the same --precision"
            raise OptionError("models of one precision", f"{model.precision} and {first.precision}", fix)


def _from_reports(models: Sequence[Model], dataset: Dataset) -> list[Unseen]:
    """Return what the reports of models that were just fitted say about the items that all of them have."""
    reports = [model.report for model in models]
    content = [report.content for report in reports if isinstance(report, Report)]
    if len(content) < len(models):
        return []
    found = []
    position = {item.name: number for number, item in enumerate(dataset)}
    for split in content[0].evaluations:
        if split not in ("test", *_ESTIMATES) or any(split not in each.evaluations for each in content):
            continue
        evaluations = [each.evaluations[split] for each in content]
        places = [{name: row for row, name in enumerate(each.names)} for each in evaluations]
        names = [n for n in evaluations[0].names if n in position and all(n in place for place in places)]
        if not names:
            continue
        rows = [[place[name] for name in names] for place in places]
        logits = [_logits(each)[row] for each, row in zip(evaluations, rows, strict=True)]
        truth = _truth(dataset.take([position[name] for name in names]), models[0].labels)
        found.append(Unseen(split, tuple(names), truth, logits))
    return found


def _from_data(models: Sequence[Model], dataset: Dataset, say: Say, store: FeatureStore | None) -> Unseen:
    """Let the models answer about the items that are new to all of them."""
    said = [answers(model, dataset, split=None, say=say, store=store) for model in models]
    shared = set.intersection(
        *({item.name for item, seen in zip(a.dataset, a.seen, strict=True) if not seen} for a in said)
    )
    if len(shared) < _FEWEST:
        raise DataError(
            f"at least {_FEWEST} items that no member was fitted on",
            f"{len(shared)} of {len(dataset)}",
            "name labelled data that is new to all of the models",
        )
    logits = []
    for model, answer in zip(models, said, strict=True):
        rows = [row for row, item in enumerate(answer.dataset) if item.name in shared]
        own = answer.logits[rows].astype(np.float64)
        logits.append(own if isinstance(model.calibration, Interval) else own / model.calibration.temperature)
    kept = said[0].dataset
    kept = kept.take([row for row, item in enumerate(kept) if item.name in shared])
    return Unseen("validation", tuple(item.name for item in kept), _truth(kept, models[0].labels), logits)


def _truth(dataset: Dataset, labels: Sequence[str]) -> Labelled:
    """Return what is known about items, without features."""
    codes: dict[str, int] = {}
    group = [codes.setdefault(item.group or f"\0{item.name}", len(codes)) for item in dataset]
    count = len(dataset)
    nothing = Features(np.zeros((count, 0), np.float32), np.arange(count), np.array(group, np.int64))
    return labelled(dataset, nothing, labels)


def _logits(evaluation: AnyEvaluation) -> NDArray[np.float64]:
    """Return calibrated logits: what the probabilities were made of, up to what softmax does not see."""
    if isinstance(evaluation, NumberEvaluation):
        return evaluation.answers[:, None]
    p = np.clip(evaluation.probabilities, 1e-12, 1 - 1e-12)
    logits: NDArray[np.float64] = np.log(p)
    return logits - np.log1p(-p) if isinstance(evaluation, LabelsEvaluation) else logits


def _judge_parts(
    labels: Sequence[str], unseen: Unseen, logits: NDArray[np.floating], seed: int
) -> AnyEvaluation:
    """Judge answers on the items that they are calibrated on, each part calibrated on the others."""
    truth, logits = unseen.truth, logits.astype(np.float32)
    groups = len(np.unique(truth.features.group))
    if groups < 2:  # too few for parts
        return judge(labels, truth, logits, truth.calibrate(logits), names=unseen.names, seed=seed)
    selection = Selection(float("nan"), {}, assign_folds(truth, min(_PARTS, groups), seed), logits)
    return judge_folds(labels, truth, selection, names=unseen.names, seed=seed)


def _member(model: Model) -> Member:
    """Return a model's member, its temperature made part of its head."""
    member, calibration = model.members[0], model.calibration
    if isinstance(calibration, Interval):
        return member
    return replace(member, head=member.head.tempered(calibration.temperature))


def _name(model: Model) -> str:
    strategy = model.plan.get("strategy", "freeze-all")
    made = "" if strategy == "freeze-all" else f", {strategy}"
    made += f", from {start}" if (start := model.plan.get("head_start")) else ""
    seed = f", seed {model.plan['seed']}" if "seed" in model.plan else ""
    return f"{model.head.kind} head on {model.backbone.name}{made}{seed}"


def _data(models: Sequence[Model]) -> dict[str, Any]:
    seen = sorted(set().union(*(model.data.get("seen", ()) for model in models)))
    return {**models[0].data, "seen": seen}


def _golden_sources(dataset: Dataset, basis: Unseen, said: NDArray[np.float64]) -> list[Source]:
    chosen = choose_spread(said[:, 0]) if basis.truth.target == "number" else choose(said)
    wanted = [basis.names[row] for row in chosen]
    sources = {item.name: item.source for item in dataset}
    return [sources[name] for name in wanted]


def _report(
    model: Model,
    models: Sequence[Model],
    dataset: Dataset,
    evaluations: Mapping[str, AnyEvaluation],
    committee: Committee,
) -> Report:
    plan = f"{len(models)} models were fitted on the same data; the answer is the mean of what they say."
    facts = [(f"Member {number}", _name(model)) for number, model in enumerate(models, 1)]
    why = reasons(model, dataset, next(iter(evaluations.values())).losses)
    own = models[0].report
    if isinstance(own, Report):
        content = replace(
            own.content,
            evaluations=evaluations,
            plan=plan,
            facts=facts,
            commands="\n".join(own.content.commands.splitlines()[1:]),  # without how to fit the first
            trials=(),
            committee=committee,
            reasons=why,
        )
        return Report(content, own.rows)
    content = ReportInput(
        title=dataset.root.name if dataset.root else "An ensemble",
        evaluations=evaluations,
        noun=modality(dataset.modality).noun,
        facts=facts,
        plan=plan,
        left_out=dataset.problems,
        committee=committee,
        reasons=why,
    )
    return Report(content)
