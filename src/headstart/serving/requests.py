"""What a request brings: items in a form, as JSON, or as the body itself."""

from __future__ import annotations

import base64
import binascii
import json
import math
import reprlib
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Request
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from headstart.serving.models import Served

_NAME = 200


@dataclass(frozen=True)
class Asked:
    """The items of one request.

    Args:
        items: Encoded bytes, or texts.
        names: The files' names, as the client gave them; None where there are none.
        options: What else the request says, {name: value}.
    """

    items: Sequence[bytes | str]
    names: Sequence[str | None]
    options: dict[str, Any]


def read(request: Request, served: Served) -> Asked:
    """Return the items of a request.

    A form (multipart/form-data) brings files, of a model for texts also fields "text"; JSON brings {"items":
    […]} of base64, or of texts; anything else is one item, the body itself.

    Args:
        request: Flask's.
        served: The model that is asked, which says what a string is.

    Raises:
        BadRequest: It brings no items, too many, or what is none.
    """
    kind = request.mimetype
    if kind == "multipart/form-data":
        found = _form(request, served)
    elif kind == "application/json":
        found = _json(request, served)
    elif kind == "application/x-www-form-urlencoded":
        raise UnsupportedMediaType("send multipart/form-data, application/json, or the item itself")
    else:
        body = body_of(request)
        found = Asked([body] if body else [], [None], {})
    if not found.items:
        raise BadRequest('the request brings no items: send files, {"items": […]}, or one item as the body')
    check_count(len(found.items), served.settings.items)
    return found


def check_count(count: int, most: int) -> None:
    """Refuse more items than a request may bring."""
    if count > most:
        raise BadRequest(f"at most {most} items a request, not {count}")


def refuse_compressed(request: Request) -> None:
    """Refuse a compressed body: what it would become is not known before."""
    if request.content_encoding:
        raise UnsupportedMediaType(f"a body that is not compressed, not {short(request.content_encoding)}")


def body_of(request: Request) -> bytes:
    """Return the whole body.

    Raises:
        BadRequest: It ends before its announced length: part of a picture could pass for one.
    """
    refuse_compressed(request)
    body = request.get_data(cache=False)
    if request.content_length is not None and len(body) < request.content_length:
        raise BadRequest(f"the body ends after {len(body)} of {request.content_length} bytes")
    return body


def flag(request: Request, options: dict[str, Any], name: str) -> bool:
    """Return whether an option is set, in the body or behind the address's question mark.

    Raises:
        BadRequest: It is neither true nor false.
    """
    value = options.get(name, request.args.get(name, False))
    known = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}
    if not isinstance(value, bool | str) or value not in known:
        raise BadRequest(f"{name} is true or false, not {short(value)}")
    return known[value]


def deadline(request: Request, most: float) -> float:
    """Return until when an answer is of use, in seconds of `time.monotonic`.

    Args:
        request: Flask's; its header "X-Request-Timeout" may shorten the time, in seconds.
        most: The installation's, seconds.

    Raises:
        BadRequest: The header is not a number.
    """
    given = request.headers.get("X-Request-Timeout")
    if given is None:
        return time.monotonic() + most
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise BadRequest(f"X-Request-Timeout is a number of seconds, not {short(given)}")
    return time.monotonic() + min(seconds, most)


def still_there(request: Request) -> Callable[[], bool]:
    """Return a function that tells whether the client still waits for the answer."""
    connection = request.environ.get("gunicorn.socket")
    if not isinstance(connection, socket.socket):
        return lambda: True

    def waits() -> bool:
        poll = select.poll()
        try:
            poll.register(connection, select.POLLRDHUP)
        except (OSError, ValueError):  # closed on our side
            return False
        return not poll.poll(0)

    return waits


def unpack(value: Any, served: Served) -> bytes | str:
    """Return an item that JSON brings: a text, or base64 of what is none.

    Raises:
        BadRequest: It is neither.
    """
    if isinstance(value, dict) and len(value) == 1:
        (key, content), *_ = value.items()
        if key == "text" and isinstance(content, str) and served.model.modality == "text":
            return content
        if key == "base64" and isinstance(content, str):
            return _decoded(content)
    if isinstance(value, str):
        return value if served.model.modality == "text" else _decoded(value)
    what = "texts" if served.model.modality == "text" else "base64"
    raise BadRequest(f"items are {what}, not {short(value)}")


def parse(body: bytes) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        BadRequest: It is none.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not JSON") from error
    if not isinstance(value, dict):
        raise BadRequest(f"the body is a JSON object, not {short(value)}")
    return value


def _json(request: Request, served: Served) -> Asked:
    value = parse(body_of(request))
    items = value.pop("items", None)
    if not isinstance(items, list):
        raise BadRequest('a JSON object with "items", a list')
    check_count(len(items), served.settings.items)
    return Asked([unpack(item, served) for item in items], [None] * len(items), value)


def _form(request: Request, served: Served) -> Asked:
    refuse_compressed(request)
    files = [file for _, file in request.files.items(multi=True)]
    check_count(len(files), served.settings.items)
    texts = request.form.getlist("text") if served.model.modality == "text" else []
    items: list[bytes | str] = [*(file.read() for file in files), *texts]
    names = [*((file.filename or "")[:_NAME] or None for file in files), *(None for _ in texts)]
    options = {key: value for key, value in request.form.items() if key != "text"}
    return Asked(items, names, options)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest("an item is not base64") from error


def short(value: Any) -> str:
    """Return what was sent in a few characters, however large or nested it is."""
    return reprlib.repr(value)[:60]
