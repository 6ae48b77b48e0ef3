"""What each part of a text brings to a model's answer, from the gradient at the embeddings.

Denil et al. rank sentences by the norm of the gradient. Where an answer is easily moved is not where it comes
from, though: on reviews that were held out of training, three sentences that are chosen so move the answer
hardly more than three random ones (`benchmarks/summaries.py`). So the gradients are integrated, along the way
from a text that says the same everywhere to the one that is there. What a sentence brings is then in the unit
of the answer, so that several members answer together; for terms it is exact.

References:
    Denil, Demiraj and de Freitas, "Extraction of Salient Sentences from Labelled Documents", 2014,
    https://arxiv.org/abs/1412.6815. Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks",
    ICML 2017, https://arxiv.org/abs/1703.01365.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.members import Member
from headstart.backbones.card import Tokens
from headstart.errors import ArtefactError, require
from headstart.explain.following import Floats
from headstart.text.places import character_places, word_places
from headstart.text.terms import TermsNetwork
from headstart.text.tokens import line_starts, rows, starts

if TYPE_CHECKING:
    from torch import Tensor

    from headstart.backbones.backbone import Backbone
    from headstart.transfer.fitted_cnn import FittedCnn

Explainer = Callable[[str, Sequence[str], Floats], Floats]
"""From a text, its parts, and how the answer follows its features, to what each part brings."""

_STEPS = 8
"""Gradients on the way from the mean embedding, where nobody asks for more."""


def explainer(
    member: Member, *, words: bool = False, steps: int = _STEPS, offline: bool = False
) -> Explainer:
    """Return what tells how much each part of a text brings to the answer through one member.

    Args:
        member: A member of a model for texts.
        words: Whether the parts are words. Defaults to False: they are sentences.
        steps: Gradients on the way from the mean embedding, int. Defaults to 8.
        offline: Whether to stay off the network. Defaults to False.

    Returns:
        A function of a text, its parts, and how the answer follows the features of its rows. The parts have
        the text's characters but for blanks, in order.

    Raises:
        ArtefactError: The member's network cannot be had in torch.
        BackboneError: The backbone cannot be had.
        MissingExtraError: torch is not installed, which everything but terms needs.
    """
    if not member.is_ir:
        return partial(of_terms, TermsNetwork.load(member.network))
    require(["torch"], "train", "the gradients of a network")
    spec = member.front_end.preprocess
    if not isinstance(spec, Tokens):
        raise ArtefactError("a network that reads tokens", type(spec).__name__, "fit the model again")
    if not spec.sentences:
        from headstart.artefact.rebuilding import torch_network

        return partial(of_tokens, torch_network(member, offline=offline), spec, steps=steps)
    from headstart.transfer.fitted_cnn import FittedCnn

    if member.weights is None or member.tokenizer is None:
        raise ArtefactError("a document CNN with its weights", "one without", "fit the model again")
    cnn = FittedCnn.load(member.weights, member.tokenizer)
    return partial(of_words if words else of_sentences, cnn, steps=steps)


def of_terms(network: TermsNetwork, text: str, found: Sequence[str], slope: Floats) -> Floats:
    """Return what each part's terms bring: exactly, for the model is linear in them.

    A term that occurs several times counts for each place equally, a run of words for each of its words, a
    run of characters for each of its characters.

    Args:
        network: The fitted terms.
        text: The text.
        found: Its parts.
        slope: How the answer follows the network's class scores, float [1, classes].

    Returns:
        float64 [parts].
    """
    at = np.zeros(len(text))
    sorts = (
        (network.count_words(text), network.word_place, word_places),
        (network.count_characters(text), network.character_place, character_places),
    )
    for counted, number, places in sorts:
        if not counted:
            continue
        terms, times = (np.fromiter(part, np.int64) for part in (counted.keys(), counted.values()))
        values = network.settings.frequency(times) * network.idf[terms]
        each = values * (network.weight[terms] @ slope[0]) / np.linalg.norm(values) / times
        worth = dict(zip(terms.tolist(), each.tolist(), strict=True))
        for term, characters in places(text, network.settings):
            if term in number:
                at[characters] += worth[number[term]] / len(characters)
    return in_parts(at, text, found)


def of_sentences(
    cnn: FittedCnn, text: str, found: Sequence[str], slope: Floats, *, steps: int = _STEPS
) -> Floats:
    """Return what each sentence's embedding brings to the answer of a document CNN.

    Args:
        cnn: The network with its tokenizer.
        text: The text.
        found: Its sentences; those beyond what the network reads bring nothing.
        slope: How the answer follows the network's class scores, float [1, classes].
        steps: As for `explainer`.

    Returns:
        float64 [sentences].
    """
    import torch

    ids = cnn.read([text])
    there = (ids != cnn.spec.pad).any(-1)
    with torch.no_grad():
        embedded = cnn.network.embed_sentences(ids)

    def scores(points: Tensor) -> Tensor:
        return cnn.network.classify(points, there.expand(len(points), -1))[1]

    brought = np.zeros(len(found))
    lines = np.flatnonzero(there[0].numpy())
    brought[lines] = _integrated(scores, embedded, there[0], slope[0], steps)
    return brought


def of_words(
    cnn: FittedCnn, text: str, found: Sequence[str], slope: Floats, *, steps: int = _STEPS
) -> Floats:
    """Return what each word's vector brings to the answer of a document CNN.

    They add up to less or more than the answer: where another word becomes the strongest, the answer jumps,
    and a gradient does not see that.

    Args:
        cnn: The network with its tokenizer.
        text: The text.
        found: Its words; those beyond what the network reads bring nothing.
        slope: How the answer follows the network's class scores, float [1, classes].
        steps: As for `explainer`.

    Returns:
        float64 [words].
    """
    import torch

    from headstart.networks.document_cnn import windows

    network = cnn.network
    (ids,) = cnn.read([text])
    there = ids != cnn.spec.pad
    with torch.no_grad():
        vectors = network.embedding(ids)

    def scores(points: Tensor) -> Tensor:
        seen = windows(points.reshape(-1, *vectors.shape[1:]), max(network.widths))
        lines = network.embed_vectors(seen, there.repeat(len(points), 1)).reshape(len(points), len(ids), -1)
        return network.classify(lines, there.any(-1).expand(len(points), -1))[1]

    at = np.zeros(len(text))
    begins = line_starts(text, cnn.spec, cnn.tokenizer)[: len(ids)][there.numpy()]
    np.add.at(at, begins, _integrated(scores, vectors.flatten(0, 1)[None], there.flatten(), slope[0], steps))
    return in_parts(at, text, found)


def of_tokens(
    backbone: Backbone,
    spec: Tokens,
    text: str,
    found: Sequence[str],
    slope: Floats,
    *,
    steps: int = _STEPS,
) -> Floats:
    """Return what each part's tokens bring to the answer of a transformer.

    Args:
        backbone: The network in torch.
        spec: How a text becomes tokens.
        text: The text.
        found: Its parts; those in passages that the network does not read bring nothing.
        slope: How the answer follows the features of each passage, float [passages, d].
        steps: As for `explainer`.

    Returns:
        float64 [parts].
    """
    import torch

    first, *rest = backbone.blocks
    last = backbone.card.blocks[-1]

    def features(points: Tensor) -> Tensor:
        return backbone.pooled(last, backbone.run_blocks(points, start=rest[0]) if rest else points)

    at = np.zeros(len(text))
    for ids, begins, its in zip(rows(text, spec), starts(text, spec), slope, strict=True):
        there = begins >= 0  # special tokens are no part of the text
        with torch.no_grad():
            embedded = backbone.run_blocks(backbone.normalise(torch.from_numpy(ids)[None]), stop=first)
        np.add.at(at, begins[there], _integrated(features, embedded, torch.from_numpy(there), its, steps))
    return in_parts(at, text, found)


def _integrated(
    network: Callable[[Tensor], Tensor],
    embedded: Tensor,
    there: Tensor,
    slope: Floats,
    steps: int = _STEPS,
) -> Floats:
    """Return integrated gradients, from where every embedding is their mean to what they are.

    Args:
        network: From embeddings [steps, n, d] to outputs [steps, m].
        embedded: The embeddings, float [1, n, d].
        there: Which of them are a word or a sentence, bool [n].
        slope: How the answer follows the outputs, float [m].
        steps: Gradients on the way, int.

    Returns:
        float64 for each that is there.
    """
    import torch

    if not there.any():
        return np.zeros(0)
    away = torch.zeros_like(embedded)
    away[:, there] = embedded[:, there] - embedded[:, there].mean(1, keepdim=True)
    left = 1 - (torch.arange(steps)[:, None, None] + 0.5) / steps
    with torch.enable_grad():
        points = (embedded - left * away).detach().requires_grad_()
        answer = (network(points).double() @ torch.from_numpy(slope)).sum()
        (gradient,) = torch.autograd.grad(answer, points)
    found: Floats = (gradient.mean(0) * away[0]).sum(1)[there].double().numpy()
    return found


def in_parts(at: Floats, text: str, found: Sequence[str]) -> Floats:
    """Return what parts bring from what their characters bring, float64 [parts].

    Args:
        at: Of each character of the text, float [characters].
        text: The text.
        found: Its parts: the same characters but for blanks.

    Example:
        >>> in_parts(np.array([1.0, 2.0, 4.0, 8.0]), "a bc", ["a", "bc"])
        array([ 3., 12.])
    """
    if not found:
        return np.zeros(0)
    return np.asarray(np.bincount(part_of_character(text, found), at, len(found)), np.float64)


def part_of_character(text: str, found: Sequence[str]) -> NDArray[np.int64]:
    """Return the part that each character of a text belongs to, int64 [characters].

    Args:
        text: The text.
        found: Its parts, sentences or words: the same characters but for blanks.

    Example:
        >>> part_of_character("Go. No", ["Go.", "No"])
        array([0, 0, 0, 0, 1, 1])
    """
    ends = np.cumsum([sum(not c.isspace() for c in part) for part in found])
    solid = np.cumsum([not c.isspace() for c in text])
    number: NDArray[np.int64] = np.searchsorted(ends, np.maximum(solid, 1))
    return number
