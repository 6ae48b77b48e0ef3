"""Whether it lives, whether it is ready, and the metrics."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST

from headstart.serving.shared import serving

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def live() -> Response:
    """Say that the process answers."""
    return jsonify({"status": "live"})


@blueprint.get("/readyz")
def ready() -> Response:
    """Say which models answer; before they are loaded nobody listens."""
    registry = serving().registry
    return jsonify({"status": "ready", "models": {each.name: each.version for each in registry}})


@blueprint.get("/metrics")
def metrics() -> Response:
    """Return the metrics of all workers, in Prometheus's format."""
    shared = serving()
    for served in shared.registry:
        if (drift := shared.watch.gauge(served)) is not None:
            shared.metrics.drift(served.name, drift)
    return Response(shared.metrics.scrape(), mimetype=CONTENT_TYPE_LATEST)
