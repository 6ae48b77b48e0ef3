"""How near the name of a new class is to the names of the classes that a network was trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.errors import OptionError
from headstart.text.vectors import WordVectors
from headstart.transfer.names.described import Described, words
from headstart.transfer.source_head import match_names

Floats = NDArray[np.float64]
Encode = Callable[[Sequence[str]], NDArray[np.floating]]
"""From texts to a vector each: a sentence encoder."""

_FREQUENT, _COMMON = 50_000, 2
"""The mean of so many frequent words, and so many directions, say nothing about what a word means."""
_HEAD = 2.0
"""How much the last word of a name counts: a sea snake is a snake."""
_NEIGHBOURS, _OWN, _STEPS = 10, 0.5, 3


class NameSpace:
    """Word vectors without what all words have in common.

    Args:
        vectors: Word vectors, the frequent words first.

    References:
        Mu and Viswanath, "All-but-the-Top: Simple and Effective Postprocessing for Word Representations",
        ICLR 2018.
    """

    def __init__(self, vectors: WordVectors) -> None:
        self.vectors = vectors
        frequent = vectors.matrix[:_FREQUENT].astype(np.float64)
        self._mean = frequent.mean(0)
        _, axes = np.linalg.eigh(np.cov(frequent - self._mean, rowvar=False))
        self._common = axes[:, -_COMMON:]

    def knows(self, text: str) -> bool:
        """Return whether any word of a text has a vector."""
        return any(word in self.vectors.index for word in words(text))

    def vector(self, text: str) -> Floats:
        """Return the unit vector of a name: the mean of its words, the last one counting twice.

        Args:
            text: A name or description of which at least one word has a vector, str.
        """
        rows = [self.vectors.index[word] for word in words(text) if word in self.vectors.index]
        found = self.vectors.matrix[rows].astype(np.float64) - self._mean
        found -= found @ self._common @ self._common.T
        weight = np.append(np.ones(len(rows) - 1), _HEAD)
        return unit(weight @ unit(found))


def unit(rows: NDArray[np.floating]) -> Floats:
    """Return vectors of length 1 in the same directions; zero stays zero."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    found: Floats = rows / np.maximum(lengths, 1e-12)
    return found


def word_similarity(labels: Sequence[Described], names: Sequence[str], space: NameSpace) -> Floats:
    """Return how near labels are to names by word vectors: the cosine to the nearest of a name's synonyms.

    Args:
        labels: The new classes; one whose name has no vector is found by its description.
        names: The source classes, synonyms separated by commas.
        space: The word vectors.

    Returns:
        float64 [names, labels]; a name without any known word is near to nothing, 0.

    Raises:
        OptionError: Labels of which neither name nor description has a word with a vector, nor a source
            class the same name.
    """
    matched = match_names([label.name for label in labels], names)
    told = [label.name if space.knows(label.name) else label.description for label in labels]
    unknown = [
        label.name
        for label, text, found in zip(labels, told, matched, strict=True)
        if not space.knows(text) and not found
    ]
    if unknown:
        some = unknown[0]
        fix = f'describe them in known words, such as --labels "{some}: a large striped animal; …"'
        raise OptionError("names with word vectors", f"none for {', '.join(map(repr, unknown))}", fix)
    wanted = np.stack([space.vector(text) if space.knows(text) else _nothing(space) for text in told])
    found = np.zeros((len(names), len(labels)))
    for row, name in enumerate(names):
        synonyms = [space.vector(synonym) for synonym in name.split(",") if space.knows(synonym)]
        if synonyms:
            found[row] = (np.stack(synonyms) @ wanted.T).max(0)
    return found


def _nothing(space: NameSpace) -> Floats:
    return np.zeros(space.vectors.matrix.shape[1])


def sentence_similarity(labels: Sequence[Described], names: Sequence[str], encode: Encode) -> Floats:
    """Return how near labels are to names by a sentence encoder: cosines of what is left without the mean.

    Args:
        labels: The new classes.
        names: The source classes.
        encode: The sentence encoder.

    Returns:
        float64 [names, labels].
    """
    source = encode(names)
    mean = source.mean(0)
    asked = encode([f"{each.name}, {each.description or f'a kind of {each.name}'}" for each in labels])
    return unit(source - mean) @ unit(asked - mean).T


def spread(similarity: Floats, classifier: Floats) -> Floats:
    """Let source classes that look alike share what their names say.

    A name that nobody calls by its kind (a Shih-Tzu) gets it from its neighbours in the source classifier.

    Args:
        similarity: float64 [names, labels].
        classifier: The source classifier's weights, float64 [features, names].

    Returns:
        float64 [names, labels].

    References:
        Zhou, Bousquet, Lal, Weston and Schölkopf, "Learning with Local and Global Consistency", NIPS 2003.
    """
    columns = unit((classifier - classifier.mean(1, keepdims=True)).T)
    alike = columns @ columns.T
    np.fill_diagonal(alike, -1)
    kept = np.zeros_like(alike)
    rows = np.arange(len(alike))[:, None]
    near = np.argsort(-alike, 1, kind="stable")[:, :_NEIGHBOURS]
    kept[rows, near] = np.maximum(alike[rows, near], 0)
    kept = np.maximum(kept, kept.T)
    degree = np.sqrt(np.maximum(kept.sum(1), 1e-12))
    kept /= degree[:, None] * degree
    found = similarity
    for _ in range(_STEPS):
        found = _OWN * similarity + (1 - _OWN) * kept @ found
    return found
