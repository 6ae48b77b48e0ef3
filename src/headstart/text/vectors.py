"""Static word vectors: read from the usual files, trained here, asked for neighbours and analogies."""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from headstart.errors import BackboneError, DataError, OptionError, missing_extra
from headstart.files import atomic_folder, digest_bytes

Matrix = NDArray[np.float32]
Kind = Literal["cbow", "skip-gram"]

_NOISE = 0.1
"""Spread of what is added to the mean vector for an unknown word, as a share of the spread of known ones."""
_MATRIX, _WORDS = "vectors.safetensors", "words.json"
_FASTTEXT = struct.pack("<i", 793712314)  # how the models of Facebook's fastText begin


@dataclass(frozen=True, eq=False)
class WordVectors:
    """A vector for each of some words.

    Args:
        words: The words, each once; pretrained sets have the most frequent first.
        matrix: Their vectors, float32 [words, d].

    Raises:
        DataError: No words, words that occur twice, another shape, or numbers that are not finite.

    Example:
        >>> vectors = WordVectors(("north", "south", "up"), np.array([[0, 1], [0, -1], [1, 1]], np.float32))
        >>> vectors.nearest("north", 1)[0][0]
        'up'
    """

    words: tuple[str, ...]
    matrix: Matrix

    def __post_init__(self) -> None:
        rows = self.matrix.shape[0] if self.matrix.ndim == 2 else -1
        fix = "give each word once, with one row of the matrix"
        if not self.words or rows != len(self.words) or not self.matrix.shape[1]:
            found = f"{len(self.words)} words and a matrix of shape {self.matrix.shape}"
            raise DataError("words and a matrix [words, d] of their vectors", found, fix)
        if len(self.index) != len(self.words):
            raise DataError("words that differ", f"{len(self.words) - len(self.index)} repetitions", fix)
        if not np.isfinite(self.matrix).all():
            raise DataError("vectors of finite numbers", "NaN or infinity", "get or train the vectors again")

    @cached_property
    def index(self) -> dict[str, int]:
        """The row of each word."""
        return {word: row for row, word in enumerate(self.words)}

    @cached_property
    def _unit(self) -> Matrix:
        lengths = np.linalg.norm(self.matrix, axis=1, keepdims=True)
        unit: Matrix = (self.matrix / np.maximum(lengths, 1e-12)).astype(np.float32)
        return unit

    def nearest(self, word: str, n: int = 10) -> list[tuple[str, float]]:
        """Return the words whose vectors point most nearly where a word's does.

        Args:
            word: A word of these.
            n: How many, int. Defaults to 10.

        Returns:
            Pairs of a word and its cosine similarity, the nearest first, without the word itself.

        Raises:
            OptionError: The word has no vector.
        """
        return self._closest(self._unit[self._row(word)], n, {word})

    def analogy(self, a: str, b: str, c: str, n: int = 1) -> list[tuple[str, float]]:
        """Return what is to `c` as `b` is to `a`: the words nearest to b − a + c.

        Paper: Mikolov, Yih and Zweig, "Linguistic Regularities in Continuous Space Word Representations",
        NAACL 2013.

        Args:
            a: Such as "man".
            b: Such as "king".
            c: Such as "woman".
            n: How many answers, int. Defaults to 1.

        Returns:
            Pairs of a word and its cosine similarity, the best first, without a, b and c.

        Raises:
            OptionError: One of the words has no vector.

        Example:
            >>> corners = np.array([[0, 1], [1, 1], [0, 2], [1, 2.1]], np.float32)
            >>> WordVectors(("man", "woman", "king", "queen"), corners).analogy("man", "king", "woman")[0][0]
            'queen'
        """
        unit = self._unit
        return self._closest(unit[self._row(b)] - unit[self._row(a)] + unit[self._row(c)], n, {a, b, c})

    def lookup(self, words: Iterable[str]) -> Matrix:
        """Return the vectors of any words.

        A word that has none gets the mean of all vectors and a little noise, which is always the same for
        the same word: so unknown words are unlike each other, and like nothing known.

        Args:
            words: The words, str each.

        Returns:
            float32 [len(words), d].
        """
        words = list(words)
        rows = [self.index.get(word, -1) for word in words]
        found = self.matrix[rows].astype(np.float32)
        for place, word in enumerate(words):
            if rows[place] < 0:
                found[place] = self._unknown(word)
        return found

    def restrict(self, words: Collection[str], frequent: int = 0) -> WordVectors:
        """Return the vectors of those of the words that have one, and of the first `frequent` words here.

        Args:
            words: The words that are wanted.
            frequent: How many of the first words to keep besides, int. Defaults to 0.
        """
        wanted = set(words)
        rows = [row for row, word in enumerate(self.words) if row < frequent or word in wanted]
        return WordVectors(tuple(self.words[row] for row in rows), self.matrix[rows])

    def joined(self, others: WordVectors) -> WordVectors:
        """Return these vectors and those of others whose words are not among these."""
        rows = [row for row, word in enumerate(others.words) if word not in self.index]
        words = (*self.words, *(others.words[row] for row in rows))
        return WordVectors(words, np.concatenate([self.matrix, others.matrix[rows]]))

    def save(self, folder: Path) -> Path:
        """Write the vectors as safetensors and the words as JSON, both or none.

        Args:
            folder: The folder to write; an older one is replaced.

        Returns:
            The folder.

        Raises:
            StorageError: The disk is full or the place cannot be written.
        """
        from safetensors.numpy import save

        with atomic_folder(folder) as draft:
            (draft / _MATRIX).write_bytes(save({"vectors": np.ascontiguousarray(self.matrix)}))
            text = json.dumps(self.words, ensure_ascii=False)
            (draft / _WORDS).write_text(text, encoding="utf-8", newline="\n")
        return folder

    @classmethod
    def load(cls, path: Path) -> WordVectors:
        """Read word vectors; nothing is unpickled.

        Args:
            path: What `save` wrote; a text file of GloVe, word2vec or fastText (.txt, .vec), with or without
                a first line that gives the sizes; or a binary file of word2vec or fastText (.bin). Where a
                file has a word twice, the first counts.

        Returns:
            The vectors.

        Raises:
            BackboneError: The file is missing, damaged or of another format.
            MissingExtraError: gensim is not installed, for a .bin file.
        """
        readers = {"": _saved, ".txt": _text, ".vec": _text, ".bin": _binary}
        reader = _saved if path.is_dir() else readers.get(path.suffix.lower())
        if reader is None:
            fix = "convert the vectors to the text format of word2vec (.vec) first"
            raise BackboneError("word vectors in a folder, .txt, .vec or .bin file", repr(path.name), fix)
        try:
            words, matrix = reader(path)
            return cls(words, matrix)
        except (OSError, EOFError, ValueError, KeyError, struct.error, MemoryError) as error:
            raise _unreadable(path, error) from error

    def _row(self, word: str) -> int:
        try:
            return self.index[word]
        except KeyError:
            fix = "use a word in lower case that the vectors were trained on"
            raise OptionError("a word that has a vector", repr(word), fix) from None

    def _closest(self, direction: Matrix, n: int, without: set[str]) -> list[tuple[str, float]]:
        cosines = self._unit @ (direction / max(float(np.linalg.norm(direction)), 1e-12))
        order = np.argsort(-cosines, kind="stable")[: n + len(without)]
        found = [(self.words[row], float(cosines[row])) for row in order if self.words[row] not in without]
        return found[:n]

    @cached_property
    def _mean_and_spread(self) -> tuple[Matrix, Matrix]:
        return self.matrix.mean(0), self.matrix.std(0)

    def _unknown(self, word: str) -> Matrix:
        mean, spread = self._mean_and_spread
        chance = np.random.default_rng(int(digest_bytes(word.encode("utf-8", "surrogatepass"))[:15], 16))
        noise = _NOISE * spread * chance.standard_normal(len(mean), np.float32)
        return (mean + noise).astype(np.float32)


