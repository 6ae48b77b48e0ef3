"""Corrections by machines: POST /v1/models/NAME:correct, with a key, whose name is kept as the reviewer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, g, jsonify, request
from werkzeug.exceptions import BadRequest, Forbidden, UnprocessableEntity

from headstart.data.items import Answer
from headstart.serving.models import Served
from headstart.serving.requests import Asked, read, short
from headstart.serving.shared import serving

blueprint = Blueprint("feedback", __name__, url_prefix="/v1")
_LARGEST = 1e300


@blueprint.post("/models/<part:name>:correct")
def correct(name: str) -> Response:
    """Keep the right answers about items: {"items": […], "labels": […]}, or a form with files and a label."""
    reviewer = g.get("key")
    if reviewer is None:
        # Whoever may correct can teach the model anything: that is never open to everybody.
        raise Forbidden("corrections need an API key: headstart serve key add NAME")
    served = serving().registry.get(name)
    g.fields = {"model": served.name, "version": served.version}
    asked = read(request, served)
    answers = _answers(asked, served)
    for number, item in enumerate(asked.items, 1):
        error = served.prepare(item, number).error
        if error is not None:
            raise UnprocessableEntity(f"item {number}: {error}")
    digests = [
        serving().feedback.correct(served.name, item, answer, reviewer)
        for item, answer in zip(asked.items, answers, strict=True)
    ]
    g.fields["items"] = len(digests)
    return jsonify({"model": served.name, "corrected": digests, **serving().feedback.counts(served.name)})


def _answers(asked: Asked, served: Served) -> Sequence[Answer]:
    """Return what is said about each item: "labels" of the same number, or one "label" for all."""
    labels: Any = asked.options.get("labels")
    if labels is None and "label" in asked.options:
        labels = [asked.options["label"]] * len(asked.items)
    if not isinstance(labels, list) or len(labels) != len(asked.items):
        raise BadRequest('"labels", a list with the right answer to each item, or one "label" for all')
    return [answer_of(label, served) for label in labels]


def answer_of(said: Any, served: Served) -> Answer:
    """Return an answer that a model can learn.

    Args:
        said: What somebody says is right: a label, a list of labels, or a number.
        served: The model.

    Raises:
        BadRequest: It is none.
    """
    target, labels = served.model.target, served.model.labels
    if target == "number":
        if isinstance(said, bool) or not isinstance(said, int | float) or not abs(said) < _LARGEST:
            raise BadRequest(f"a number, not {short(said)}")
        return float(said)
    if target == "labels":
        if not isinstance(said, list) or not all(each in labels for each in said):
            raise BadRequest(f"a list of labels of {_listed(labels)}, not {short(said)}")
        return tuple(said)
    if said not in labels:
        raise BadRequest(f"one of the labels {_listed(labels)}, not {short(said)}")
    return str(said)


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(labels[:20]) + (" …" if len(labels) > 20 else "")
