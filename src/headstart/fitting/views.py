"""What texts are answered with: views that are fitted inside each fold, beside the backbone's features."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.artefact.members import Member
from headstart.artefact.model import Model
from headstart.artefact.schema import FrontEnd
from headstart.backbones import Card
from headstart.backbones.card import Tokens, Verbatim
from headstart.backbones.catalogue import CARDS, DOCUMENT_CNN, TERMS, cached_tokenizer
from headstart.data.items import Dataset
from headstart.errors import OptionError
from headstart.files import atomic_folder, cache_dir, digest_file, digest_json
from headstart.fitting.soft_targets import teacher_logits
from headstart.progress import Say
from headstart.text.decode import decode
from headstart.text.mail import strip_email
from headstart.text.terms import TermsNetwork, TermsSettings
from headstart.text.tokens import know
from headstart.transfer.features import Features
from headstart.transfer.heads import Head, Kind
from headstart.transfer.selection import Labelled
from headstart.transfer.shots.choices import OneScale, is_few
from headstart.transfer.shots.means import ClassMeans
from headstart.transfer.source_head import SourceStart, fit_from_source, match_names
from headstart.transfer.stacking import Stacked, StackedHead
from headstart.transfer.store import FeatureStore
from headstart.transfer.unlabelled.spreading import Spread

if TYPE_CHECKING:
    from headstart.fitting.gathering import Gathered
    from headstart.transfer.fitted_cnn import FittedCnn

    AnyHead = Head | TermsNetwork | FittedCnn | StackedHead

_FEW = 8
"""So many texts a class are enough to standardise features by: 4 are better answered on one scale, 16 not."""
_MOST_CHARACTERS = 25_000_000
"""In longer collections runs of characters would take more than 2 GB; words take an eighth of that."""


def texts_of(dataset: Dataset, card: Card) -> tuple[str, ...]:
    """Return the texts of a data set as the card's front end sees them.

    Raises:
        DecodeError: An item is no text; `gather` has left such items out.
    """
    email = isinstance(card.preprocess, Tokens | Verbatim) and card.preprocess.email
    texts = (decode(item.source) for item in dataset)  # type: ignore[arg-type]
    return tuple(strip_email(text) if email else text for text in texts)


@dataclass(frozen=True)
class AtBlock(Labelled):
    """Features of one depth of a network.

    Args:
        features: Rows of the items, Features.
        y: Class of each item, int [items].
        classes: Number of classes, int.
        block: The block that they leave from, str.
    """

    block: str = ""


@dataclass(frozen=True)
class OneScaleAtBlock(OneScale, AtBlock):
    """Features of one depth of a network, all on one scale: for few items."""


@dataclass(frozen=True)
class MeansAtBlock(ClassMeans, AtBlock):
    """Features of one depth of a network, whose heads point to the class means: for few items."""


@dataclass(frozen=True)
class Answers(Labelled):
    """What a model of other data says about the items: its calibrated logits are the features.

    Args:
        features: One row each, float32 [items, its classes], Features.
        y: Class of each item, int [items].
        classes: Number of classes, int.
        model: The model that was asked, Model.
        same: Where its classes have the names of the new ones, the head that passes its answers on: a few
            items pull away from that, not from knowing nothing. Defaults to None.
    """

    model: Model | None = None
    same: SourceStart | None = None

    def fit(self, kind: Kind, strength: float, class_weight: str | None, seed: int) -> Head:
        """Fit a head on all rows."""
        if kind != "linear" or self.same is None:
            return super().fit(kind, strength, class_weight, seed)
        rows, weight = self.features.X, self.weight_of(self.features.item)
        return fit_from_source(
            self.same,
            rows,
            self.y[self.features.item],
            strength=strength,
            class_weight=class_weight,
            weight=weight,
        )


@dataclass(frozen=True)
class OfMember(Labelled):
    """What one network of a model says about items.

    Args:
        features: Its features, Features.
        y: Class of each item, int [items].
        classes: Number of classes, int.
        member: The network, Member.
    """

    member: Member | None = None


def views_of(
    data: Labelled,
    gathered: Gathered,
    *,
    default: bool,
    start: Model | None,
    store: FeatureStore,
    offline: bool,
    say: Say,
    known: Labelled | None = None,
    own: Sequence[Labelled] = (),
) -> dict[str, list[Labelled]]:
    """Return the views that a collection may be answered by, by name, each with its alternatives.

    Args:
        data: The backbone's features with what is known about the items.
        gathered: The same items.
        default: Whether the user has left the choice open: then terms stand beside a text's backbone.
        start: A model of other data, whose answers are one more view.
        store: Keeps what that model's networks say.
        offline: Whether to stay off the network.
        say: Where it is told what is being downloaded.
        known: The items that are learned from. Defaults to None: all.
        own: What heads on a picture's features may be made by. Defaults to none: by `data` alone.

    Returns:
        The views, of which `select_view` chooses; {} where the backbone's features are all there is.
    """
    card = gathered.card
    fitted = isinstance(card.preprocess, Verbatim)
    if data.target != "label" or gathered.cut or not (card.modality == "text" or start is not None):
        return {}
    group = data.features.group
    views: dict[str, list[Labelled]] = {}
    if start is not None:
        views["start"] = [_answers(start, data, gathered, store)]
    if card.modality != "text":
        views[card.name] = list(own) or [data]
    elif not fitted:
        depths = {block: replace(its, group=group) for block, its in gathered.depths.items()}
        views[card.name] = _at_depths(depths, data, data if known is None else known)
        if isinstance(views[card.name][0], MeansAtBlock):
            return views  # one text of each class: there is nothing that a choice could be made on
    if card.modality == "text" and (fitted or default):
        texts = texts_of(gathered.dataset, card)
        alone = Features(np.zeros((len(texts), 0), np.float32), np.arange(len(texts)), group)
        if card.name == DOCUMENT_CNN:
            views[card.name] = [_document_cnn(alone, data, texts, start, offline, say)]
        else:
            views[TERMS] = [_terms(alone, data, texts, say)]
    return views


def _at_depths(depths: Mapping[str, Features], data: Labelled, known: Labelled) -> list[Labelled]:
    """Return what heads may be made by at each depth of a network.

    Few texts: to standardise features by a handful is to divide by noise. Where no class has two, nothing can
    be chosen, and class means on what the last block says are taken: 20 newsgroups by one message of each,
    0.32 right, by regression on standardised features 0.11.
    """
    last, features = list(depths.items())[-1]
    means = MeansAtBlock(features, data.y, data.classes, last)
    if not is_few(known, _FEW):
        return [AtBlock(its, data.y, data.classes, block) for block, its in depths.items()]
    if max(known.counts()) < 2:
        return [means]
    return [*(OneScaleAtBlock(its, data.y, data.classes, block) for block, its in depths.items()), means]


def view_plan(view: Labelled) -> dict[str, Any]:
    """Return what a plan says about the view that was chosen, a JSON object."""
    if isinstance(view, Stacked):
        used = [(each, weight) for each, weight in zip(view.views, view.weights, strict=True) if weight > 0]
        cut = {key: name for each, _ in used for key, name in view_plan(each).items()}
        return {**cut, "views": {_name(each): round(weight, 4) for each, weight in used}}
    if isinstance(view, Spread) and view.pool is not None:
        return {"unlabelled": len(view.pool.features)}
    return {"cut": view.block} if isinstance(view, AtBlock) else {}


def _name(view: Labelled) -> str:
    if isinstance(view, AtBlock):
        return f"features of {view.block}"
    if isinstance(view, Spread):
        return "features, also of unlabelled items"
    if isinstance(view, OfMember) and view.member is not None:
        return f"features of {view.member.backbone.blocks[-1]}"
    if isinstance(view, Answers):
        return "answers of the start"
    if len(view.features.X.T):
        return "features"
    return "terms" if hasattr(view, "counted") else "document CNN"


def _answers(start: Model, data: Labelled, gathered: Gathered, store: FeatureStore) -> Labelled:
    logits = teacher_logits(start, gathered.dataset, store)
    features = Features(logits, np.arange(len(logits)), data.features.group)
    return Answers(features, data.y, data.classes, start, _same(start, gathered.dataset.classes))


def _same(start: Model, classes: Sequence[str]) -> SourceStart | None:
    """Return the head that passes on what a model says, if its classes are called as all the new ones are."""
    places = match_names(classes, start.labels)
    if not all(places):
        return None
    weight = np.zeros((len(start.labels), len(classes)))
    for column, found in enumerate(places):
        weight[found[0], column] = 1
    return SourceStart(weight, np.zeros(len(classes)), np.ones(len(classes), np.bool_))


def _terms(alone: Features, data: Labelled, texts: tuple[str, ...], say: Say) -> Labelled:
    from headstart.transfer.terms import Terms

    settings = TermsSettings()
    if sum(map(len, texts)) > _MOST_CHARACTERS:
        say("so much text that words are counted, but not the runs of characters in them")
        settings = replace(settings, characters=None)
    return Terms(alone, data.y, data.classes, texts, settings)


def _document_cnn(
    alone: Features, data: Labelled, texts: tuple[str, ...], start: Model | None, offline: bool, say: Say
) -> Labelled:
    from headstart.text.pretrained import glove_6b_50d
    from headstart.transfer.document_cnn import DocumentCnn
    from headstart.transfer.fitted_cnn import FittedCnn

    for member in () if start is None else start.members:
        if member.backbone.name == DOCUMENT_CNN and member.weights and member.tokenizer:
            carried = FittedCnn.load(member.weights, member.tokenizer)
            say("the document CNN starts from the weights of the model that is the start")
            return DocumentCnn(alone, data.y, data.classes, texts, start_from=carried)
    vectors = glove_6b_50d(offline=offline, say=say)
    return DocumentCnn(alone, data.y, data.classes, texts, vectors=vectors)


def members_of(view: Labelled, head: AnyHead, card: Card, network: Callable[[Card], Path]) -> list[Member]:
    """Return the members of the model that a fitted head makes.

    Args:
        view: What the head was fitted on.
        head: What was fitted.
        card: The backbone's card.
        network: Gives the .xml of the backbone's network, or of the part of it that a card is about.

    Returns:
        One member; of a stack one for each view that counts, its weight folded into its head.
    """
    if isinstance(head, StackedHead):
        its_views = view.views if isinstance(view, Stacked) else ()
        parts = zip(its_views, head.heads, head.weights, strict=True)
        return [
            _scaled(member, weight)
            for its, each, weight in parts
            if weight > 0
            for member in members_of(its, each, card, network)
        ]
    if isinstance(head, Head):
        if isinstance(view, OfMember) and view.member is not None:
            return [replace(view.member, head=head)]
        if isinstance(view, Answers) and view.model is not None:
            return _passed_on(view.model, head)
        if isinstance(view, AtBlock) and view.block != card.blocks[-1]:
            blocks = card.blocks[: card.blocks.index(view.block) + 1]
            card = replace(card, blocks=blocks, labels=None)
        return [feature_member(card, network(card), head)]
    return [_fitted_member(head, card)]


def _passed_on(start: Model, head: Head) -> list[Member]:
    """Return the members of the start, each with what the new head makes of its share of the answer.

    The new head is linear in the start's logits, and they are a sum over its members.
    """
    ((matrix, bias),) = head.layers
    heat = np.float32(start.calibration.temperature)  # type: ignore[union-attr]
    found = []
    for number, member in enumerate(start.members):
        *body, (weight, own) = member.head.layers
        last = weight @ matrix / heat, own @ matrix / heat + (bias if number == 0 else 0)
        found.append(replace(member, head=Head(member.head.kind, (*body, last))))
    return found


def feature_member(card: Card, network: Path, head: AnyHead, weights: Path | None = None) -> Member:
    """Return the member of a head that reads a backbone's features.

    Args:
        card: The backbone's card.
        network: The .xml of its network.
        head: The head.
        weights: As for `Member`. Defaults to None.

    Raises:
        OptionError: The head reads something else.
    """
    if not isinstance(head, Head):
        raise OptionError("a head that reads features", type(head).__name__, "name a pretrained backbone")
    tokenizer = cached_tokenizer(card) if isinstance(card.preprocess, Tokens) else None
    return Member(FrontEnd(card.preprocess), card, network, head, weights, tokenizer)


def _fitted_member(head: TermsNetwork | FittedCnn, card: Card) -> Member:
    """Keep what was fitted in the cache, under the digest of what it is, and make a member of it."""
    with tempfile.TemporaryDirectory(prefix="headstart-") as draft:
        main = head.save(Path(draft))
        files = sorted(Path(draft).iterdir())
        digest = digest_json({file.name: digest_file(file) for file in files})
        kept = cache_dir() / "networks" / f"fitted-{digest[:16]}"
        if not (kept / main.name).is_file():
            with atomic_folder(kept) as folder:
                for file in files:
                    (folder / file.name).write_bytes(file.read_bytes())
    email = isinstance(card.preprocess, Tokens | Verbatim) and card.preprocess.email
    if isinstance(head, TermsNetwork):
        spec: Verbatim | Tokens = Verbatim(email=email)
        own, tokenizer, classes = CARDS[TERMS], None, len(head.bias)
        count = head.weight.size
        weights: Path | None = None
    else:
        own, tokenizer, classes = CARDS[DOCUMENT_CNN], kept / "tokenizer.json", head.classes
        weights = kept / "weights.safetensors"
        spec = replace(head.spec, email=email, tokenizer=know(tokenizer))
        count = sum(each.numel() for each in head.network.parameters())
    made = replace(own, preprocess=spec, features=classes, parameters=count, digest=digest)
    identity = Head("linear", ((np.eye(classes, dtype=np.float32), np.zeros(classes, np.float32)),))
    return Member(FrontEnd(spec), made, kept / main.name, identity, weights, tokenizer)


def _scaled(member: Member, weight: float) -> Member:
    *body, (matrix, bias) = member.head.layers
    share = np.float32(weight)
    return replace(member, head=Head(member.head.kind, (*body, (matrix * share, bias * share))))
