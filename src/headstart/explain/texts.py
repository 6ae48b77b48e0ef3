"""Which words and sentences of a text count for an answer."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from headstart.artefact.streaming import ask
from headstart.backbones.card import Tokens, Verbatim
from headstart.data.items import Source
from headstart.errors import DecodeError, OptionError
from headstart.explain.explanation import LeftOut, TextExplanation
from headstart.explain.following import Floats, Followed
from headstart.explain.saliency import Explainer, explainer, part_of_character
from headstart.modalities import modality
from headstart.text.decode import decode
from headstart.text.mail import strip_email
from headstart.text.scripts import pieces
from headstart.text.sentences import sentences

if TYPE_CHECKING:
    from headstart.artefact.model import Model

METHODS = ("auto", "gradients", "occlusion")
MOST_PASSES = 128
"""Parts of a text that are left out, one after the other."""
_STEPS = 12
"""Gradients on the way: with fewer the words add up to something else than the answer."""
_KNOWN: WeakKeyDictionary[Model, list[Explainer]] = WeakKeyDictionary()

_TERMS = "the weights of its terms, which the model adds up"
_GRADIENTS = "integrated gradients over the words, from a text of the mean word"
_OCCLUSION = "occlusion: how much less sure the answer is without each word"


def explain_text(
    model: Model,
    source: Source,
    *,
    method: str = "auto",
    label: str | None = None,
    name: str | None = None,
    offline: bool = False,
) -> TextExplanation:
    """Explain a model's answer to a text by the words and sentences that count for it.

    "auto" takes "gradients", or where torch is not installed "occlusion". Of a model that counts terms the
    gradients are its weights: exact, and without torch.

    Args:
        model: A model for texts.
        source: The text itself (str), encoded bytes, or a file's Path.
        method: "auto", "gradients" (integrated) or "occlusion". Defaults to "auto".
        label: Which answer to explain. Defaults to None: the most probable one.
        name: What the text is called. Defaults to None: its path, or "input 1".
        offline: Whether to stay off the network. Defaults to False.

    Returns:
        The TextExplanation; its weights are in log-odds of the label, or in the unit of the number.

    Raises:
        DecodeError: It cannot be read.
        OptionError: There is no such method or label.
        ArtefactError, BackboneError, MissingExtraError: The network cannot be had in torch.

    References:
        Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML 2017,
        https://arxiv.org/abs/1703.01365. Occlusion: Zeiler and Fergus, ECCV 2014.

    Example:
        >>> explain_text(hs.load("reviews.headstart"), "I was bored to tears.").top  # doctest: +SKIP
        '71% of what speaks for it is “bored”'
    """
    if method not in METHODS:
        raise OptionError(f"for texts a method of {', '.join(METHODS)}", repr(method), "name one of them")
    (asked,) = ask([source], model.members, model.modality, model.engine_of)
    if (error := asked.error) is not None:
        raise DecodeError(error.expected, f"{name or asked.name}: {error.received}", error.fix) from error
    text = read(model, source)
    words, found = pieces(text), sentences(text)
    followed = Followed.of(model, asked.features, label)
    covers = method == "occlusion" or (method == "auto" and not can_follow(model))
    if covers:
        words = in_runs(words, MOST_PASSES, "")
        weights = by_leaving_out(words, partial(_scores, followed), "")
    else:
        weights = np.zeros(len(words))
        slopes = followed.slopes(asked.features)
        for explain, slope in zip(_explainers(model, offline), slopes, strict=True):
            weights += explain(text, words, slope)
    counted = not any(member.is_ir for member in model.members)
    by_sentence = _by_sentence(text, words, weights, found)
    return TextExplanation(
        name=name or asked.name,
        label=followed.label,
        confidence=followed.confidence(asked.features),
        method=_OCCLUSION if covers else _TERMS if counted else _GRADIENTS,
        exact=counted and not covers and (len(model.members) == 1 or model.combine == "sum"),
        parts=tuple(zip(words, weights.tolist(), strict=True)),
        sentences=tuple(zip(found, by_sentence.tolist(), strict=True)),
        check=_without_best(followed, followed.score(asked.features), words, weights, found, by_sentence),
    )


def read(model: Model, source: Source) -> str:
    """Return a text as the model's networks read it."""
    text = decode(modality("text").read(source))  # type: ignore[arg-type]
    specs = (member.front_end.preprocess for member in model.members)
    email = any(isinstance(spec, Tokens | Verbatim) and spec.email for spec in specs)
    return strip_email(text) if email else text


