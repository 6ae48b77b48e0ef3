"""The audit as a page: self-contained, escaped, with a table behind every chart."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from headstart.data.audit import Audit, audit
from headstart.data.audit_html import audit_html, pictured
from headstart.data.facts import Facts
from headstart.data.items import Dataset, Item, Problem

pytest.importorskip("matplotlib")

NASTY = '<script>alert("$1")</script>'


class Tags(HTMLParser):
    """Collects the tags, and checks that they are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "img", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.seen)


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(buffer, "JPEG")
    return buffer.getvalue()


def made(classes: int = 3, per_class: int = 8, shape: tuple[int, ...] = (30, 20)) -> Audit:
    rng = np.random.default_rng(0)
    items, facts = [], []
    for c in range(classes):
        for i in range(per_class):
            label = NASTY if c == 0 else f"class {c}"
            items.append(Item(f"{label}/{i}", b"", label, ("train", "val")[i % 2]))
            size = tuple(int(side) + i for side in shape)
            facts.append(Facts(f"{c}-{i}", int(rng.integers(2**63)), size, "JPEG"))
    facts[1] = facts[0]  # across splits
    facts[2 + per_class] = facts[0]  # another label, same split
    facts[-1] = Facts("", None, (), "unknown", f"broken {NASTY}")
    return audit(Dataset(tuple(items), "image", None, (Problem("x.md", "of another kind"),)), facts)


def test_the_page_is_whole_and_needs_nothing_else() -> None:
    found = made()
    page = audit_html(found, dict.fromkeys(pictured(found), jpeg()), title=NASTY)
    tags = Tags(page)
    assert tags.open == []
    assert NASTY not in page
    assert tags.count("script") == 0
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    headings = re.findall(r"<h2[^>]*>([^<]*)</h2>", page)
    assert headings == [
        "Findings", "Classes", "Sizes", "Examples", "Same content, different labels",
        "Copies across splits", "Copies within a split", "Cannot be read", "Not opened",
    ]  # fmt: skip
    assert "var(--accent)" in page
    assert "prefers-color-scheme" in page


def test_every_picture_and_chart_has_words_and_every_chart_a_table() -> None:
    found = made()
    tags = Tags(audit_html(found, dict.fromkeys(pictured(found), jpeg())))
    assert all(attrs.get("alt") for tag, attrs in tags.seen if tag == "img")
    drawings = [attrs for tag, attrs in tags.seen if tag == "svg"]
    assert len(drawings) == 3
    page = audit_html(found, {})
    charts = re.findall(r'<figure class="chart">.*?</figure>', page, re.DOTALL)
    assert len(charts) == 3
    assert all("<details" in chart and "<table" in chart for chart in charts)
    assert "The largest, " in page


def test_glimpses_are_optional_and_may_be_missing() -> None:
    found = made()
    assert "<img" not in audit_html(found, {})
    assert "Examples" not in audit_html(found, {})
    one = {pictured(found)[0]: jpeg()}
    page = audit_html(found, one)
    assert page.count("<img") >= 1
    assert "cannot be shown" in page


def test_pictured_names_examples_and_copies_once() -> None:
    found = made()
    names = pictured(found)
    assert len(names) == len(set(names))
    for copy in (*found.duplicates, *found.conflicts):
        assert {copy.first, copy.second} <= set(names)
    assert all(set(examples) <= set(names) for examples in found.examples.values())


def test_many_classes_and_long_lists_stay_small() -> None:
    many = made(classes=150, per_class=4)
    page = audit_html(many, {})
    assert "items of each of 150 classes" in page.casefold()
    assert len(page) < 400_000
    items = tuple(Item(f"{i}", b"", "a") for i in range(3000))
    facts = [Facts("", None, (), "unknown", "empty") for _ in items]
    page = audit_html(audit(Dataset(items, "image"), facts), {})
    assert "2,500 more in the JSON output" in page


def test_other_modalities_and_empty_sets() -> None:
    sizes = made(shape=(100,))
    assert "Distribution of the size, from 100 to" in audit_html(sizes, {})
    nothing = audit(Dataset((), "image"), [])
    page = audit_html(nothing, {})
    assert "Nothing was found that would hurt training." in page
    assert "<svg" not in page


def test_the_lead_counts_what_hurts() -> None:
    found = made()
    count = sum(finding.severity == "hurts" for finding in found.findings)
    assert f"{count} things would hurt training." in audit_html(found, {})
