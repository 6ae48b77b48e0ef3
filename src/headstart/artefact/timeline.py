"""What a model hears in a recording, and when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.model import Model
from headstart.artefact.streaming import Asked, Rows, see
from headstart.audio.decode import Recording, read_bytes
from headstart.audio.hearing import hear
from headstart.audio.timeline import Segment, Timeline, segments, window_starts
from headstart.backbones.card import Waves
from headstart.data.items import Source
from headstart.errors import OptionError
from headstart.transfer.calibration import Calibration, Thresholds
from headstart.transfer.unlabelled.novelty import Novelty

_AT_ONCE = 32
"""Windows that go through the networks as the rows of one item."""
_MAJORITY = 0.5
"""A sound is not named below this, even by a model that was never wrong when it was calibrated."""
_NEW = 0.01
"""What fewer known sounds than this share are as far from the others as is new, and is not named."""
_FLAT = 0.7
"""A patch whose values differ by less is silence: nothing is twice as loud as what is always added."""
_DECIBELS = {"yamnet": 20 / np.log(10), "ast": 10 / np.log(10), "whisper": 10.0}
"""What one of the spectrogram's logarithms is in decibels; where there is none, levels are not known."""


def timeline(model: Model, source: Source) -> Timeline:
    """Listen to a whole recording of any length; memory stays flat.

    Args:
        model: A model for sounds, with one label or several.
        source: A file's Path or name, or its bytes.

    Returns:
        The Timeline. What the model would abstain from is background.

    Raises:
        DecodeError: The recording cannot be read.
        OptionError: The model is none for sounds, or answers with numbers.

    Example:
        >>> timeline(model, "garden.wav").segments[0].label  # doctest: +SKIP
        'rooster'
    """
    listener = Listener(model)
    content = read_bytes(source)
    items = see(listener.windows(content), model.members, model.engine_of)
    heard = [listener.heard(item, item.features) for item in items]
    name = "input 1" if isinstance(source, bytes | np.ndarray) else str(source)
    return listener.timeline(content, heard, name)


@dataclass(frozen=True, eq=False)
class Heard:
    """What is known of some windows that follow each other.

    Args:
        probabilities: The labels', float64 [windows, labels]; 0 for silence, whatever a network makes of it.
        levels: How loud they are, in decibels, float64 [windows]; NaN where that is not known.
        embeddings: The first network's features, float16 [windows, d]: 15 MB an hour.
    """

    probabilities: NDArray[np.float64]
    levels: NDArray[np.float64]
    embeddings: NDArray[np.float16]


class Listener:
    """How a model listens to windows: `timeline` in its parts, for who asks the networks in another way.

    Args:
        model: A model for sounds, with one label or several.

    Raises:
        OptionError: The model is none for sounds, answers with numbers, or its networks hear windows of
            different kinds.

    Example:
        >>> listener = Listener(model)  # doctest: +SKIP
        >>> items = see(listener.windows(content), model.members, model.engine_of)  # doctest: +SKIP
        >>> heard = [listener.heard(item, item.features) for item in items]  # doctest: +SKIP
        >>> listener.timeline(content, heard, "garden.wav")  # doctest: +SKIP
    """

    def __init__(self, model: Model) -> None:
        spec = model.front_end.preprocess
        if not isinstance(spec, Waves) or len(model.front_ends) > 1:
            raise OptionError(
                "a model that hears windows of sound, all of one kind",
                f"{model!r} with {len(model.front_ends)} kinds of input",
                "use a model that was fitted on sounds with one backbone",
            )
        self.model = model
        self.spec = spec
        self.least = _least(model)
        self.length = spec.samples(spec.size) / spec.rate
        self.step = spec.step * spec.hop / spec.rate
        self.known = _known(model)

    def windows(self, content: bytes | NDArray[np.uint8]) -> Iterator[Asked]:
        """Yield all windows of a recording, prepared for the networks, some dozens as the rows of one item.

        Args:
            content: The encoded bytes.

        Raises:
            DecodeError: The recording cannot be read.
        """
        patches = hear(content, self.spec)
        while rows := list(islice(patches, _AT_ONCE)):
            yield Asked("", {self.model.front_end: rows})

    def heard(self, item: Asked, features: Mapping[Path, Rows]) -> Heard:
        """Return what is known of the windows of an item.

        Args:
            item: One of `windows`.
            features: What each member's network made of it, float32 [rows, d] by the network's file.
        """
        patches = np.stack(item.inputs[self.model.front_end])
        scale = _DECIBELS.get(self.spec.front, np.nan)
        levels = scale * patches.max(2).mean(1, dtype=np.float64)
        answers = self.model.answer_rows(features)
        answers[np.ptp(patches, axis=(1, 2)) < _FLAT] = 0
        return Heard(answers, levels, features[self.model.network].astype(np.float16))

    def timeline(self, content: bytes | NDArray[np.uint8], heard: Sequence[Heard], name: str) -> Timeline:
        """Put what is known of all windows of a recording in order.

        Args:
            content: The encoded bytes.
            heard: Of all its items, one after the other.
            name: What the recording is called, str.

        Returns:
            The Timeline.
        """
        answers = np.concatenate([each.probabilities for each in heard])
        with Recording(content) as recording:  # some formats only estimate how long they are
            least = (len(answers) - 2) * self.step + self.length if len(answers) > 1 else 0.0
            seconds = max(recording.seconds, least)
        starts = window_starts(len(answers), self.step, self.length, seconds)
        found = segments(
            starts,
            self.length,
            seconds,
            answers,
            self.model.labels,
            self.least,
            levels=np.concatenate([each.levels for each in heard]),
            overlapping=self.model.target == "labels",
        )
        centres = np.minimum(starts + self.length / 2, seconds)
        known = tuple(each for each in found if self.knows(_mean(heard, centres, each)))
        return Timeline(name, seconds, known, self.model.labels, starts, self.length, answers)

    def knows(self, embedding: NDArray[np.float32]) -> bool:
        """Return whether a sound is like something that the model was made with.

        Args:
            embedding: The mean of the first network's features over its windows, float32 [d].
        """
        return self.known is None or bool(self.known.share_as_far(embedding[None])[0] >= _NEW)


def _mean(heard: Sequence[Heard], centres: NDArray[np.float64], segment: Segment) -> NDArray[np.float32]:
    """Return the mean of the features of a segment's windows, float32 [d]."""
    first = int(np.searchsorted(centres, segment.start))
    last = int(np.searchsorted(centres, segment.end, side="right"))
    sums, place = [], 0
    for each in heard:
        if place < last and place + len(each.levels) > first:
            rows = each.embeddings[max(0, first - place) : last - place]
            sums.append(rows.sum(0, dtype=np.float32))
        place += len(each.levels)
    return np.asarray(np.sum(sums, axis=0) / (last - first), np.float32)


def _known(model: Model) -> Novelty | None:
    """Return what the sounds were like that the model was made with; None where it does not keep them."""
    kept = None if model.reference is None else model.reference.embeddings
    if kept is None or not kept.shape[1] or len(kept) * _NEW < 1:
        return None
    return Novelty.of(kept.astype(np.float32))


def _least(model: Model) -> list[float]:
    """Return the probability from which on each label is named, by the model's calibration."""
    if isinstance(model.calibration, Thresholds):
        return list(model.calibration.thresholds)
    if isinstance(model.calibration, Calibration):
        return [max(model.calibration.abstention.confidence, _MAJORITY)] * len(model.labels)
    raise OptionError("a model that names what it hears", "one for numbers", "use predict() instead")
