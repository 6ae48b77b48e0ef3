"""What a text is counted by: its words, runs of words, and runs of characters within words."""

from __future__ import annotations

from collections.abc import Sequence

Range = tuple[int, int]
"""The shortest and the longest run that is counted, both included."""


def word_terms(words: Sequence[str], runs: Range) -> list[str]:
    """Return the runs of words in a text, as scikit-learn's analyzer "word" does.

    Args:
        words: The words in order, str.
        runs: The shortest and the longest run, in words.

    Returns:
        The runs, their words joined by blanks, grouped by length.

    Example:
        >>> word_terms(["not", "so", "good"], (1, 2))
        ['not', 'so', 'good', 'not so', 'so good']
    """
    terms: list[str] = []
    for length in range(runs[0], runs[1] + 1):
        if length == 1:
            terms += words
        else:  # in C as far as can be: this is most of what counting costs
            terms += map(" ".join, zip(*(words[start:] for start in range(length)), strict=False))
    return terms


def character_terms(word: str, runs: Range) -> list[str]:
    """Return the runs of characters in a word between blanks, as scikit-learn's analyzer "char_wb" does.

    Args:
        word: What stands between two blanks, str.
        runs: The shortest and the longest run, in characters. The word has a blank on both sides; one
            that is shorter than a run counts once, whole.

    Returns:
        The runs, grouped by length.

    Example:
        >>> character_terms("ab", (2, 5))
        [' a', 'ab', 'b ', ' ab', 'ab ', ' ab ']
    """
    padded = f" {word} "
    terms: list[str] = []
    for length in range(runs[0], runs[1] + 1):
        if len(padded) <= length:
            terms.append(padded)
            break
        terms += [padded[start : start + length] for start in range(len(padded) - length + 1)]
    return terms
