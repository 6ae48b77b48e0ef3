"""Self-contained, accessible web pages: sections, tables and picture strips in one HTML file.

A page needs nothing but itself: no script, font, style sheet or picture is fetched. It follows the reader's
light or dark setting, prints on paper, and every chart has a text alternative and the table of its numbers
behind it.

Whatever is put in is escaped unless it is `Markup` (what the functions here return), so labels and file
names may contain anything.
"""

from __future__ import annotations

import base64
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup as Markup
from markupsafe import escape

from headstart.files import write_text

Cell = str | int | float | Markup | None

# Light and dark value of each colour role. The light value is also what a chart is drawn with:
# `figures.chart` replaces it by the role's CSS variable, which is how a drawn figure follows light and dark.
ROLES = {
    "paper": ("#f7f6f3", "#14161a"),
    "surface": ("#fefefe", "#1d2025"),
    "ink": ("#1c2127", "#e9e7e3"),
    "muted": ("#5b626b", "#a6acb5"),
    "line": ("#dfdcd5", "#363b43"),
    "accent": ("#2b5fb8", "#84adf5"),
    "second": ("#b4541b", "#eb9f68"),
    "good": ("#27764a", "#75c896"),
    "bad": ("#b2362d", "#f2938a"),
}
INK, MUTED, LINE, SURFACE = (ROLES[role][0] for role in ("ink", "muted", "line", "surface"))
ACCENT, SECOND, GOOD, BAD = (ROLES[role][0] for role in ("accent", "second", "good", "bad"))
FOR_AND_AGAINST = "Orange speaks for the answer, blue against it."
"""What the colours of marked parts mean, wherever an answer is explained: sentences, places in pictures."""


def _variables(theme: int) -> str:
    return "".join(f"--{role}:{values[theme]};" for role, values in ROLES.items())


def style() -> str:
    """Return the style sheet of every page: the colours for light and dark, and the look."""
    sheet = Path(__file__).with_name("pages.css").read_text(encoding="utf-8")
    dark = f"@media screen and (prefers-color-scheme:dark){{:root{{color-scheme:dark;{_variables(1)}}}}}"
    return f":root{{color-scheme:light;{_variables(0)}}}\n{dark}\n{sheet}"


_PAGE = Markup(
    "<!doctype html>\n"
    '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
    '<meta name="color-scheme" content="light dark">\n'
    '<link rel="icon" href="data:,">\n'
    "<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n"
    "<header>\n<h1>{title}</h1>\n{lead}{nav}</header>\n<main>\n{sections}</main>\n"
    "<footer>{footer}</footer>\n{script}</body>\n</html>\n"
)


class Shown(ABC):
    """What can be shown as a page: in a notebook, or saved as a file."""

    @abstractmethod
    def html(self) -> str:
        """Return it as one self-contained page."""

    def save(self, path: str | Path) -> Path:
        """Write it as one HTML file, whole or not at all.

        Args:
            path: Where.

        Returns:
            The path.

        Raises:
            StorageError: It cannot be written.
        """
        write_text(Path(path), self.html())
        return Path(path)

    def _repr_html_(self) -> str:
        # In a frame, for the page's style must not become that of the notebook.
        frame = '<iframe srcdoc="{}" style="width:100%;height:36rem;border:0" title="{}"></iframe>'
        return str(fragment(frame, self.html(), type(self).__name__))


@dataclass(frozen=True)
class _Section:
    heading: str
    anchor: str
    body: Markup
    bare: bool


