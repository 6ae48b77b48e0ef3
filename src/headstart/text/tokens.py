"""From a text to the numbers of its tokens, by tokenizers that are named by what they contain."""

from __future__ import annotations

from collections.abc import Iterator
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
_known: dict[str, Path] = {}
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
        digest = digest_bytes(path.read_bytes())
    except OSError as error:
        raise _absent(str(path)) from error
    _known[digest] = path
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

    path = _known.get(digest)
    if path is None:
        known = (know(file) == digest and file for file in (cache_dir() / "weights").glob("*.tokenizer.json"))
        path = next((file for file in known if file), None)
    if path is None:
        raise _absent(digest)
    found = Tokenizer.from_file(str(path))
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
    passages = list(_passages(text, spec))
    if len(passages) > spec.rows:
        places = np.linspace(0, len(passages) - 1, spec.rows).round().astype(int)
        passages = [passages[place] for place in places]
    return [_filled(passage, spec) for passage in passages]


def _passages(text: str, spec: Tokens) -> Iterator[list[int]]:
    """Yield the token numbers of passages of equal length, with the special tokens around each."""
    encoder = tokenizer(spec.tokenizer)
    around = encoder.encode("").ids
    ids = encoder.encode(text, add_special_tokens=False).ids
    room = spec.size - len(around)
    count = max(1, -(-len(ids) // room))
    # Of equal length, so that the last one is no leftover of three words with the weight of the others.
    step = -(-len(ids) // count) if ids else 0
    start, end = around[: len(around) // 2], around[len(around) // 2 :]
    for number in range(count):
        yield [*start, *ids[number * step : (number + 1) * step], *end]


def _filled(passage: list[int], spec: Tokens) -> Ids:
    length = min(spec.size, max(MULTIPLE, -(-len(passage) // MULTIPLE) * MULTIPLE))
    row = np.full(max(length, len(passage)), spec.pad, np.int32)
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
    limit = spec.size * _CHARACTERS_PER_TOKEN
    lines = [sentence[:limit] for sentence in sentences(text)[: spec.sentences]]
    for number, line in enumerate(encoder.encode_batch(lines, add_special_tokens=False)):
        ids = line.ids[: spec.size]
        found[number, : len(ids)] = ids
    return found


def _absent(what: str) -> ArtefactError:
    return ArtefactError(
        "the tokenizer that the texts are to be read with",
        f"none that can be read ({what[:80]})",
        "fetch the backbone again (headstart backbones fetch NAME), or save the model again",
    )
