"""Search by words: BM25 against its formula, languages, and what finds nothing."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import ArtefactError, OptionError
from headstart.retrieval.lexical import WordIndex, words

TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "A dog, another dog and a third dog",
    "Rain, wind and more rain",
    "",
    "Foxes were jumping",
]


def bm25(texts: list[str], query: str, k1: float = 1.5, b: float = 0.75) -> list[float]:
    """Lucene's variant, as the papers write it."""
    documents = [Counter(words(text)) for text in texts]
    lengths = [sum(document.values()) for document in documents]
    mean = sum(lengths) / len(lengths)
    scores = []
    for document, length in zip(documents, lengths, strict=True):
        total = 0.0
        for word in words(query):
            holding = sum(word in other for other in documents)
            idf = math.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
            count = document[word]
            total += idf * count / (count + k1 * (1 - b + b * length / mean))
        scores.append(total)
    return scores


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.sampled_from("abcde"), max_size=8).map(" ".join), min_size=1, max_size=6),
    st.lists(st.sampled_from("abcdex"), min_size=1, max_size=4).map(" ".join),
)
def test_scores_are_those_of_the_formula(texts: list[str], query: str) -> None:
    expected = bm25(texts, query) if any(texts) else [0.0] * len(texts)
    index = WordIndex.build(texts)
    assert index.scores(query) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    positions, scores = index.search(query, 3)
    best = sorted((n for n in range(len(texts)) if expected[n] > 0), key=lambda n: (-expected[n], n))[:3]
    assert scores == pytest.approx([expected[n] for n in best], rel=1e-4, abs=1e-5)
    assert len(positions) == len(best)


def test_only_what_shares_a_word_is_found() -> None:
    index = WordIndex.build(TEXTS)
    assert index.search("dog")[0].tolist() == [1, 0]
    assert index.search("elephant")[0].tolist() == []
    assert index.search("")[0].tolist() == []
    assert index.search("DOG", 1)[0].tolist() == [1]


def test_equal_texts_come_in_their_order() -> None:
    index = WordIndex.build(["same words", "other", "same words", "same words"])
    assert index.search("same", 2)[0].tolist() == [0, 2]


def test_a_language_joins_the_forms_of_a_word() -> None:
    assert WordIndex.build(TEXTS).search("jumped fox")[0].tolist() == [0]
    assert WordIndex.build(TEXTS, "english").search("jumped fox")[0].tolist() == [4, 0]
    with pytest.raises(OptionError, match="english"):
        WordIndex.build(TEXTS, "klingon")


def test_scripts_without_spaces_are_found_by_pairs_of_letters() -> None:
    index = WordIndex.build(["我住在北京市", "上海很大", "Tokyo 東京タワー tower", "ไทย"])
    assert index.search("北京")[0].tolist() == [0]
    assert index.search("東京 tower")[0].tolist() == [2]
    assert list(words("a海b")) == ["a", "海", "b"]


def test_nothing_but_signs_has_no_words() -> None:
    index = WordIndex.build(["...", "!?", ""])
    assert index.search("anything")[0].tolist() == []
    assert index.search("...")[0].tolist() == []


def test_it_can_be_written_and_read() -> None:
    index = WordIndex.build(TEXTS, "english")
    again = WordIndex.read(index.to_json(), index.tensors())
    assert np.array_equal(again.scores("a lazy dog jumping"), index.scores("a lazy dog jumping"))
    told = index.to_json()
    with pytest.raises(ArtefactError, match="belong"):
        WordIndex.read({**told, "vocabulary": told["vocabulary"][:-1]}, index.tensors())
    with pytest.raises(ArtefactError, match="belong"):
        WordIndex.read({**told, "size": 1}, index.tensors())
