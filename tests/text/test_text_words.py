"""Words and the tokenizer that numbers them."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.text.words import frequent_words, split_words, tokenizer_of


def test_numbers_of_words() -> None:
    tokenizer = tokenizer_of(["good", "café", "..."])
    assert tokenizer.encode("GOOD Cafe\u0301... bad [PAD] [UNK]").ids[:3] == [2, 3, 4]
    assert set(tokenizer.encode("bad [PAD] [UNK]").ids) == {1}  # what a text says is never padding
    assert tokenizer.encode("").ids == []
    assert tokenizer.get_vocab()["[PAD]"] == 0


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=60))
def test_splitting_is_what_the_tokenizer_does(text: str) -> None:
    words = split_words(text)
    numbers = tokenizer_of(list(dict.fromkeys(words))).encode(text)
    assert 1 not in numbers.ids
    assert numbers.tokens == words


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from(list("abcdeé真")), max_size=40), st.integers(1, 4), st.integers(1, 3))
def test_frequent_words_are_those_that_are_counted(words: list[str], most: int, least: int) -> None:
    counts = Counter(words)
    wanted = sorted(
        (word for word in counts if counts[word] >= least), key=lambda word: (-counts[word], word)
    )
    assert frequent_words([" ".join(words[:20]), " ".join(words[20:]).upper()], most, least) == wanted[:most]
