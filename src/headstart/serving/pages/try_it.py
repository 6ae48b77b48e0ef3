"""The first page: what a model answers to what somebody sends, and why; the model's card and report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Response, g, make_response, render_template, request, session
from markdown_it import MarkdownIt
from markupsafe import Markup
from werkzeug.exceptions import BadRequest, NotFound

from headstart.artefact.prediction import Prediction
from headstart.data.items import in_words
from headstart.errors import OptionError
from headstart.modalities import modality
from headstart.serving.batching import Busy, Late
from headstart.serving.explaining import explain
from headstart.serving.models import SUFFIX, Served
from headstart.serving.pages.base import blueprint, document, model_choice, percent
from headstart.serving.pages.pictures import data_address, small_jpeg
from headstart.serving.pages.sounds import Heard, heard
from headstart.serving.requests import check_count, still_there
from headstart.serving.shared import serving

_EXPLAINED = 4
"""So many answers of a request are explained: that takes more passes than answering."""
_NAMED = 5
_SIDE = 640
_LEVELS = 5
_LEAST = 0.0005
"""Smaller shares would be shown as 0.0%."""


@dataclass(frozen=True)
class Shown:
    """An answer, as the page shows it.

    Args:
        name: What was sent, str.
        said: The answer in words, str.
        notes: What else there is to say, str.
        shares: (label, probability), the most probable first.
        picture: What was sent, as a data address, or "".
        overlay: What counts in it, likewise.
        sentences: {"text", "level", "against"} of each sentence of a text; level is 0 to 5.
        words: Likewise of its words, or those of the sentence that counts most.
        share: How much of what speaks for it is in the frame on the overlay, str, or "".
        pale: Whether a part of the overlay is pale, for the model does not see it.
        sound: What was sent, if that was a sound.
        how: How the explanation was made, one sentence, or "".
        error: Why there is no answer, or "".
    """

    name: str
    said: str = ""
    notes: Sequence[str] = ()
    shares: Sequence[tuple[str, float]] = ()
    picture: str = ""
    overlay: str = ""
    sentences: Sequence[dict[str, Any]] = ()
    words: Sequence[dict[str, Any]] = ()
    share: str = ""
    pale: bool = False
    sound: Heard | None = None
    how: str = ""
    error: str = ""


@blueprint.route("/", methods=["GET", "POST"])
def try_it() -> Response:
    """Show the form, and what the model answers to what it sends."""
    served = _served(request.args.get("model"))
    answers, why = [], True
    if request.method == "POST":
        why = "why" in request.form
        answers = _answers(served, why)
        if request.headers.get("X-Part") == "answers":
            return make_response(render_template("answers.html", answers=answers))
    settings = serving().settings
    response = make_response(
        render_template(
            "try.html",
            served=served,
            choices=model_choice(served.name),
            lead=lead(served),
            noun=modality(served.model.modality).noun,
            modality=served.model.modality,
            most=settings.items,
            seconds=settings.seconds,
            keeps=settings.keep_share > 0,
            text=request.form.get("text", ""),
            why=why,
            answers=answers,
            facts=_facts(served),
            report=_report(served) is not None,
        )
    )
    if request.method == "GET" and not session:
        response.headers["Cache-Control"] = "public, max-age=60"
        response.vary.add("Cookie")
    return response


@blueprint.get("/models/<name>/card")
def card(name: str) -> str:
    """Show a model's card."""
    served = _served(name)
    # The card escapes what others wrote, and what HTML is left in it would be shown, not obeyed.
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(served.model.card)
    html = html.replace("<pre>", '<pre tabindex="0">')  # it scrolls on a phone, so keys must reach it
    return render_template("card.html", served=served, card=Markup(html))


@blueprint.get("/models/<name>/report")
def report(name: str) -> Response:
    """Return the evaluation report that lies beside a model."""
    path = _report(_served(name))
    if path is None:
        raise NotFound("this model has no report beside it")
    return document(path.read_bytes())


def lead(served: Served) -> str:
    """Return what a model does, in one sentence."""
    model = served.model
    noun = modality(model.modality).noun
    if model.target == "number":
        return f"Estimates a number for {noun}."
    if len(model.labels) > _NAMED:
        kind = "kinds" if model.target == "label" else "labels"
        return f"Tells {len(model.labels)} {kind} of {noun} apart."
    names = " and ".join(filter(None, [", ".join(model.labels[:-1]), model.labels[-1]]))
    return f"Tells {names} apart." if model.target == "label" else f"Says which {noun} are {names}."


def _served(name: str | None) -> Served:
    registry = serving().registry
    found = registry[name or registry.names[0]]
    g.fields = {"model": found.name, "version": found.version}
    return found


def _report(served: Served) -> Path | None:
    path = served.path.with_name(served.path.name.removesuffix(SUFFIX) + ".html")
    return path if path.is_file() else None


