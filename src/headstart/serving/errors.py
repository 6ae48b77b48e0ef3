"""Errors as answers: JSON with a code, a sentence and the request's id; never a traceback."""

from __future__ import annotations

import re
from typing import Any

from flask import Flask, Response, g, jsonify, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from headstart.errors import DecodeError, HeadstartError, OptionError

V2 = "/v2"


def register(app: Flask) -> None:
    """Make an application answer every error as JSON."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(HeadstartError, _ours)
    app.register_error_handler(ParseException, _not_http)


def body(code: str, message: str) -> dict[str, Any]:
    """Return the JSON of an error.

    Args:
        code: For programs, str, such as "not_found".
        message: For people, str.
    """
    if request.path.startswith(V2):
        return {"error": message}  # as the Open Inference Protocol has it
    return {"error": {"code": code, "message": message, "request_id": g.get("request_id", "")}}


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    given = error.get_response()
    name = HTTP_STATUS_CODES.get(status, "error")
    # Flask's own 500 stands for whatever was raised: what it says is in the log.
    message = error.description or name
    answer = jsonify(body(_code(name), message))
    answer.status_code = status
    for header in ("Allow", "Retry-After", "WWW-Authenticate"):
        if header in given.headers:
            answer.headers[header] = given.headers[header]
    return answer


def _ours(error: HeadstartError) -> Response:
    status = 422 if isinstance(error, DecodeError) else 400 if isinstance(error, OptionError) else 500
    if status == 500:
        raise error
    answer = jsonify(body("unreadable" if status == 422 else "bad_request", str(error)))
    answer.status_code = status
    return answer


def _not_http(error: ParseException) -> Response:
    """Answer a body whose chunks are none, which shows only when it is read."""
    answer = jsonify(body("bad_request", f"the body is not HTTP: {error}"))
    answer.status_code = 400
    return answer


def _code(name: str) -> str:
    return re.sub(r"[^a-z]+", "_", name.lower()).strip("_")
