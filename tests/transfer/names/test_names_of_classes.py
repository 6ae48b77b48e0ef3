"""Classes from names: reading them, word vectors, similarities, and what a label consists of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headstart.errors import OptionError
from headstart.text.vectors import WordVectors
from headstart.transfer.names.conse import kinds
from headstart.transfer.names.described import Described, read_labels
from headstart.transfer.names.similarity import NameSpace, sentence_similarity, spread, word_similarity

NAMES = ["sea snake", "grass snake", "police van, paddy wagon", "pickup truck", "Quux"]
SNAKE, TRUCK = Described("snakes"), Described("truck")


def toy_vectors() -> WordVectors:
    """Animals along one axis, vehicles along another, each word a little on its own; filled up with noise."""
    generator = np.random.default_rng(0)
    groups = {"snakes": 0, "snake": 0, "sea": 2, "grass": 3, "police": 2, "van": 1, "truck": 1, "pickup": 1}
    matrix = generator.normal(0, 0.2, (len(groups) + 200, 12))
    matrix[:, 10:] *= 40  # what all words vary in, whatever they mean
    for row, axis in enumerate(groups.values()):
        matrix[row, axis] += 3
    return WordVectors((*groups, *(f"w{n}" for n in range(200))), matrix.astype(np.float32))


def encode(texts: Sequence[str]) -> NDArray[np.floating]:
    """Count letters: a sentence encoder that is the same everywhere."""
    return np.array(
        [[text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts], float
    )


@pytest.fixture(scope="module")
def space() -> NameSpace:
    return NameSpace(toy_vectors())


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("dog, cat", [("dog", ""), ("cat", "")]),
        ("dog; okapi: striped, a giraffe", [("dog", ""), ("okapi", "striped, a giraffe")]),
        (["a", "b: c"], [("a", ""), ("b", "c")]),
        ({"a": "x: y", "b": ""}, [("a", "x: y"), ("b", "")]),
        ("dog, cat,", [("dog", ""), ("cat", "")]),
    ],
)
def test_labels_are_read_with_their_descriptions(typed: object, found: list[tuple[str, str]]) -> None:
    assert [(each.name, each.description) for each in read_labels(typed)] == found  # type: ignore[arg-type]


@pytest.mark.parametrize("typed", ["", "dog", "dog, dog", ": what is this, dog"])
def test_labels_that_name_no_two_classes_are_refused(typed: str) -> None:
    with pytest.raises(OptionError):
        read_labels(typed)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.from_regex(r"[a-z]{1,8}( [a-z]{1,8})?", fullmatch=True), min_size=2, max_size=6, unique=True)
)
def test_names_survive_being_typed(names: list[str]) -> None:
    assert [each.name for each in read_labels(", ".join(names))] == names
    assert [each.name for each in read_labels(names)] == names


def test_a_kind_is_nearest_to_what_is_called_by_it(space: NameSpace) -> None:
    near = word_similarity([SNAKE, TRUCK], NAMES, space)
    assert near[:, 0].argsort()[-2:].tolist() in ([0, 1], [1, 0])
    assert near[3].argmax() == 1
    assert near[2].argmax() == 1
    assert (near[4] == 0).all()  # nobody knows the word


def test_names_without_vectors_are_named_and_a_description_helps(space: NameSpace) -> None:
    with pytest.raises(OptionError, match="'zyzzyva'") as caught:
        word_similarity([SNAKE, Described("zyzzyva")], NAMES, space)
    assert "snakes" not in caught.value.received
    assert "describe" in caught.value.fix
    near = word_similarity([SNAKE, Described("zyzzyva", "a pickup truck")], NAMES, space)
    assert near[:, 1].argmax() == 3
    word_similarity([SNAKE, Described("quux")], NAMES, space)  # a source class is called so


def test_sentences_are_compared_without_what_they_share() -> None:
    near = sentence_similarity([Described("snake"), Described("truck")], NAMES[:4], encode)
    assert near.shape == (4, 2)
    assert near[1].argmax() == 0
    assert near[3].argmax() == 1


def test_source_classes_that_look_alike_share_what_their_names_say() -> None:
    classifier = np.random.default_rng(1).normal(size=(30, 40))
    classifier[:, 1] = classifier[:, 0] + 0.1 * classifier[:, 1]
    similarity = np.zeros((40, 2))
    similarity[0] = 1, 0
    shared = spread(similarity, classifier)
    assert shared[1, 0] > 2 * np.abs(shared[2:, 0]).max()
    assert (shared[:, 1] == 0).all()


def test_a_label_is_a_distribution_over_source_classes_and_the_same_name_comes_first() -> None:
    classifier = np.random.default_rng(2).normal(size=(20, len(NAMES)))
    labels = [Described("quux"), Described("truck")]
    mixture = kinds(labels, NAMES, classifier, toy_vectors(), encode)
    np.testing.assert_allclose(mixture.sum(0), 1)
    assert mixture[:, 0].argmax() == 4
    assert mixture[:, 1].argmax() in (2, 3)
