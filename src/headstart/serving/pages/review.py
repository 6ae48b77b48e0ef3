"""The review: one item after the other, and one key that says what it is."""

from __future__ import annotations

import io
import math
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from flask import Response, flash, g, redirect, render_template, request, send_file, url_for
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response as AnyResponse

from headstart.artefact.model import Model
from headstart.data.items import Answer, in_words
from headstart.errors import DecodeError, OptionError
from headstart.modalities import modality
from headstart.serving.feedback import ORDERS, Order
from headstart.serving.models import Served
from headstart.serving.pages.base import blueprint, model_choice, person
from headstart.serving.pages.pictures import small_jpeg
from headstart.serving.pages.sounds import playable, spectrogram_png
from headstart.serving.records import Waiting
from headstart.serving.shared import serving

_KEYS = "1234567890" + "".join(letter for letter in string.ascii_lowercase if letter not in "sbp")
"""For labels; s is for skip, b for back, p for playing a sound."""
_BEST = 9
"""So many labels have keys where there are more labels than keys: the most probable ones."""
_SIDE = 720
_ORDERS = {"uncertain": "the uncertain", "disputed": "the disputed", "random": "any, by chance"}
_WORDS = 20_000


@blueprint.get("/review")
def review() -> str:
    """Show the item that the model learns most from, or the one that is named."""
    served, order = _served(), _order()
    store = serving().feedback
    waiting = store.queue(served.name, order, 1)
    back = request.args.get("item", type=int)
    item = waiting[0] if waiting and back is None else None
    number = back if item is None else item.id
    return render_template(
        "review.html",
        served=served,
        choices=[
            *model_choice(served.name),
            ("order", "First come", list(_ORDERS.items()), order),
        ],
        noun=modality(served.model.modality).noun,
        order=order,
        counts=store.counts(served.name),
        number=number,
        item=item,
        text=_text(served, number),
        last=request.args.get("last", type=int),
        labels=_choices(served.model, item),
        others=served.model.labels if len(served.model.labels) > len(_KEYS) else (),
        keeps=serving().settings.keep_share > 0,
    )


@blueprint.post("/review")
def review_answer() -> AnyResponse:
    """Take down what somebody says about an item, and go on to the next."""
    served, order = _served(), _order()
    number = request.form.get("item", type=int)
    if number is None:
        raise BadRequest("no item is named")
    name = person() or ""
    store = serving().feedback
    if "skip" in request.form:
        store.skip(served.name, number, name)
    else:
        answer = _answer(served.model)
        store.correct(served.name, number, answer, name)
        flash(f"Noted: {in_words(answer) or 'no label'}.", "done")
    g.fields = {"person": name, "model": served.name, "reviewed": number}
    return redirect(url_for("pages.review", model=served.name, order=order, last=number), 303)


@blueprint.get("/review/<name>/<int:number>.jpg")
def review_picture(name: str, number: int) -> Response:
    """Return a picture of the queue, as a JPEG of our own making: what was sent is never passed on."""
    return _made_anew("image", name, number, lambda content: small_jpeg(content, _SIDE), "image/jpeg")


@blueprint.get("/review/<name>/<int:number>.png")
def review_spectrogram(name: str, number: int) -> Response:
    """Return a picture of a sound of the queue."""
    return _made_anew("audio", name, number, spectrogram_png, "image/png")


@blueprint.get("/review/<name>/<int:number>.flac")
def review_sound(name: str, number: int) -> Response:
    """Return a sound of the queue, as a FLAC of our own making."""
    return _made_anew("audio", name, number, playable, "audio/flac")


def _made_anew(kind: str, name: str, number: int, make: Callable[[bytes], bytes], mimetype: str) -> Response:
    served = serving().registry[name]
    if served.model.modality != kind:
        raise NotFound(f"this model is not for {modality(kind).noun}")
    try:
        content = make(serving().feedback.content(served.name, number))
    except OptionError as error:
        raise NotFound("there is no such item") from error
    # Players ask for parts of a sound.
    response = send_file(io.BytesIO(content), mimetype=mimetype, conditional=True, max_age=600)
    response.headers["Cache-Control"] = "private, max-age=600"
    return response


def _served() -> Served:
    registry = serving().registry
    return registry[request.values.get("model") or registry.names[0]]


def _order() -> Order:
    order = request.values.get("order", "uncertain")
    return next((known for known in ORDERS if known == order), "uncertain")


def _text(served: Served, number: int | None) -> str | None:
    """Return the text of an item, or None where it is no text."""
    if number is None or served.model.modality != "text":
        return None
    from headstart.text.decode import decode

    try:
        return decode(serving().feedback.content(served.name, number))[:_WORDS]
    except OptionError as error:
        raise NotFound("there is no such item") from error
    except DecodeError as error:
        return str(error)


def _choices(model: Model, item: Waiting | None) -> list[dict[str, Any]]:
    """Return the labels with their keys; their order changes only where there are more than keys."""
    shares: Sequence[float | None] = [None] * len(model.labels)
    if item is not None and len(item.probabilities) == len(model.labels):
        shares = item.probabilities
    found = [
        {"label": label, "share": share, "said": item is not None and label == item.label}
        for label, share in zip(model.labels, shares, strict=True)
    ]
    if len(found) > len(_KEYS):
        found = [found[place] for place in np.argsort([-(share or 0) for share in shares])[:_BEST]]
    return [{**each, "key": key} for each, key in zip(found, _KEYS, strict=False)]


def _answer(model: Model) -> Answer:
    """Return what the form says, which must be something that the model could have said."""
    given = [label for label in request.form.getlist("answer") if label]
    if model.target == "number":
        try:
            value = float(given[0] if given else "")
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise BadRequest("a number is needed")
        return value
    unknown = [label for label in given if label not in model.labels]
    if unknown or (model.target == "label" and len(given) != 1):
        raise BadRequest("one of the model's labels is needed")
    return given[0] if model.target == "label" else tuple(given)