def word2vec(
    sentences: Iterable[Sequence[str]],
    kind: Kind = "cbow",
    *,
    size: int = 100,
    window: int = 5,
    least: int = 5,
    epochs: int = 5,
    seed: int = 0,
) -> WordVectors:
    """Train word vectors that predict a word from its neighbours, or the neighbours from the word.

    gensim trains, on one thread: the same words in the same order give the same vectors. Paper: Mikolov et
    al., "Efficient Estimation of Word Representations in Vector Space", https://arxiv.org/abs/1301.3781.

    Args:
        sentences: Words of each sentence; gone through once more than there are epochs.
        kind: "cbow" (a word from its neighbours) or "skip-gram". Defaults to "cbow".
        size: Length of a vector, int. Defaults to 100.
        window: How far neighbours may be, int, in words. Defaults to 5.
        least: How often a word must occur, int. Defaults to 5.
        epochs: How often the sentences are gone through, int. Defaults to 5.
        seed: int. Defaults to 0.

    Returns:
        The vectors, the most frequent word first.

    Raises:
        DataError: No word occurs often enough.
        OptionError: An unknown kind, or sentences that can be gone through only once.
        MissingExtraError: gensim is not installed.

    Example:
        >>> sentences = [["hot", "tea"], ["cold", "tea"]] * 20
        >>> word2vec(sentences, "skip-gram", size=8).matrix.shape
        (3, 8)
    """
    if kind not in ("cbow", "skip-gram"):
        raise OptionError("the kind 'cbow' or 'skip-gram'", repr(kind), "choose one of the two")
    if iter(sentences) is sentences:
        fix = "give a list, or an object whose __iter__ starts anew"
        raise OptionError("sentences that can be gone through repeatedly", "an iterator", fix)
    try:
        from gensim.models import Word2Vec
    except ImportError as error:
        raise missing_extra("gensim", "train", "training word vectors") from error
    model = Word2Vec(
        vector_size=size, window=window, min_count=least, sg=int(kind == "skip-gram"), seed=seed, workers=1
    )
    model.build_vocab(sentences)
    if not len(model.wv):
        raise no_words(least)
    model.train(sentences, total_examples=model.corpus_count, epochs=epochs)
    return WordVectors(tuple(model.wv.index_to_key), np.asarray(model.wv.vectors, np.float32))


