"""The monitor: what a model is asked, how sure it is, and whether that is still what it was made for."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

from flask import Response, render_template, request
from werkzeug.exceptions import NotFound

from headstart.errors import DataError
from headstart.evaluation.drift import FEWEST
from headstart.modalities import modality
from headstart.pages import Markup
from headstart.serving.models import Served
from headstart.serving.monitoring import activity, drift_of, past_of
from headstart.serving.monitoring_page import DriftReport
from headstart.serving.pages.base import blueprint, document, model_choice, moment, sentence
from headstart.serving.pages.charts import columns, line
from headstart.serving.records import Traffic
from headstart.serving.shared import serving

_DAY = 86_400.0
_SPANS = {"day": (_DAY, 3600.0), "week": (7 * _DAY, 6 * 3600.0), "month": (30 * _DAY, _DAY)}
_SHOWN = 12
_FRESH = 60.0
_FOUND: dict[str, tuple[float, DriftReport | str]] = {}
_LOCK = threading.Lock()


@blueprint.get("/monitor")
def monitor() -> str:
    """Show the traffic of a model, and whether it has drifted."""
    served = _served()
    span = request.args.get("span", "")
    span = span if span in _SPANS else "week"
    seconds, step = _SPANS[span]
    traffic = serving().feedback.traffic(served.name, time.time() - seconds)
    found = _drift(served)
    return render_template(
        "monitor.html",
        served=served,
        choices=[
            *model_choice(served.name),
            ("span", "The last", [(each, each) for each in _SPANS], span),
        ],
        noun=modality(served.model.modality).noun,
        span=span,
        counts=serving().feedback.counts(served.name),
        drift=found.drift if isinstance(found, DriftReport) else None,
        why_not=found if isinstance(found, str) else "",
        past=_past(found) if isinstance(found, DriftReport) else None,
        charts=_charts(served, traffic, seconds, step) if len(traffic) else [],
        answers=_answers(traffic),
        fewest=FEWEST,
    )


@blueprint.get("/monitor/report")
def monitor_report() -> Response:
    """Return the whole report on drift."""
    found = _drift(_served())
    if isinstance(found, str):
        raise NotFound(found)
    return document(found.html())


def _served() -> Served:
    registry = serving().registry
    return registry[request.args.get("model") or registry.names[0]]


def _drift(served: Served) -> DriftReport | str:
    """Return what monitoring finds, or why it finds nothing; not older than a minute."""
    key = f"{served.path}/{served.version}"
    with _LOCK:  # one at a time: a look takes a second of a core
        at, found = _FOUND.get(key, (-_FRESH, ""))
        if time.monotonic() - at > _FRESH:
            found = _look(served)
            _FOUND[key] = (time.monotonic(), found)
    return found


def _look(served: Served) -> DriftReport | str:
    store, model = serving().feedback, served.model
    traffic = store.traffic(served.name, version=served.version)
    about = [each for each in store.corrections(served.name) if each.version == served.version]
    try:
        drift = drift_of(model, traffic, corrections=about)
        past = past_of(model, traffic)
    except DataError as error:
        return sentence(error)
    noun = modality(model.modality).noun
    return DriftReport(served.name, served.version, noun, drift, past, store.counts(served.name))


def _past(found: DriftReport) -> Markup | None:
    """Return a chart of earlier looks, which shows since when things are different."""
    if len(found.past) < 2:
        return None
    values = [(moment(each.until), each.p_value) for each in found.past]
    note = f"p-value, from 0 to 1; {found.drift.level:g} and below is an alarm"
    return line("Earlier looks", ("until", "p"), values, note)


def _charts(served: Served, traffic: Traffic, seconds: float, step: float) -> list[Markup]:
    rows = {row["at"]: row for row in activity(traffic, step)}
    now = time.time()
    starts = [now // step * step - step * back for back in reversed(range(round(seconds / step)))]
    when = "day" if step >= _DAY else "time"
    counts = [(_clock(at, step), rows[at]["items"] if at in rows else 0) for at in starts]
    found = [columns("Answers", (when, "answers"), counts)]
    if served.model.target != "number":
        sure = [(_clock(at, step), rows[at]["confidence"] if at in rows else None) for at in starts]
        found.append(line("Mean confidence", (when, "confidence"), sure))
    return found


def _answers(traffic: Traffic) -> list[tuple[str, float]]:
    """Return the share of each answer, the most frequent first."""
    counts: dict[str, int] = {}
    for label in traffic.labels:
        counts[label] = counts.get(label, 0) + 1
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_SHOWN]
    return [(label, count / len(traffic)) for label, count in ranked]


def _clock(at: float, step: float) -> str:
    then = datetime.fromtimestamp(at, UTC)
    return f"{then.day} {then:%b}" if step >= _DAY else f"{then.day} {then:%b, %H:%M}"
