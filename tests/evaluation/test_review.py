"""The review page: the manifest travels whole and safely, every choice can be reached and is labelled."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import DataError
from headstart.evaluation import LabelIssue, apply_review
from headstart.evaluation.review import MOST_ISSUES, review_page

NASTY = "</script><!--<script>alert('1')\u2028.jpg"
ROWS = [
    {"path": NASTY, "label": 'a "b", c', "split": "train"},
    {"path": "two.jpg", "label": "dog", "split": "val"},
    {"path": "three.jpg", "label": "dog", "split": "val"},
]
LABELS = ['a "b", c', "cat", "dog"]
ISSUES = [LabelIssue(row["path"], row["label"], "cat", 0.9, True) for row in ROWS]


class Form(HTMLParser):
    """Collects the controls and which of them have a name that a screen reader can say."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.controls: list[tuple[str, dict[str, str | None], bool]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.legends = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag in {"input", "select"}:
            self.controls.append((tag, found, "label" in self.stack or "aria-label" in found))
        if tag not in {"input", "meta", "link", "img"}:
            self.stack.append(tag)
        if tag == "script":
            self.scripts.append((found, ""))
        self.legends += tag == "legend"

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data

    def block(self, name: str) -> Any:
        return json.loads(next(text for attributes, text in self.scripts if attributes.get("id") == name))


def test_the_whole_manifest_is_in_the_page_unharmed() -> None:
    form = Form(review_page(ISSUES[:1], ROWS, labels=LABELS))
    assert form.block("manifest") == ROWS
    assert form.block("issues") == [NASTY]
    assert len(form.scripts) == 3


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.text(max_size=20), st.text(max_size=8)), unique_by=lambda row: row[0], max_size=5)
)
def test_any_names_and_labels_travel_unharmed(pairs: list[tuple[str, str]]) -> None:
    rows = [{"path": path, "label": label} for path, label in pairs]
    issues = [LabelIssue(path, label, "cat", 0.5, True) for path, label in pairs]
    html = review_page(issues, rows, labels=["cat", "dog"])
    text = re.search('<script type="application/json" id="manifest">(.*?)</script>', html, re.S)
    assert text is not None
    assert json.loads(text[1]) == rows
    assert "<" not in text[1]


def test_every_control_has_a_name_and_every_item_a_legend() -> None:
    form = Form(review_page(ISSUES, ROWS, labels=LABELS, glimpse=lambda name: b"\xff\xd8\xff"))
    assert form.legends == 3
    assert all(named for _, _, named in form.controls)
    radios = [found for tag, found, _ in form.controls if tag == "input"]
    assert [found["value"] for found in radios] == ["keep", "fix", "drop"] * 3
    assert [found["value"] for found in radios if "checked" in found] == ["keep"] * 3


def test_the_suggested_label_is_chosen_and_the_given_one_not_offered() -> None:
    html = review_page(ISSUES[1:2], ROWS, labels=LABELS)
    assert re.findall(r"<option[^>]*>[^<]*", html) == ["<option>a &#34;b&#34;, c", "<option selected>cat"]


def test_only_the_most_suspicious_are_shown_but_all_rows_are_kept() -> None:
    rows = [{"path": f"{i}.jpg", "label": "cat"} for i in range(MOST_ISSUES + 50)]
    issues = [LabelIssue(row["path"], "cat", "dog", 0.5, True) for row in rows]
    form = Form(review_page(issues, rows, labels=["cat", "dog"]))
    assert form.legends == MOST_ISSUES
    assert len(form.block("manifest")) == MOST_ISSUES + 50


def test_an_issue_that_the_manifest_does_not_know_is_refused() -> None:
    with pytest.raises(DataError, match="nowhere"):
        review_page([LabelIssue("nowhere", "cat", "dog", 0.5, True)], ROWS, labels=LABELS)


# The page's own script, run by Node where there is one: the browser and Python must apply a review alike.
_NODE = """
const fs = require("fs");
const [source, text] = process.argv.slice(1, 3).map((path) => fs.readFileSync(path, "utf8"));
const data = JSON.parse(text);
const stub = { addEventListener() {}, set textContent(_) {}, elements: data.elements };
const block = (id) => ({ textContent: JSON.stringify(data.blocks[id]) });
const document = { getElementById: (id) => (id in data.blocks ? block(id) : stub) };
const window = stub;
eval(source + "; console.log(JSON.stringify([decisions(), reviewed(), csv(reviewed())]));");
"""


def test_the_script_applies_a_review_as_python_does(tmp_path: Path) -> None:
    import csv
    import io

    import headstart.evaluation.review as module

    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the page's script is not run")
    choices = {"choice-0": "fix", "label-0": "cat", "choice-1": "drop", "label-1": "cat", "choice-2": "keep"}
    elements = {name: {"value": value} for name, value in (choices | {"label-2": "cat"}).items()}
    data = {"elements": elements, "blocks": {"manifest": ROWS, "issues": [row["path"] for row in ROWS]}}
    (tmp_path / "data.json").write_text(json.dumps(data))
    script = Path(str(module.__file__)).with_name("review.js")
    command = [node, "-e", _NODE, str(script), str(tmp_path / "data.json")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    decisions, rows, text = json.loads(answer.stdout)
    assert decisions == {NASTY: "cat", "two.jpg": None}
    assert rows == apply_review(ROWS, decisions)
    assert list(csv.DictReader(io.StringIO(text, newline=""))) == rows
