"""`fit`: from a data set to a model, the whole way."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from headstart import backbones
from headstart.artefact.loading import load
from headstart.artefact.model import Model
from headstart.backbones.catalogue import DOCUMENT_CNN, TERMS
from headstart.data.items import Dataset, Target
from headstart.engines.precision import Precision
from headstart.errors import DataError, OptionError, require
from headstart.fitting.arranging import arrange
from headstart.fitting.gathering import Gathered, gather, open_labelled
from headstart.fitting.learning import learn
from headstart.fitting.planning import read_plan
from headstart.fitting.reporting import build_model
from headstart.fitting.strategies import PROBE, Candidate, keep_best, probe
from headstart.fitting.targets import describe, require_two_answers
from headstart.fitting.unlabelled import check_unlabelled, gather_unlabelled, with_spread
from headstart.fitting.views import views_of
from headstart.fitting.wishes import Bench, Wish, fulfil
from headstart.modalities import modality
from headstart.progress import Say, quiet
from headstart.training.plan import Plan, Strategy
from headstart.transfer.heads import KINDS, Kind
from headstart.transfer.selection import Labelled, one_core_each
from headstart.transfer.shots.answers import source_space
from headstart.transfer.shots.choices import few_choices, is_few
from headstart.transfer.source_head import source_start
from headstart.transfer.store import FeatureStore


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
    strategy: Strategy | None = None,
    minutes: float | None = None,
    plan: Plan | Path | str | None = None,
    scratch: bool = False,
    guard: bool = True,
    run: Path | str | None = None,
    resume: bool = False,
    lora: int = 0,
    email: bool = False,
    start: Model | Path | str | None = None,
    unlabelled: Dataset | Path | str | Sequence[Path | str] | None = None,
    say: Say = quiet,
    store: FeatureStore | None = None,
) -> Model:
    """Learn to tell the classes of a collection apart, to name several labels, or to estimate a number.

    A pretrained backbone turns each item into features (computed once, kept in the feature store); a head
    is fitted on them, its regularisation chosen by cross-validation; temperature, prediction sets and the
    abstention threshold come from out-of-fold answers. Given splits are respected; otherwise a fifth of
    each class is held out. Then the head is fitted again on train and val. Test is looked at once, last.

    With `minutes`, `strategy` or a `plan` the network itself may be trained, too: the planner chooses how
    much of it to keep (see `headstart.plan`). What ends worse than the head on the frozen network, on
    validation, is not kept.

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
        strategy: "freeze-all", "fine-tune-late", "cut-early", "fine-tune-all" or "scratch". Defaults to None:
            with `minutes` what the planner chooses, otherwise "freeze-all".
        minutes: All the time there is, float: the planner takes the best that fits. Defaults to None.
        plan: Do this; a Plan, or the JSON file of one. Defaults to None: made from what is measured.
        scratch: Whether to train the same from random numbers, too, and say which won. Defaults to False.
        guard: Whether the head on the frozen network may win. Defaults to True.
        run: Folder of checkpoints and of the training's history. Defaults to None: neither is kept.
        resume: Whether to go on with the training in `run`. Defaults to False.
        lora: Rank of the adapters through which a transformer's blocks learn, int; it makes "fine-tune-late"
            the default strategy. Defaults to 0: the blocks themselves are trained.
        email: Whether headers, quotes and signatures of e-mails are taken off texts first, now and whenever
            the model answers. Defaults to False.
        start: A model of other data, whose knowledge is carried over: its answers about the new items stand
            beside what they show themselves, and a document CNN goes on from its weights. Defaults to None.
        unlabelled: More items, whose labels, if any, are not looked at: what is known spreads to them along
            the nearest neighbours, and the head learns from them where that answers better in
            cross-validation. Defaults to None.
        say: Called with a line of text at each step. Defaults to saying nothing.
        store: The feature store. Defaults to the one in the cache.

    Returns:
        The model, with its report.

    Raises:
        DataError: The data cannot teach anything: empty, unlabelled, all labelled alike, nothing readable.
        OptionError: An argument cannot be used, a plan for another backbone, or nothing to resume.
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
    given = read_plan(plan) if isinstance(plan, str | Path) else plan
    wish = Wish(strategy, minutes, given, scratch, None if run is None else Path(run), resume, lora)
    wish.check_resumed(seed)
    planned = wish.followed
    if planned is not None:
        head, class_weight = planned.head, class_weight or planned.settings.class_weight
    _check(head, folds, val_share, class_weight)
    by_default, backbone = backbone is None, _same_backbone(backbone, wish.backbone)
    dataset = open_labelled(source, target)
    _check_pretrained(backbone, wish)
    if planned is not None:
        planned.check(planned.backbone, backbones.card(planned.backbone, offline=offline).blocks)
    _check_head(head, class_weight, dataset.target)
    _check_fitted(backbone, head, dataset.target)
    carried = None if start is None else _start(start, dataset, head)
    if unlabelled is not None:
        check_unlabelled(dataset.target, head, trains=bool(wish))
    say(f"{len(dataset)} {modality(dataset.modality).noun} {describe(dataset)}")
    with ExitStack() as stack:
        store = store or stack.enter_context(FeatureStore())

        def gather_at(cut: str | None, size: int | None, items: Dataset = dataset) -> Gathered:
            return gather(
                items, store, backbone=backbone, cut=cut, size=size,
                engine=engine, precision=precision, offline=offline, email=email, say=say,
            )  # fmt: skip

        gathered = gather_at(None, None) if planned is None else gather_at(planned.cut, planned.size)
        require_two_answers(gathered.dataset)
        known = len(gathered.dataset) - gathered.computed
        say(f"features: {gathered.computed} computed, {known} already known")
        others = None
        if unlabelled is not None:
            others = gather_unlabelled(unlabelled, gathered, lambda its: gather_at(None, None, its), say)
        use_folds = _wanted_folds(gathered.dataset, folds)
        if wish.trains and use_folds is not None:
            fix = "leave out the folds, or what asks for training"
            raise OptionError("a held-out part to check the training on", "cross-validation by folds", fix)
        arrangement = arrange(gathered, folds=use_folds is not None, val_share=val_share, seed=seed)

        def fit_head(name: str, gathered: Gathered, kind: Kind) -> Candidate:
            began = time.monotonic()
            arranged = arrangement.with_features(gathered.features)
            data, known = arranged.data, arranged.data.take(arranged.train)
            source = space = None
            if kind == "linear" and dataset.target == "label":
                source = source_start(gathered.card, arrangement.labels, offline=offline, say=say)
                if is_few(known):
                    space = source_space(gathered.card, offline=offline, say=say)
            views: Mapping[str, Sequence[Labelled]] | None = None
            if kind == "linear":
                own = list(few_choices(data, source, known, space).values())
                views = views_of(
                    data, gathered, default=by_default, start=carried, store=store, offline=offline, say=say,
                    known=known, own=own,
                )  # fmt: skip
                if others is not None:
                    views = with_spread(views, data, gathered.card.name, others, own, seed)
            with one_core_each():
                fitted = learn(arranged, gathered, kind, use_folds, class_weight, seed, source, views, space)
            return probe(name, gathered, arranged, fitted, time.monotonic() - began)

        candidates = [fit_head(PROBE, gathered, head)]
        if wish:
            bench = Bench(store, gather_at, fit_head, engine, precision, offline, seed, say)
            deadline = None if minutes is None else started + 60 * minutes
            candidates += fulfil(wish, candidates[0], bench, deadline)
        best, trials = keep_best(candidates, guard=guard, say=say)
        return build_model(best, trials, seconds=time.monotonic() - started, offline=offline, say=say)


