"""What texts are answered with: views that are fitted inside each fold, beside the backbone's features."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headstart.artefact.members import Member
from headstart.artefact.schema import FrontEnd
from headstart.backbones import Card
from headstart.backbones.card import Tokens, Verbatim
from headstart.backbones.catalogue import CARDS, TERMS, cached_tokenizer
from headstart.data.items import Dataset
from headstart.files import atomic_folder, cache_dir, digest_file, digest_json
from headstart.progress import Say
from headstart.text.decode import decode
from headstart.text.mail import strip_email
from headstart.text.terms import TermsNetwork
from headstart.text.tokens import know
from headstart.transfer.features import Features
from headstart.transfer.heads import Head
from headstart.transfer.selection import Labelled
from headstart.transfer.stacking import StackedHead

if TYPE_CHECKING:
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


def views_of(
    data: Labelled, dataset: Dataset, card: Card, *, default: bool, offline: bool, say: Say
) -> dict[str, Labelled]:
    """Return the views that a collection of texts may be answered by, by name.

    Args:
        data: The backbone's features with what is known about the items.
        dataset: The same items.
        card: The backbone's card.
        default: Whether the user has left the choice open: then terms stand beside the backbone.
        offline: Whether to stay off the network.
        say: Where it is told what is being downloaded.

    Returns:
        The views, of which `select_view` chooses; {} where the backbone's features are all there is.
    """
    fitted = isinstance(card.preprocess, Verbatim)
    if data.target != "label" or dataset.modality != "text" or not (fitted or default):
        return {}
    texts = texts_of(dataset, card)
    items = np.arange(len(texts))
    alone = Features(np.zeros((len(texts), 0), np.float32), items, data.features.group)
    if card.name != TERMS and fitted:
        return {card.name: _document_cnn(alone, data, texts, offline, say)}
    from headstart.transfer.terms import Terms

    terms = Terms(alone, data.y, data.classes, texts)
    return {TERMS: terms} if fitted else {card.name: data, TERMS: terms}


def _document_cnn(
    alone: Features, data: Labelled, texts: tuple[str, ...], offline: bool, say: Say
) -> Labelled:
    from headstart.text.pretrained import glove_6b_50d
    from headstart.transfer.document_cnn import DocumentCnn

    vectors = glove_6b_50d(offline=offline, say=say)
    return DocumentCnn(alone, data.y, data.classes, texts, vectors=vectors)


def members_of(head: AnyHead, card: Card, network: Path | None, weights: Path | None = None) -> list[Member]:
    """Return the members of the model that a fitted head makes.

    Args:
        head: What was fitted.
        card: The backbone's card.
        network: The .xml of the backbone's network; None where the head has its own.
        weights: As for `Member`. Defaults to None.

    Returns:
        One member; of a stack one for each view that counts, its weight folded into its head.
    """
    if isinstance(head, StackedHead):
        pairs = [(each, its) for each, its in zip(head.heads, head.weights, strict=True) if its > 0]
        return [
            _scaled(member, its) for each, its in pairs for member in members_of(each, card, network, weights)
        ]
    if isinstance(head, Head):
        if network is None:
            raise TypeError("a head on a backbone's features comes with the backbone's network")
        tokenizer = cached_tokenizer(card) if isinstance(card.preprocess, Tokens) else None
        return [Member(FrontEnd(card.preprocess), card, network, head, weights, tokenizer)]
    return [_fitted_member(head, card)]


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
