"""What monitoring found, as one self-contained page and as JSON. Needs no matplotlib: servers have none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from headstart.evaluation.drift import Drift
from headstart.pages import Markup, Page, Shown, bar, cards, facts, paragraph, table
from headstart.serving.monitoring import Past

_SHOWN_LABELS = 40
_MEANINGS = {
    "embeddings (MMD)": "how far apart the network's features are, all together",
    "embeddings (KS)": "the largest distance along one of their 32 main directions",
    "class mix": "whether the same answers are given as often",
    "confidence": "whether the model is as sure as it was",
    "answer": "whether the numbers are spread as they were",
}


@dataclass(frozen=True, eq=False)
class DriftReport(Shown):
    """What monitoring found about a model.

    Args:
        name: The model's name, str.
        version: Which version, str.
        noun: What its items are called, plural, str.
        drift: The last traffic beside the reference.
        past: Earlier windows, the oldest first. Defaults to ().
        counts: What the feedback store holds, {name: number}. Defaults to None: there is none.
    """

    name: str
    version: str
    noun: str
    drift: Drift
    past: Sequence[Past] = ()
    counts: dict[str, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {
            "model": self.name,
            "version": self.version,
            **self.drift.to_json(),
            "past": [dict(vars(each)) for each in self.past],
            "counts": self.counts,
        }

    def html(self) -> str:
        """Return the report as one self-contained page."""
        drift = self.drift
        page = Page(f"Traffic of {self.name}", lead=drift.headline)
        page.section("", _cards(self), bare=True)
        page.section("What was compared", *_checks(drift))
        if drift.mix:
            page.section("Class mix", *_mix(drift))
        if drift.reliability is not None:
            page.section("Calibration", *_calibration(drift))
        if len(self.past) > 1:
            page.section("Since when", *_past(self))
        page.section("How to read this", *_reading())
        return page.html()


def _cards(report: DriftReport) -> Markup:
    drift = report.drift
    then, now = drift.confidence
    found = [
        ("Drift", "alarm" if drift.alarm else "none", f"p = {drift.p_value:.2g}, alarm at {drift.level:g}"),
        (report.noun.capitalize(), f"{drift.items:,}", f"beside {drift.reference:,} of the reference"),
        ("Confidence" if drift.mix else "Answer", f"{now:.3f}", f"{then:.3f} in the reference"),
    ]
    if report.counts is not None:
        found.append(
            (
                "Corrections",
                f"{report.counts['corrections']:,}",
                f"{report.counts['waiting']:,} wait for review",
            )
        )
    return cards(found)


def _checks(drift: Drift) -> list[Markup]:
    rows = [
        [
            check.name,
            check.statistic,
            f"{check.p_value:.2g}",
            "differs" if check.name in drift.reasons else "",
            _MEANINGS.get(check.name, ""),
        ]
        for check in drift.checks
    ]
    note = (
        "Each p-value is corrected for there being several checks: on clean traffic, any of them raises an "
    )
    return [
        table(["check", "distance", "p", "verdict", "what it is"], rows),
        paragraph(f"{note} alarm in {drift.level:.0%} of the looks.", quiet=True),
    ]


def _mix(drift: Drift) -> list[Markup]:
    rows = sorted(drift.mix, key=lambda row: -abs(row[2] - row[1]))
    shown = [
        [
            label,
            bar(then, f"{then:.1%}"),
            bar(now, f"{now:.1%}"),
            f"{100 * (now - then):+.1f}".replace("-", "−"),
        ]
        for label, then, now in rows[:_SHOWN_LABELS]
    ]
    found = [table(["label", "reference", "traffic", "points"], shown)]
    if (more := len(rows) - _SHOWN_LABELS) > 0:
        found.append(paragraph(f"{more:,} labels whose share has changed less are not shown.", quiet=True))
    return found


def _calibration(drift: Drift) -> list[Markup]:
    known = drift.reliability
    if known is None:
        return []
    said = "as right as it claims, as far as can be told"
    if "calibration" in drift.reasons:
        said = f"{'less' if known.accuracy < known.confidence else 'more'} often right than it claims"
    return [
        paragraph(f"On {known.items:,} items that somebody has looked at, the model is {said}."),
        facts(
            [
                ("Right", f"{known.accuracy:.1%}"),
                ("Promised", f"{known.confidence:.1%}"),
                ("Calibration error (ECE)", f"{known.ece:.3f}"),
                ("Spiegelhalter's test", f"p = {known.p_value:.2g}"),
            ]
        ),
    ]


def _past(report: DriftReport) -> list[Markup]:
    level = report.drift.level
    rows = [
        [
            _when(each.since) if each.since else f"items {number + 1}",
            _when(each.until) if each.until else "",
            each.items,
            f"{each.p_value:.2g}",
            "differs" if each.p_value <= level else "",
            bar(each.confidence, f"{each.confidence:.3f}") if report.drift.mix else f"{each.confidence:.4g}",
        ]
        for number, each in enumerate(report.past)
    ]
    last = "mean confidence" if report.drift.mix else "mean answer"
    return [table(["from", "to", "items", "p", "verdict", last], rows)]


def _reading() -> list[Markup]:
    return [
        paragraph(
            "Traffic that differs is not always answered worse, and a model can grow worse on traffic that "
            "looks the same: only corrected items tell. An alarm says that it is time to look."
        ),
        paragraph(
            "What helps: look at what is uncertain and correct it (the review tab of the server), then run "
            "headstart update MODEL. It keeps the old version unless the new one is better."
        ),
    ]


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}".replace("-", "−")


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