def no_words(least: int) -> DataError:
    """Build the error for texts in which no word is frequent enough."""
    expected = f"texts in which some word occurs {least} times"
    return DataError(expected, "none", "add texts, or ask for fewer occurrences (least)")


# -- files -------------------------------------------------------------------------------------------------


def _saved(folder: Path) -> tuple[tuple[str, ...], Matrix]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        matrix = load((folder / _MATRIX).read_bytes())["vectors"]
    except SafetensorError as error:
        raise _unreadable(folder / _MATRIX, error) from error
    words = json.loads((folder / _WORDS).read_text(encoding="utf-8"))
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError("words.json is no list of words")
    return tuple(words), np.asarray(matrix, np.float32)


def _text(path: Path) -> tuple[tuple[str, ...], Matrix]:
    """Read lines of a word and numbers. Words may hold spaces, as some of GloVe's 840B do."""
    words: dict[str, None] = {}
    rows: list[Matrix] = []
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        first = file.readline().split()
        headed = len(first) == 2 and all(part.isdecimal() for part in first)
        size = int(first[1]) if headed else len(first) - 1
        if not headed:
            file.seek(0)
        for number, line in enumerate(file, start=1 + headed):
            word, *values = line.rstrip().rsplit(" ", size)
            if len(values) != size:
                raise ValueError(f"{len(values)} numbers instead of {size} in line {number}")
            if word not in words:
                words[word] = None
                rows.append(np.array(values, np.float32))
    if headed and len(rows) < int(first[0]) // 2:  # some repetitions are usual, half a file is not
        raise ValueError(f"{len(rows)} words instead of the {first[0]} that the first line promises")
    return tuple(words), np.array(rows, np.float32).reshape(len(rows), size)


def _binary(path: Path) -> tuple[tuple[str, ...], Matrix]:
    try:
        from gensim.models import KeyedVectors
        from gensim.models.fasttext import load_facebook_vectors
    except ImportError as error:
        raise missing_extra("gensim", "train", "reading .bin files of word vectors") from error
    with path.open("rb") as file:
        start = file.readline(100)
    if start.startswith(_FASTTEXT):
        found = load_facebook_vectors(str(path))
    else:
        count, size = (int(part) for part in start.split())
        # Before gensim makes room for what the first line promises.
        if path.stat().st_size < count * (4 * size + 1):
            raise ValueError(f"a file too short for {count} vectors of {size} numbers")
        found = KeyedVectors.load_word2vec_format(str(path), binary=True, unicode_errors="replace")
    return tuple(found.index_to_key), np.asarray(found.vectors, np.float32)


def _unreadable(path: Path, reason: object) -> BackboneError:
    first_line = (str(reason).splitlines() or [type(reason).__name__])[0]
    return BackboneError(
        f"whole word vectors at {path}", first_line, "get the file again, or name another one"
    )
