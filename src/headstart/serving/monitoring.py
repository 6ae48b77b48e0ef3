"""Whether a served model is still asked what it was made for: its traffic beside its reference."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.model import Model
from headstart.artefact.streaming import ask
from headstart.data.items import Answer, Dataset, in_words
from headstart.errors import DataError
from headstart.evaluation.drift import (
    FEWEST,
    KEPT,
    LEVEL,
    ROUNDS,
    Drift,
    Reference,
    Reliability,
    compare_traffic,
    confidence,
    reliability_of,
)
from headstart.serving.feedback import FeedbackStore
from headstart.serving.records import Correction, Traffic

if TYPE_CHECKING:
    from headstart.serving.models import Served

WINDOW = 200
"""So many of the last items are compared with the reference."""
_PAST, _FEWER = 10, 199
_MINUTE = 60.0
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Past:
    """An earlier window of traffic.

    Args:
        since, until: When its first and last item were answered, seconds since 1970, float.
        items: How many, int.
        p_value: How often chance alone makes as much of a difference, float.
        confidence: Mean confidence (for numbers the mean answer), float.
    """

    since: float
    until: float
    items: int
    p_value: float
    confidence: float


def drift_of(
    model: Model,
    traffic: Traffic,
    *,
    reference: Reference | None = None,
    corrections: Sequence[Correction] = (),
    window: int = WINDOW,
    level: float = LEVEL,
    rounds: int = ROUNDS,
) -> Drift:
    """Compare the last answers of a model with what it saw when it was made.

    Args:
        model: The model.
        traffic: The answers that it gave.
        reference: What to compare with. Defaults to None: the model's own.
        corrections: What people said; those about answers of this version show its calibration.
        window: So many of the last items, int. Defaults to 200.
        level: How often clean traffic may raise the alarm, float. Defaults to 0.05.
        rounds: As for `compare_traffic`. Defaults to 999.

    Returns:
        The comparison.

    Raises:
        DataError: The model has no reference, or there is too little traffic.

    Example:
        >>> drift_of(model, store.traffic("cats")).headline  # doctest: +SKIP
        'No drift: the last 200 items look like what the model learned from (p = 0.41).'
    """
    last = _part(traffic, slice(max(len(traffic) - window, 0), None))
    return compare_traffic(
        reference_of(model, reference),
        last.embeddings,
        last.answers,
        labels=model.labels,
        target=model.target,
        level=level,
        reliability=_known(corrections) if model.target == "label" else None,
        rounds=rounds,
    )


def past_of(model: Model, traffic: Traffic, reference: Reference | None = None) -> list[Past]:
    """Compare earlier windows, too, so that it shows since when things are different.

    Args:
        model: The model.
        traffic: The answers that it gave.
        reference: What to compare with. Defaults to None: the model's own.

    Returns:
        At most ten windows, the oldest first; they end where the traffic ends.
    """
    ends = list(range(len(traffic), FEWEST - 1, -WINDOW))[:_PAST][::-1]
    found = []
    for end in ends:
        part = _part(traffic, slice(max(end - WINDOW, 0), end))
        drift = compare_traffic(
            reference_of(model, reference),
            part.embeddings,
            part.answers,
            labels=model.labels,
            target=model.target,
            rounds=_FEWER,
        )
        since, until = float(part.at[0]), float(part.at[-1])
        found.append(Past(since, until, len(part), drift.p_value, drift.confidence[1]))
    return found


def reference_of(model: Model, reference: Reference | None = None) -> Reference:
    """Return what traffic is compared with.

    Raises:
        DataError: None was kept, as in models from before there was one, or of very few items.
    """
    found = reference or model.reference
    if found is None:
        fix = "name data that is as it should be: headstart monitor MODEL --reference DATA; or fit it again"
        raise DataError("a model with a reference", "one without", fix)
    return found


def see(model: Model, dataset: Dataset, most: int = KEPT) -> tuple[Traffic, Reliability | None]:
    """Let a model answer about a data set as if it were traffic.

    Args:
        model: The model.
        dataset: The items, with or without labels.
        most: At most so many of them, spread evenly, int. Defaults to 512.

    Returns:
        traffic: The answers.
        reliability: How right they are, where enough labels are known; otherwise None.

    Raises:
        DataError: Nothing can be read.
    """
    places = np.unique(np.linspace(0, len(dataset) - 1, min(most, len(dataset))).round().astype(int))
    items = [dataset.items[place] for place in places]
    answers, rows, truth = [], [], []
    asked = ask((item.source for item in items), model.members, model.modality, model.engine_of)
    for item, seen in zip(items, asked, strict=True):
        if seen.error is None:
            answers.append(model.answer_features(seen.features))
            rows.append(seen.features[model.network].mean(0))
            truth.append(item.label)
    if not answers:
        raise DataError("items that can be read", f"{len(items)} that cannot", "name other data")
    said = np.stack(answers)
    sure = np.asarray(said[:, 0] if model.target == "number" else confidence(said, model.target), np.float64)
    labels = tuple(model.labels[column] for column in said.argmax(1))
    traffic = Traffic(np.zeros(len(said)), labels, sure, said.astype(np.float32), np.stack(rows))
    known = [number for number, label in enumerate(truth) if label in model.labels]
    if model.target != "label" or not known:
        return traffic, None
    right = np.array([truth[number] == labels[number] for number in known])
    return traffic, reliability_of(sure[known], right)


def reference_from(model: Model, dataset: Dataset) -> Reference:
    """Make a reference of data that is as it should be and that the model has not learned from.

    Args:
        model: The model.
        dataset: The items; their labels are not looked at.

    Returns:
        The reference.
    """
    traffic, _ = see(model, dataset)
    embeddings = traffic.embeddings
    return Reference.of(np.zeros((len(traffic), 0)) if embeddings is None else embeddings, traffic.answers)


class Watch:
    """Looks for drift once a minute, beside the requests, for a gauge that monitoring systems read.

    Args:
        store: The feedback store.

    Example:
        >>> Watch(store).gauge(served)  # doctest: +SKIP
        0.12
    """

    def __init__(self, store: FeedbackStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, float | None]] = {}

    def gauge(self, served: Served) -> float | None:
        """Return the strength of the evidence for drift; from 1 on it is an alarm.

        Args:
            served: The version that answers.

        Returns:
            `Drift.ratio` of the last minute or so; None where too little is known. It never waits: what is
            too old is computed anew on a thread.
        """
        key = f"{served.name}/{served.version}"
        with self._lock:
            at, value = self._found.get(key, (0.0, None))
            stale = time.monotonic() - at > _MINUTE or not at
            if stale:
                self._found[key] = (time.monotonic(), value)
        if stale:
            threading.Thread(target=self._look, args=(key, served), name="drift", daemon=True).start()
        return value

    def _look(self, key: str, served: Served) -> None:
        value = drift_ratio(served.model, served.name, served.version, self._store)
        with self._lock:
            self._found[key] = (time.monotonic(), value)


def drift_ratio(model: Model, name: str, version: str, store: FeedbackStore) -> float | None:
    """Return `Drift.ratio` of a served version; None without a reference or enough traffic."""
    traffic = store.traffic(name, version=version, limit=WINDOW)
    if model.reference is None or min(len(traffic), len(model.reference)) < FEWEST:
        return None
    about = [each for each in store.corrections(name) if each.version == version]
    return drift_of(model, traffic, corrections=about, rounds=_FEWER).ratio


def activity(traffic: Traffic, step: float = 3600.0) -> list[dict[str, Any]]:
    """Count answers by time: for charts.

    Args:
        traffic: Answers that were given.
        step: Seconds that are counted together, float. Defaults to an hour.

    Returns:
        {"at": start in seconds since 1970, "items", "confidence": mean, "labels": {label: items}} of each
        step in which there was traffic, the oldest first.

    Example:
        >>> at, sure = np.array([5.0, 9.0]), np.array([0.5, 0.7])
        >>> there = Traffic(at, ("cat", "dog"), sure, np.zeros((2, 2), np.float32), None)
        >>> [round(each["confidence"], 2) for each in activity(there)]
        [0.6]
    """
    slots = np.floor(traffic.at / step) * step
    found = []
    for start in np.unique(slots):
        inside = np.flatnonzero(slots == start)
        labels, counts = np.unique([traffic.labels[n] for n in inside], return_counts=True)
        found.append(
            {
                "at": float(start),
                "items": len(inside),
                "confidence": float(traffic.confidence[inside].mean()),
                "labels": dict(zip(labels.tolist(), counts.tolist(), strict=True)),
            }
        )
    return found


def _part(traffic: Traffic, where: slice) -> Traffic:
    embeddings = None if traffic.embeddings is None else traffic.embeddings[where]
    return Traffic(
        traffic.at[where],
        traffic.labels[where],
        traffic.confidence[where],
        traffic.answers[where],
        embeddings,
    )


def _known(corrections: Sequence[Correction]) -> Reliability | None:
    """Return how right answers were that somebody has looked at."""
    judged: list[tuple[float, str, Answer]] = [
        (each.confidence, each.label, each.answer)
        for each in corrections
        if each.confidence is not None and each.label is not None
    ]
    right = np.array([label == in_words(answer) for _, label, answer in judged], np.bool_)
    return reliability_of(np.array([sure for sure, _, _ in judged]), right)
