"""`adapt`: a model for one domain answers for another, whose labels nobody knows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from headstart.artefact.loading import load
from headstart.artefact.model import Model
from headstart.engines.openvino_engine import OpenVinoEngine, openvino_key
from headstart.errors import OptionError, require
from headstart.evaluation.adaptation import SOURCE_ONLY
from headstart.fitting.adapting_norms import with_norms_of
from headstart.fitting.adapting_result import Start, build_adapted
from headstart.fitting.two_domains import Data, TwoDomains, check_model, open_domains, see
from headstart.fitting.views import OfMember
from headstart.progress import Say, quiet
from headstart.transfer.calibration import Calibration
from headstart.transfer.domains.choosing import ADABN, choose
from headstart.transfer.domains.domains import Domains, Method
from headstart.transfer.domains.methods import DEFAULT, METHODS
from headstart.transfer.domains.weights import bounded, density_ratio
from headstart.transfer.passes import extract
from headstart.transfer.selection import one_core_each
from headstart.transfer.stacking import select_view
from headstart.transfer.store import FeatureStore
from headstart.transfer.threads import one_thread


def adapt(
    model: Model | Path | str,
    target: Data,
    source: Data,
    *,
    methods: Sequence[str] | None = None,
    labels: bool = False,
    seed: int = 0,
    offline: bool = False,
    store: FeatureStore | None = None,
    say: Say = quiet,
) -> Model:
    """Make a model for one domain answer for another, of which no labels are needed.

    The model's networks look at both data sets, through the feature store. Several methods fit a head that is
    for the target; which of them answers is decided without a label of the target, and the head that the
    source alone teaches is kept unless another one promises more. Labels that the target has are shown in the
    report, and nothing is chosen by them.

    Args:
        model: A saved model (its folder) or a Model that answers with one label.
        target: Items of the new domain, as for `fit`, with or without labels.
        source: Labelled items of the old domain: what the model was fitted on. A test part is not looked at.
        methods: Names of what is tried beside the source alone, str: those of `transfer.domains.methods`, and
            "AdaBN" (batch statistics of each domain's own) where a network has batch norm; with it, those of
            the others that take a moment are tried on its features, too. Defaults to None: all but MCC and
            DANN.
        labels: Whether labels of the target (of its train part, where it has splits) are learned from, too.
            Defaults to False.
        seed: Of everything random, int. Defaults to 0.
        offline: Whether to stay off the network. Defaults to False.
        store: The feature store. Defaults to the one in the cache.
        say: Called with a line of text at each step. Defaults to saying nothing.

    Returns:
        A model like any other for the target, with its report.

    Raises:
        ArtefactError: The model is no saved model.
        DataError: Labels that the model does not know, classes that the source lacks, one domain only,
            another modality than the model's, or nothing readable.
        OptionError: A model that does not answer with one label, or an unknown method.

    References:
        Ben-David et al., "A theory of learning from different domains", Machine Learning 2010. Each method
        names its own.

    Example:
        >>> import headstart as hs
        >>> model = hs.adapt("books.headstart", "electronics/", "books/")  # doctest: +SKIP
        >>> model.report.headline  # doctest: +SKIP
        'Self-training was kept, because …'
    """
    started = time.monotonic()
    require(("sklearn", "scipy", "torch"), "train", "adapting")
    chosen, with_norms = _wanted(methods, labels)
    model = model if isinstance(model, Model) else load(model)
    check_model(model)
    its, asked = open_domains(model, source, target, labels=labels)
    with ExitStack() as stack:
        store = store or stack.enter_context(FeatureStore())
        two = see(model, its, asked, store, labels=labels, say=say)
        say(f"{len(two.source):,} items of {two.names[0]}, {len(two.target):,} of {two.names[1]}")
        with one_core_each():
            start = _start(two, seed)
        with one_thread():
            normed = _normed(start, two, model, store, seed, offline, say) if with_norms else None
    with one_core_each():
        strength = start.selection.strength
        choice = choose(start.domains, chosen, seed, normed=normed, strength=strength, say=say)
    return build_adapted(model, two, start, choice, time.monotonic() - started, seed, say)


def _wanted(names: Sequence[str] | None, labels: bool) -> tuple[list[Method], bool]:
    """Return the methods that are asked for by name, and whether AdaBN is."""
    if names is None:
        return [each for each in DEFAULT if labels or not each.needs_known], True
    known = {each.name.casefold(): each for each in METHODS} | {ADABN.casefold(): None}
    if odd := [name for name in names if name.strip().casefold() not in known]:
        fix = f"choose from {', '.join([*(each.name for each in METHODS), ADABN])}"
        raise OptionError("names of methods", ", ".join(map(repr, odd)), fix)
    asked = {name.strip().casefold() for name in names}
    without = [each.name for each in METHODS if each.needs_known and each.name.casefold() in asked]
    if without and not labels:
        fix = "label a few target items and use labels, or leave the method out"
        raise OptionError(f"labels of the target for {without[0]}", "none that may be learned from", fix)
    chosen = [each for each in METHODS if each.name == SOURCE_ONLY or each.name.casefold() in asked]
    return chosen, ADABN.casefold() in asked


def _start(two: TwoDomains, seed: int) -> Start:
    """Choose the view by the source, and calibrate on it as if it were distributed like the target."""
    view, selection, _ = select_view(two.views, two.source, "linear", seed=seed)
    domains = Domains(view, two.source, two.target)
    y = two.truth[two.source]
    weight = bounded(density_ratio(domains, seed))
    # `Calibration` takes no weights: items are drawn as often as they count.
    drawn = np.random.default_rng(seed).choice(len(y), len(y), p=weight / weight.sum())
    return Start(domains, selection, Calibration.of(selection.logits[drawn], y[drawn]))


def _normed(
    start: Start, two: TwoDomains, model: Model, store: FeatureStore, seed: int, offline: bool, say: Say
) -> Domains | None:
    """Return the domains, each as a network with its own batch statistics sees it, if there is one.

    Those of a frozen network are of what it learned from, which is neither of the two: both are replaced.
    """
    view = start.domains.data
    if not isinstance(view, OfMember) or view.member is None:
        return None
    # Changed weights answer in int8 no more than trained ones do.
    precision = None if model.precision == "int8" else model.precision
    rows, member = np.array(view.features.X, np.float32), view.member
    for place in (start.domains.source, start.domains.target):
        part = two.dataset.take(place.tolist())
        found = with_norms_of(view.member, part.items, seed=seed, offline=offline)
        if found is None:
            return None
        member = found
        engine = partial(OpenVinoEngine, member.network, precision)
        done = extract(part, store, member.backbone, openvino_key(precision), engine)
        rows[np.isin(view.features.item, place)] = done.features(part, store).X  # a sound has several
    say(f"{ADABN}: each domain is seen with batch statistics of its own")
    features = replace(view.features, X=rows)
    return start.domains.with_data(replace(view, features=features, member=member))
