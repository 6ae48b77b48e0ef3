"""The report: every section for every kind of result, in one file that asks for nothing from outside."""

from __future__ import annotations

import io
import json
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from headstart.data.items import Problem
from headstart.errors import OptionError
from headstart.evaluation import Evaluation, evaluate, find_label_issues
from headstart.evaluation.report import headline, report_html, report_json
from headstart.evaluation.sections import SECTIONS, ReportInput
from headstart.pages import Markup, paragraph

NASTY = "<script>alert(\"1\")</script> $x^$ & 'quotes'"


class Reader(HTMLParser):
    """Collects tags, headings, links, ids and visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.headings: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        self.links += [str(found[name]) for name in ("src", "href") if found.get(name)]
        if tag == "img" or found.get("role") == "img":
            self.images.append(found)

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "h2" and data.strip():
            self.headings.append(data)
        self.text += data


def jpeg(name: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (96, 96), (len(name) % 255, 90, 120)).save(buffer, "JPEG")
    return buffer.getvalue()


def probabilities(y: NDArray[np.intp], classes: int, skill: float, seed: int) -> NDArray[np.float64]:
    logits = np.random.default_rng(seed).normal(size=(len(y), classes)) + skill * np.eye(classes)[y]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def result(
    classes: int, items: int, skill: float = 3.0, prefix: str = "class", full: bool = True
) -> Evaluation:
    y = np.random.default_rng(0).integers(classes, size=items)
    p = probabilities(y, classes, skill, 1)
    extra = {"uncalibrated": p**2 / (p**2).sum(1, keepdims=True), "conformal": p > 0.1, "abstain_below": 0.5}
    labels = [f"{prefix} {i}" for i in range(classes)]
    return evaluate(
        labels, y, p, names=[f"{prefix}/{i}.jpg" for i in range(items)], **(extra if full else {})
    )


def full_report(classes: int = 4, items: int = 120, prefix: str = "class") -> ReportInput:
    found = result(classes, items, prefix=prefix)
    issues = find_label_issues(found.labels, found.y[::-1].copy(), found.probabilities, names=found.names)
    return ReportInput(
        f"Report {prefix}",
        {"test": found, "validation": result(classes, items, prefix=prefix, full=False)},
        noun="photographs",
        facts=[("Backbone", prefix)],
        plan=f"Everything stays frozen {prefix}.",
        commands=f"headstart fit {prefix}",
        counts={
            "train": {label: 10 + i for i, label in enumerate(found.labels)},
            "test": {found.labels[0]: 3},
        },
        data_notes=[f"A note about {prefix}."],
        left_out=[Problem(f"{prefix}/bad.jpg", "it is empty")],
        duplicates=[(f"{prefix}/a.jpg", f"{prefix}/b.jpg", "training copy dropped")],
        label_issues=issues,
        glimpse=jpeg,
    )


HEADINGS = [
    "Where it is right and wrong",
    "Class by class",
    "Separation",
    "Can its confidence be believed?",
    "Top losses",
    "Likely label errors",
    "On which data",
    "The data",
    "How it was made",
]


def test_the_report_says_everything_in_the_order_people_want() -> None:
    reader = Reader(report_html(full_report()))
    assert reader.headings == HEADINGS
    assert reader.text.index("On 120") < reader.text.index("Accuracy") < reader.text.rindex(HEADINGS[0])
    for words in ("training copy dropped", "it is empty", "stays frozen", "headstart fit", "A note about"):
        assert words in reader.text


def test_the_report_is_one_file_with_unique_ids_and_described_pictures() -> None:
    html = report_html(full_report())
    reader = Reader(html)
    assert len(reader.ids) == len(set(reader.ids))
    assert all(link.startswith(("data:", "#")) for link in reader.links)
    assert {link[1:] for link in reader.links if link.startswith("#")} <= set(reader.ids)
    assert "script" not in reader.tags
    assert "http" not in html.replace("data:", "")
    assert all(image.get("alt") or image.get("aria-label") for image in reader.images)
    charts = sum(tag == "svg" for tag in reader.tags)
    assert charts >= 6
    assert reader.tags.count("details") >= charts


def test_names_and_labels_cannot_break_the_report() -> None:
    reader = Reader(report_html(full_report(prefix=NASTY)))
    assert "script" not in reader.tags
    assert f"{NASTY} 0" in reader.text
    assert f"{NASTY}/bad.jpg" in reader.text
    assert reader.headings == HEADINGS


@pytest.mark.parametrize(("classes", "items"), [(2, 60), (16, 200), (120, 1_500)])
def test_the_report_stays_small_for_any_number_of_classes(classes: int, items: int) -> None:
    html = report_html(full_report(classes, items))
    assert len(html) < 3_000_000
    assert Reader(html).headings == HEADINGS


def test_cells_of_the_confusion_matrix_are_numbered_up_to_fifteen_classes() -> None:
    y = np.repeat([0, 1], [37, 41])
    found = evaluate(["cat", "dog"], y, np.eye(2)[y], names=[str(i) for i in range(78)])
    html = report_html(ReportInput("t", {"test": found}))
    picture = html[html.index("<svg") : html.index("</svg>")]
    assert ">37</text>" in picture
    assert ">41</text>" in picture
    large = report_html(ReportInput("t", {"test": result(16, 500, skill=9)}))
    assert large[large.index("<svg") : large.index("</svg>")].count("<text") < 40


@settings(deadline=None, max_examples=8)
@given(st.integers(1, 30), st.integers(2, 7), st.sampled_from([0.0, 3.0, 50.0]), st.integers(0, 99))
def test_any_result_gives_a_report(items: int, classes: int, skill: float, seed: int) -> None:
    y = np.random.default_rng(seed).integers(classes, size=items)
    found = evaluate(
        [f"c{i}" for i in range(classes)],
        y,
        probabilities(y, classes, skill, seed),
        names=[str(i) for i in range(items)],
        abstain_below=0.99,
    )
    report = ReportInput("Small", {"cross-validation": found})
    assert "<h2" in report_html(report)
    json.dumps(report_json(report), allow_nan=False)


def test_one_class_of_truth_leaves_out_the_curves() -> None:
    found = evaluate(["a", "b"], [0, 0, 0], [[0.9, 0.1]] * 3, names=list("xyz"))
    headings = Reader(report_html(ReportInput("t", {"test": found}))).headings
    assert "Separation" not in headings
    assert "Class by class" in headings


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("test", "photographs it had never seen"),
        ("validation", "it was not fitted on"),
        ("cross-validation", "each answered without having been learned from"),
        ("train", "it was fitted on"),
        ("spring", "photographs (spring)"),
    ],
)
def test_the_headline_tells_what_the_figure_is_worth(split: str, words: str) -> None:
    y = np.zeros(500, int)
    p = np.where(np.arange(500)[:, None] < 5, [[0.1, 0.9]], [[0.9, 0.1]])
    found = evaluate(["cat", "dog"], y, p, names=[str(i) for i in range(500)])
    sentence = headline(ReportInput("t", {split: found}, noun="photographs"))
    assert words in sentence
    assert "500 photographs" in sentence
    assert "right 99.0\u00a0% of the time (95\u00a0% interval 98." in sentence


def test_a_room_can_add_its_own_section() -> None:
    def mine(report: ReportInput) -> tuple[str, list[Markup]]:
        return "Nearest examples", [paragraph(f"of {report.title}")]

    reader = Reader(report_html(full_report(), sections=(*SECTIONS, mine)))
    assert reader.headings == [*HEADINGS, "Nearest examples"]


def test_pictures_are_optional_and_may_be_missing() -> None:
    assert "<img" not in report_html(ReportInput("t", {"test": result(3, 40)}))
    html = report_html(ReportInput("t", {"test": result(3, 40)}, glimpse=lambda name: None))
    assert "(cannot be shown)" in html
    assert "<img" not in html


def test_the_same_input_gives_the_same_bytes() -> None:
    assert report_html(full_report()) == report_html(full_report())


def test_json_holds_what_the_page_says() -> None:
    report = full_report()
    found = json.loads(json.dumps(report_json(report), allow_nan=False))
    assert list(found["evaluations"]) == ["test", "validation"]
    assert found["evaluations"]["test"]["accuracy"] == report.evaluation.accuracy
    assert found["headline"] in Reader(report_html(report)).text
    assert found["left_out"] == [{"name": "class/bad.jpg", "reason": "it is empty"}]
    assert all(issue["likely"] for issue in found["label_issues"])


def test_a_report_about_nothing_is_refused() -> None:
    for make in (report_html, report_json):
        with pytest.raises(OptionError, match="at least one evaluation"):
            make(ReportInput("t", {}))
