"""What a model hears in a sound that goes on: an answer for each window, as soon as it has been heard."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.model import Model
from headstart.artefact.streaming import Asked
from headstart.artefact.timeline import Listener
from headstart.audio.decode import Wave
from headstart.audio.hearing import Patch, cut, spectrogram
from headstart.audio.mel import whole_patch
from headstart.audio.timeline import Course, background_level, evidence
from headstart.backbones.card import Waves

_REMEMBERED = 1250
"""Windows, ten minutes, by whose levels the background is known."""


@dataclass(frozen=True)
class Moment:
    """What is heard in a window.

    Args:
        start: In seconds from the beginning, float.
        end: Likewise.
        labels: What sounds, tuple of str; () for background, more than one only from a model with several
            labels an item.
        probabilities: Every label's in this window, {label: float}.
    """

    start: float
    end: float
    labels: tuple[str, ...]
    probabilities: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return {
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "labels": list(self.labels),
            "probabilities": {label: round(p, 4) for label, p in self.probabilities.items()},
        }


class Listening:
    """Listens to a sound that comes in parts; iterate over it for the answers. Memory stays flat.

    What is named is decided as for timelines (`audio.timeline.segments`), by what has been heard so far.

    Args:
        model: A model for sounds, with one label or several.
        waves: The sound as it comes, float32 [samples] each.
        rate: Samples a second, int, in Hz.

    Attributes:
        busy: How many seconds went into computing, float.
        delays: How many seconds after the end of each of the last windows its answer was there, deque of
            float.

    Raises:
        OptionError: The model is none for sounds, or answers with numbers.

    Example:
        >>> for moment in Listening(model, waves, 16000):  # doctest: +SKIP
        ...     print(moment.start, moment.labels)
    """

    def __init__(self, model: Model, waves: Iterable[Wave], rate: int) -> None:
        self._listener = Listener(model)
        self._waves, self._rate = waves, rate
        several = model.target == "labels"
        self._courses = [Course(1) for _ in model.labels] if several else [Course(len(model.labels))]
        self._runs = [_Run() for _ in model.labels]
        self._levels: deque[float] = deque(maxlen=_REMEMBERED)
        self.busy = 0.0
        self._samples = 0
        self.delays: deque[float] = deque(maxlen=_REMEMBERED)
        self._arrived = 0.0
        spec = self._listener.spec
        silence = np.zeros(spec.samples(spec.size), np.float32)
        self._features(next(_patches([silence], spec)))  # so that the first answer is no later than others

    @property
    def seconds(self) -> float:
        """How much has been heard, float."""
        return self._samples / self._rate

    @property
    def real_time_factor(self) -> float:
        """Seconds of computing for a second of sound, float."""
        return self.busy / self.seconds if self.seconds else 0.0

    def __iter__(self) -> Iterator[Moment]:
        listener, spec = self._listener, self._listener.spec
        for number, patch in enumerate(_patches(self._coming(), spec)):
            if not self.seconds:  # nothing has come, and silence was put in its place
                return
            start = min(number * listener.step, max(0.0, self.seconds - listener.length))
            moment = self._moment(start, patch)
            self.delays.append(time.perf_counter() - self._arrived)
            yield moment

    def _coming(self) -> Iterator[Wave]:
        """Yield the sound at the rate that the network wants, and see what the time goes into."""
        import soxr

        wanted = self._listener.spec.rate
        stream = soxr.ResampleStream(self._rate, wanted, 1, dtype="float32")
        for wave in self._waves:
            self._arrived = time.perf_counter()
            self._samples += len(wave)
            yield wave if self._rate == wanted else stream.resample_chunk(wave)
            self.busy += time.perf_counter() - self._arrived
        self._arrived = time.perf_counter()
        if self._rate != wanted:
            yield stream.resample_chunk(np.empty(0, np.float32), last=True)

    def _features(self, patch: NDArray[Any]) -> dict[Path, NDArray[np.float32]]:
        model = self._listener.model
        networks = {member.network: member for member in model.members}
        return {
            network: model.engine_of(member).one(patch, ("features",))["features"][None]
            for network, member in networks.items()
        }

    def _moment(self, start: float, patch: Patch) -> Moment:
        listener, model = self._listener, self._listener.model
        heard = listener.heard(Asked("", {model.front_end: [patch]}), self._features(patch))
        self._levels.append(float(heard.levels[0]))
        quiet = heard.levels < background_level(np.asarray(self._levels))
        several = model.target == "labels"
        odds = evidence(heard.probabilities, listener.least, quiet, overlapping=several)[0]
        said = heard.probabilities[0]
        for course, part in zip(self._courses, odds[:, None] if several else [odds], strict=True):
            course.step(part)
        states = [course.state for course in self._courses]
        sounding = {k for k, state in enumerate(states) if state} if several else {states[0] - 1} - {-1}
        named = []
        for column, run in enumerate(self._runs):
            run.add(heard.embeddings[0], on=column in sounding)
            if column in sounding and said[column] >= listener.least[column] and listener.knows(run.mean):
                named.append(model.labels[column])
        probabilities = dict(zip(model.labels, said.tolist(), strict=True))
        end = start + min(listener.length, self.seconds)
        return Moment(start, end, tuple(named), probabilities)


def _patches(waves: Iterable[Wave], spec: Waves) -> Iterator[Patch]:
    return (whole_patch(frames, spec) for frames in cut(spectrogram(waves, spec), spec.size, spec.step))


class _Run:
    """The windows since a label began to sound: how they are on the whole."""

    def __init__(self) -> None:
        self._sum: NDArray[np.float32] = np.zeros(0, np.float32)
        self._count = 0

    def add(self, embedding: NDArray[np.float16], *, on: bool) -> None:
        if on:
            row = embedding.astype(np.float32)
            self._sum = self._sum + row if self._count else row
        self._count = self._count + 1 if on else 0

    @property
    def mean(self) -> NDArray[np.float32]:
        """The mean of their features, float32 [d]."""
        return np.asarray(self._sum / max(self._count, 1), np.float32)
