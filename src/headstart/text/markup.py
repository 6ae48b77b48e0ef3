"""HTML becomes plain text: pages, and texts with a few tags in them."""

from __future__ import annotations

import html
import re

_BLOCKS = frozenset(
    """
    address article aside blockquote body caption center dd div dl dt fieldset figcaption figure footer form
    h1 h2 h3 h4 h5 h6 header hr html li main nav ol p pre section table tbody td tfoot th thead title tr ul
    """.split()  # noqa: SIM905
)
_INLINE = frozenset(
    """
    a abbr acronym area b base big button cite code col del dfn em embed font head i iframe img input ins
    kbd label link map mark meta noscript object option param q s samp select small source span strike
    strong sub sup textarea tt u var video audio wbr
    """.split()  # noqa: SIM905
)
_UNSEEN = ("script", "style", "template", "svg")
# "[^<>]*" stops at the next bracket, so that the time stays linear however many are never closed.
_TAG = re.compile(r"<!--|-->|<!doctype[^<>]*>|<\?xml[^<>]*>|</?([a-z][a-z0-9]*)\b[^<>]*>", re.IGNORECASE)
_PAGE = re.compile(
    r"\s*(?:<\?xml[^<>]*>\s*)?(?:<!--.{0,2000}?-->\s*)?<(?:!doctype html|html|head|body)\b", re.I | re.S
)
_MARKED = re.compile(
    r"<br\s*/?>|</(?:a|b|blockquote|body|code|div|em|font|h[1-6]|i|li|ol|p|pre|small|span|strong|sub|sup|table|td|u|ul)>",
    re.IGNORECASE,
)
_BLANKS = re.compile(r"[^\S\n]*\n[^\S\n]*")
_GAPS = re.compile(r"\n{3,}")


def is_page(text: str) -> bool:
    """Return whether a text is a whole HTML page."""
    return _PAGE.match(text) is not None


def has_markup(text: str) -> bool:
    """Return whether a text is a page, or has line breaks or closed elements of HTML in it.

    Example:
        >>> has_markup("Good.<br /><br />Bad."), has_markup("if a < b and c > d"), has_markup("<me@here.org>")
        (True, False, False)
    """
    return is_page(text) or _MARKED.search(text) is not None


def strip_markup(text: str) -> str:
    """Return what a reader sees of HTML: no tags, scripts, styles or comments, entities as characters.

    Only elements of HTML are taken for tags, so that "<me@here.org>" and "#include <string>" stay.

    Args:
        text: HTML, whole or in parts, well-formed or not.

    Returns:
        Plain text; paragraphs and other blocks are lines.

    Example:
        >>> strip_markup("<p>Fish &amp; chips</p><script>x()</script><p>Good<br>value</p>")
        'Fish & chips\\n\\nGood\\nvalue'
    """
    if is_page(text):
        text = " ".join(text.split())  # a page's own line ends mean nothing
    lower = text.lower()
    ends = {name: lower.rfind(f"</{name}") for name in _UNSEEN} | {"!": text.rfind("-->")}
    parts: list[str] = []
    place, hidden = 0, ""  # the element whose end is waited for
    for tag in _TAG.finditer(text):
        name = (tag[1] or "").lower()
        if hidden:
            if (hidden == "!" and tag[0] == "-->") or (name == hidden and tag[0].startswith("</")):
                place, hidden = tag.end(), ""
            continue
        if tag[0] == "-->" or (name and name not in _BLOCKS | _INLINE and name not in ("br", *_UNSEEN)):
            continue
        parts += [text[place : tag.start()], _gap(name)]
        place = tag.end()
        opened = "!" if tag[0] == "<!--" else name
        # One that is never closed hides nothing: more likely somebody writes about HTML.
        if ends.get(opened, -1) > tag.start() and not tag[0].startswith("</"):
            hidden = opened
    parts.append("" if hidden else text[place:])
    plain = html.unescape("".join(parts)).replace("\xa0", " ")
    return _GAPS.sub("\n\n", _BLANKS.sub("\n", plain)).strip()


def _gap(name: str) -> str:
    if name == "br" or name in ("li", "tr", "dt", "dd", "option"):
        return "\n"
    if name in ("td", "th"):
        return " "
    return "\n\n" if name == "p" else "\n" if name in _BLOCKS else ""