def can_follow(model: Model) -> bool:
    """Return whether the gradients of a model for texts can be had here: terms need no torch."""
    return not any(m.is_ir for m in model.members) or importlib.util.find_spec("torch") is not None


def by_leaving_out(parts: Sequence[str], scores: Callable[[Sequence[str]], Floats], between: str) -> Floats:
    """Return by how much a number falls without each part of a text, one after the other.

    Args:
        parts: The parts.
        scores: From texts to their numbers, float64 [n].
        between: What is between the parts, str.

    Returns:
        float64 [parts]; 0 of a single one, and where what is left cannot be read.

    Example:
        >>> by_leaving_out(["a", "bc"], lambda texts: np.array([float(len(each)) for each in texts]), "")
        array([1., 2.])
    """
    if len(parts) < 2:
        return np.zeros(len(parts))
    rest = [between.join([*parts[:place], *parts[place + 1 :]]) for place in range(len(parts))]
    whole, *without = scores([between.join(parts), *rest])
    falls: Floats = np.nan_to_num(whole - np.array(without))
    return falls


def in_runs(parts: Sequence[str], most: int, between: str) -> list[str]:
    """Join neighbours so that there are at most so many.

    Example:
        >>> in_runs(["a", "b", "c"], 2, " ")
        ['a b', 'c']
    """
    size = -(-len(parts) // most) if parts else 1
    return [between.join(parts[start : start + size]) for start in range(0, len(parts), size)]


def _explainers(model: Model, offline: bool) -> list[Explainer]:
    if model not in _KNOWN:
        members = model.members
        _KNOWN[model] = [explainer(each, words=True, steps=_STEPS, offline=offline) for each in members]
    return _KNOWN[model]


def _scores(followed: Followed, texts: Sequence[str]) -> Floats:
    """Return the followed number of texts, float64 [n]; NaN of one that cannot be read."""
    model = followed.model
    found = ask(texts, model.members, model.modality, model.engine_of)
    return np.array([followed.score(each.features) if each.error is None else np.nan for each in found])


def _by_sentence(text: str, words: Sequence[str], weights: Floats, found: Sequence[str]) -> Floats:
    """Return what each sentence's words bring together, float64 [sentences]."""
    if not found:
        return np.zeros(0)
    ends = np.cumsum([len(word) for word in words])
    first = ends - [len(word.lstrip()) for word in words]
    number = part_of_character(text, found)[first]
    return np.asarray(np.bincount(number, weights, len(found)), np.float64)


def _without_best(
    followed: Followed,
    score: float,
    words: Sequence[str],
    weights: Floats,
    found: Sequence[str],
    by_sentence: Floats,
) -> LeftOut | None:
    """Leave out the sentence that counts most, or of a single one the word; None where nothing is left."""
    parts, brought, between = (found, by_sentence, " ") if len(found) > 1 else (words, weights, "")
    if len(parts) < 2 or brought.max() <= 0:
        return None
    best = int(brought.argmax())
    model = followed.model
    rest = between.join([*parts[:best], *parts[best + 1 :]])
    (asked,) = ask([rest], model.members, model.modality, model.engine_of)
    if asked.error is not None:
        return None
    confidence = followed.confidence(asked.features)
    return LeftOut(parts[best].strip(), confidence, score - followed.score(asked.features))
