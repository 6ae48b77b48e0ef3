"""What counts as a word in any script, and which script a text is in."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache

# Thai, Lao, Burmese, Khmer, kana and Han put no blanks between words: each character counts as one.
_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
# Vowel signs and accents of their own, which Python's \w leaves out, belong to their word.
_MARKS = "\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0d7f\u200c\u200d"
_LETTER = rf"(?:[^\W_{_SPACELESS}]|[{_MARKS}])"
_WORD = re.compile(rf"[{_SPACELESS}]|{_LETTER}+(?:['’]{_LETTER}+)*")
_TOKEN = re.compile(rf"{_WORD.pattern}|[^\w\s]|_")
_PIECE = re.compile(rf"\s*(?:[{_SPACELESS}][^\w\s]*|[^\s{_SPACELESS}]+)(?:\s+\Z)?")
_SAMPLE = 2_000

_SCRIPTS = {"CJK": "Han", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean"}


def words(text: str) -> list[str]:
    """Return the words of a text, without what stands between them.

    A word is a run of letters and digits of any script, with apostrophes inside; in scripts without blanks
    between words each character is one.

    Args:
        text: The text.

    Returns:
        The words in order, as they are written.

    Example:
        >>> words("Don't panic: 42 is 四十二!")
        ["Don't", 'panic', '42', 'is', '四', '十', '二']
    """
    return _WORD.findall(text)


def tokens(text: str) -> list[str]:
    """Return the words of a text and, each on its own, the signs between them.

    Example:
        >>> tokens("Well, yes!")
        ['Well', ',', 'yes', '!']
    """
    return _TOKEN.findall(text)


def begins(text: str) -> list[int]:
    """Return where each of the `tokens` of a text begins.

    Example:
        >>> begins("Well, yes!")
        [0, 4, 6, 9]
    """
    return [found.start() for found in _TOKEN.finditer(text)]


def pieces(text: str) -> list[str]:
    """Cut a text into words and what is written to them; joined they are the text.

    It is cut at blanks, and between the characters of scripts that have none.

    Args:
        text: The text.

    Returns:
        The pieces, each with the blanks before it; the last one also with those behind it. A text of blanks
        has none.

    Example:
        >>> pieces("Don't panic: 四十二!\\n")
        ["Don't", ' panic:', ' 四', '十', '二!\\n']
    """
    return _PIECE.findall(text)


def script(text: str) -> str:
    """Return the script that most letters at the beginning of a text belong to.

    Args:
        text: The text; its first 2,000 characters are looked at.

    Returns:
        A name such as "Latin", "Cyrillic", "Han", "Japanese" or "Arabic"; "no letters" where there are none.

    Example:
        >>> script("Guten Tag"), script("Добрый день"), script("42!")
        ('Latin', 'Cyrillic', 'no letters')
    """
    sample = text[:_SAMPLE]
    if sample.isascii():
        return "Latin" if any(map(str.isalpha, sample)) else "no letters"
    found = Counter(_of(char) for char in sample if char.isalpha())
    if not found:
        return "no letters"
    if found["HIRAGANA"] + found["KATAKANA"]:
        found["HIRAGANA"] += found.pop("CJK", 0)  # Japanese is written in both
    best = found.most_common(1)[0][0]
    return _SCRIPTS.get(best, best.capitalize())


@lru_cache(10_000)
def _of(char: str) -> str:
    return unicodedata.name(char, "?").partition(" ")[0]
