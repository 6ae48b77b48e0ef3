"""The plain protocol: POST /v1/models/NAME:predict with files, JSON, or one item as the body."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g, jsonify, request
from werkzeug.exceptions import BadRequest, UnprocessableEntity

from headstart.serving import errors, explaining
from headstart.serving.models import Served
from headstart.serving.requests import deadline, flag, read, still_there
from headstart.serving.shared import serving

blueprint = Blueprint("v1", __name__, url_prefix="/v1")
_ONE = "/models/<part:name>"
_VERSION = "/models/<part:name>/versions/<part:version>"


def _served(name: str, version: str | None) -> Served:
    found = serving().registry.get(name, version)
    g.fields = {"model": found.name, "version": found.version}
    return found


@blueprint.get("/models")
def models() -> Response:
    """List the models."""
    return jsonify({"models": [describe(served) for served in serving().registry]})


@blueprint.get(_ONE)
@blueprint.get(_VERSION)
def model(name: str, version: str | None = None) -> Response:
    """Describe a model, with its card."""
    served = _served(name, version)
    return jsonify({**describe(served), "card": served.model.card})


@blueprint.post(f"{_ONE}:predict")
@blueprint.post(f"{_VERSION}:predict")
def predict(name: str, version: str | None = None) -> Response:
    """Answer about items."""
    served = _served(name, version)
    until = deadline(request, served.settings.deadline)
    asked = read(request, served)
    abstain = flag(request, asked.options, "abstain")
    predictions, features = served.predict(
        asked.items, until, abstain=abstain, names=asked.names, wanted=still_there(request)
    )
    g.fields["items"] = len(predictions)
    serving().observe(served, asked.items, predictions, features)
    answer: dict[str, Any] = {
        "model": served.name,
        "version": served.version,
        "predictions": [prediction.to_json() for prediction in predictions],
    }
    if all(prediction.error is not None for prediction in predictions):
        answer = {**errors.body("unreadable", predictions[0].error or ""), **answer}
        return _with_status(jsonify(answer), 422)
    return jsonify(answer)


@blueprint.post(f"{_ONE}:explain")
@blueprint.post(f"{_VERSION}:explain")
def explain(name: str, version: str | None = None) -> Response:
    """Say why a model answers about one item as it does."""
    served = _served(name, version)
    until = deadline(request, served.settings.deadline)
    asked = read(request, served)
    if len(asked.items) != 1:
        raise BadRequest(f"one item to explain, not {len(asked.items)}")
    found = explaining.explain(served, asked.items[0], until, still_there(request))
    if name_of_item := asked.names[0]:
        found["prediction"]["input"] = name_of_item
    return jsonify({"model": served.name, "version": served.version, **found})


@blueprint.post(f"{_ONE}:embed")
@blueprint.post(f"{_VERSION}:embed")
def embed(name: str, version: str | None = None) -> Response:
    """Return the features that a model's first network computes of items."""
    served = _served(name, version)
    until = deadline(request, served.settings.deadline)
    asked = read(request, served)
    predictions, features = served.predict(asked.items, until, wanted=still_there(request))
    for each in predictions:
        if each.error is not None:
            raise UnprocessableEntity(f"{each.input}: {each.error}")
    rows = [[float(value) for value in row] for row in features if row is not None]
    return jsonify({"model": served.name, "version": served.version, "embeddings": rows})


def describe(served: Served) -> dict[str, Any]:
    """Return what a client must know of a model."""
    versions = serving().registry.versions(served.name)
    return {
        "name": served.name,
        "version": served.version,
        "versions": list(versions.folders),
        "default": versions.default,
        "modality": served.model.modality,
        "target": served.model.target,
        "labels": list(served.model.labels),
        "created": served.model.created,
    }


def _with_status(response: Response, status: int) -> Response:
    response.status_code = status
    return response
