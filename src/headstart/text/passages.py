"""Passages of texts in training: which one is read when, and several as one batch."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def drawn(passages: Sequence[NDArray[np.int32]], seed: int, number: int) -> NDArray[np.int32]:
    """Return the passage that a text shows in one of its views.

    A text's passages come in random order, each once before any comes again. The order depends on what they
    say, not on where the text stands, so that a stored view stays true when texts are added.

    Args:
        passages: Of one text, as `text.tokens.rows` returns them; at least one.
        seed: Of the run, int, 0 or more.
        number: Which view, int, from 0.

    Example:
        >>> three = [np.array([n]) for n in (5, 6, 7)]
        >>> sorted(int(drawn(three, 0, number)[0]) for number in range(3))
        [5, 6, 7]
    """
    turn, place = divmod(number, len(passages))
    content = zlib.crc32(b"".join(passage.tobytes() for passage in passages))
    order = np.random.default_rng([seed, content, turn]).permutation(len(passages))
    return passages[int(order[place])]


def together(passages: Sequence[NDArray[np.int32]], pad: int) -> NDArray[np.int32]:
    """Return passages as one batch, filled up to the longest.

    Args:
        passages: Token numbers, int32 [tokens] each; at least one.
        pad: Number of the token that fills up, int.

    Returns:
        int32 [passages, most tokens].

    Example:
        >>> together([np.array([7, 8], np.int32), np.array([9], np.int32)], 0).tolist()
        [[7, 8], [9, 0]]
    """
    batch = np.full((len(passages), max(map(len, passages))), pad, np.int32)
    for place, passage in enumerate(passages):
        batch[place, : len(passage)] = passage
    return batch