def _facts(served: Served) -> list[tuple[str, str]]:
    model = served.model
    networks = " and ".join(dict.fromkeys(member.backbone.name for member in model.members))
    licences = ", ".join(dict.fromkeys(member.backbone.licence for member in model.members))
    found = [("Made", model.created[:10]), ("Knows from", f"{networks} ({licences})")]
    if model.target != "number":
        some = ", ".join(model.labels[:30])
        more = f" and {len(model.labels) - 30} more" if model.labels[30:] else ""
        found.insert(0, ("Labels", some + more))
    for part, metrics in model.metrics.items():
        if isinstance(metrics, dict) and isinstance(metrics.get("accuracy"), float):
            found.append(
                (f"Right on {part}", f"{percent(metrics['accuracy'])} of {metrics.get('items', '?')}")
            )
    return found


def _answers(served: Served, why: bool) -> list[Shown]:
    """Answer what the form brings."""
    items, names = _items(served)
    until = time.monotonic() + served.settings.deadline
    predictions, features = served.predict(items, until, names=names, wanted=still_there(request))
    serving().observe(served, items, predictions, features)
    g.fields["items"] = len(items)
    shown = []
    for number, (item, prediction) in enumerate(zip(items, predictions, strict=True)):
        if prediction.error is not None:
            shown.append(Shown(prediction.input, error=prediction.error))
            continue
        reasons = _reasons(served, item, until) if why and number < _EXPLAINED else {}
        shown.append(_show(served, item, prediction, reasons))
    return shown


def _reasons(served: Served, item: bytes | str, until: float) -> dict[str, Any]:
    """Explain an answer, or leave it at that where the server has too much to do, or the model no reasons."""
    try:
        return explain(served, item, until, still_there(request))
    except (Busy, Late, OptionError):
        return {}


def _items(served: Served) -> tuple[list[bytes | str], list[str]]:
    items: list[bytes | str] = []
    names: list[str] = []
    if served.model.modality == "text" and (text := request.form.get("text", "").strip()):
        items.append(text)
        names.append("the text")
    for file in request.files.getlist("files"):
        if file.filename:
            items.append(file.read())
            names.append(file.filename[:200])
    if not items:
        noun = modality(served.model.modality).noun
        raise BadRequest(f"Nothing was sent. Choose some {noun} first.")
    check_count(len(items), served.settings.items)
    return items, names


def _show(served: Served, item: bytes | str, prediction: Prediction, reasons: dict[str, Any]) -> Shown:
    ranked = sorted(prediction.probabilities.items(), key=lambda pair: -pair[1])
    ranked = [*ranked[:2], *(pair for pair in ranked[2:] if pair[1] >= _LEAST)]
    said, notes = in_short(prediction)
    picture = ""
    if isinstance(item, bytes) and served.model.modality == "image":
        picture = data_address(small_jpeg(item, _SIDE), "jpeg")
    sound = None
    if isinstance(item, bytes) and served.model.modality == "audio":
        sound = heard(item, reasons)
    overlay = f"data:image/png;base64,{reasons['overlay']}" if "overlay" in reasons else ""
    return Shown(
        prediction.input,
        said,
        notes,
        ranked,
        picture,
        overlay,
        _marked(reasons.get("parts", ())),
        _marked(reasons.get("words", ())),
        percent(reasons["share"]) if reasons.get("share") else "",
        any(reasons.get("seen", ())[:2]),  # what is cut off is cut off at both ends
        sound,
        _how(reasons),
    )


def _marked(parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the parts of a text with the strength of their colour, 0 to 5."""
    most = max((abs(part["weight"]) for part in parts), default=0.0) or 1.0
    return [
        {
            "text": part["text"],
            "level": round(_LEVELS * abs(part["weight"]) / most),
            "against": part["weight"] < 0,
        }
        for part in parts
    ]


def _how(reasons: dict[str, Any]) -> str:
    if not reasons:
        return ""
    if "windows" in reasons:
        return "This is exact: how the answer changes when a moment is left out."
    if reasons["exact"]:
        what = (
            "the map comes with the answer itself" if "overlay" in reasons else "the model adds up its words"
        )
        return f"This is exact: {what}."
    what = "covering each part" if "overlay" in reasons else reasons["method"]
    return f"Found by {what}, in {reasons['passes']} passes."


def in_short(prediction: Prediction) -> tuple[str, list[str]]:
    """Return an answer in a few words, and what else there is to say about it.

    Example:
        >>> in_short(Prediction("a.jpg", "cat", 0.9, {"cat": 0.9, "dog": 0.1}, ("cat", "dog")))
        ('cat', ['It may also be: dog.'])
        >>> in_short(Prediction("a.jpg", value=3.5, interval=(3.0, 4.0)))
        ('3.5', ['Most likely between 3 and 4.'])
    """
    if prediction.value is not None:
        low, high = prediction.interval or (prediction.value, prediction.value)
        return f"{prediction.value:.4g}", [f"Most likely between {low:.4g} and {high:.4g}."]
    if prediction.labels is not None:
        return in_words(prediction.labels) if prediction.labels else "No label", []
    others = [label for label in prediction.labels_set if label != prediction.label]
    if not others:
        return prediction.label or "No answer", []
    more = f" and {len(others) - _NAMED} more" if others[_NAMED:] else ""
    return prediction.label or "No answer", [f"It may also be: {', '.join(others[:_NAMED])}{more}."]