class Page:
    """One HTML page, built section by section.

    Args:
        title: Name of the page, str.
        lead: The one sentence that says it all, str. Defaults to "" (none).
        footer: A quiet last line, str. Defaults to "Made by headstart."
        script: JavaScript for a page that people act on, str, trusted. Defaults to "" (none).

    Example:
        >>> page = Page("Cats", lead="Nine of ten are right.")
        >>> page = page.section("Counts", table(["class", "items"], [["cat", 9]]))
        >>> "<h2" in page.html()
        True
    """

    def __init__(
        self, title: str, lead: str = "", footer: str = "Made by headstart.", script: str = ""
    ) -> None:
        self.title = title
        self.lead = lead
        self.footer = footer
        self.script = script
        self._sections: list[_Section] = []

    def section(self, heading: str, *fragments: str | Markup, bare: bool = False) -> Page:
        """Add a section.

        Args:
            heading: Its heading, str. An empty one makes a section without heading, left out of the contents.
            fragments: What it holds: Markup as it is, str as an escaped paragraph.
            bare: Whether to draw no frame around it. Defaults to False.

        Returns:
            The page itself, so that calls chain.
        """
        slug = re.sub(r"[^a-z0-9]+", "-", heading.casefold()).strip("-") or "section"
        body = Markup("\n").join(f if isinstance(f, Markup) else paragraph(f) for f in fragments)
        self._sections.append(_Section(heading, f"{slug}-{len(self._sections) + 1}", body, bare))
        return self

    def html(self) -> str:
        """Return the whole page, one str of HTML."""
        named = [s for s in self._sections if s.heading]
        links = [Markup('<li><a href="#{}">{}</a></li>').format(s.anchor, s.heading) for s in named]
        nav = Markup('<nav aria-label="Contents"><ul>{}</ul></nav>\n').format(Markup("").join(links))
        return str(
            _PAGE.format(
                title=self.title,
                style=Markup(style()),
                lead=Markup('<p class="lead">{}</p>\n').format(self.lead) if self.lead else "",
                nav=nav if len(links) > 3 else "",
                sections=Markup("").join(_section(s) for s in self._sections),
                footer=self.footer,
                script=Markup("<script>{}</script>\n").format(Markup(self.script)) if self.script else "",
            )
        )


def _section(section: _Section) -> Markup:
    if not section.heading:
        return Markup("<section{}>\n{}\n</section>\n").format(_bare(section), section.body)
    return Markup(
        '<section id="{0}" aria-labelledby="{0}-h"{1}>\n<h2 id="{0}-h">{2}</h2>\n{3}\n</section>\n'
    ).format(section.anchor, _bare(section), section.heading, section.body)


def _bare(section: _Section) -> Markup:
    return Markup(' class="bare"' if section.bare else "")


def fragment(template: str, *values: Any, **named: Any) -> Markup:
    """Fill a trusted HTML template with values that are escaped.

    Args:
        template: HTML with `{}` or `{name}` places, str, trusted.
        values, named: What goes into them; Markup as it is, everything else escaped.

    Returns:
        The HTML, Markup.

    Example:
        >>> fragment("<b>{}</b>", "<script>")
        Markup('<b>&lt;script&gt;</b>')
    """
    return Markup(template).format(*values, **named)


def paragraph(text: str | Markup, quiet: bool = False) -> Markup:
    """Return a paragraph; a quiet one is smaller and grey."""
    return fragment('<p class="quiet">{}</p>' if quiet else "<p>{}</p>", text)


def cards(values: Iterable[tuple[str, str, str]]) -> Markup:
    """Return key numbers as cards.

    Args:
        values: (name, value, note) of each card, str; an empty note is left out.

    Returns:
        The HTML, Markup.
    """
    note = '<dd class="note">{}</dd>'
    return fragment(
        '<dl class="cards">{}</dl>',
        Markup("").join(
            fragment("<div><dt>{}</dt><dd>{}</dd>{}</div>", name, value, fragment(note, text) if text else "")
            for name, value, text in values
        ),
    )


def facts(pairs: Iterable[tuple[str, str | Markup]]) -> Markup:
    """Return names and values as a description list."""
    rows = (fragment("<dt>{}</dt><dd>{}</dd>", name, value) for name, value in pairs)
    return fragment('<dl class="facts">{}</dl>', Markup("").join(rows))


def bar(part: float, text: str) -> Markup:
    """Return a number with a bar behind it, for a table cell.

    Args:
        part: Length of the bar, float from 0 to 1.
        text: The number as people read it, str.

    Returns:
        The HTML, Markup.
    """
    percent = f"{100 * min(max(part, 0.0), 1.0):.1f}%"
    return fragment('<span class="bar"><i style="--part:{}"></i>{}</span>', percent, text)


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], caption: str = "") -> Markup:
    """Return a table; the first cell of each row is its header, numbers are aligned right.

    Args:
        columns: Heading of each column, str.
        rows: The cells of each row: str is escaped, Markup is kept, int gets thousands separators, float
            three decimals, None a dash.
        caption: What the table shows, str. Defaults to "" (none).

    Returns:
        The HTML, Markup.

    Example:
        >>> "1,234" in table(["class", "items"], [["cat", 1234]])
        True
    """
    body = [list(row) for row in rows]
    numeric = [
        any(isinstance(row[i], (int, float)) for row in body)
        and all(row[i] is None or isinstance(row[i], (int, float)) for row in body)
        for i in range(len(columns))
    ]
    marks = [Markup(' class="n"' if n else "") for n in numeric]
    head = (fragment('<th scope="col"{}>{}</th>', m, c) for m, c in zip(marks, columns, strict=True))
    lines = (
        fragment(
            '<tr><th scope="row"{}>{}</th>{}</tr>',
            marks[0],
            _cell(row[0]),
            Markup("").join(
                fragment("<td{}>{}</td>", m, _cell(c)) for m, c in zip(marks[1:], row[1:], strict=True)
            ),
        )
        for row in body
    )
    return fragment(
        '<div class="scroll" tabindex="0" role="region" aria-label="{}"><table>{}<thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>",
        caption or "Table: " + ", ".join(columns[:4]),
        fragment("<caption>{}</caption>", caption) if caption else "",
        Markup("").join(head),
        Markup("\n").join(lines),
    )


