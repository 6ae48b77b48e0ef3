"""The description of the interface for programs: /openapi.json."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify

from headstart import __version__
from headstart.serving.shared import Serving, serving

blueprint = Blueprint("openapi", __name__)

Json = dict[str, Any]
_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_STRINGS: Json = {"type": "array", "items": _TEXT}
_NUMBERS: Json = {"type": "array", "items": _NUMBER}
_BINARY: Json = {"type": "string", "format": "binary"}
_SECURITY: list[Json] = [{"bearer": []}, {"key": []}]
_SAID = {
    400: "The request cannot be understood.",
    401: "It needs an API key.",
    403: "It needs an API key, whether or not others do.",
    404: "There is no such model or version.",
    413: "The body is too large.",
    415: "The body is of another type, or compressed.",
    422: "What was sent cannot be read.",
    429: "There is too much to do; Retry-After says when to ask again.",
    504: "There was no answer in time.",
}


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Return the description, OpenAPI 3.1."""
    return jsonify(described(serving()))


def described(shared: Serving) -> Json:
    """Return what the installation understands and answers, as OpenAPI has it.

    Args:
        shared: With the models, whose names are listed.

    Returns:
        A JSON object.
    """
    paths: Json = {
        "/healthz": {"get": _op("Whether the process answers.", {200: _json(_object(status=_TEXT))})},
        "/readyz": {"get": _op("Which models answer.", {200: _json(_object(status=_TEXT, models=_map()))})},
        "/metrics": {"get": _op("Metrics for Prometheus.", {200: _content("text/plain", _TEXT)}, (401,))},
        "/v1/models": {"get": _op("The models.", {200: _json(_object(models=_list("Model")))}, (401,))},
        "/v2": {"get": _op("The server.", {200: _json(_object(name=_TEXT, version=_TEXT))})},
        "/v2/health/live": {"get": _op("Whether it lives.", {200: {"description": "It does."}})},
        "/v2/health/ready": {"get": _op("Whether models answer.", {200: {"description": "They do."}})},
    }
    for version in (False, True):
        paths |= _of_model(shared, version)
    paths["/v1/models/{name}:correct"] = _correct(shared)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "headstart",
            "version": __version__,
            "description": "Answers of saved models about pictures, texts and sounds.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(shared.settings.items),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
        "security": _SECURITY + ([] if shared.keys.names else [{}]),
    }


def _of_model(shared: Serving, version: bool) -> Json:
    """Return the paths of one model, with or without a version in them."""
    parameters = [_in_path("name", {"enum": list(shared.registry.names)})]
    where = "/models/{name}"
    if version:
        parameters.append(_in_path("version", _TEXT))
        where += "/versions/{version}"
    late = {
        "name": "X-Request-Timeout",
        "in": "header",
        "description": "Seconds after which the answer is of no use.",
        "schema": {"type": "number", "exclusiveMinimum": 0},
    }
    abstain = {"name": "abstain", "in": "query", "schema": {"type": "boolean"}}
    errors = (400, 401, 404, 413, 415, 422, 429, 504)
    predicted = _op("Answer about items.", {200: _json(_ref("Predictions"))}, errors)
    predicted["responses"]["422"] = {"description": _SAID[422], **_json(_ref("Unreadable"))}
    explained = _op("Say why.", {200: _json(_ref("Explanation"))}, errors)
    embedded = _op("Return features.", {200: _json(_ref("Embeddings"))}, errors)
    tensors = _op("Answer about a tensor.", {200: _ref_both()}, errors, v2=True)
    one, two = f"/v1{where}", f"/v2{where}"
    described = _op("A model and its card.", {200: _json(_ref("Model"))}, (401, 404))
    metadata = _op("Inputs and outputs.", {200: _json(_ref("Metadata"))}, (401, 404), v2=True)
    ready = _op("Whether it answers.", {200: {"description": "It does."}}, (401, 404), v2=True)
    return {
        one: {"parameters": parameters, "get": described},
        f"{one}:predict": {
            "parameters": [*parameters, late, abstain],
            "post": {**predicted, "requestBody": _items()},
        },
        f"{one}:explain": {"parameters": [*parameters, late], "post": {**explained, "requestBody": _items()}},
        f"{one}:embed": {"parameters": [*parameters, late], "post": {**embedded, "requestBody": _items()}},
        two: {"parameters": parameters, "get": metadata},
        f"{two}/ready": {"parameters": parameters, "get": ready},
        f"{two}/infer": {
            "parameters": [*parameters, late],
            "post": {**tensors, "requestBody": {"required": True, **_json(_ref("Inference"))}},
        },
    }


def _correct(shared: Serving) -> Json:
    """Return the path under which machines say what would have been right."""
    answer = _object(model=_TEXT, corrected=_STRINGS)
    errors = (400, 401, 403, 404, 413, 415, 422)
    form = {
        "type": "object",
        "properties": {"file": _list_of(_BINARY), "text": _list_of(_TEXT), "label": _TEXT},
    }
    said = {"items": {"type": "array", "items": {}}, "labels": {"type": "array", "items": {}}, "label": {}}
    content = {
        "application/json": {"schema": {"type": "object", "properties": said, "required": ["items"]}},
        "multipart/form-data": {"schema": form},
    }
    operation = _op("Say what would have been right.", {200: _json(answer)}, errors)
    operation |= {"requestBody": {"required": True, "content": content}, "security": _SECURITY}
    return {"parameters": [_in_path("name", {"enum": list(shared.registry.names)})], "post": operation}


