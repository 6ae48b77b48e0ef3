"""The web application: what is put together for each worker process."""

from __future__ import annotations

import io
import itertools
import os
import re
import secrets
import time
from typing import IO, Any

from flask import Flask, Request, Response, current_app, g, request
from werkzeug.exceptions import Unauthorized
from werkzeug.routing import BaseConverter

from headstart.serving import errors, feedback_api, health, openapi, pages, security, v1, v2
from headstart.serving.feedback import FILE, FeedbackStore
from headstart.serving.logs import LOGGER
from headstart.serving.metrics import Metrics
from headstart.serving.models import Registry
from headstart.serving.monitoring import Watch
from headstart.serving.settings import Settings, make_state
from headstart.serving.shared import NAME, Serving, serving

PROTECTED = ("/v1/", "/v2/models", "/v2/repository", "/metrics")
"""Where a key is asked for, once there is one."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FORM_MEMORY = 2 << 20
_COUNT = itertools.count()


class _Request(Request):
    """Files of a form stay in memory, where the body's limit holds: they are read as a whole anyway."""

    def _get_file_stream(self, *_about: Any, **_more: Any) -> IO[bytes]:
        return io.BytesIO()


class _Part(BaseConverter):
    """A name in a path: what stands behind a colon is what to do with it."""

    regex = "[^/:]+"


def create_app(settings: Settings) -> Flask:
    """Build the application: load the models, check their golden vectors, register what answers.

    Args:
        settings: What is served, and within which limits.

    Returns:
        The Flask application; `app.extensions["headstart"]` is its `Serving`.

    Raises:
        ArtefactError: A model is missing, damaged, or answers differently than when it was saved.
        StorageError: The state folder cannot be made.

    Example:
        >>> from pathlib import Path
        >>> app = create_app(Settings((Path("cats.headstart"),), Path("state")))  # doctest: +SKIP
        >>> app.test_client().get("/healthz").status_code  # doctest: +SKIP
        200
    """
    make_state(settings.state)
    os.environ.setdefault("HEADSTART_MAX_PIXELS", str(settings.pixels))
    metrics = Metrics()
    registry = Registry(settings, metrics.batch)
    app = Flask("headstart.serving", static_folder=None)
    app.request_class = _Request
    app.config["MAX_CONTENT_LENGTH"] = settings.body
    app.config["MAX_FORM_MEMORY_SIZE"] = _FORM_MEMORY
    app.config["MAX_FORM_PARTS"] = 4 * settings.items
    app.secret_key = security.secret(settings.state)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    feedback = FeedbackStore(
        settings.state / FILE, keep_share=settings.keep_share, keep_days=settings.keep_days
    )
    shared = Serving(settings, registry, metrics, security.Keys(settings.state), feedback, Watch(feedback))
    app.extensions[NAME] = shared
    app.config["HEADSTART_PROCESS"] = secrets.token_hex(6)
    app.url_map.converters["part"] = _Part
    app.before_request(_begin)
    app.after_request(_end)
    errors.register(app)
    for room in (v1, v2, health, openapi, feedback_api, pages):
        app.register_blueprint(room.blueprint)
    return app


def _begin() -> None:
    """Give the request an id, and ask for a key where one is needed."""
    g.started = time.perf_counter()
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else _new_id()
    if not request.path.startswith(PROTECTED):
        return
    shared = serving()
    if not shared.keys.names:
        return
    key = security.key_of(request)
    g.key = shared.keys.check(key) if key else None
    if g.key is None and not any(lets_in() for lets_in in shared.guests):
        raise Unauthorized('this needs an API key: "Authorization: Bearer KEY"')


def _new_id() -> str:
    """Return an id that no other request has: the process's own random number, and a count."""
    return f"{current_app.config['HEADSTART_PROCESS']}-{next(_COUNT):x}"


def _end(response: Response) -> Response:
    """Count and log the request; its payload is in neither."""
    seconds = time.perf_counter() - g.get("started", time.perf_counter())
    response.headers["X-Request-ID"] = g.get("request_id", "")
    endpoint = request.endpoint or "none"
    serving().metrics.request(endpoint, response.status_code, seconds)
    fields: dict[str, Any] = {
        "request_id": g.get("request_id", ""),
        "method": request.method,
        "path": request.path[:200],
        "status": response.status_code,
        "ms": round(1000 * seconds, 2),
        "bytes": request.content_length or 0,
        **g.get("fields", {}),
    }
    if name := g.get("key"):
        fields["key"] = name
    LOGGER.info("request", extra={"fields": fields})
    return security.harden(response)
