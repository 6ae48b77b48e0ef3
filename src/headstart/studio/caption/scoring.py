"""How good captions are: against what people said, and on their own, for BLEU alone can be gamed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from headstart.errors import require
from headstart.studio.caption.cider import check_pairs, cider_d
from headstart.studio.caption.nouns import repeats_noun

Captions = Sequence[Sequence[str]]
References = Sequence[Captions]
Bleu = tuple[float, float, float, float]


@dataclass(frozen=True)
class Scores:
    """What can be said of the captions of some photographs.

    Args:
        captions: How many, int.
        bleu: BLEU-1 to BLEU-4 of the corpus, shares.
        cider_d: float, 0 to 10.
        length_ratio: Their words by those of the references nearest in length, float.
        distinct: Captions that differ, int.
        words: Words that differ, int.
        novel: Share of captions that nobody said in training, or None where that is not known.
        repeated: Share of captions that name the same thing twice.
    """

    captions: int
    bleu: Bleu
    cider_d: float
    length_ratio: float
    distinct: int
    words: int
    novel: float | None
    repeated: float

    def to_json(self) -> dict[str, Any]:
        """Return all of it, with the scorer named."""
        return {
            **asdict(self),
            "bleu": list(self.bleu),
            "scorer": "sacrebleu, no smoothing; CIDEr-D, sigma 6",
        }

    def __str__(self) -> str:
        bleu = " / ".join(f"{each:.3f}" for each in self.bleu)
        new = "" if self.novel is None else f", {self.novel:.0%} new"
        return (
            f"BLEU {bleu}, CIDEr-D {self.cider_d:.3f}, length {self.length_ratio:.2f}, "
            f"{self.distinct} distinct of {self.captions}, {self.words} words{new}, "
            f"{self.repeated:.1%} repeat a noun"
        )


def score(found: Captions, references: References, *, known: Iterable[Sequence[str]] | None = None) -> Scores:
    """Score one caption a photograph.

    Args:
        found: Words of each.
        references: Words of what people said of each photograph.
        known: Words of the captions that were learned from. Defaults to None: what is new is not told.

    Returns:
        All scores.

    Raises:
        DataError: Not as many, none at all, or a photograph without references.
        MissingExtraError: sacrebleu is not installed.

    Example:
        >>> made = score([["a", "dog", "runs", "fast"]], [[["a", "dog", "runs", "very", "fast"]]])
        >>> print([round(each, 3) for each in made.bleu], made.length_ratio, made.distinct, made.repeated)
        [0.779, 0.636, 0.54, 0.0] 0.8 1 0.0
    """
    bleus, ratio = _bleu(found, references)
    different = {tuple(words) for words in found}
    learned = None if known is None else {tuple(words) for words in known}
    return Scores(
        captions=len(found),
        bleu=bleus,
        cider_d=cider_d(found, references),
        length_ratio=ratio,
        distinct=len(different),
        words=len({word for words in different for word in words}),
        novel=None if learned is None else sum(tuple(words) not in learned for words in found) / len(found),
        repeated=sum(repeats_noun(words) for words in found) / len(found),
    )


def bleu(found: Captions, references: References) -> Bleu:
    """Return BLEU-1 to BLEU-4 of the corpus, by sacrebleu on these words, without smoothing.

    Args:
        found: Words of one caption a photograph.
        references: Words of what people said of each, as many as there are.

    Returns:
        Shares, four floats; 0 where not one n-gram is right.

    Raises:
        DataError: Not as many, none at all, or a photograph without references.
        MissingExtraError: sacrebleu is not installed.

    References:
        Papineni et al., "BLEU: a method for automatic evaluation of machine translation", ACL 2002.

    Example:
        >>> bleu([["a", "dog", "runs", "here"]], [[["a", "dog", "runs", "here"], ["it", "runs"]]])
        (1.0, 1.0, 1.0, 1.0)
    """
    return _bleu(found, references)[0]


def shuffled_bleu4(found: Captions, references: References, seed: int = 0) -> float:
    """Return BLEU-4 when each photograph gets the caption of another one: what captions get for their style.

    Args:
        found: Words of one caption a photograph.
        references: Words of what people said of each.
        seed: Of the exchange, int. Defaults to 0.

    Returns:
        BLEU-4, a share. Where the captions tell what the photographs show, it is far below `bleu`'s.

    Raises:
        DataError: As for `bleu`, or one photograph only.
    """
    order = np.random.default_rng(seed).permutation(len(found))
    swapped: list[Sequence[str]] = list(found)
    for giver, taker in zip(order, np.roll(order, 1), strict=True):
        swapped[taker] = found[giver]
    return bleu(swapped, references)[3]


def _bleu(found: Captions, references: References) -> tuple[Bleu, float]:
    """Return BLEU-1 to BLEU-4, and the ratio of lengths."""
    check_pairs(found, references)
    require(["sacrebleu"], "train", "scoring captions")
    from sacrebleu.metrics import BLEU

    most = max(len(captions) for captions in references)
    streams = [
        [" ".join(captions[place]) if place < len(captions) else None for captions in references]
        for place in range(most)
    ]
    scorer = BLEU(tokenize="none", smooth_method="none", force=True)
    counted = scorer.corpus_score([" ".join(words) for words in found], streams)
    logs = np.cumsum([math.log(share / 100) if share else -math.inf for share in counted.precisions])
    first, second, third, fourth = (counted.bp * math.exp(log / n) for n, log in enumerate(logs, 1))
    return (first, second, third, fourth), counted.sys_len / max(1, counted.ref_len)
