"""Texts as a modality: what the rest of headstart calls."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.backbones.card import Spec, Tokens, Verbatim
from headstart.data.facts import Facts
from headstart.data.items import Source
from headstart.errors import DecodeError, OptionError
from headstart.files import digest_bytes
from headstart.text.decode import decode, read_bytes, read_document, snippet
from headstart.text.fingerprint import fingerprint
from headstart.text.mail import strip_email
from headstart.text.scripts import words
from headstart.text.tokens import rows


class TextModality:
    """Reads, describes and prepares texts."""

    name = "text"
    noun = "texts"
    default_backbone = "minilm-l6"
    version = 1
    near = 6

    def read(self, source: Source) -> bytes:
        """Return a text's bytes; a str is the text itself, a Path a file with it."""
        if isinstance(source, np.ndarray):
            fix = "give the text itself (str), its bytes or a path"
            raise DecodeError("a text", f"an array {list(source.shape)}", fix)
        return read_bytes(source)

    def digest(self, content: bytes | NDArray[np.uint8]) -> str:
        """Return the SHA-256 of the bytes."""
        return digest_bytes(bytes(content))

    def examine(
        self, content: bytes | NDArray[np.uint8], digest: str, spec: Spec | None, kernel: str
    ) -> tuple[Facts, list[NDArray[Any]] | None]:
        """Decode a text once for both its description and the network's input."""
        del kernel
        try:
            found = read_document(bytes(content))
        except DecodeError as error:
            return Facts(digest, error=f"{error.received}; {error.fix}"), None
        shape = (len(found.text), len(words(found.text)))
        facts = Facts(digest, fingerprint(found.text), shape, found.kind)
        return facts, None if spec is None else prepare(found.text, spec)

    def inputs(self, source: Source, spec: Spec, kernel: str = "pillow") -> list[NDArray[Any]]:
        """Return the network's input rows: passages int32 [tokens], or the text itself, uint8 [bytes]."""
        del kernel
        return prepare(decode(self.read(source)), spec)

    def glimpse(self, source: Source) -> str:
        """Return the beginning of a text."""
        return snippet(decode(self.read(source)))


def prepare(text: str, spec: Spec) -> list[NDArray[Any]]:
    """Return the rows that a network or a counter of words reads of a decoded text.

    Args:
        text: The text.
        spec: What is expected, Tokens or Verbatim.

    Raises:
        OptionError: It is a specification for pictures.

    Example:
        >>> prepare("Good.", Verbatim())
        [array([ 71, 111, 111, 100,  46], dtype=uint8)]
    """
    if isinstance(spec, Tokens | Verbatim) and spec.email:
        text = strip_email(text)
    if isinstance(spec, Tokens):
        return list(rows(text, spec))
    if isinstance(spec, Verbatim):
        return [np.frombuffer(text[: spec.size or None].encode(errors="replace"), np.uint8)]
    raise OptionError("a backbone that reads texts", "one for pictures", "headstart backbones list")
