"""What each sentence of a text brings to a model's answer, from the gradient at the sentences' embeddings.

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

from headstart.artefact.members import Member, combined
from headstart.backbones.card import Tokens
from headstart.data.items import Target
from headstart.errors import ArtefactError, require
from headstart.text.terms import TermsNetwork
from headstart.text.tokens import rows, starts
from headstart.transfer.heads import Combine, Head

if TYPE_CHECKING:
    from torch import Tensor

    from headstart.backbones.backbone import Backbone
    from headstart.transfer.fitted_cnn import FittedCnn

Floats = NDArray[np.float64]

Explainer = Callable[[str, Sequence[str], Floats], Floats]
"""From a text, its sentences, and how the answer follows its features, to what each sentence brings."""

_STEPS = 8
"""Gradients on the way from the mean embedding."""
_STEP = 1e-3


def pulls(logits: Sequence[NDArray[np.floating]], target: Target, combine: Combine) -> list[Floats]:
    """Return how the answer follows the logits of each member.

    The answer is a number: the log-odds of the most probable class against all others, or of the most
    probable of several labels, or the number itself.

    Args:
        logits: Of each member about one text, float [columns].
        target: What the model answers.
        combine: How its members answer together.

    Returns:
        The derivative of the answer by each member's logits, float64 [columns] each.

    Example:
        >>> pulls([np.array([0.0, 2.0])], "label", "mean")[0].round(3)
        array([-1.,  1.])
    """
    given = np.stack(logits).astype(np.float64)
    best = int(_together(given, target, combine).argmax())

    def answer(shift: Floats) -> float:
        z = _together(given + shift, target, combine)
        others = np.delete(z, best) if target == "label" else np.zeros(1)
        return float(z[best] - np.logaddexp.reduce(others))

    found = np.zeros_like(given)
    for place in np.ndindex(*given.shape):
        shift = np.zeros_like(given)
        shift[place] = _STEP
        found[place] = (answer(shift) - answer(-shift)) / (2 * _STEP)
    return list(found)


def _together(logits: Floats, target: Target, combine: Combine) -> Floats:
    return np.asarray(combined(list(logits[:, None]), target, combine)[0], np.float64)


def through_head(head: Head, features: NDArray[np.floating], pull: Floats) -> Floats:
    """Return how the answer follows a text's features, through the head and the mean over the rows.

    Args:
        head: The member's.
        features: Of the text's rows, float [rows, d].
        pull: How it follows the member's logits, float [columns].

    Returns:
        float64 [rows, d].
    """
    before: list[NDArray[np.floating]] = [np.asarray(features, np.float64)]
    for number, (weight, bias) in enumerate(head.layers):
        before.append((np.maximum(before[-1], 0) if number else before[-1]) @ weight + bias)
    found = np.tile(pull / len(features), (len(features), 1))
    for number in reversed(range(len(head.layers))):
        found = found @ head.layers[number][0].T.astype(np.float64)
        if number:
            found = found * (before[number] > 0)
    return found


def explainer(member: Member, *, offline: bool = False) -> Explainer:
    """Return what tells how much each sentence brings to the answer through one member.

    Args:
        member: A member of a model for texts.
        offline: Whether to stay off the network. Defaults to False.

    Returns:
        A function of a text, its sentences, and how the answer follows the features of its rows.

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

        return partial(of_tokens, torch_network(member, offline=offline), spec)
    from headstart.transfer.fitted_cnn import FittedCnn

    if member.weights is None or member.tokenizer is None:
        raise ArtefactError("a document CNN with its weights", "one without", "fit the model again")
    return partial(of_sentences, FittedCnn.load(member.weights, member.tokenizer))


