"""What texts are answered with: views that are fitted inside each fold, beside the backbone's features."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.artefact.members import Member
from headstart.artefact.schema import FrontEnd
from headstart.backbones import Card
from headstart.backbones.card import Tokens, Verbatim
from headstart.backbones.catalogue import CARDS, DOCUMENT_CNN, TERMS, cached_tokenizer
from headstart.data.items import Dataset
from headstart.errors import OptionError
from headstart.files import atomic_folder, cache_dir, digest_file, digest_json
from headstart.progress import Say
from headstart.text.decode import decode
from headstart.text.mail import strip_email
from headstart.text.terms import TermsNetwork
from headstart.text.tokens import know
from headstart.transfer.features import Features
from headstart.transfer.heads import Head
from headstart.transfer.selection import Labelled
from headstart.transfer.stacking import Stacked, StackedHead

if TYPE_CHECKING:
    from headstart.fitting.gathering import Gathered
    from headstart.transfer.fitted_cnn import FittedCnn

    AnyHead = Head | TermsNetwork | FittedCnn | StackedHead


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


def views_of(
    data: Labelled, gathered: Gathered, *, default: bool, offline: bool, say: Say
) -> dict[str, list[Labelled]]:
    """Return the views that a collection of texts may be answered by, by name, each with its alternatives.

    Args:
        data: The backbone's features with what is known about the items.
        gathered: The same items.
        default: Whether the user has left the choice open: then terms stand beside the backbone.
        offline: Whether to stay off the network.
        say: Where it is told what is being downloaded.

    Returns:
        The views, of which `select_view` chooses; {} where the backbone's features are all there is.
    """
    card = gathered.card
    fitted = isinstance(card.preprocess, Verbatim)
    if data.target != "label" or card.modality != "text" or gathered.cut:
        return {}
    group = data.features.group
    views: dict[str, list[Labelled]] = {}
    if not fitted:
        depths = {block: replace(its, group=group) for block, its in gathered.depths.items()}
        views[card.name] = [AtBlock(its, data.y, data.classes, block) for block, its in depths.items()]
    if fitted or default:
        texts = texts_of(gathered.dataset, card)
        alone = Features(np.zeros((len(texts), 0), np.float32), np.arange(len(texts)), group)
        make = _document_cnn if card.name == DOCUMENT_CNN else _terms
        views[card.name if fitted else TERMS] = [make(alone, data, texts, offline, say)]
    return views


def view_plan(view: Labelled) -> dict[str, Any]:
    """Return what a plan says about the view that was chosen, a JSON object."""
    if isinstance(view, Stacked):
        pairs = zip(view.views, view.weights, strict=True)
        return {"views": {_name(each): round(weight, 4) for each, weight in pairs if weight > 0}}
    return {"cut": view.block} if isinstance(view, AtBlock) else {}


def _name(view: Labelled) -> str:
    if isinstance(view, AtBlock):
        return f"features of {view.block}"
    return "terms" if hasattr(view, "counted") else "document CNN"


def _terms(alone: Features, data: Labelled, texts: tuple[str, ...], offline: bool, say: Say) -> Labelled:
    from headstart.transfer.terms import Terms

    del offline, say
    return Terms(alone, data.y, data.classes, texts)


def _document_cnn(
    alone: Features, data: Labelled, texts: tuple[str, ...], offline: bool, say: Say
) -> Labelled:
    from headstart.text.pretrained import glove_6b_50d
    from headstart.transfer.document_cnn import DocumentCnn

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
        if isinstance(view, AtBlock) and view.block != card.blocks[-1]:
            blocks = card.blocks[: card.blocks.index(view.block) + 1]
            card = replace(card, blocks=blocks, labels=None)
        return [feature_member(card, network(card), head)]
    return [_fitted_member(head, card)]


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
    else:
        own, tokenizer, classes = card, kept / "tokenizer.json", head.classes
        spec = replace(head.spec, email=email, tokenizer=know(tokenizer))
        count = sum(each.numel() for each in head.network.parameters())
    made = replace(own, preprocess=spec, features=classes, parameters=count, digest=digest)
    identity = Head("linear", ((np.eye(classes, dtype=np.float32), np.zeros(classes, np.float32)),))
    return Member(FrontEnd(spec), made, kept / main.name, identity, None, tokenizer)


def _scaled(member: Member, weight: float) -> Member:
    *body, (matrix, bias) = member.head.layers
    share = np.float32(weight)
    return replace(member, head=Head(member.head.kind, (*body, (matrix * share, bias * share))))
