"""Vectorizer: texts to arrays of numbers, by a vocabulary learned from a stream of texts of any length."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from headstart.errors import DataError, OptionError
from headstart.files import write_text
from headstart.text.frequent import BOUND, FrequentTerms
from headstart.text.ngrams import Range, word_terms
from headstart.text.scripts import words
from headstart.text.steps import Steps

if TYPE_CHECKING:
    from scipy import sparse

Output = Literal["int", "multi-hot", "count", "tf-idf"]

PAD, UNKNOWN = 0, 1
"""What fills a sequence of ids up, and the id of every term outside the vocabulary."""
_SCHEMA = 1


class Vectorizer:
    """Turns texts into arrays of numbers.

    Args:
        size: How many terms the vocabulary has at most, int: those that are in the most texts. Defaults to
            20,000.
        output: What a text becomes. "int": the ids of its words in order, 0 at the end as padding, 1 for
            words outside the vocabulary; "multi-hot": 1 for each term of the vocabulary that it has; "count":
            how often it has each; "tf-idf": the same weighed as scikit-learn's TfidfVectorizer does. Defaults
            to "int".
        length: Of the sequences of "int", int: longer texts are cut. Defaults to None: as the longest of the
            texts that are asked together.
        ngrams: The shortest and the longest run of words that is a term, (int, int); "int" takes single words
            only. Defaults to (1, 1).
        steps: What is done with the words first, Steps. Defaults to None: lower case only.

    Raises:
        OptionError: A value that cannot be used.

    Example:
        >>> vectorizer = Vectorizer(length=4).adapt(["a good film", "a bad film"])
        >>> vectorizer.vocabulary
        ('a', 'film', 'bad', 'good')
        >>> vectorizer(["a very good film indeed"])
        array([[2, 1, 5, 3]], dtype=int32)
    """

    def __init__(
        self,
        size: int = 20_000,
        output: Output = "int",
        *,
        length: int | None = None,
        ngrams: Range = (1, 1),
        steps: Steps | None = None,
    ) -> None:
        if size < 1 or (length is not None and length < 1):
            raise OptionError(
                "a size and a length of at least 1", f"{size} and {length}", "use larger numbers"
            )
        if output not in get_args(Output):
            raise OptionError(f"one of {', '.join(get_args(Output))}", repr(output), "choose one of them")
        if not 1 <= ngrams[0] <= ngrams[1]:
            raise OptionError("a range such as (1, 2)", repr(ngrams), "name the shorter run first")
        if output == "int" and ngrams != (1, 1):
            raise OptionError("single words for ids in order", f"ngrams={ngrams}", "use another output")
        if output != "int" and length is not None:
            raise OptionError(f"no length for {output}", repr(length), "leave it out: size is its width")
        self.size, self.output, self.length, self.ngrams, self.steps = size, output, length, ngrams, steps
        self._learn((), np.zeros(0, np.int64), 0, 0)

    def adapt(self, texts: Iterable[str], *, bound: int = BOUND) -> Self:
        """Learn the vocabulary from texts, which are read once; what was learned before is forgotten.

        Memory does not grow with the texts. Up to `bound` distinct terms everything is exact. Beyond that
        rare terms are dropped on the way (see `FrequentTerms`): the number of texts that a term is in is then
        at most `missed` too low.

        Args:
            texts: The texts, str; may be longer than memory.
            bound: How many distinct terms are held at most, int. Defaults to 1,000,000, about 150 MB.

        Returns:
            The vectorizer itself.

        Raises:
            OptionError: The bound is smaller than twice the vocabulary.
        """
        if bound < 2 * self.size:
            raise OptionError(f"a bound of at least {2 * self.size}, twice the size", str(bound), "raise it")
        counter = FrequentTerms(bound)
        for text in texts:
            counter.add(self._terms(text))
        vocabulary = counter.most_common(self.size)
        frequency = np.array([counter.counts[term] for term in vocabulary], np.int64)
        self._learn(vocabulary, frequency, counter.texts, counter.missed)
        return self

    def _learn(
        self, vocabulary: Sequence[str], frequency: NDArray[np.int64], texts: int, missed: int
    ) -> None:
        self.vocabulary, self.frequency = tuple(vocabulary), frequency
        self.texts, self.missed = texts, missed
        self._place = {term: place for place, term in enumerate(self.vocabulary)}

    @property
    def idf(self) -> NDArray[np.float32]:
        """The inverse document frequency of each term, smoothed as scikit-learn does, float32 [terms]."""
        return (np.log((1 + self.texts) / (1 + self.frequency)) + 1).astype(np.float32)

    def _terms(self, text: str) -> list[str]:
        found = words(text.lower()) if self.steps is None else self.steps.apply(words(text))
        return found if self.ngrams == (1, 1) else word_terms(found, self.ngrams)

    def __call__(self, texts: Sequence[str]) -> NDArray[Any]:
        """Turn texts into an array.

        Args:
            texts: The texts, str; give a long stream in batches.

        Returns:
            int32 [texts, length] for "int", float32 [texts, terms] for the others.

        Raises:
            DataError: No vocabulary has been learned.
        """
        self._require_vocabulary()
        return self._sequences(texts) if self.output == "int" else self._bags(texts)

    def sparse(self, texts: Sequence[str]) -> sparse.csr_array:
        """Return what calling the vectorizer returns, as a sparse matrix: for linear models on many texts.

        Raises:
            DataError: No vocabulary has been learned.
            OptionError: The output is "int".
        """
        from headstart.text.counting import count_matrix

        self._require_vocabulary()
        if self.output == "int":
            raise OptionError("a bag of words", "the output int", "use multi-hot, count or tf-idf")
        matrix = count_matrix(map(self._terms, texts), self._place).astype(np.float32)
        if self.output == "multi-hot":
            matrix.data[:] = 1
        elif self.output == "tf-idf":
            matrix.data *= self.idf[matrix.indices]
            row = np.repeat(np.arange(len(texts)), np.diff(matrix.indptr))
            matrix.data /= np.sqrt(np.bincount(row, matrix.data**2, len(texts)))[row]
        return matrix

    def _require_vocabulary(self) -> None:
        if not self.vocabulary:
            raise DataError("a vocabulary", "none", "call adapt with some texts that have words")

    def _sequences(self, texts: Sequence[str]) -> NDArray[np.int32]:
        place = self._place
        rows = [[place.get(term, -1) + 2 for term in self._terms(text)[: self.length]] for text in texts]
        length = self.length or max(map(len, rows), default=0)
        filled = np.full((len(rows), length), PAD, np.int32)
        for line, row in zip(filled, rows, strict=True):
            line[: len(row)] = row
        return filled

    def _bags(self, texts: Sequence[str]) -> NDArray[np.float32]:
        bags = np.zeros((len(texts), len(self.vocabulary)), np.float32)
        for bag, text in zip(bags, texts, strict=True):
            places = [place for term in self._terms(text) if (place := self._place.get(term)) is not None]
            found, counts = np.unique(np.array(places, np.int64), return_counts=True)
            bag[found] = 1 if self.output == "multi-hot" else counts
        if self.output == "tf-idf":
            bags *= self.idf
            bags /= np.maximum(np.linalg.norm(bags, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return bags

    def save(self, path: Path) -> None:
        """Write the vectorizer with what it has learned, as JSON.

        Raises:
            StorageError: The disk is full or the place cannot be written.
        """
        steps = None if self.steps is None else self.steps.to_json()
        settings = {"size": self.size, "output": self.output, "length": self.length, "ngrams": self.ngrams}
        learned = {"texts": self.texts, "missed": self.missed, "frequency": self.frequency.tolist()}
        value = {"schema": _SCHEMA, **settings, "steps": steps, **learned, "vocabulary": self.vocabulary}
        write_text(path, json.dumps(value) + "\n")

    @classmethod
    def load(cls, path: Path) -> Vectorizer:
        """Read what `save` wrote.

        Raises:
            DataError: The file is missing, damaged, or of another schema.
        """
        fix = "name a file that Vectorizer.save wrote"
        try:
            value = json.loads(path.read_bytes())
            if value["schema"] != _SCHEMA or len(value["vocabulary"]) != len(value["frequency"]):
                raise DataError(f"a vectorizer of schema {_SCHEMA} in {path.name}", "another file", fix)
            steps = None if value["steps"] is None else Steps.from_json(value["steps"])
            first, last = value["ngrams"]
            vectorizer = cls(
                value["size"], value["output"], length=value["length"], ngrams=(first, last), steps=steps
            )
            frequency = np.array(value["frequency"], np.int64)
            vectorizer._learn(value["vocabulary"], frequency, value["texts"], value["missed"])
        except DataError:
            raise
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"a vectorizer in {path}", str(error), fix) from error
        return vectorizer