def of_terms(network: TermsNetwork, text: str, found: Sequence[str], slope: Floats) -> Floats:
    """Return what each sentence's terms bring: exactly, for the model is linear in them.

    A term of several sentences counts for each by how often it is there. What crosses the border of two
    sentences counts for neither.

    Args:
        network: The fitted terms.
        text: The text.
        found: Its sentences.
        slope: How the answer follows the network's class scores, float [1, classes].

    Returns:
        float64 [sentences].
    """
    brought = np.zeros(len(found))
    for count in (network.count_words, network.count_characters):
        if whole := count(text):
            places, times = (
                np.fromiter(part, np.int64, len(whole)) for part in (whole.keys(), whole.values())
            )
            values = network.settings.frequency(times) * network.idf[places]
            each = values * (network.weight[places] @ slope[0]) / np.linalg.norm(values) / times
            worth = dict(zip(places.tolist(), each.tolist(), strict=True))
            brought += [sum(n * worth.get(place, 0) for place, n in count(s).items()) for s in found]
    return brought


def of_sentences(cnn: FittedCnn, text: str, found: Sequence[str], slope: Floats) -> Floats:
    """Return what each sentence's embedding brings to the answer of a document CNN.

    Args:
        cnn: The network with its tokenizer.
        text: The text.
        found: Its sentences; those beyond what the network reads bring nothing.
        slope: How the answer follows the network's class scores, float [1, classes].

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
    brought[lines] = _integrated(scores, embedded, there[0], slope[0])
    return brought


def of_tokens(backbone: Backbone, spec: Tokens, text: str, found: Sequence[str], slope: Floats) -> Floats:
    """Return what each sentence's tokens bring to the answer of a transformer.

    Args:
        backbone: The network in torch.
        spec: How a text becomes tokens.
        text: The text.
        found: Its sentences; those in passages that the network does not read bring nothing.
        slope: How the answer follows the features of each passage, float [passages, d].

    Returns:
        float64 [sentences].
    """
    import torch

    first, *rest = backbone.blocks
    last = backbone.card.blocks[-1]

    def features(points: Tensor) -> Tensor:
        return backbone.pooled(last, backbone.run_blocks(points, start=rest[0]) if rest else points)

    sentence = sentence_of_character(text, found)
    brought = np.zeros(len(found))
    for ids, begins, its in zip(rows(text, spec), starts(text, spec), slope, strict=True):
        there = begins >= 0  # special tokens belong to no sentence
        with torch.no_grad():
            embedded = backbone.run_blocks(backbone.normalise(torch.from_numpy(ids)[None]), stop=first)
        each = _integrated(features, embedded, torch.from_numpy(there), its)
        np.add.at(brought, sentence[begins[there]], each)
    return brought


def _integrated(
    network: Callable[[Tensor], Tensor], embedded: Tensor, there: Tensor, slope: Floats
) -> Floats:
    """Return integrated gradients, from where every embedding is their mean to what they are.

    Args:
        network: From embeddings [steps, n, d] to outputs [steps, m].
        embedded: The embeddings, float [1, n, d].
        there: Which of them are a word or a sentence, bool [n].
        slope: How the answer follows the outputs, float [m].

    Returns:
        float64 for each that is there.
    """
    import torch

    if not there.any():
        return np.zeros(0)
    away = torch.zeros_like(embedded)
    away[:, there] = embedded[:, there] - embedded[:, there].mean(1, keepdim=True)
    left = 1 - (torch.arange(_STEPS)[:, None, None] + 0.5) / _STEPS
    with torch.enable_grad():
        points = (embedded - left * away).detach().requires_grad_()
        answer = (network(points).double() @ torch.from_numpy(slope)).sum()
        (gradient,) = torch.autograd.grad(answer, points)
    found: Floats = (gradient.mean(0) * away[0]).sum(1)[there].double().numpy()
    return found


def sentence_of_character(text: str, found: Sequence[str]) -> NDArray[np.int64]:
    """Return the sentence that each character of a text belongs to, int64 [characters].

    Args:
        text: The text.
        found: Its sentences: the same characters but for blanks.

    Example:
        >>> sentence_of_character("Go. No", ["Go.", "No"])
        array([0, 0, 0, 0, 1, 1])
    """
    ends = np.cumsum([sum(not c.isspace() for c in sentence) for sentence in found])
    solid = np.cumsum([not c.isspace() for c in text])
    number: NDArray[np.int64] = np.searchsorted(ends, np.maximum(solid, 1))
    return number
