"""The report's worst errors with their reasons: what counted, and what had been learned from like them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from test_report import NASTY, Reader, full_report, jpeg

from headstart.evaluation.reasons import Neighbour, Reason, shown_errors
from headstart.evaluation.report import report_html, report_json
from headstart.evaluation.sections import ReportInput
from headstart.pages import Glimpse, Markup, fragment

METHOD = "class-activation map"


def reason(number: int, label: str = "class 1", shown: bytes | Markup | None = b"") -> Reason:
    near = tuple(Neighbour(f"{label}/near {number}-{n}.jpg", label, 0.9 - 0.1 * n) for n in range(4))
    shown = jpeg("x" * number) if shown == b"" else shown
    return Reason(near, shown, f"what counts for {label}", {"method": METHOD, "share": 0.5})


def with_reasons(reasons: Sequence[Reason], prefix: str = "class") -> ReportInput:
    return replace(full_report(prefix=prefix), reasons=lambda: reasons)


def test_the_worst_errors_stand_beside_what_counted_and_what_is_like_them() -> None:
    report = with_reasons([reason(n) for n in range(12)])
    html = report_html(report)
    reader = Reader(html)
    plain = Reader(report_html(replace(report, reasons=None)))
    assert len(reader.images) == len(plain.images) + 12 * (1 + 4)
    assert html.count('<ol class="reasons">') == 1
    assert "class 1 0.80" in reader.text
    assert METHOD in reader.text
    assert reader.headings == plain.headings
    worst = [loss.name for loss in report.evaluation.losses[:24]]
    assert all(name in reader.text for name in worst)  # also those without a reason
    assert all(image.get("alt") or image.get("aria-label") for image in reader.images)
    assert "script" not in reader.tags


def test_the_page_stays_small() -> None:
    assert len(report_html(with_reasons([reason(n) for n in range(12)]))) < 1_500_000


def test_reasons_are_looked_for_only_when_the_report_is_written() -> None:
    def never() -> list[Reason]:
        raise AssertionError("not asked for")

    report = replace(full_report(), reasons=never)
    assert report.split == "test"
    with pytest.raises(AssertionError, match="not asked for"):
        report_html(report)


@pytest.mark.parametrize("reasons", [[], [Reason()] * 12])
def test_without_reasons_the_page_is_what_it_was(reasons: list[Reason]) -> None:
    assert report_html(with_reasons(reasons)) == report_html(full_report())


def test_a_reason_may_lack_either_part() -> None:
    some = [Reason(reason(0).near), Reason(shown=jpeg("b"), says="what counts", about={"method": METHOD})]
    reader = Reader(report_html(with_reasons(some)))
    assert METHOD in reader.text
    assert "class 1/near 0-0.jpg: class 1" in [image.get("alt") for image in reader.images]
    only_near = Reader(report_html(with_reasons(some[:1])))
    assert METHOD not in only_near.text
    assert "had learned from" in only_near.text
    only_shown = Reader(report_html(with_reasons(some[1:])))
    assert "had learned from" not in only_shown.text


def test_a_marked_text_is_shown_in_place_of_its_beginning() -> None:
    def words(name: str) -> Glimpse:
        return f"The beginning of {name}"

    marked = fragment('<p class="marked">{}</p>', "The whole <text>")
    shown = [("a.txt", "a.txt: good", Markup("is good")), ("b.txt", "b.txt: bad", Markup("is bad"))]
    page = "".join(shown_errors(shown, [reason(0, shown=marked)], words))
    assert "The whole &lt;text&gt;" in page
    assert "The beginning of a.txt" not in page
    assert "The beginning of class 1/near 0-0.jpg" in page
    assert "The beginning of b.txt" in page


def test_names_and_labels_cannot_break_the_reasons() -> None:
    html = report_html(with_reasons([reason(n, NASTY) for n in range(3)], prefix=NASTY))
    assert "script" not in Reader(html).tags
    assert NASTY in Reader(html).text


def test_json_names_the_neighbours_and_what_counted() -> None:
    report = with_reasons([reason(0), Reason()])
    found = json.loads(json.dumps(report_json(report), allow_nan=False))["reasons"]
    assert [each["name"] for each in found] == [loss.name for loss in report.evaluation.losses[:2]]
    assert found[0]["nearest"][0] == {"name": "class 1/near 0-0.jpg", "label": "class 1", "cosine": 0.9}
    assert found[0]["explanation"] == {"method": METHOD, "share": 0.5}
    assert found[1]["nearest"] == []
    assert found[1]["explanation"] is None
    assert report_json(full_report())["reasons"] == []
