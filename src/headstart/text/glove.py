"""Training GloVe: word vectors from how often words occur near each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from headstart.errors import DataError, OptionError
from headstart.progress import track
from headstart.text.vectors import Matrix, WordVectors, no_words

_SENTENCES_AT_ONCE = 20_000
_PAIRS_AT_ONCE = 8_192
_STEPS = 50
"""An epoch has at least so many steps, or small counts would hardly be learned from."""
_USUAL, _POWER = 100.0, 0.75
"""The paper's weight of a pair, (count / 100) ^ 0.75, and 1 for all that are more frequent."""

Ids = NDArray[np.int64]


def glove(
    sentences: Sequence[Sequence[str]],
    *,
    size: int = 50,
    window: int = 10,
    least: int = 5,
    epochs: int = 25,
    seed: int = 0,
) -> WordVectors:
    """Train GloVe vectors on some sentences.

    Paper: Pennington, Socher and Manning, "GloVe: Global Vectors for Word Representation", EMNLP 2014.

    Args:
        sentences: Words of each sentence; gone through twice.
        size: Length of a vector, int. Defaults to 50.
        window: How far apart words may be to count as neighbours, int. Defaults to 10.
        least: How often a word must occur, int. Defaults to 5.
        epochs: How often the counts are gone through, int. Defaults to 25.
        seed: int. Defaults to 0.

    Returns:
        The vectors, the most frequent word first; a vector is the sum of a word's two.

    Raises:
        DataError: No word occurs often enough, or none near another one.

    Example:
        >>> sentences = [["hot", "tea"], ["cold", "tea"]] * 20
        >>> glove(sentences, size=8).words
        ('tea', 'hot', 'cold')
    """
    frequency = Counter(word for sentence in sentences for word in sentence)
    words = tuple(word for word, count in frequency.most_common() if count >= least)
    if not words:
        raise no_words(least)
    matrix, _ = factorise(cooccurrences(sentences, words, window), size=size, epochs=epochs, seed=seed)
    return WordVectors(words, matrix)


def cooccurrences(sentences: Iterable[Sequence[str]], words: Sequence[str], window: int = 10) -> Any:
    """Count how often words occur near each other: a pair at a distance of k words counts 1 / k.

    Args:
        sentences: Words of each sentence; words that are not among `words` are skipped.
        words: The words that are counted, each once.
        window: The greatest distance, int. Defaults to 10.

    Returns:
        A symmetric scipy.sparse.csr_matrix, float32 [words, words].

    Example:
        >>> cooccurrences([["a", "b", "b"]], ["a", "b"]).toarray().tolist()
        [[0.0, 1.5], [1.5, 2.0]]
    """
    total = sparse.csr_matrix((len(words), len(words)), dtype=np.float32)
    for ids, sentence in _numbered(sentences, {word: number for number, word in enumerate(words)}):
        for distance in range(1, min(window, len(ids) - 1) + 1):
            together = sentence[:-distance] == sentence[distance:]
            pair = ids[:-distance][together], ids[distance:][together]
            shares = np.full(len(pair[0]), 1 / distance, np.float32)
            total = total + sparse.csr_matrix((shares, pair), total.shape)
    return (total + total.T).tocsr()


def factorise(
    counts: Any, *, size: int = 50, epochs: int = 25, rate: float = 0.05, seed: int = 0
) -> tuple[Matrix, list[float]]:
    """Find vectors whose products are the logarithms of the counts, by AdaGrad on batches of pairs.

    Args:
        counts: How often words occur near each other, scipy.sparse [words, words].
        size: Length of a vector, int. Defaults to 50.
        epochs: How often the counts are gone through, int. Defaults to 25.
        rate: Of AdaGrad, float. Defaults to 0.05.
        seed: int. Defaults to 0.

    Returns:
        The vectors float32 [words, size], and the mean loss of a pair in each epoch.

    Raises:
        DataError: No two words occur near each other.
        OptionError: A size, a number of epochs or a rate that is not above 0.

    Example:
        >>> losses = factorise(sparse.csr_matrix([[0, 9], [9, 0]]), size=4, epochs=200)[1]
        >>> losses[-1] < 0.5 * losses[0]
        True
    """
    if size < 1 or epochs < 1 or not rate > 0:
        received = f"size={size}, epochs={epochs}, rate={rate}"
        raise OptionError("size, epochs and rate above 0", received, "use the defaults")
    pairs = counts.tocoo()
    if not pairs.nnz:
        fix = "add texts, or keep longer sentences"
        raise DataError("words that occur near each other", "none that do", fix)
    chance = np.random.default_rng(seed)
    model = _Factors(pairs.shape[0], size, rate, chance)
    wanted = np.log(pairs.data).astype(np.float32)
    weight = np.minimum(1.0, (pairs.data / _USUAL) ** _POWER).astype(np.float32)
    steps = max(-(-pairs.nnz // _PAIRS_AT_ONCE), min(_STEPS, pairs.nnz))
    losses = []
    for _ in track(range(epochs), "training GloVe"):
        loss = 0.0
        for part in np.array_split(chance.permutation(pairs.nnz), steps):
            loss += model.step(pairs.row[part], pairs.col[part], wanted[part], weight[part])
        losses.append(loss / pairs.nnz)
    return (model.word + model.context).astype(np.float32), losses


class _Factors:
    """Two vectors and two biases for each word, with AdaGrad's sums of squared gradients."""

    def __init__(self, words: int, size: int, rate: float, chance: np.random.Generator) -> None:
        self.rate, self.words = rate, words
        self.word, self.context = ((chance.random((words, size), np.float32) - 0.5) / size for _ in range(2))
        self.word_bias, self.context_bias = np.zeros(words, np.float32), np.zeros(words, np.float32)
        self._values = (self.word, self.context, self.word_bias, self.context_bias)
        self._squares = [np.ones_like(value) for value in self._values]

    def step(self, rows: Ids, columns: Ids, wanted: Matrix, weight: Matrix) -> float:
        """Move the vectors by some pairs; return the sum of the pairs' losses."""
        products = np.einsum("nd,nd->n", self.word[rows], self.context[columns])
        error = products + self.word_bias[rows] + self.context_bias[columns] - wanted
        pull = weight * error
        # The gradients of all words at once, as two products with a sparse matrix of the batch's errors.
        errors = sparse.csr_matrix((pull, (rows, columns)), (self.words, self.words))
        biases = (np.bincount(place, pull, self.words).astype(np.float32) for place in (rows, columns))
        gradients = (errors @ self.context, errors.T @ self.word, *biases)
        for value, square, gradient in zip(self._values, self._squares, gradients, strict=True):
            square += gradient**2
            value -= self.rate * gradient / np.sqrt(square)
        return float(0.5 * pull @ error)


def _numbered(sentences: Iterable[Sequence[str]], index: dict[str, int]) -> Iterator[tuple[Ids, Ids]]:
    """Yield the numbers of the known words of many sentences at once, and the sentence of each word."""
    source = iter(sentences)
    while part := list(islice(source, _SENTENCES_AT_ONCE)):
        known = [[index[word] for word in sentence if word in index] for sentence in part]
        lengths = np.array([len(ids) for ids in known])
        ids = np.fromiter((number for line in known for number in line), np.int64, int(lengths.sum()))
        yield ids, np.repeat(np.arange(len(part)), lengths)
