"""The Open Inference Protocol, version 2, with its binary extension: what tritonclient speaks.

A model for pictures or sounds takes one BYTES tensor of encoded files, one for texts one of UTF-8. Outputs
are `label` (BYTES), `confidence` and `probabilities` (FP32); with several labels an item `labels` (BYTES,
JSON lists) and `probabilities`; of a model for numbers `value` and `interval` (FP32).

References:
    https://github.com/kserve/open-inference-protocol and, for the binary extension,
    https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md.
"""

from __future__ import annotations

import json
import math
import struct
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from flask import Blueprint, Response, g, jsonify, request
from numpy.typing import NDArray
from werkzeug.exceptions import BadRequest, UnprocessableEntity

from headstart import __version__
from headstart.artefact.prediction import Prediction
from headstart.serving.models import Served
from headstart.serving.requests import body_of, check_count, deadline, parse, still_there, unpack
from headstart.serving.shared import serving

blueprint = Blueprint("v2", __name__, url_prefix="/v2")

INPUT = "input"
_HEADER = "Inference-Header-Content-Length"
_DIGITS, _DIMENSIONS, _LARGEST = 12, 8, 2**31
_ONE = "/models/<part:name>"
_VERSION = "/models/<part:name>/versions/<part:version>"
_OUTPUTS: dict[str, tuple[tuple[str, str], ...]] = {
    "label": (("label", "BYTES"), ("confidence", "FP32"), ("probabilities", "FP32")),
    "labels": (("labels", "BYTES"), ("probabilities", "FP32")),
    "number": (("value", "FP32"), ("interval", "FP32")),
}
Tensor = NDArray[np.float32] | list[bytes]


@blueprint.get("")
def server() -> Response:
    """Describe the server."""
    return jsonify({"name": "headstart", "version": __version__, "extensions": ["binary_tensor_data"]})


@blueprint.get("/health/live")
@blueprint.get("/health/ready")
def health() -> Response:
    """Say that it lives, and that its models are loaded: they are before the first request is taken."""
    return Response(status=200)


@blueprint.get(_ONE)
@blueprint.get(_VERSION)
def model(name: str, version: str | None = None) -> Response:
    """Describe a model: its input and its outputs."""
    served = _served(name, version)
    labels = len(served.model.labels)
    widths = {"probabilities": [labels], "interval": [2]}
    return jsonify(
        {
            "name": served.name,
            "versions": list(serving().registry.versions(name).folders),
            "platform": "headstart",
            "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
            "outputs": [
                {"name": output, "datatype": kind, "shape": [-1, *widths.get(output, [])]}
                for output, kind in _OUTPUTS[served.model.target]
            ],
        }
    )


@blueprint.get(f"{_ONE}/ready")
@blueprint.get(f"{_VERSION}/ready")
def ready(name: str, version: str | None = None) -> Response:
    """Say that a model answers."""
    _served(name, version)
    return Response(status=200)


@blueprint.post(f"{_ONE}/infer")
@blueprint.post(f"{_VERSION}/infer")
def infer(name: str, version: str | None = None) -> Response:
    """Answer about the items of one BYTES tensor."""
    served = _served(name, version)
    value, binary = _parts()
    items = _items(value, binary, served)
    wanted, in_binary = _wanted(value, served)
    until = _until(value, served)
    predictions, features = served.predict(items, until, wanted=still_there(request))
    g.fields["items"] = len(items)
    serving().observe(served, items, predictions, features)
    for number, each in enumerate(predictions):
        if each.error is not None:
            raise UnprocessableEntity(f"item {number} of the tensor: {each.error}")
    answer: dict[str, Any] = {"model_name": served.name, "model_version": served.version}
    if isinstance(value.get("id"), str):
        answer["id"] = value["id"]
    kinds = dict(_OUTPUTS[served.model.target])
    return _written(answer, [(each, kinds[each], _tensor(each, predictions)) for each in wanted], in_binary)


def _served(name: str, version: str | None) -> Served:
    found = serving().registry.get(name, version)
    g.fields = {"model": found.name, "version": found.version}
    return found


def _parts() -> tuple[dict[str, Any], memoryview]:
    """Return the JSON part of the body, and the binary one behind it."""
    body = body_of(request)
    given = request.headers.get(_HEADER)
    length = len(body)
    if given is not None:
        digits = given.isascii() and given.isdecimal() and len(given) <= _DIGITS
        if not (digits and int(given) <= len(body)):
            raise BadRequest(f"{_HEADER} is the length of the JSON part, not {given[:20]!r}")
        length = int(given)
    return parse(body[:length]), memoryview(body)[length:]


