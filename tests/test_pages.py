"""Pages: nothing from outside, nothing unescaped, charts that follow the theme and carry their numbers."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart import figures, pages

NASTY = '</title></script><script>alert("1")</script><b onclick=x> & "quotes" \'single\''
VOID = {"meta", "link", "img", "br", "input", "hr"}


class Reader(HTMLParser):
    """Collects tags, attributes, ids and text, and checks that tags are balanced."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str | None]:
        return [value for _, found, value in self.attributes if found == name]


def a_chart(label: str = "curve", alt: str = "A rising line.") -> pages.Markup:
    figure, axes = figures.plot()
    axes.plot([0, 1], [0, 1], "o-", color=pages.ACCENT, label=label)
    axes.fill_between([0, 1], [0, 1], color=pages.SECOND, alpha=0.3)
    axes.set_yticks([0, 1], [label, "one"])
    axes.legend()
    return figures.chart(figure, alt, pages.table(["x", "y"], [[0, 0], [1, 1]]))


def full_page(text: str) -> str:
    page = pages.Page(text, lead=text, footer=text)
    page.section(text, text, pages.cards([(text, text, text)]), bare=True)
    page.section(text, pages.table([text, "n"], [[text, 1]], caption=text), pages.facts([(text, text)]))
    page.section("", pages.glimpses([(b"\xff\xd8", text, text), (text, text, text), (None, text, text)]))
    page.section("Chart", a_chart(text, text), pages.details(text, pages.paragraph(text, quiet=True)))
    page.section("Bars", pages.side_by_side(pages.bar(0.5, text), pages.fragment("<p>{}</p>", text)))
    return page.html()


def test_a_page_asks_for_nothing_from_outside() -> None:
    html = full_page("plain")
    assert Reader(html).tags.count("script") == 0
    for _, name, value in Reader(html).attributes:
        if name in {"src", "href"}:
            assert value is not None
            assert value.startswith(("data:", "#")), (name, value)
    assert "http" not in html.lower()
    assert "@import" not in html


def test_nothing_that_is_put_in_becomes_markup() -> None:
    reader = Reader(full_page(NASTY))
    assert "script" not in reader.tags
    assert "b" not in reader.tags
    assert "onclick" not in {name for _, name, _ in reader.attributes}
    assert NASTY in reader.text
    assert NASTY in reader.values("alt")
    assert NASTY in reader.values("aria-label")


@settings(deadline=None, max_examples=25)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12))
def test_any_text_gives_the_same_tags_as_harmless_text(text: str) -> None:
    expected = Reader(full_page("plain"))
    found = Reader(full_page("a" + text + "z"))
    headings = ("nav", "li", "ul", "a")
    assert [t for t in found.tags if t not in (*headings, "g", "path", "text")] == [
        t for t in expected.tags if t not in (*headings, "g", "path", "text")
    ]


def test_ids_are_unique_and_links_find_them() -> None:
    page = pages.Page("t")
    for number in range(5):
        page.section("Same heading", a_chart(alt=f"Chart {number}."))
    reader = Reader(page.html())
    ids = [value for value in reader.values("id") if value]
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in reader.values("href") if value and value.startswith("#")} <= set(ids)
    assert set(reader.values("aria-labelledby")) <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", page.html())) <= set(ids)
    assert reader.tags.count("nav") == 1


def test_a_chart_follows_the_theme_and_has_words_and_numbers() -> None:
    html = str(a_chart())
    assert "var(--accent)" in html
    assert "var(--second)" in html
    assert not re.search("#[0-9a-f]{6}", html.lower()), "a colour that does not follow the theme"
    reader = Reader(html)
    assert "img" in reader.values("role")
    assert "A rising line." in reader.values("aria-label")
    assert {"details", "summary", "table"} <= set(reader.tags)
    assert "xmlns" not in html
    assert "<style" not in html
    assert "metadata" not in html


def test_the_same_chart_is_the_same_bytes() -> None:
    assert a_chart() == a_chart()


@pytest.mark.parametrize(
    "label", ["$x^$ and $", "猫 😀", "--><script>", "\x00\x0b", "a" * 60, 'id="x" #2b5fb8']
)
def test_a_chart_shows_any_label(label: str) -> None:
    reader = Reader(str(a_chart(label)))
    assert "script" not in reader.tags
    if label.isprintable():
        assert label in reader.text


def test_numbers_are_aligned_and_formatted() -> None:
    html = pages.table(["a", "b", "c"], [["x", 1234, 0.5], ["y", None, True]])
    assert "1,234" in html
    assert "0.500" in html
    assert "–" in html
    assert ">yes<" in html
    assert html.count('class="n"') == 6
    assert 'scope="row"' in html
    assert 'scope="col"' in html


def test_a_row_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        pages.table(["a", "b"], [["x", 1, 2]])


@given(st.text(max_size=60), st.integers(3, 30))
def test_a_shortened_label_keeps_both_ends(text: str, length: int) -> None:
    found = pages.short(text, length)
    assert len(found) <= length
    assert found == text or (found[0] == text[0] and found[-1] == text[-1] and "…" in found)


def test_a_bar_stays_inside_its_cell() -> None:
    assert "--part:100.0%" in pages.bar(7, "x")
    assert "--part:0.0%" in pages.bar(-1, "x")


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("role", ["ink", "muted", "accent", "second", "good", "bad"])
@pytest.mark.parametrize("ground", ["paper", "surface"])
def test_text_has_the_contrast_that_wcag_aa_asks_for(theme: int, role: str, ground: str) -> None:
    first, second = (luminance(pages.ROLES[name][theme]) for name in (role, ground))
    assert (max(first, second) + 0.05) / (min(first, second) + 0.05) >= 4.5


def test_importing_the_module_loads_nothing_heavy() -> None:
    code = (
        "import sys, headstart.figures; print({'matplotlib', 'numpy', 'torch'} & set(sys.modules) or 'none')"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "none"


def test_what_is_shown_can_be_saved_and_keeps_its_style_to_itself(tmp_path: Path) -> None:
    class Note(pages.Shown):
        def html(self) -> str:
            return pages.Page("A note", lead='It\'s "quoted".').html()

    note = Note()
    assert note.save(tmp_path / "deep" / "note.html").read_text(encoding="utf-8") == note.html()
    shown = Reader(note._repr_html_())
    assert shown.tags == ["iframe"]
    assert {name: value for _, name, value in shown.attributes}["srcdoc"] == note.html()
    with pytest.raises(TypeError, match="abstract"):
        pages.Shown()  # type: ignore[abstract]
