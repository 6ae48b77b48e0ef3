"""Fingerprints of texts: near copies get 64-bit numbers that differ in few bits."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from headstart.text.scripts import words

_FEWEST_WORDS = 5
_BITS = 64


def fingerprint(text: str) -> int | None:
    """Return the SimHash of a text's pairs of neighbouring words.

    Each pair is hashed to 64 bits; a bit of the fingerprint says whether it is set in most of them. Case,
    punctuation and blanks do not count, and a word changed in a hundred flips about four bits. The
    fingerprints of different texts differ in about 32.

    Args:
        text: The text.

    Returns:
        A 64-bit unsigned integer, or None where fewer than five words say too little.

    References:
        Charikar, "Similarity Estimation Techniques from Rounding Algorithms", STOC 2002; Manku, Jain and
        Das Sarma, "Detecting Near-Duplicates for Web Crawling", WWW 2007.

    Example:
        >>> one = fingerprint("It was the best of times, it was the worst of times.")
        >>> one == fingerprint("It was the best of times -- IT WAS THE WORST OF TIMES!")
        True
    """
    found = words(text.casefold())
    if len(found) < _FEWEST_WORDS:
        return None
    numbers = np.array([zlib.crc32(word.encode("utf-8", "replace")) for word in found], np.uint64)
    with np.errstate(over="ignore"):
        pairs = np.unique(_mixed(_mixed(numbers[:-1]) * np.uint64(3) + numbers[1:]))
    counts = np.unpackbits(pairs.view(np.uint8).reshape(-1, 8), axis=1).sum(axis=0, dtype=np.int64)
    bits = 2 * counts > len(pairs)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit numbers (the last step of SplitMix64): each bit of a result depends on all of them."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