def _start(start: Model | Path | str, dataset: Dataset, head: str) -> Model:
    """Return the model that knowledge is carried over from."""
    model = start if isinstance(start, Model) else load(start)
    if (model.modality, model.target) != (dataset.modality, "label") or dataset.target != "label":
        ours, theirs = modality(model.modality).noun, modality(dataset.modality).noun
        received = f"one for {ours} and {model.target}, with {theirs} and {dataset.target}"
        raise OptionError("a start that answers with one label about such items", received, "leave start out")
    if len(model.members) > 1 and model.combine != "sum":
        fix = "start from one of the models that it was made of"
        raise OptionError("a start whose members' logits are summed", "an ensemble", fix)
    if head != "linear":
        raise OptionError("a linear head, to carry a model over", repr(head), "use linear")
    return model


def _same_backbone(backbone: str | None, planned: str | None) -> str | None:
    """Return the backbone that is asked for, or planned: if both, they must be one."""
    if None not in (backbone, planned) and backbone != planned:
        fix = f"use the backbone {planned}, or make a new plan: headstart plan DATA"
        raise OptionError(f"a plan for {backbone!r}", f"one for {planned!r}", fix)
    return backbone or planned


def _check_pretrained(backbone: str | None, wish: Wish) -> None:
    """Refuse to fit a head on features of a network that knows nothing, and to train what is no network."""
    known = backbones.cards()
    if wish and backbone in known and not known[backbone].features:
        fix = "name a pretrained backbone (headstart backbones list), or leave out what asks for training"
        raise OptionError("a network to train", f"{backbone!r}, which is fitted as a whole anyway", fix)
    if backbone in known and not known[backbone].pretrained and known[backbone].features:
        knowingly = wish.strategy == "scratch" or wish.plan is not None or wish.resume
        if not knowingly and not wish.lora:
            fix = 'use the strategy "scratch", or a pretrained backbone: headstart backbones list'
            raise OptionError("a network that has learned something", f"{backbone!r}, untrained", fix)


def _check_fitted(backbone: str | None, head: str, target: Target) -> None:
    """Refuse what is fitted on texts from the start where it is not made for the head or the target."""
    if backbone not in (TERMS, DOCUMENT_CNN):
        return
    fix = "leave the backbone out, or name a sentence encoder: headstart backbones list"
    if target != "label":
        raise OptionError(f"a backbone for the target {target}", f"{backbone!r}, for one label an item", fix)
    if head != "linear":
        raise OptionError(f"a linear head on {backbone!r}", repr(head), "leave the head out")


def _wanted_folds(dataset: Dataset, folds: int | None) -> int | str | None:
    given = [item.fold for item in dataset if item.split != "test"]
    without = given.count(None)
    if 0 < without < len(given):
        fix = "fill the fold column, or leave it out"
        raise DataError("a fold for every item or for none", f"{without} of {len(given)} without one", fix)
    if given and all(fold is not None for fold in given) and len(set(given)) > 1:
        return "given"
    return folds


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
