"""The plain protocol: POST /v1/models/NAME:predict with files, JSON, or one item as the body."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, g, jsonify, request

from headstart.serving import errors
from headstart.serving.models import Served
from headstart.serving.requests import deadline, flag, read, still_there

blueprint = Blueprint("v1", __name__, url_prefix="/v1")
_ONE = "/models/<name>"
_VERSION = "/models/<name>/versions/<version>"


def _shared() -> Any:
    return current_app.extensions["headstart"]


def _served(name: str, version: str | None) -> Served:
    found: Served = _shared().registry.get(name, version)
    g.fields = {"model": found.name, "version": found.version}
    return found


@blueprint.get("/models")
def models() -> Response:
    """List the models."""
    return jsonify({"models": [describe(served) for served in _shared().registry]})


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
    _shared().observe(served, asked.items, predictions, features)
    answer: dict[str, Any] = {
        "model": served.name,
        "version": served.version,
        "predictions": [prediction.to_json() for prediction in predictions],
    }
    if all(prediction.error is not None for prediction in predictions):
        answer = {**errors.body("unreadable", predictions[0].error or ""), **answer}
        return _with_status(jsonify(answer), 422)
    return jsonify(answer)


def describe(served: Served) -> dict[str, Any]:
    """Return what a client must know of a model."""
    versions = _shared().registry.versions(served.name)
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
