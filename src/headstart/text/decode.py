"""From whatever a text is kept in to clean characters; every failure is a `DecodeError` with a reason."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headstart.errors import DecodeError
from headstart.text.charsets import characters
from headstart.text.mail import strip_email, unpack
from headstart.text.markup import has_markup, strip_markup
from headstart.text.scripts import script

MOST_CHARACTERS = 1_000_000
"""A longer text (a long novel has a million characters) is read up to here; its kind then says so."""
MOST_BYTES = 64 << 20
"""A larger file is refused before it is read."""

_SAMPLE = 100_000
_CONTROLS = re.compile("[\x00-\x07\x0e-\x1f\x7f\ufeff\u202a-\u202e\u2066-\u2069\ufff9-\ufffb]")
# A typewriter underlines by going back: "_\\bS".
_OVERSTRUCK = re.compile("[^\\n]?\\x08")
# Windows-1252 that somebody read as Latin-1 has its quotes and dashes among the control characters.
_MISREAD = re.compile("[\x80-\x9f]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_MOST_CONTROLS = 0.05
_MOST_UNREADABLE = 0.1
_DOCUMENTS = {b"%PDF-": "a PDF", b"{\\rtf": "an RTF document"}  # mostly of printable characters
_BINARY = {
    b"PK\x03\x04": "a zip archive or an office document",
    b"\xd0\xcf\x11\xe0": "an old office document",
    b"\x1f\x8b": "gzip data",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"RIFF": "a picture or a recording",
    b"\x7fELF": "a program",
    b"SQLite format 3": "a database",
}
_AS_TEXT = "save it as plain text (UTF-8), or remove it"


@dataclass(frozen=True, slots=True)
class Document:
    """A text that was read.

    Args:
        text: Its characters, never empty: NFC, lines end with "\\n", no control characters but tabs.
        kind: What it was kept in: encoding, "HTML" or "mail" where it was that, script, and "cut" where it is
            longer than `MOST_CHARACTERS`; such as "UTF-8 HTML Latin".
    """

    text: str
    kind: str


def read_bytes(source: Path | str | bytes) -> bytes:
    """Return the content of an item as bytes.

    Args:
        source: A file's Path, the text itself (str), or the bytes.

    Returns:
        The bytes, never empty; of a str its UTF-8, where half a surrogate pair becomes U+FFFD.

    Raises:
        DecodeError: The file is missing, unreadable, larger than `MOST_BYTES`, or empty.

    Example:
        >>> read_bytes("né")
        b'n\\xc3\\xa9'
    """
    if isinstance(source, Path):
        data = _read_file(source)
    elif isinstance(source, str):
        data = _SURROGATES.sub("\ufffd", source).encode()
    else:
        data = source
    if not data:
        raise DecodeError("a text", "an empty one (0 bytes)", "remove it or get it again")
    return data


def read_document(source: Path | str | bytes, *, email: bool = False) -> Document:
    """Read a text and say what it was kept in.

    Args:
        source: A file's Path, the text itself (str), or encoded bytes.
        email: Whether headers, quotes and signature of a message are left out. Defaults to False.

    Returns:
        The text with its kind.

    Raises:
        DecodeError: It cannot be read, is no text, or nothing is left of it.

    Example:
        >>> read_document(b"<p>caf\\xe9 &amp; bar</p>")
        Document(text='café & bar', kind='Windows-1252 HTML Latin')
    """
    data = read_bytes(source)
    if (what := _named(data, _DOCUMENTS)) is not None:
        raise DecodeError("a text", what, _AS_TEXT)
    message = unpack(data)
    text, encoding = (message, "mail") if message is not None else characters(data)
    _refuse_binary(text, data)
    kind = [encoding]
    # Tags and headers go later, so more is kept until then.
    cut = len(text) > MOST_CHARACTERS
    text = _clean(text[: 4 * MOST_CHARACTERS])
    if has_markup(text):
        text = strip_markup(text)
        kind.append("HTML")
    if email:
        text = strip_email(text)
    cut = cut and len(text) > MOST_CHARACTERS
    text = text[:MOST_CHARACTERS].strip()
    if not text:
        raise DecodeError("a text", "one of nothing but blanks, tags or control characters", "remove it")
    return Document(text, " ".join([*kind, script(text), *(["cut"] if cut else [])]))


def decode(source: Path | str | bytes, *, email: bool = False) -> str:
    """Return the text of a file, of encoded bytes, or of a str, cleaned.

    The encoding is told by a byte order mark, else it is UTF-8 if the bytes are that, else what is most
    likely (`charsets.characters`). HTML becomes what a reader sees of it, packed e-mails are unpacked,
    characters are composed (NFC), and control characters go. What is longer than `MOST_CHARACTERS` is cut.

    Args:
        source: A file's Path, the text itself (str), or encoded bytes.
        email: Whether headers, quotes and signature of a message are left out. Defaults to False.

    Returns:
        The text, never empty.

    Raises:
        DecodeError: It cannot be read, is no text, or nothing is left of it.

    Example:
        >>> decode(b"Good film.<br /><br />Bad end\\xe2\\x80\\xa6\\r\\n")
        'Good film.\\n\\nBad end…'
    """
    return read_document(source, email=email).text


def describe(content: Path | str | bytes) -> str:
    """Return what a text is kept in, such as "UTF-8 Latin"; "unknown" where it cannot be read."""
    try:
        return read_document(content).kind
    except DecodeError:
        return "unknown"


def snippet(text: str, most: int = 200) -> str:
    """Return the beginning of a text on one line, cut at a blank where there is one.

    Args:
        text: The text.
        most: How many characters at most, int. Defaults to 200.

    Returns:
        The beginning, with "…" behind it where there is more.

    Example:
        >>> snippet("It was a dark\\nand stormy night.", 20)
        'It was a dark and…'
    """
    line = " ".join(text[: 4 * most].split())
    if len(line) <= most and len(text) <= 4 * most:
        return line
    kept = line[: most - 1]
    at_blank = kept.rpartition(" ")[0] if line[most - 1 : most].strip() else kept
    return (at_blank if 2 * len(at_blank) > most else kept).rstrip() + "…"


def _read_file(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= MOST_BYTES else b""
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or str(error)
        raise DecodeError("a readable text", reason, "check the file") from error
    if size > MOST_BYTES:
        received = f"a file of {size / 1e6:,.0f} MB"
        raise DecodeError(f"a text of at most {MOST_BYTES / 1e6:.0f} MB", received, "split it")
    return data


def _refuse_binary(text: str, data: bytes) -> None:
    sample = text[:_SAMPLE]
    if len(_CONTROLS.findall(sample)) > _MOST_CONTROLS * len(sample):
        raise DecodeError("a text", _named(data, _BINARY) or "bytes that are no text", _AS_TEXT)
    if sample.count("\ufffd") > max(3, _MOST_UNREADABLE * len(sample)):
        raise DecodeError("a text", "characters that cannot be read in any known encoding", _AS_TEXT)


def _named(data: bytes, signs: Mapping[bytes, str]) -> str | None:
    return next((what for sign, what in signs.items() if data.startswith(sign)), None)


def _clean(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n\n")
    text = _OVERSTRUCK.sub("", text).replace("\x0b", " ").replace("\x0c", "\n")
    text = _MISREAD.sub(lambda match: match[0].encode("latin-1").decode("cp1252", "ignore"), text)
    return unicodedata.normalize("NFC", _CONTROLS.sub("", _SURROGATES.sub("\ufffd", text)))
