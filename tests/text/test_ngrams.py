"""Runs of words and characters, as scikit-learn cuts them."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from headstart.text.ngrams import character_terms, word_terms

RUNS = st.tuples(st.integers(1, 4), st.integers(0, 3)).map(lambda pair: (pair[0], sum(pair)))


@settings(deadline=None, max_examples=80)
@given(words=st.lists(st.sampled_from(["a", "bb", "c!", "é"]), max_size=8), runs=RUNS)
def test_runs_of_words(words: list[str], runs: tuple[int, int]) -> None:
    peer = CountVectorizer(tokenizer=str.split, token_pattern=None, lowercase=False, ngram_range=runs)
    assert Counter(word_terms(words, runs)) == Counter(peer.build_analyzer()(" ".join(words)))


@settings(deadline=None, max_examples=80)
@given(word=st.text(min_size=1, max_size=9).filter(lambda text: len(text.split()) == 1), runs=RUNS)
def test_runs_of_characters(word: str, runs: tuple[int, int]) -> None:
    peer = CountVectorizer(analyzer="char_wb", lowercase=False, ngram_range=runs)
    assert Counter(character_terms(word.strip(), runs)) == Counter(peer.build_analyzer()(word))
