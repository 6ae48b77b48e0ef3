"""The vectorizer: equal to scikit-learn's where it has the same, one memory for any stream, JSON only."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from headstart.data.pipeline import Pipeline
from headstart.errors import DataError, OptionError
from headstart.text.scripts import words
from headstart.text.steps import Steps
from headstart.text.vectorizer import PAD, UNKNOWN, Vectorizer

TEXTS = ["The good film, the GOOD one", "a bad film", "", "Straße, café & more: don't!", "film film film"]
LISTS = st.lists(st.text(alphabet="ab é'.B", max_size=25), min_size=1, max_size=8)


def peer(output: str, ngrams: tuple[int, int]) -> CountVectorizer:
    kind = TfidfVectorizer if output == "tf-idf" else CountVectorizer
    return kind(tokenizer=words, token_pattern=None, ngram_range=ngrams, binary=output == "multi-hot")


@pytest.mark.parametrize("output", ["multi-hot", "count", "tf-idf"])
@pytest.mark.parametrize("ngrams", [(1, 1), (1, 2), (2, 3)])
@settings(deadline=None, max_examples=15)
@given(extra=LISTS)
def test_bags_equal_scikit_learns(output: Any, ngrams: tuple[int, int], extra: list[str]) -> None:
    learned = [*TEXTS, *extra]
    vectorizer = Vectorizer(output=output, ngrams=ngrams).adapt(iter(learned))
    fitted = peer(output, ngrams).fit(learned)
    assert set(vectorizer.vocabulary) == set(fitted.vocabulary_)
    asked = [*learned, "a good unknown thing"]
    wanted = fitted.transform(asked).toarray()[:, [fitted.vocabulary_[t] for t in vectorizer.vocabulary]]
    dense = vectorizer(asked)
    assert dense.dtype == np.float32
    np.testing.assert_allclose(dense, wanted, atol=1e-6)
    np.testing.assert_allclose(vectorizer.sparse(asked).toarray(), wanted, atol=1e-6)


def test_ids_in_order_with_padding_and_unknown_words() -> None:
    vectorizer = Vectorizer(size=3, length=5).adapt(["b a c", "a b", "a d"])
    assert vectorizer.vocabulary == ("a", "b", "c")
    found = vectorizer(["a x b", "", "c c c c c c c"])
    assert found.dtype == np.int32
    assert found.tolist() == [[2, UNKNOWN, 3, PAD, PAD], [PAD] * 5, [4] * 5]
    longest = Vectorizer(size=3).adapt(["a b c"])
    assert longest(["a", "b c a"]).shape == (2, 3)
    assert longest([]).shape == (0, 0)


def test_steps_are_done_first() -> None:
    steps = Steps(stop_words=("the",), stem=True)
    vectorizer = Vectorizer(output="count", steps=steps).adapt(["The cats running", "a cat runs"])
    assert set(vectorizer.vocabulary) == {"cat", "run", "a"}


def test_a_stream_is_read_once_and_what_was_learned_before_is_forgotten() -> None:
    vectorizer = Vectorizer(output="count").adapt(["old words"])
    vectorizer.adapt(text for text in ("new", "new words"))
    assert vectorizer.vocabulary == ("new", "words")
    assert vectorizer.texts == 2
    assert vectorizer.frequency.tolist() == [2, 1]


def long_stream(number: int) -> Iterator[str]:
    for place in range(number):
        yield f"common{place % 50} word{place} other{place * 7919} and the rest"


def test_memory_does_not_grow_with_the_stream() -> None:
    peaks = []
    for number in (5_000, 40_000):
        tracemalloc.start()
        vectorizer = Vectorizer(size=100).adapt(long_stream(number), bound=4_000)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert {"and", "the", "rest", "common7"} <= set(vectorizer.vocabulary)
        assert vectorizer.missed > 0
    assert peaks[1] < 1.3 * peaks[0]


def test_what_fits_is_exact() -> None:
    vectorizer = Vectorizer(size=50).adapt(long_stream(500))
    assert vectorizer.missed == 0
    assert [a >= b for a, b in pairwise(vectorizer.frequency)] == [True] * 49


@pytest.mark.parametrize("output", ["int", "multi-hot", "tf-idf"])
def test_saved_as_json_and_loaded(tmp_path: Path, output: Any) -> None:
    options: dict[str, Any] = {"length": 7} if output == "int" else {"ngrams": (1, 2)}
    steps = Steps(accents=True, stop_words=("a",))
    vectorizer = Vectorizer(30, output, steps=steps, **options).adapt(TEXTS)
    vectorizer.save(tmp_path / "vectorizer.json")
    json.loads((tmp_path / "vectorizer.json").read_text())
    again = Vectorizer.load(tmp_path / "vectorizer.json")
    np.testing.assert_array_equal(again(TEXTS), vectorizer(TEXTS))
    assert (again.steps, again.texts, again.missed) == (steps, 5, 0)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 9}', '{"schema": 1, "vocabulary": ["a"]}'])
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "vectorizer.json"
    path.write_text(content)
    with pytest.raises(DataError, match="to fix"):
        Vectorizer.load(path)
    with pytest.raises(DataError, match="to fix"):
        Vectorizer.load(tmp_path / "absent.json")


def test_nothing_learned() -> None:
    for vectorizer in (Vectorizer(), Vectorizer().adapt([]), Vectorizer().adapt(["", "!!"])):
        with pytest.raises(DataError, match="adapt"):
            vectorizer(["text"])


@pytest.mark.parametrize(
    "options",
    [
        {"size": 0},
        {"output": "one-hot"},
        {"length": 0},
        {"ngrams": (2, 1), "output": "count"},
        {"ngrams": (1, 2)},
        {"output": "count", "length": 5},
    ],
)
def test_impossible_options(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="to fix"):
        Vectorizer(**options)


def test_impossible_requests() -> None:
    with pytest.raises(OptionError, match="bound"):
        Vectorizer(size=100).adapt(TEXTS, bound=150)
    with pytest.raises(OptionError, match="bag"):
        Vectorizer().adapt(TEXTS).sparse(TEXTS)


def test_in_a_pipeline_with_a_file(tmp_path: Path) -> None:
    vectorizer = Vectorizer(size=10, length=4).adapt(TEXTS)
    pipeline = Pipeline(TEXTS).batch(2).map(vectorizer, 2).cache(tmp_path / "ids.npy").prefetch()
    first, again = list(pipeline), list(pipeline)
    assert [batch.shape for batch in first] == [(2, 4), (2, 4), (1, 4)]
    np.testing.assert_array_equal(np.concatenate(first), vectorizer(TEXTS))
    np.testing.assert_array_equal(np.concatenate(again), np.concatenate(first))