def _cell(value: Cell) -> Markup:
    if value is None:
        return Markup("–")
    if isinstance(value, bool):
        return Markup("yes" if value else "no")
    if isinstance(value, int):
        return Markup(f"{value:,}")
    if isinstance(value, float):
        return Markup(f"{value:.3f}")
    return escape(value)


def details(summary: str, body: Markup, is_open: bool = False) -> Markup:
    """Return something that a click or a key opens."""
    opened = Markup(" open" if is_open else "")
    return fragment("<details{}><summary>{}</summary>{}</details>", opened, summary, body)


def side_by_side(*fragments: Markup) -> Markup:
    """Return fragments next to each other where the screen is wide enough."""
    return fragment(
        '<div class="pair">{}</div>', Markup("").join(fragment("<div>{}</div>", f) for f in fragments)
    )


Glimpse = bytes | str
"""What shows an item in a page: a small picture (JPEG), or the beginning of a text."""


def glimpse(shown: Glimpse | None, alt: str) -> Markup:
    """Return what shows an item: a small picture or a few words, or an empty frame where there is neither.

    Args:
        shown: The encoded picture, bytes, or the words, str, or None.
        alt: What the picture shows, str.

    Returns:
        The HTML, Markup.

    Example:
        >>> glimpse("1 < 2", "An item")
        Markup('<blockquote dir="auto">1 &lt; 2</blockquote>')
    """
    if shown is None:
        return fragment('<div class="blank" role="img" aria-label="{} (cannot be shown)"></div>', alt)
    if isinstance(shown, str):
        return fragment('<blockquote dir="auto">{}</blockquote>', shown)
    data = base64.b64encode(shown).decode()
    return fragment('<img src="data:image/jpeg;base64,{}" alt="{}" loading="lazy">', data, alt)


def glimpses(items: Iterable[tuple[Glimpse | None, str, str | Markup]]) -> Markup:
    """Return a strip of items with captions.

    Args:
        items: (what shows it, or None; alternative text; caption) of each.

    Returns:
        The HTML, Markup.
    """
    cells = (
        fragment("<li><figure>{}<figcaption>{}</figcaption></figure></li>", glimpse(shown, alt), caption)
        for shown, alt, caption in items
    )
    return fragment('<ul class="strip">{}</ul>', Markup("").join(cells))


def json_block(value: object, name: str = "") -> Markup:
    """Return data for a page's script, as a block that shows nothing.

    Args:
        value: Anything JSON can say.
        name: The block's id, str. Defaults to "" (none).

    Returns:
        The HTML, Markup.

    Example:
        >>> json_block([1, "a"], "data")
        Markup('<script type="application/json" id="data">[1, "a"]</script>')
    """
    # Inside <script> browsers unescape nothing: "<" must not occur, and JSON can say it another way.
    text = json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
    mark = fragment(' id="{}"', name) if name else Markup("")
    return fragment('<script type="application/json"{}>{}</script>', mark, Markup(text))


def sheet(jpeg: bytes, alt: str) -> Markup:
    """Return one large JPEG picture, as wide as the page."""
    return fragment('<div class="sheet">{}</div>', glimpse(jpeg, alt))


def short(text: str, length: int = 24) -> str:
    """Shorten a label for a chart, keeping its beginning and end.

    Args:
        text: The label, str.
        length: Most characters to keep, int. Defaults to 24.

    Returns:
        The label, with an ellipsis in the middle where it was too long.

    Example:
        >>> short("a_very_long_file_name_of_a_photograph.jpg", 16)
        'a_very_l…aph.jpg'
    """
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}…{text[-tail:]}"
