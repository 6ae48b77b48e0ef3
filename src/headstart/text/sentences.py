"""Where sentences end."""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST_WORDS = 60
"""A longer sentence, or a text without any sentence end, is cut into chunks of at most this many words."""
_MOST_LETTERS = 200  # of one word: the only measure where no blanks stand between words

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
_CLOSING = "\"'”’»)\\]】」』*_"
# An end is a run of stops (with what they close) before a blank; a wide stop needs no blank, and neither
# does one between a lower-case word and a capitalised one, which many a web form has glued together.
_END = re.compile(
    rf"[.!?…]+[{_CLOSING}]*(?=\s)|[。！？｡︒]+[{_CLOSING}]*|(?<=[^\W\d_A-Z]{{3}})[.!?](?=[A-Z][a-z]*[ ,'])"
)
_TOKEN_BEFORE = re.compile(r"[^\s(\"'“‘«\[]*$")
_LOOK_BACK = 24
# After these a stop ends no sentence.
_TITLES = frozenset(
    """
    mr mrs ms dr prof rev fr sen rep gov gen col capt lt sgt cmdr maj st mt messrs mme mlle hon pres vs v cf
    eg e.g i.e ie viz al fig figs eq eqs no nos vol vols pp p ch sec op ed eds trans approx ca bzw z.b d.h
    u.a hr hrn nr str
    """.split()  # noqa: SIM905
)
# After these it does where a capital letter follows.
_MAYBE = frozenset(
    """
    etc usw inc ltd co corp bros jr sr dept est a.m p.m u.s u.k u.n u.s.a ph.d b.a m.a b.sc m.sc d.c jan feb
    mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun
    """.split()  # noqa: SIM905
)
_INITIAL = re.compile(r"[^\W\d_]|(?:[^\W\d_]\.)+[^\W\d_]")


def sentences(text: str) -> list[str]:
    """Split a text into sentences.

    Abbreviations, initials, decimals, ellipses and closing quotes are minded; "。！？" end a sentence without
    a blank behind them. What is longer than 60 words comes in chunks of at most that many, so that a text
    without a single stop gives sentences, too. Blank lines always end one.

    Args:
        text: The text.

    Returns:
        The sentences in order, blanks inside them single. Joined with blanks they have the same words.

    Example:
        >>> sentences('Dr. J. Smith paid $3.50. "Really?" he asked. 真的。好！')
        ['Dr. J. Smith paid $3.50.', '"Really?" he asked.', '真的。', '好！']
    """
    cased = text != text.lower()
    found: list[str] = []
    for paragraph in _PARAGRAPH.split(text):
        start = 0
        for end in _END.finditer(paragraph):
            if _ends(paragraph, start, end, cased):
                found += _chunks(paragraph[start : end.end()])
                start = end.end()
        found += _chunks(paragraph[start:])
    return found


def _ends(text: str, start: int, end: re.Match[str], cased: bool) -> bool:
    following = text[end.end() : end.end() + 40].lstrip("\"'“‘«([ \t\n*_")[:1]
    if end[0][0] in "。！？｡︒":
        return True
    if cased and following.islower():
        return False
    if not end[0].startswith(".") or end[0].startswith(".."):
        return True
    before = _TOKEN_BEFORE.search(text, max(start, end.start() - _LOOK_BACK), end.start())
    token = before[0].lower() if before else ""
    if token in _TITLES or (token.isdigit() and not text[start : end.start() - len(token)].strip()):
        return False  # "1." at the beginning counts what follows
    if token in _MAYBE:
        return following.isupper()
    # A lone letter is an initial, but "I." is a word, and so is one in a text without capitals.
    return not (_INITIAL.fullmatch(token) and cased and token != "i" and following.isalpha())


def _chunks(sentence: str) -> Iterator[str]:
    kept: list[str] = []
    for word in sentence.split():
        if len(kept) == MOST_WORDS or (kept and len(word) > _MOST_LETTERS):
            yield " ".join(kept)
            kept = []
        if len(word) > _MOST_LETTERS:
            yield from (word[n : n + _MOST_LETTERS] for n in range(0, len(word), _MOST_LETTERS))
        else:
            kept.append(word)
    if kept:
        yield " ".join(kept)
