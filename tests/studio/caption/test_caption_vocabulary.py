"""Words and their numbers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import ArtefactError, OptionError
from headstart.studio.caption.vocabulary import END, SPECIAL, START, UNKNOWN, Vocabulary, tokenize

WORDS = st.lists(st.sampled_from(["a", "dog", "cat", "runs", "dog's", "2"]), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("A dog's ball .", ["a", "dog's", "ball"]),
        ("It’s RED-hot!", ["it's", "red", "hot"]),
        ("Ein Mädchen läuft", ["ein", "mädchen", "läuft"]),
        ("2 dogs , 1 ball", ["2", "dogs", "1", "ball"]),
        (" . , _ '", []),
        ("", []),
    ],
)
def test_words_of_sentences(sentence: str, words: list[str]) -> None:
    assert tokenize(sentence) == words


@settings(deadline=None, max_examples=50)
@given(st.lists(WORDS, min_size=1, max_size=6))
def test_known_words_come_back(sentences: list[list[str]]) -> None:
    vocabulary = Vocabulary.of(sentences, least=1)
    for words in sentences:
        numbers = vocabulary.encode(words)
        assert (numbers[0], numbers[-1]) == (START, END)
        assert UNKNOWN not in numbers
        assert vocabulary.decode(numbers) == " ".join(words)
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


def test_rare_words_are_unknown_and_frequent_ones_come_first() -> None:
    vocabulary = Vocabulary.of([["b", "a"], ["b", "a"], ["b", "rare"]], least=2)
    assert vocabulary.words == (*SPECIAL, "b", "a")
    assert vocabulary.encode(["rare"]) == [START, UNKNOWN, END]


def test_no_word_often_enough_is_said() -> None:
    with pytest.raises(OptionError, match="at most 1 times"):
        Vocabulary.of([["a", "dog"]], least=2)


@pytest.mark.parametrize("value", [None, {"a": 1}, [1, 2], ["a", "b"], [*SPECIAL, "a", "a"]])
def test_other_things_are_no_vocabulary(value: object) -> None:
    with pytest.raises(ArtefactError):
        Vocabulary.from_json(value)
