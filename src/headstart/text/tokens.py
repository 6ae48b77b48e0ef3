"""From a text to the numbers of its tokens, by tokenizers that are named by what they contain."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart.backbones.card import Tokens
from headstart.errors import ArtefactError
from headstart.files import cache_dir, digest_bytes
from headstart.text.sentences import sentences

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Ids = NDArray[np.int32]

MULTIPLE = 16
"""Rows are filled up to a multiple of this: a network then meets few different shapes."""
# Contents, not paths: a model that was loaded answers on when its folder has moved.
_known: dict[str, bytes] = {}
# Tokenizing ends here: what follows could not be seen in `rows` passages, and a text may have megabytes.
_CHARACTERS_PER_TOKEN = 16


def know(path: Path) -> str:
    """Make a tokenizer known to this process.

    Args:
        path: A tokenizer.json.

    Returns:
        Its SHA-256, by which `Tokens.tokenizer` names it.

    Raises:
        ArtefactError: It cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _absent(str(path)) from error
    digest = digest_bytes(content)
    _known[digest] = content
    return digest


@cache
def tokenizer(digest: str) -> Tokenizer:
    """Return a tokenizer, without the padding and truncation that its file may ask for.

    Args:
        digest: SHA-256 of its tokenizer.json, which is known (`know`) or lies among the cached weights.

    Raises:
        ArtefactError: It is not known here.
    """
    from tokenizers import Tokenizer

    if digest not in _known:
        # The backbones' own are in the cache.
        files = sorted((cache_dir() / "weights").glob("*.tokenizer.json"))
        if not any(know(file) == digest for file in files):
            raise _absent(digest)
    found = Tokenizer.from_str(_known[digest].decode())
    found.no_padding()
    found.no_truncation()
    return found


def rows(text: str, spec: Tokens) -> list[Ids]:
    """Return the network's input rows of a text.

    Args:
        text: The text.
        spec: What the network expects.

    Returns:
        Passages int32 [tokens], filled up to a multiple of 16; or one row int32 [sentences, size] where the
        spec asks for sentences. At least one row, also of a text without a single token.

    Example:
        >>> rows("One good film.", card("minilm-l6").preprocess)[0][:6]  # doctest: +SKIP
        array([ 101, 2028, 2204, 2143, 1012,  102], dtype=int32)
    """
    if spec.sentences:
        return [by_sentence(text, spec, tokenizer(spec.tokenizer))]
    encoder = tokenizer(spec.tokenizer)
    ids = encoder.encode(text, add_special_tokens=False).ids
    start, end = _around(encoder)
    return [_filled([*start, *ids[part], *end], spec, spec.pad) for part in _parts(len(ids), spec, encoder)]


def starts(text: str, spec: Tokens) -> list[Ids]:
    """Return where in a text the tokens of its passages begin: what belongs to `rows`, token by token.

    Args:
        text: The text.
        spec: What the network expects, passages.

    Returns:
        For each of the `rows`, int32 of the same length: the place of each token's first character, −1 for
        special tokens and padding.
    """
    encoder = tokenizer(spec.tokenizer)
    places = [place for place, _ in encoder.encode(text, add_special_tokens=False).offsets]
    start, end = ([-1] * len(ids) for ids in _around(encoder))
    return [_filled([*start, *places[part], *end], spec, -1) for part in _parts(len(places), spec, encoder)]


def _around(encoder: Tokenizer) -> tuple[list[int], list[int]]:
    """Return the special tokens before and behind each passage."""
    ids = encoder.encode("").ids
    return ids[: len(ids) // 2], ids[len(ids) // 2 :]


def _parts(tokens: int, spec: Tokens, encoder: Tokenizer) -> list[slice]:
    """Return which tokens of a text are in which passage."""
    room = max(1, spec.size - sum(map(len, _around(encoder))))
    count = max(1, -(-tokens // room))
    kept: Sequence[int] = range(count)
    if count > spec.rows:
        kept = np.linspace(0, count - 1, spec.rows).round().astype(int).tolist()
    # Of equal length, so that the last one is no leftover of three words with the weight of the others.
    return [slice(number * tokens // count, (number + 1) * tokens // count) for number in kept]


def _filled(passage: list[int], spec: Tokens, nothing: int) -> Ids:
    length = min(spec.size, max(MULTIPLE, -(-len(passage) // MULTIPLE) * MULTIPLE))
    row = np.full(max(length, len(passage)), nothing, np.int32)
    row[: len(passage)] = passage
    return row


def by_sentence(text: str, spec: Tokens, encoder: Tokenizer) -> Ids:
    """Return a line for each sentence, int32 [sentences, size]: what `rows` gives where a spec asks so.

    Args:
        text: The text.
        spec: How many sentences, and of how many tokens.
        encoder: The tokenizer; whatever trains a network has it before there is a file of it.
    """
    found = np.full((spec.sentences, spec.size), spec.pad, np.int32)
    for number, line in enumerate(encoder.encode_batch(_lines(text, spec), add_special_tokens=False)):
        ids = line.ids[: spec.size]
        found[number, : len(ids)] = ids
    return found


def line_starts(text: str, spec: Tokens, encoder: Tokenizer) -> Ids:
    """Return where in a text the tokens of its sentences begin: what belongs to `by_sentence`.

    Args:
        text: The text.
        spec: How many sentences, and of how many tokens.
        encoder: The tokenizer.

    Returns:
        int32 [sentences, size]: the place of each token's first character, −1 where there is none.
    """
    found = np.full((spec.sentences, spec.size), -1, np.int32)
    solid = [place for place, char in enumerate(text) if not char.isspace()]
    before = 0  # characters of the sentences before: blanks inside them are not those of the text
    whole = sentences(text)
    lines = _lines(text, spec)
    for number, line in enumerate(encoder.encode_batch(lines, add_special_tokens=False)):
        inside = np.cumsum([0, *(not char.isspace() for char in lines[number])])
        places = [solid[before + inside[place]] for place, _ in line.offsets[: spec.size]]
        found[number, : len(places)] = places
        before += sum(not char.isspace() for char in whole[number])
    return found


def _lines(text: str, spec: Tokens) -> list[str]:
    """Return the sentences that are read, each no longer than could be seen."""
    return [sentence[: spec.size * _CHARACTERS_PER_TOKEN] for sentence in sentences(text)[: spec.sentences]]


def _absent(what: str) -> ArtefactError:
    return ArtefactError(
        "the tokenizer that the texts are to be read with",
        f"none that can be read ({what[:80]})",
        "fetch the backbone again (headstart backbones fetch NAME), or save the model again",
    )
