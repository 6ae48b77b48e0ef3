"""Words and their numbers: what a captioner can say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from headstart.errors import ArtefactError, OptionError

PAD, START, END, UNKNOWN = range(4)
SPECIAL = ("<pad>", "<start>", "<end>", "<unk>")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def tokenize(sentence: str) -> list[str]:
    """Return the words of a sentence, in lower case; punctuation is left out.

    Example:
        >>> tokenize("A dog's ball, 2 dogs .")
        ['a', "dog's", 'ball', '2', 'dogs']
    """
    return [word.replace("’", "'") for word in _WORD.findall(sentence.lower())]


@dataclass(frozen=True)
class Vocabulary:
    """The words that a captioner knows, each with a number.

    Args:
        words: They, the four special ones first, tuple of str.

    Raises:
        ArtefactError: The special ones are missing, or a word occurs twice.

    Example:
        >>> vocabulary = Vocabulary.of([["a", "dog"], ["a", "cat"], ["a", "dog"]], least=2)
        >>> vocabulary.words[4:], vocabulary.encode(["a", "cat"]), vocabulary.decode([4, 5])
        (('a', 'dog'), [1, 4, 3, 2], 'a dog')
    """

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.words[: len(SPECIAL)] != SPECIAL or len(self._numbers) != len(self.words):
            received = f"{len(self.words)} words that begin with {self.words[:4]}"
            fix = "train or copy the captioner again"
            raise ArtefactError(f"{', '.join(SPECIAL)}, then words that differ", received, fix)

    @classmethod
    def of(cls, sentences: Iterable[Sequence[str]], least: int = 5) -> Self:
        """Collect the words that occur at least so often, the frequent ones first.

        Args:
            sentences: Words of each.
            least: How often, int. Defaults to 5.

        Raises:
            OptionError: No word does.
        """
        counts = Counter(word for sentence in sentences for word in sentence)
        kept = sorted(
            (word for word, count in counts.items() if count >= least), key=lambda w: (-counts[w], w)
        )
        if not kept:
            most = max(counts.values(), default=0)
            fix = f"use --least-count {max(1, most)} or give more captions"
            raise OptionError(f"words that occur {least} times", f"none: at most {most} times", fix)
        return cls((*SPECIAL, *kept))

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    def encode(self, words: Sequence[str]) -> list[int]:
        """Return the numbers of words between <start> and <end>; those that are not known become <unk>."""
        return [START, *(self._numbers.get(word, UNKNOWN) for word in words), END]

    def decode(self, numbers: Iterable[int]) -> str:
        """Return the words of some numbers as a sentence; <pad>, <start> and <end> are left out."""
        return " ".join(self.words[number] for number in numbers if number not in (PAD, START, END))

    def to_json(self) -> list[str]:
        """Return the words."""
        return list(self.words)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Build from what `to_json` returned; raise `ArtefactError` where it is something else."""
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise ArtefactError("a list of words", type(value).__name__, "train or copy the captioner again")
        return cls(tuple(value))
