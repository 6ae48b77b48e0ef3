"""How often each term occurs in each of many texts: the sparse matrices that linear models are fitted on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from headstart.text.frequent import BOUND, FrequentTerms
from headstart.text.terms import TermsSettings


def count_matrix(lists: Iterable[Sequence[str]], place: dict[str, int]) -> sparse.csr_array:
    """Return how often terms occur in each of some lists of terms.

    Args:
        lists: The terms of each text, as often as they occur.
        place: The column of each term; others are not counted.

    Returns:
        int32 [texts, terms], with sorted columns.
    """
    columns = []
    for terms in lists:
        found = [column for term in terms if (column := place.get(term)) is not None]
        columns.append(np.array(found, np.int32))
    starts = np.cumsum([0, *map(len, columns)], dtype=np.int32)  # as liblinear wants its indices
    every = np.concatenate(columns) if columns else np.zeros(0, np.int32)
    ones = np.ones(len(every), np.int32)
    matrix = sparse.csr_array((ones, every, starts), shape=(len(columns), len(place)))
    matrix.sum_duplicates()
    return matrix


@dataclass(frozen=True, eq=False)
class Counts:
    """How often each term of one sort occurs in each text.

    Args:
        terms: The terms, str.
        matrix: int32 [texts, terms].
    """

    terms: Sequence[str]
    matrix: sparse.csr_array

    @cached_property
    def place(self) -> dict[str, int]:
        """The column of each term."""
        return {term: place for place, term in enumerate(self.terms)}

    def take(self, rows: NDArray[np.int64]) -> Counts:
        """Return the counts of some of the texts."""
        return Counts(self.terms, self.matrix[rows])

    def choose(self, least: int, most: int) -> NDArray[np.int64]:
        """Return the columns of the terms that are in `least` texts or more, the `most` frequent ones."""
        texts = np.bincount(self.matrix.indices, minlength=len(self.terms))
        common = np.flatnonzero(texts >= least)
        return np.sort(common[np.argsort(-texts[common], kind="stable")[:most]])


def count_words(texts: Sequence[str], settings: TermsSettings) -> Counts:
    """Count the runs of words that are in at least `settings.least` texts."""
    return _count(lambda: map(settings.word_terms, texts), settings.least)


def count_characters(texts: Sequence[str], settings: TermsSettings) -> Counts:
    """Count the runs of characters that are in at least `settings.least` texts.

    Each distinct word is taken apart once, and the words of each text are counted: the product of the two is
    what taking apart every word of every text would give.
    """
    words = _count(lambda: map(settings.character_words, texts), 1)
    parts = _count(lambda: map(settings.character_terms, words.terms), 1)
    matrix = (words.matrix @ parts.matrix).tocsr()
    matrix.sort_indices()
    whole = Counts(parts.terms, matrix)
    kept = whole.choose(settings.least, BOUND)
    return Counts([parts.terms[column] for column in kept], matrix[:, kept])


def _count(lists: Callable[[], Iterable[list[str]]], least: int) -> Counts:
    counter = FrequentTerms()
    for terms in lists():
        counter.add(terms)
    terms = sorted(counter.most_common(BOUND, least))
    return Counts(terms, count_matrix(lists(), {term: place for place, term in enumerate(terms)}))
