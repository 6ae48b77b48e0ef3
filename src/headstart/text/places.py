"""Where in a text its terms are: what each of them stands for, place by place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from headstart.text.scripts import begins, tokens
from headstart.text.terms import TermsSettings

Place = tuple[str, Sequence[int]]
"""A term, and the characters of the text that it stands for."""


def word_places(text: str, settings: TermsSettings) -> Iterator[Place]:
    """Yield every run of words that is counted in a text, with where its words begin.

    Args:
        text: The text.
        settings: What is counted.

    Example:
        >>> list(word_places("Good, good", TermsSettings(words=(1, 1))))
        [('good', [0]), (',', [4]), ('good', [6])]
    """
    if settings.words is None:
        return
    words: list[str] = []
    starts: list[int] = []
    for word, start in zip(tokens(text), begins(text), strict=True):
        for kept in [word.lower()] if settings.steps is None else settings.steps.apply([word]):
            words.append(kept)
            starts.append(start)
    for length in range(settings.words[0], settings.words[1] + 1):
        for first in range(len(words) - length + 1):
            yield " ".join(words[first : first + length]), starts[first : first + length]


def character_places(text: str, settings: TermsSettings) -> Iterator[Place]:
    """Yield every run of characters that is counted in a text, with the characters of the text in it.

    Args:
        text: The text.
        settings: What is counted.

    Example:
        >>> list(character_places("ab", TermsSettings(characters=(3, 3))))
        [(' ab', range(0, 2)), ('ab ', range(0, 2))]
    """
    if settings.characters is None:
        return
    shortest, longest = settings.characters
    for found in re.finditer(r"\S+", text):
        # In lower case a word may be longer: what then lies beyond it is told of its last character.
        size, terms = len(found[0].lower()) + 2, iter(settings.character_terms(found[0].lower()))
        for length in range(shortest, longest + 1):
            for first, term in zip(range(max(1, size - length + 1)), terms, strict=False):
                start = min(max(first - 1, 0), len(found[0]) - 1)
                end = min(first + length - 1, len(found[0]))
                yield term, range(found.start() + start, found.start() + max(end, start + 1))
