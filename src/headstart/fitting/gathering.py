"""First step of a fit: which items can be used, and their features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart import backbones, data
from headstart.backbones import Card
from headstart.backbones.card import Tokens, Verbatim
from headstart.backbones.catalogue import CARDS, cached_tokenizer
from headstart.data.facts import Facts
from headstart.data.items import Dataset, Problem, Target
from headstart.engines.choosing import Choice, Engine, choose
from headstart.engines.openvino_engine import default_precision
from headstart.engines.precision import POOLED, Precision
from headstart.errors import DataError, DecodeError, OptionError
from headstart.files import digest_json
from headstart.fitting.targets import require_two_answers
from headstart.modalities import modality
from headstart.progress import Say
from headstart.transfer.features import Features
from headstart.transfer.passes import Output, examine, extract
from headstart.transfer.store import FeatureStore

if TYPE_CHECKING:
    from torch import nn

    from headstart.backbones.backbone import Backbone

_QUANTISE_ON = 200
UPPER = 4
"""So many of a text encoder's last blocks are looked at: what a text is about is told best by the last, how
it is meant often by one before (sentiment of 1,250 reviews by MiniLM: layer 4 .834, layer 6 .781)."""
NO_ENGINE = "none"
_OTHER = "choose another one: headstart backbones list"


@dataclass(frozen=True)
class Gathered:
    """The usable items of a data set, with their features.

    Args:
        dataset: The usable items, in their order; `problems` lists what was left out.
        features: One entry for each item.
        facts: One for each item.
        card: The backbone's card.
        engine: What the features depend on beside the weights, {str: str}.
        computed: How many items went through the network; the store knew the rest, int.
        cut: Whether late blocks were cut off, so that the features leave an earlier one. Defaults to False.
        depths: Of a text encoder also the features of the blocks before the last, by block, the last one's
            included. Defaults to none.
    """

    dataset: Dataset
    features: Features
    facts: list[Facts]
    card: Card
    engine: dict[str, str]
    computed: int
    cut: bool = False
    depths: Mapping[str, Features] = field(default_factory=dict)

    def answering_precision(self, *, trained: bool) -> Precision | None:
        """Return what the model answers in: as its features were computed; a trained network never in int8.

        Where they were computed by torch, the CPU that answers chooses for itself; what is fitted from the
        start is answered in what was asked for.
        """
        precision = self.engine["precision"]
        trained = trained or self.engine["engine"] == NO_ENGINE
        if self.engine["engine"] == "torch" or (trained and precision == "int8"):
            return None
        return precision  # type: ignore[return-value]

    @property
    def digest(self) -> str:
        """SHA-256 over the items' contents and labels, in any order."""
        pairs = zip(self.facts, self.dataset, strict=True)
        entries = [[facts.digest, item.answer, item.split] for facts, item in pairs]
        return digest_json(sorted(entries, key=str))  # a split may be None, which has no order


def open_labelled(
    source: Dataset | Path | str | Sequence[Path | str], target: Target | None = None
) -> Dataset:
    """Open a data set and make sure that it can teach something.

    Raises:
        DataError: Nothing is labelled, or all items alike.
    """
    dataset = open_labelled_any(source, target)
    require_two_answers(dataset)
    return dataset


def open_labelled_any(
    source: Dataset | Path | str | Sequence[Path | str], target: Target | None = None
) -> Dataset:
    """Open a data set and keep its labelled items, whatever their labels.

    Raises:
        DataError: Nothing is labelled.
    """
    dataset = data.open(source, target=target)
    labelled = tuple(item for item in dataset if item.answer is not None)
    unlabelled = tuple(Problem(item.name, "it has no label") for item in dataset if item.answer is None)
    dataset = replace(dataset, items=labelled, problems=dataset.problems + unlabelled)
    if not labelled:
        raise DataError(
            "labelled items: a folder for each class, or a manifest with a label column",
            f"{len(unlabelled)} items without labels",
            "put each class into a folder of its own",
        )
    return dataset


