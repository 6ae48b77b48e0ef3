"""What is odd about the texts of a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from headstart.data.facts import Facts
from headstart.data.phrases import count, some

_FEW_WORDS = 3


def oddities(names: Sequence[str], facts: Sequence[Facts]) -> Iterator[str]:
    """Yield what somebody should know: hardly any words, too long, several scripts.

    Args:
        names: The names of the texts.
        facts: What is known about each: shape (characters, words), kind as `text.decode.Document` has it.

    Yields:
        Sentences.

    Example:
        >>> list(oddities(["a.txt"], [Facts("aa", shape=(4, 1), kind="UTF-8 Latin")]))
        ['1 text has fewer than 3 words: a.txt.']
    """
    pairs = list(zip(names, facts, strict=True))
    short = [name for name, fact in pairs if len(fact.shape) == 2 and fact.shape[1] < _FEW_WORDS]
    if short:
        verb = "has" if len(short) == 1 else "have"
        yield f"{count(len(short), 'text')} {verb} fewer than {_FEW_WORDS} words: {some(short)}."
    cut = [name for name, fact in pairs if "cut" in fact.kind.split()]
    if cut:
        verb = "is" if len(cut) == 1 else "are"
        yield f"{count(len(cut), 'text')} {verb} too long to be read to the end: {some(cut)}."
    scripts = Counter(script for fact in facts if (script := _script(fact.kind)))
    if len(scripts) > 1:
        parts = ", ".join(f"{script} {number:,}" for script, number in scripts.most_common())
        yield f"The texts are in several scripts: {parts}."


def _script(kind: str) -> str:
    """Return the script that a kind ends with; "" for a text without letters."""
    script = kind.removesuffix(" cut").rpartition(" ")[2]
    return "" if script in ("letters", "unknown") else script
