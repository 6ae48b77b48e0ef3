"""What requests share in one worker process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from flask import current_app
from numpy.typing import NDArray

from headstart.artefact.prediction import Prediction
from headstart.serving.feedback import FeedbackStore
from headstart.serving.metrics import Metrics
from headstart.serving.models import Registry, Served
from headstart.serving.monitoring import Watch
from headstart.serving.security import Keys
from headstart.serving.settings import Settings

NAME = "headstart"


@dataclass
class Serving:
    """What requests share in one worker process; `app.extensions["headstart"]`.

    Args:
        settings: The installation's.
        registry: The loaded models.
        metrics: What Prometheus is told.
        keys: The API keys.
        feedback: What was corrected and kept.
        watch: What looks for drift.
        guests: Further ways in beside a key, functions of no argument: one that says True lets a request
            in. The pages add that of a person who has logged in.
    """

    settings: Settings
    registry: Registry
    metrics: Metrics
    keys: Keys
    feedback: FeedbackStore
    watch: Watch
    guests: list[Callable[[], bool]] = field(default_factory=list)

    def observe(
        self,
        served: Served,
        items: Sequence[bytes | str],
        predictions: Sequence[Prediction],
        features: Sequence[NDArray[np.float32] | None],
    ) -> None:
        """Note what was answered: for the metrics, and for the store of traffic.

        Args:
            served: The model that answered.
            items: What was asked.
            predictions: What was answered.
            features: The first network's features, None for what could not be read.
        """
        self.metrics.predictions(served.name, served.version, predictions)
        self.metrics.queue(served.name, served.batcher.under_way)
        self.feedback.observe(served.name, served.version, items, predictions, features)


def serving() -> Serving:
    """Return what the requests of the current application share."""
    found: Serving = current_app.extensions[NAME]
    return found