def gather(
    dataset: Dataset,
    store: FeatureStore,
    *,
    backbone: str | None,
    engine: str,
    precision: Precision | None,
    offline: bool,
    say: Say,
    cut: str | None = None,
    size: int | None = None,
    email: bool = False,
    progress: bool = True,
) -> Gathered:
    """Compute, or fetch from the store, the features of every item that can be read.

    Args:
        dataset: What to use.
        store: The feature store.
        backbone: Name of a backbone; None takes the modality's default.
        engine: "auto", "openvino" or "torch".
        precision: None for the engine's own choice.
        offline: Whether to stay off the network.
        say: Where progress is told.
        cut: Block that the features leave from. Defaults to None, the last.
        size: Side of the pictures, int, in pixels (length of passages, in tokens). Defaults to None, what the
            backbone was made for.
        email: Whether headers, quotes and signatures of e-mails are taken off texts first. Defaults to False.
        progress: Whether to draw a progress bar. Defaults to True.

    Returns:
        The usable items and their features.

    Raises:
        DataError: Not a single item can be read.
        OptionError: There is no such block.
    """
    name = backbone or modality(dataset.modality).default_backbone

    def load() -> Backbone:
        network = backbones.load(name, offline=offline)
        network = network if size is None else network.at(size)
        return network if cut is None else network.cut(cut)

    card = backbones.card(name, offline=offline)
    is_cut = cut not in (None, card.blocks[-1])
    if is_cut or size not in (None, card.preprocess.size):
        card = load().card
    if card.modality != dataset.modality:
        received = f"{card.name!r}, which is for {modality(card.modality).noun}"
        raise OptionError(f"a backbone for {modality(dataset.modality).noun}", received, _OTHER)
    if isinstance(card.preprocess, Tokens) and name in CARDS and not cached_tokenizer(card).is_file():
        backbones.fetch(name, offline=offline, say=say)  # the network may be converted already
    if email:
        card = _without_mail(card)
    if isinstance(card.preprocess, Verbatim):
        return _described(dataset, store, card, precision, say, progress)
    tokens = isinstance(card.preprocess, Tokens) and not is_cut
    # A quantised network gives what it was quantised for, the last block.
    upper = card.blocks[-UPPER:] if tokens and precision != "int8" else ()
    output = Output("upper", len(upper) * card.features, "float16") if upper else None

    def network() -> nn.Module:
        from headstart.backbones.backbone import Depths

        return Depths(load(), upper) if upper else load()

    choice = choose(
        card,
        network,
        engine=engine,
        precision=precision,
        calibration=lambda: _calibration_inputs(dataset, card),
        outputs=("upper",) if upper else POOLED,
    )
    result = extract(dataset, store, card, choice.key, choice.start, output=output, progress=progress)
    rows, item, missing = result.read(store)
    found = _usable(dataset, result.facts, rows, item, missing, card, choice, result.computed, say)
    if upper:
        parts = np.split(found.features.X, len(upper), axis=1)
        depths = {block: replace(found.features, X=part) for block, part in zip(upper, parts, strict=True)}
        found = replace(found, features=depths[upper[-1]], depths=depths)
    elif tokens:
        found = replace(found, depths={card.blocks[-1]: found.features})
    return replace(found, cut=is_cut)


def _without_mail(card: Card) -> Card:
    if not isinstance(card.preprocess, Tokens | Verbatim):
        raise OptionError(
            "texts, to take e-mail headers off", f"a backbone for {card.modality}", "leave email out"
        )
    return replace(card, preprocess=replace(card.preprocess, email=True))


def _described(
    dataset: Dataset, store: FeatureStore, card: Card, precision: Precision | None, say: Say, progress: bool
) -> Gathered:
    """Return the usable items where no pretrained network is asked: they have no features."""
    facts = examine(dataset, store, progress=progress)
    missing = [n for n, each in enumerate(facts) if each.error is not None or not each.digest]
    item = np.setdiff1d(np.arange(len(dataset)), missing)
    rows = np.zeros((len(item), 0), np.float32)
    key = {"engine": NO_ENGINE, "version": "1", "precision": default_precision(precision)}
    choice = Choice(key, _no_engine)
    return _usable(dataset, facts, rows, item, missing, card, choice, 0, say)


def _no_engine() -> Engine:
    raise OptionError(
        "a pretrained network", "one that is fitted from the start", "name a pretrained backbone"
    )


def _usable(
    dataset: Dataset,
    facts: list[Facts],
    rows: NDArray[np.float32],
    item: NDArray[np.int64],
    missing: list[int],
    card: Card,
    choice: Choice,
    computed: int,
    say: Say,
) -> Gathered:
    gone = set(missing)
    good = np.array([n for n in range(len(dataset)) if n not in gone], np.int64)
    bad = [
        Problem(dataset.items[n].name, facts[n].error or "its features could not be computed")
        for n in missing
    ]
    for problem in bad:
        say(f"left out: {problem.name}: {problem.reason}")
    if len(good) == 0:
        raise DataError(
            "at least one readable item",
            f"{len(bad)} unreadable ones (first: {bad[0].name}: {bad[0].reason})",
            "check the files with: headstart inspect",
        )
    kept = replace(dataset.take(good.tolist()), problems=(*dataset.problems, *bad))
    features = Features(rows, np.searchsorted(good, item), np.arange(len(good)))
    return Gathered(kept, features, [facts[n] for n in good], card, choice.key, computed)


def _calibration_inputs(dataset: Dataset, card: Card) -> list[NDArray[np.uint8]]:
    """Prepared inputs of a few hundred training items, spread evenly, for int8 quantisation."""
    reader = modality(dataset.modality)
    training = [item for item in dataset if item.split in (None, "train")] or list(dataset)
    inputs: list[NDArray[np.uint8]] = []
    for item in training[:: max(1, len(training) // _QUANTISE_ON)]:
        try:
            inputs.extend(reader.inputs(item.source, card.preprocess, "torch"))
        except DecodeError:
            continue  # the pass itself lists what cannot be read
    return inputs
