"""CIDEr-D: how much a caption says of what people say of the photograph, and of few others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from headstart.errors import DataError

_ORDERS = (1, 2, 3, 4)
_SIGMA = 6.0

Ngram = tuple[str, ...]
Weights = list[dict[Ngram, float]]


def cider_d(found: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> float:
    """Return CIDEr-D, the mean over photographs.

    N-grams of 1 to 4 words count the more, the fewer photographs they are said of (among these references).
    Captions are compared by the cosine of these weights, clipped so that saying something twice gains
    nothing, and by their lengths (a normal curve, sigma 6).

    Args:
        found: Words of one caption a photograph.
        references: Words of what people said of each.

    Returns:
        Score, float from 0 to 10, where 10 is the one reference of each, word by word. With one photograph it
        is 0: nothing is rare.

    Raises:
        DataError: Not as many, none at all, or a photograph without references.

    References:
        Vedantam, Zitnick and Parikh, "CIDEr: Consensus-based image description evaluation", CVPR 2015.

    Example:
        >>> said = [["a", "black", "dog", "runs"], ["two", "boys", "play", "football"]]
        >>> round(cider_d(said, [[caption] for caption in said]), 6)
        10.0
    """
    check_pairs(found, references)
    spoken_of = Counter(
        ngram
        for captions in references
        for ngram in {ngram for caption in captions for order in _ORDERS for ngram in _ngrams(caption, order)}
    )
    rarest = math.log(len(references))
    rarity = {ngram: rarest - math.log(photographs) for ngram, photographs in spoken_of.items()}
    total = 0.0
    for caption, captions in zip(found, references, strict=True):
        said = _weights(caption, rarity, rarest)
        for reference in captions:
            near = math.exp(-((len(caption) - len(reference)) ** 2) / (2 * _SIGMA**2))
            total += near * _alike(said, _weights(reference, rarity, rarest)) / len(captions)
    return 10 * total / len(found)


def check_pairs(found: Sequence[object], references: Sequence[Sequence[object]]) -> None:
    """Make sure that every caption has references; raise `DataError` where not."""
    if not found or len(found) != len(references):
        received = f"{len(found)} captions and references of {len(references)}"
        raise DataError("as many captions as photographs with references", received, "give both for each")
    if alone := sum(not captions for captions in references):
        raise DataError("references for each photograph", f"{alone} without any", "leave these out")


def _ngrams(caption: Sequence[str], order: int) -> list[Ngram]:
    return [tuple(caption[place : place + order]) for place in range(len(caption) - order + 1)]


def _weights(caption: Sequence[str], rarity: Mapping[Ngram, float], rarest: float) -> Weights:
    """Return what each n-gram of a caption counts, a dictionary for each order."""
    return [
        {
            ngram: count * rarity.get(ngram, rarest)
            for ngram, count in Counter(_ngrams(caption, order)).items()
        }
        for order in _ORDERS
    ]


def _alike(said: Weights, reference: Weights) -> float:
    """Return the cosine of clipped weights, the mean over the orders."""
    cosines = []
    for left, right in zip(said, reference, strict=True):
        both = sum(
            min(weight, right[ngram]) * right[ngram] for ngram, weight in left.items() if ngram in right
        )
        norm = math.hypot(*left.values()) * math.hypot(*right.values())
        cosines.append(both / norm if norm else 0.0)
    return sum(cosines) / len(cosines)
