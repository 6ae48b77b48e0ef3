"""Search by words: BM25 over a collection of texts. bm25s weighs the words; looking them up needs NumPy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.errors import ArtefactError, OptionError, require

_WORD = re.compile(r"\w+")
# Kana, Chinese and Thai are written without spaces: every two neighbouring letters count as a word.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")


def words(text: str) -> Iterator[str]:
    """Yield the words of a text in lower case, for scripts without spaces every pair of letters.

    Example:
        >>> list(words("It's MiniLM-L6: 北京市"))
        ['it', 's', 'minilm', 'l6', '北京', '京市']
    """
    for found in _WORD.finditer(text.lower()):
        word = found[0]
        if not _UNSPACED.search(word):
            yield word
            continue
        start = 0
        for run in _UNSPACED.finditer(word):
            yield from filter(None, (word[start : run.start()],))
            yield from (run[0][n : n + 2] for n in range(max(1, len(run[0]) - 1)))
            start = run.end()
        yield from filter(None, (word[start:],))


@dataclass(frozen=True, eq=False)
class WordIndex:
    """What every word says about every text that holds it (a sparse matrix, column by column).

    Args:
        vocabulary: Word → column, {str: int}.
        weights: BM25 weights, float32 [entries].
        texts: The text of each entry, int32 [entries], ascending in a column.
        starts: Where each column starts, int64 [words + 1].
        size: Number of texts, int.
        language: The language whose endings are cut off, such as "english". Defaults to None: none are.

    References:
        Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009; Lù, "BM25S:
        Orders of magnitude faster lexical search via eager sparse scoring", 2024.

    Example:
        >>> index = WordIndex.build(["a black cat", "two black dogs", "rain"])
        >>> positions, scores = index.search("black cat")
        >>> positions
        array([0, 1])
    """

    vocabulary: Mapping[str, int]
    weights: NDArray[np.float32]
    texts: NDArray[np.int32]
    starts: NDArray[np.int64]
    size: int
    language: str | None = None

    @classmethod
    def build(cls, texts: Sequence[str], language: str | None = None) -> WordIndex:
        """Weigh the words of some texts.

        Args:
            texts: The texts, str.
            language: Cut off the endings of this language's words (Snowball). Defaults to None.

        Returns:
            The index.

        Raises:
            OptionError: There is no stemmer for the language.
            MissingExtraError: bm25s is not installed.
        """
        require(("bm25s",), "train", "searching by words")
        import bm25s

        columns: dict[str, int] = {}
        documents = [[columns.setdefault(word, len(columns)) for word in words(text)] for text in texts]
        vocabulary, merged = _stemmed(columns, language)
        if merged is not None:
            documents = [[merged[column] for column in document] for document in documents]
        if not vocabulary:
            nothing = np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(1, np.int64)
            return cls({}, *nothing, len(texts), language)
        found = bm25s.BM25().build_index_from_ids(list(vocabulary.values()), documents, show_progress=False)
        return cls(
            vocabulary,
            np.asarray(found["data"], np.float32),
            np.asarray(found["indices"], np.int32),
            np.asarray(found["indptr"], np.int64),
            len(texts),
            language,
        )

    def scores(self, query: str) -> NDArray[np.float32]:
        """Return the BM25 score of every text, float32 [size]; 0 where no word of the query occurs."""
        total = np.zeros(self.size, np.float32)
        for word in _query_words(query, self.language):
            column = self.vocabulary.get(word)
            if column is not None:
                entries = slice(self.starts[column], self.starts[column + 1])
                total[self.texts[entries]] += self.weights[entries]
        return total

    def search(self, query: str, n: int = 10) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the texts that fit a query best; those that share no word with it are not found.

        Args:
            query: What is looked for, str.
            n: How many at most, int. Defaults to 10.

        Returns:
            Positions, int64 [≤ n], best first, and their scores, float32 [≤ n].
        """
        scores = self.scores(query)
        found = np.flatnonzero(scores)
        if len(found) > n:
            # All that reach the n-th score, so that among equals the first text wins.
            found = found[scores[found] >= np.partition(scores[found], -n)[-n]]
        order = found[np.argsort(-scores[found], kind="stable")][:n]
        return order, scores[order]

    def to_json(self) -> dict[str, Any]:
        """Return what is not a tensor as a JSON object."""
        return {"language": self.language, "size": self.size, "vocabulary": list(self.vocabulary)}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the tensors by name."""
        return {"weights": self.weights, "texts": self.texts, "starts": self.starts}

    @classmethod
    def read(cls, value: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> WordIndex:
        """Build from what `to_json` and `tensors` returned.

        Raises:
            ArtefactError: They do not belong together.
        """
        vocabulary = {word: column for column, word in enumerate(value["vocabulary"])}
        weights, texts, starts = (tensors[name] for name in ("weights", "texts", "starts"))
        fits = len(starts) == len(vocabulary) + 1 and len(weights) == len(texts) == starts[-1]
        if not fits or (len(texts) and not 0 <= texts.min() <= texts.max() < value["size"]):
            raise ArtefactError(
                "words that belong to their weights", "others", "build the index again: headstart index"
            )
        return cls(vocabulary, weights, texts, starts, int(value["size"]), value["language"])


def _stemmed(
    columns: dict[str, int], language: str | None
) -> tuple[dict[str, int], NDArray[np.int64] | None]:
    """Return stem → column, and the new column of each old one; the words as they are without a language."""
    if language is None:
        return columns, None
    stems: dict[str, int] = {}
    return stems, np.array(
        [stems.setdefault(stem, len(stems)) for stem in _stem(list(columns), language)], np.int64
    )


def _query_words(query: str, language: str | None) -> list[str]:
    found = list(words(query))
    return found if language is None else _stem(found, language)


def _stem(tokens: list[str], language: str) -> list[str]:
    require(("snowballstemmer",), "train", "cutting off the endings of words")
    import snowballstemmer

    if language not in (known := snowballstemmer.algorithms()):
        raise OptionError(f"a language: {', '.join(known)}", repr(language), "name one of these, or none")
    distinct = list(dict.fromkeys(tokens))  # a long query repeats many words
    stems = dict(zip(distinct, snowballstemmer.stemmer(language).stemWords(distinct), strict=True))
    return [stems[token] for token in tokens]
