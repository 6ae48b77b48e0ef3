"""Frequent terms: exact while they fit, bounded in memory and in error when they do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.text.frequent import FrequentTerms

TEXTS = st.lists(st.lists(st.sampled_from("abcdefghijklmnop"), max_size=8), max_size=60)


def truth(texts: list[list[str]]) -> Counter[str]:
    return Counter(term for terms in texts for term in set(terms))


@settings(deadline=None, max_examples=60)
@given(texts=TEXTS, bound=st.integers(2, 20))
def test_counts_are_at_most_missed_too_low_and_never_too_high(texts: list[list[str]], bound: int) -> None:
    counter = FrequentTerms(bound)
    for terms in texts:
        counter.add(terms)
        assert len(counter.counts) <= bound
    exact = truth(texts)
    assert counter.texts == len(texts)
    for term, count in exact.items():
        assert count - counter.missed <= counter.counts[term] <= count
    if bound >= len(exact):
        assert counter.missed == 0
        assert counter.counts == exact


def test_most_common_is_ordered_and_cut() -> None:
    counter = FrequentTerms()
    for terms in (["b", "a"], ["b", "c"], ["b", "a"], ["d"]):
        counter.add(terms)
    assert counter.most_common(10) == ["b", "a", "c", "d"]
    assert counter.most_common(1) == ["b"]
    assert counter.most_common(10, least=2) == ["b", "a"]


def test_frequent_terms_survive_a_long_stream_of_rare_ones() -> None:
    def stream() -> Iterator[list[str]]:
        generator = np.random.default_rng(0)
        for number in range(20_000):
            yield [f"common{generator.integers(20)}", *(f"rare{number}-{n}" for n in range(5))]

    counter = FrequentTerms(bound=2_000)
    for terms in stream():
        counter.add(terms)
    assert {term.startswith("common") for term in counter.most_common(20)} == {True}
    assert 0 < counter.missed < 200