def _schemas(most: int) -> Json:
    told = _object(code=_TEXT, message=_TEXT, request_id=_TEXT)
    predictions = {"type": "array", "items": _ref("Prediction")}
    answered = {"model": _TEXT, "version": _TEXT}
    described = dict.fromkeys(("name", "version", "default", "modality", "target", "created"), _TEXT)
    item = {
        "oneOf": [
            {"type": "string", "description": "A text; of other models base64."},
            {**_object(text=_TEXT), "additionalProperties": False},
            {**_object(base64=_TEXT), "additionalProperties": False},
        ]
    }
    tensor = _object(name=_TEXT, datatype=_TEXT, shape={"type": "array", "items": {"type": "integer"}})
    tensor["properties"] |= {"data": {"type": "array"}, "parameters": {"type": "object"}}
    parts = {"type": "array", "items": _object(text=_TEXT, weight=_NUMBER)}
    explanation = _object(
        **answered, prediction=_ref("Prediction"), method=_TEXT, exact={"type": "boolean"}, passes=_NUMBER
    )
    explanation["properties"] |= {
        "map": {"type": "array", "items": _NUMBERS},
        "overlay": _TEXT,
        "seen": _NUMBERS,
        "region": _NUMBERS,
        "share": _NUMBER,
        "parts": parts,
        "words": parts,
        "seconds": _NUMBER,
        "segments": _list_of(_object(start=_NUMBER, end=_NUMBER, label=_TEXT, confidence=_NUMBER)),
        "windows": _object(length=_NUMBER, starts=_NUMBERS, weights=_NUMBERS),
    }
    prediction = _object(input=_TEXT)
    prediction["properties"] |= {
        "label": {"type": ["string", "null"]},
        "labels": _STRINGS,
        "labels_set": _STRINGS,
        "confidence": _NUMBER,
        "probabilities": {"type": "object", "additionalProperties": _NUMBER},
        "value": _NUMBER,
        "interval": _NUMBERS,
        "error": _TEXT,
    }
    items = _object(items={"type": "array", "minItems": 1, "maxItems": most, "items": item})
    items["properties"]["abstain"] = {"type": "boolean"}
    inference = _object(inputs={"type": "array", "items": tensor, "minItems": 1, "maxItems": 1})
    inference["properties"] |= {
        "id": _TEXT,
        "parameters": {"type": "object"},
        "outputs": {"type": "array", "items": {**_object(name=_TEXT)}},
    }
    return {
        "Error": _object(error=told),
        "Error2": _object(error=_TEXT),
        "Items": items,
        "Prediction": prediction,
        "Predictions": _object(**answered, predictions=predictions),
        "Unreadable": _object(error=told, **answered, predictions=predictions),
        "Explanation": explanation,
        "Embeddings": _object(**answered, embeddings={"type": "array", "items": _NUMBERS}),
        "Model": _object(**described, versions=_STRINGS, labels=_STRINGS),
        "Metadata": _object(
            name=_TEXT, versions=_STRINGS, platform=_TEXT, inputs=_list_of(tensor), outputs=_list_of(tensor)
        ),
        "Inference": inference,
        "Inferred": _object(model_name=_TEXT, model_version=_TEXT, outputs=_list_of(tensor)),
    }


def _op(summary: str, answers: dict[int, Json], errors: tuple[int, ...] = (), *, v2: bool = False) -> Json:
    """Describe an operation: what it answers, and which errors there are."""
    error = _json(_ref("Error2" if v2 else "Error"))
    responses = {str(status): {"description": "The answer.", **answer} for status, answer in answers.items()}
    responses |= {str(status): {"description": _SAID[status], **error} for status in errors}
    return {"summary": summary, "responses": responses}


def _items() -> Json:
    """Describe the ways in which items are sent."""
    form = {"type": "object", "properties": {"file": _list_of(_BINARY), "text": _list_of(_TEXT)}}
    return {
        "required": True,
        "content": {
            "application/json": {"schema": _ref("Items")},
            "multipart/form-data": {"schema": form},
            "application/octet-stream": {"schema": _BINARY},
        },
    }


def _ref_both() -> Json:
    binary = {"schema": _BINARY}
    json = {"schema": _ref("Inferred")}
    return {"content": {"application/json": json, "application/octet-stream": binary}}


def _in_path(name: str, schema: Json) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(name: str) -> Json:
    return _list_of(_ref(name))


def _list_of(schema: Json) -> Json:
    return {"type": "array", "items": schema}


def _map() -> Json:
    return {"type": "object", "additionalProperties": _TEXT}


def _object(**properties: Json) -> Json:
    """Describe an object all of whose properties are required."""
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def _json(schema: Json) -> Json:
    return _content("application/json", schema)


def _content(kind: str, schema: Json) -> Json:
    return {"content": {kind: {"schema": schema}}}