def _items(value: dict[str, Any], binary: memoryview, served: Served) -> list[bytes | str]:
    """Return the items of the input tensor."""
    inputs = value.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise BadRequest(f"one input, {INPUT!r}")
    tensor = inputs[0]
    if tensor.get("name") != INPUT or tensor.get("datatype") != "BYTES":
        raise BadRequest(f"the input is called {INPUT!r} and has the datatype BYTES")
    shape = tensor.get("shape")
    if not (isinstance(shape, list) and 0 < len(shape) <= _DIMENSIONS and all(map(_is_size, shape))):
        raise BadRequest("the input's shape is a list of numbers: [number of items]")
    size = _parameters(tensor).get("binary_data_size")
    if size is None:
        if not isinstance(tensor.get("data"), list):
            raise BadRequest('the input\'s "data" is a list')
        data = _flat(tensor["data"])
        check_count(len(data), served.settings.items)
        found: list[bytes | str] = [unpack(each, served) for each in data]
    else:
        if type(size) is not int or size != len(binary):
            raise BadRequest(f"binary_data_size is the number of bytes behind the JSON part, {len(binary)}")
        found = list(_elements(binary, served.settings.items))
    if math.prod(shape) != len(found):
        raise BadRequest(f"the shape {shape} has {math.prod(shape)} items, the tensor {len(found)}")
    if not found:
        raise BadRequest("at least one item")
    return found


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _flat(data: list[Any]) -> list[Any]:
    """Return a tensor's elements: JSON may nest rows of them once."""
    return [each for row in data for each in (row if isinstance(row, list) else [row])]


def _elements(binary: memoryview, most: int) -> Sequence[bytes]:
    """Return the elements of a BYTES tensor: each has its length, four bytes, before it."""
    found: list[bytes] = []
    place = 0
    while place < len(binary):
        if place + 4 > len(binary):
            raise BadRequest("the tensor ends within a length")
        (length,) = struct.unpack_from("<I", binary, place)
        place += 4
        if place + length > len(binary):
            raise BadRequest("the tensor ends within an element")
        found.append(bytes(binary[place : place + length]))
        check_count(len(found), most)
        place += length
    return found


def _wanted(value: dict[str, Any], served: Served) -> tuple[list[str], set[str]]:
    """Return the outputs that are asked for, and those of them that shall be binary."""
    known = [name for name, _ in _OUTPUTS[served.model.target]]
    everywhere = _parameters(value).get("binary_data_output", False) is True
    asked = value.get("outputs")
    if asked is None or asked == []:
        return known, set(known) if everywhere else set()
    if not isinstance(asked, list) or not all(isinstance(each, dict) for each in asked):
        raise BadRequest("outputs are a list of objects")
    names = [each["name"] for each in asked if each.get("name") in known]
    if len(names) < len(asked) or len(set(names)) < len(names):
        raise BadRequest(f"outputs among {', '.join(known)}, each once")
    parameters = [_parameters(each) for each in asked]
    if any("classification" in each or "shared_memory_region" in each for each in parameters):
        raise BadRequest("outputs without classification and without shared memory")
    binary = [each.get("binary_data", everywhere) is True for each in parameters]
    return names, {name for name, yes in zip(names, binary, strict=True) if yes}


def _until(value: dict[str, Any], served: Served) -> float:
    """Return the deadline: the request's parameter "timeout" has it in microseconds."""
    until = deadline(request, served.settings.deadline)
    timeout = _parameters(value).get("timeout")
    if timeout is None:
        return until
    if type(timeout) is not int or timeout < 0:
        raise BadRequest("timeout is a number of microseconds")
    return min(until, time.monotonic() + timeout / 1e6) if timeout else until


def _parameters(value: dict[str, Any]) -> dict[str, Any]:
    found = value.get("parameters", {})
    if not isinstance(found, dict):
        raise BadRequest("parameters are an object")
    return found


def _tensor(name: str, predictions: Sequence[Prediction]) -> Tensor:
    if name == "label":
        return [(each.label or "").encode() for each in predictions]
    if name == "labels":
        return [json.dumps(each.labels).encode() for each in predictions]
    rows: dict[str, Any] = {
        "confidence": lambda each: each.confidence,
        "probabilities": lambda each: list(each.probabilities.values()),
        "value": lambda each: each.value,
        "interval": lambda each: each.interval,
    }
    return np.array([rows[name](each) for each in predictions], np.float32)


def _written(
    answer: dict[str, Any], tensors: Sequence[tuple[str, str, Tensor]], binary: set[str]
) -> Response:
    """Write the answer: JSON, and behind it the tensors that shall be binary."""
    outputs: list[dict[str, Any]] = []
    behind: list[bytes] = []
    for name, kind, tensor in tensors:
        shape = [len(tensor)] if isinstance(tensor, list) else list(tensor.shape)
        output: dict[str, Any] = {"name": name, "datatype": kind, "shape": shape}
        if name in binary:
            if isinstance(tensor, list):
                content = b"".join(struct.pack("<I", len(each)) + each for each in tensor)
            else:
                content = tensor.astype("<f4").tobytes()
            output["parameters"] = {"binary_data_size": len(content)}
            behind.append(content)
        elif isinstance(tensor, list):
            output["data"] = [each.decode() for each in tensor]
        else:
            output["data"] = [float(each) for each in tensor.ravel()]
        outputs.append(output)
    if not behind:
        return jsonify({**answer, "outputs": outputs})
    head = json.dumps({**answer, "outputs": outputs}).encode()
    response = Response(b"".join([head, *behind]), mimetype="application/octet-stream")
    response.headers[_HEADER] = str(len(head))
    return response
