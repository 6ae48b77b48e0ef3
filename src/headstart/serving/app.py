"""The web application: what is put together for each worker process."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from flask import Flask, Response, current_app, g, request
from numpy.typing import NDArray
from werkzeug.exceptions import Unauthorized

from headstart.artefact.prediction import Prediction
from headstart.serving import errors, health, openapi, security, v1, v2
from headstart.serving.logs import LOGGER
from headstart.serving.metrics import Metrics
from headstart.serving.models import Registry, Served
from headstart.serving.settings import Settings, make_state

if TYPE_CHECKING:
    from headstart.serving.feedback import FeedbackStore

NAME = "headstart"
PROTECTED = ("/v1/", "/v2/models", "/v2/repository", "/metrics")
"""Where a key is asked for, once there is one."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FORM_MEMORY = 2 << 20


@dataclass
class Serving:
    """What requests share in one worker process.

    Args:
        settings: The installation's.
        registry: The loaded models.
        metrics: What Prometheus is told.
        keys: The API keys.
        feedback: What was corrected and kept.
        guests: Further ways in beside a key, functions of no argument: one that says True lets a request
            in. The pages add that of a person who has logged in.
    """

    settings: Settings
    registry: Registry
    metrics: Metrics
    keys: security.Keys
    feedback: FeedbackStore | None = None
    guests: list[Callable[[], bool]] = field(default_factory=list)

    def observe(
        self,
        served: Served,
        items: Sequence[bytes | str],
        predictions: Sequence[Prediction],
        features: Sequence[NDArray[np.float32] | None],
    ) -> None:
        """Note what was answered: for the metrics, and for the store of traffic where that is wished for.

        Args:
            served: The model that answered.
            items: What was asked.
            predictions: What was answered.
            features: The first network's features, None for what could not be read.
        """
        self.metrics.predictions(served.name, served.version, predictions)
        self.metrics.queue(served.name, served.batcher.under_way)


def serving() -> Serving:
    """Return what the requests of the current application share."""
    found: Serving = current_app.extensions[NAME]
    return found


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
    app.config["MAX_CONTENT_LENGTH"] = settings.body
    app.config["MAX_FORM_MEMORY_SIZE"] = _FORM_MEMORY
    app.config["MAX_FORM_PARTS"] = 4 * settings.items
    app.secret_key = security.secret(settings.state)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    shared = Serving(settings, registry, metrics, security.Keys(settings.state))
    app.extensions[NAME] = shared
    app.before_request(_begin)
    app.after_request(_end)
    errors.register(app)
    for room in (v1, v2, health, openapi):
        app.register_blueprint(room.blueprint)
    _plug_in(app, shared)
    return app


def _begin() -> None:
    """Give the request an id, and ask for a key where one is needed."""
    g.started = time.perf_counter()
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    if not request.path.startswith(PROTECTED):
        return
    shared = serving()
    if not shared.keys.names:
        return
    key = security.key_of(request)
    g.key = shared.keys.check(key) if key else None
    if g.key is None and not any(lets_in() for lets_in in shared.guests):
        raise Unauthorized('this needs an API key: "Authorization: Bearer KEY"')


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


def _plug_in(app: Flask, shared: Serving) -> None:
    """Register the rooms that build on this one."""
