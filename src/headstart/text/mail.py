"""E-mail and news: the message itself, without headers, quotes and signature."""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message

from headstart.text.charsets import characters
from headstart.text.markup import strip_markup

_MOST_HEADER = 1 << 16
_HEADERS = re.compile(r"(?:From [^\n]*\n)?(?:[!-9;-~]+:[^\n]*\n(?:[ \t]+\S[^\n]*\n)*)+(?:[ \t]*\n|\Z)")
_FIELD = re.compile(r"^(?:from|subject|to|date|newsgroups|path|message-id|received|reply-to):", re.I | re.M)
_PACKED = re.compile(
    rb"^content-(?:type:[ \t]*multipart/|transfer-encoding:[ \t]*(?:base64|quoted-printable))", re.I | re.M
)
_QUOTED = re.compile(r"[ \t]{0,3}(?:[A-Z]{2,3})?>|[ \t]{0,3}\|")
_ATTRIBUTION = re.compile(
    r"^In (?:article|message) |^Quoted from |\bwrites in\b|"
    r"\b(?:writes|wrote|says|said|schrieb|écrit)[ \t]*:[ \t]*(?:[>|].*)?$"
)
_SPEAKER = re.compile(r"@|^On .*\d|\barticle\b")
_ORIGINAL = re.compile(r"[ \t]*-{2,} ?original message ?-{2,}[ \t]*", re.I)
_MARK = re.compile(r"--[ \t]*")
_RULE = re.compile(r"[ \t|]*(?:-{2,}|[-_=~*+#]{3,})[ \t|]*")
_CONTACT = re.compile(
    r"[\w.+-]+@[\w-]+\.|https?://|www\.|\b(?:tel|phone|fax|voice|email|e-mail)\b|\(?\d{3}\)?[- /]\d{3}", re.I
)
_CLOSING = re.compile(
    r"[ \t]*(?:thanks|thank you|cheers|regards|best|sincerely|yours|bye|greetings|love)\b.{0,40}", re.I
)
_MOST_SIGNATURE = 12
_SHORT_LINE = 60


def strip_email(text: str) -> str:
    """Return what the writer of a message says: no headers, no quoted lines, no signature.

    What scikit-learn's ``remove=("headers", "footers", "quotes")`` does for 20 newsgroups, but with more
    care: headers only where there are some, a line is not dropped because somebody "said:" something in it,
    and a last paragraph stays unless it looks like a signature.

    Args:
        text: A message, with or without headers.

    Returns:
        Lines of the message, unchanged and in order; the text itself where nothing would be left.

    Example:
        >>> strip_email("From: a@b.org\\nTo: Bob\\n\\nBob wrote:\\n> I like dogs.\\nI don't.\\n\\n--\\nAnn")
        "I don't."
    """
    for strip in (_without_headers, _without_quotes, _without_signature):
        left = strip(text)
        text = left if left.strip() else text
    return text.strip("\n")


def unpack(data: bytes) -> str | None:
    """Return the readable part of an e-mail whose content is packed (MIME parts, base64, quoted-printable).

    Args:
        data: The bytes of a file.

    Returns:
        Sender, subject and the text, or None where this is no such message: then the bytes are the text.
    """
    head = data[:_MOST_HEADER].replace(b"\r\n", b"\n")
    if not _PACKED.search(head) or not _HEADERS.match(head.decode("latin-1")):
        return None
    try:
        message = email.message_from_bytes(data)
        bodies = {part.get_content_type(): part for part in reversed(list(_leaves(message)))}
    except RecursionError:
        return None
    body = bodies.get("text/plain", bodies.get("text/html"))
    if body is None:
        return None
    text = _payload(body)
    if body.get_content_type() == "text/html":
        text = strip_markup(text)
    headers = [f"{name}: {_readable(message[name])}" for name in ("From", "Subject") if message[name]]
    return "\n".join([*headers, "", text.strip("\n")])


def _leaves(message: Message) -> Iterator[Message]:
    return (part for part in message.walk() if not part.is_multipart() and not part.get_filename())


def _payload(part: Message) -> str:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    try:
        return data.decode(part.get_content_charset("utf-8"))
    except (LookupError, ValueError):  # an encoding that does not exist, or is another one
        return characters(data)[0]


def _readable(header: object) -> str:
    plain = " ".join(str(header).split())
    try:
        return " ".join(str(make_header(decode_header(plain))).split())
    except (HeaderParseError, LookupError, ValueError):
        return plain


def _without_headers(text: str) -> str:
    text = text.lstrip("\n")
    found = _HEADERS.match(text)
    if found and _FIELD.search(found[0]):
        return text[found.end() :]
    return text


def _without_quotes(text: str) -> str:
    kept: list[str] = []
    for line in text.split("\n"):
        if _ORIGINAL.fullmatch(line):
            break  # below this, Outlook repeats the message that is answered
        if _QUOTED.match(line):
            continue
        if _ATTRIBUTION.search(line):
            # "In article <1@x>, Bob Smith" may stand on a line of its own, above "writes:".
            if kept and kept[-1].strip() and _SPEAKER.search(kept[-1]) and len(line.split()) < 6:
                kept.pop()
            continue
        kept.append(line)
    return "\n".join(kept).strip("\n")


def _without_signature(text: str) -> str:
    lines = text.rstrip().split("\n")
    first = max(1, len(lines) - _MOST_SIGNATURE - 1)
    marks = [n for n in range(first, len(lines)) if _MARK.fullmatch(lines[n])]
    rules = [n for n in range(len(lines) - 1, first - 1, -1) if _RULE.fullmatch(lines[n])]
    rule = next(iter(marks or rules), None)
    if rule is not None:
        return "\n".join(lines[:rule]).rstrip()
    gap = next((n for n in range(len(lines) - 1, first - 1, -1) if not lines[n].strip()), None)
    if gap is not None and _is_signature(lines[gap + 1 :]):
        return "\n".join(lines[:gap]).rstrip()
    return "\n".join(lines)


def _is_signature(lines: list[str]) -> bool:
    """Tell by its looks: contact details on short lines, a closing word, or a name alone."""
    if any(len(line.strip()) > _SHORT_LINE and not _CONTACT.search(line) for line in lines):
        return False
    if _CLOSING.fullmatch(lines[0]) or any(map(_CONTACT.search, lines)):
        return True
    return all(len(line.split()) <= 4 and line.rstrip()[-1:] not in ".?!:;" for line in lines)
