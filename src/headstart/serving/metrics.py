"""What Prometheus is told: requests, batches, queues and answers, right across worker processes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from headstart.artefact.prediction import Prediction
from headstart.serving.settings import METRICS_FOLDER

_SECONDS = (0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32)
_CONFIDENCE = tuple(round(0.1 * n, 1) for n in range(1, 11))
_CLASSES = 1000
"""More labels than this are not counted apart: each is a time series of its own."""


class Metrics:
    """The counters of one worker process; with `METRICS_FOLDER` set, scraping adds up those of all.

    Example:
        >>> metrics = Metrics()
        >>> metrics.request("v1.predict", 200, 0.01)
        >>> b'headstart_requests_total{endpoint="v1.predict",status="200"} 1.0' in metrics.scrape()
        True
    """

    def __init__(self) -> None:
        _make_folder()
        registry = CollectorRegistry()
        self._registry = registry
        self._requests = Counter(
            "headstart_requests", "Requests answered.", ("endpoint", "status"), registry=registry
        )
        self._seconds = Histogram(
            "headstart_request_seconds",
            "Time from a request's arrival to its answer.",
            ("endpoint",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            "headstart_batch_items",
            "Items that a network got together.",
            ("model",),
            buckets=_SIZES,
            registry=registry,
        )
        self._queue = Gauge(
            "headstart_queue_items",
            "Items that wait or are being answered.",
            ("model",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._answers = Counter(
            "headstart_predictions",
            "Items answered, by what the answer was.",
            ("model", "version", "label"),
            registry=registry,
        )
        self._unreadable = Counter(
            "headstart_unreadable", "Items that could not be read.", ("model",), registry=registry
        )
        self._confidence = Histogram(
            "headstart_confidence",
            "How probable the given answers were.",
            ("model", "version"),
            buckets=_CONFIDENCE,
            registry=registry,
        )
        self._drift = Gauge(
            "headstart_drift",
            "How far recent traffic is from what the model was fitted on; above 1 is an alarm.",
            ("model",),
            registry=registry,
            multiprocess_mode="mostrecent",
        )

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.labels(endpoint, str(status)).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def batch(self, model: str, size: int) -> None:
        """Count a batch."""
        self._batches.labels(model).observe(size)

    def queue(self, model: str, items: int) -> None:
        """Note how many items of a model are under way in this process."""
        self._queue.labels(model).set(items)

    def drift(self, model: str, value: float) -> None:
        """Note how far traffic has drifted."""
        self._drift.labels(model).set(value)

    def predictions(self, model: str, version: str, predictions: Sequence[Prediction]) -> None:
        """Count answers by class, and how confident they are."""
        for each in predictions:
            if each.error is not None:
                self._unreadable.labels(model).inc()
                continue
            for label in _said(each):
                self._answers.labels(model, version, label).inc()
            if each.probabilities and each.labels is None:
                self._confidence.labels(model, version).observe(each.confidence)

    def scrape(self) -> bytes:
        """Return everything in Prometheus's text format."""
        if METRICS_FOLDER not in os.environ:
            return generate_latest(self._registry)
        _make_folder()
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def _make_folder() -> None:
    """Make the folder anew where it is gone: systemd clears memory when the last session of a user ends."""
    if METRICS_FOLDER in os.environ:
        Path(os.environ[METRICS_FOLDER]).mkdir(mode=0o700, exist_ok=True)


def _said(prediction: Prediction) -> Sequence[str]:
    """Return what an answer is counted under."""
    if len(prediction.probabilities) > _CLASSES:
        return ("(any)",)
    if prediction.labels is not None:
        return prediction.labels or ("(none)",)
    if prediction.value is not None:
        return ("(number)",)
    return (prediction.label or "(withheld)",)
