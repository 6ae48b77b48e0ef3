"""From the answers to the windows of a recording to what sounds from when to when."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.errors import OptionError
from headstart.files import write_json, write_text

Floats = NDArray[np.float64]
SWITCH = 4.0
"""How much evidence, in log-odds, a segment must have."""
GAP = 1.0
"""Seconds of background between two sounds of one label that are taken for one."""
_QUIET_SHARE, _QUIET, _DOUBT = 0.05, 3.0, 3.0
"""What is less than 3 dB above the quietest twentieth of a recording is likely to be background: so much
evidence, in log-odds, speaks for that."""
_CERTAIN = 0.01
"""No window is surer than this: a single one must not outvote all that are around it."""


@dataclass(frozen=True)
class Segment:
    """What sounds from when to when.

    Args:
        start: In seconds from the beginning, float.
        end: Likewise.
        label: What it is, str.
        confidence: The label's probability by all of its windows together, float.
    """

    start: float
    end: float
    label: str
    confidence: float


@dataclass(frozen=True, eq=False)
class Timeline:
    """What is heard in a recording, and when; what is in no segment is background.

    Args:
        name: The recording's, str.
        seconds: How long it is, float.
        segments: In order of their beginnings, tuple of Segment; only a model with several labels has some
            that overlap.
        labels: What the columns of `probabilities` are called, tuple of str.
        starts: When each window begins, in seconds, float64 [windows].
        length: How long a window is, in seconds, float.
        probabilities: The answers to the windows, float64 [windows, labels]; 0 for silence.
    """

    name: str
    seconds: float
    segments: tuple[Segment, ...]
    labels: tuple[str, ...]
    starts: Floats
    length: float
    probabilities: Floats

    def to_json(self, *, windows: bool = False) -> dict[str, Any]:
        """Return a JSON object: input, seconds, segments.

        Args:
            windows: Whether to add the answers to all windows. Defaults to False.
        """
        found = {
            "input": self.name,
            "seconds": round(self.seconds, 3),
            "segments": [_rounded(segment) for segment in self.segments],
        }
        if windows:
            found["windows"] = {
                "length": self.length,
                "starts": self.starts.round(3).tolist(),
                "labels": list(self.labels),
                "probabilities": self.probabilities.round(4).tolist(),
            }
        return found

    def to_csv(self) -> str:
        """Return the segments as CSV with the columns start, end, label, confidence."""
        file = io.StringIO(newline="")
        writer = csv.DictWriter(file, ("start", "end", "label", "confidence"), lineterminator="\n")
        writer.writeheader()
        writer.writerows(_rounded(segment) for segment in self.segments)
        return file.getvalue()

    def to_audacity(self) -> str:
        """Return the segments as a label track of Audacity (File, Import, Labels): start, end, label."""
        lines = (
            f"{segment.start:.6f}\t{segment.end:.6f}\t{' '.join(segment.label.split())}\n"
            for segment in self.segments
        )
        return "".join(lines)

    def save(self, folder: str | Path, stem: str) -> list[Path]:
        """Write STEM.json (with the windows), STEM.csv and STEM.txt (for Audacity) into a folder.

        Args:
            folder: It is made where it is missing.
            stem: What the files are called, str.

        Returns:
            The three paths.

        Raises:
            StorageError: They cannot be written.
        """
        base = Path(folder, stem)
        paths = [base.with_name(f"{stem}.{ending}") for ending in ("json", "csv", "txt")]
        write_json(paths[0], self.to_json(windows=True))
        write_text(paths[1], self.to_csv())
        write_text(paths[2], self.to_audacity())
        return paths


def segments(
    starts: Floats,
    length: float,
    seconds: float,
    probabilities: Floats,
    labels: Sequence[str],
    least: Sequence[float],
    *,
    levels: Floats | None = None,
    overlapping: bool = False,
) -> tuple[Segment, ...]:
    """Find what sounds from when to when: the most probable course of labels and background.

    A window, smoothed with its neighbours, speaks for a label with the log-odds of its probability, and for
    background with 0, or with 3 where it is hardly louder than the quietest parts of the recording. To begin
    a segment costs 4, so that a single unsure window neither makes one nor cuts one in two; sounds of one
    label less than a second apart are one. What all windows of a segment say together is its confidence;
    below `least` it is background after all.

    Args:
        starts: When each window begins, in seconds, float64 [windows], ascending.
        length: How long a window is, in seconds, float.
        seconds: How long the recording is, float.
        probabilities: The answers to the windows, float64 [windows, labels].
        labels: What the columns are called.
        least: The confidence from which on each label is named, floats.
        levels: How loud each window is, in decibels, float64 [windows]; NaN where that is not known. Defaults
            to None: of none.
        overlapping: Whether several labels may sound at once; otherwise one at a time. Defaults to False.

    Returns:
        The segments, in order of their beginnings.

    Raises:
        OptionError: The arguments do not fit each other.

    References:
        Viterbi, "Error bounds for convolutional codes and an asymptotically optimum decoding algorithm",
        IEEE Transactions on Information Theory 1967.

    Example:
        >>> heard = np.array([[0.1], [0.2], [0.99], [0.97], [0.98], [0.1]])
        >>> found = segments(np.arange(6) * 0.5, 1.0, 3.5, heard, ["rooster"], [0.7], overlapping=True)
        >>> [(each.start, each.end, each.label) for each in found]
        [(1.25, 2.75, 'rooster')]
    """
    if probabilities.shape != (len(starts), len(labels)) or len(least) != len(labels):
        told = f"{len(starts)} starts, {len(least)} thresholds, probabilities {probabilities.shape}"
        raise OptionError("a start for each window, a threshold for each label", told, "give what fits")
    if not len(starts):
        return ()
    quiet = np.zeros(len(starts), bool) if levels is None else levels < background_level(levels)
    odds = evidence(_smoothed(probabilities, overlapping), least, quiet, overlapping=overlapping)
    groups = [[k] for k in range(len(labels))] if overlapping else [list(range(len(labels)))]
    edges = _edges(np.asarray(starts, np.float64), length, seconds)
    found: list[Segment] = []
    for group in groups:
        path = _course(odds[:, group])
        for state, first, last in _joined(_runs(path), edges):
            column = group[state - 1]
            said = probabilities[first:last][path[first:last] == state]
            confidence = float(_pooled(said, overlapping)[column])
            if confidence >= least[column]:
                found.append(Segment(float(edges[first]), float(edges[last]), labels[column], confidence))
    return tuple(sorted(found, key=lambda segment: (segment.start, segment.end, segment.label)))


def evidence(
    probabilities: Floats, least: Sequence[float], quiet: NDArray[np.bool_], *, overlapping: bool = False
) -> Floats:
    """Return how much each window speaks for each label, and not for background, in log-odds; see `segments`.

    Args:
        probabilities: float64 [windows, labels].
        least: The confidence from which on each label is named, floats.
        quiet: Which windows hardly stand out, bool [windows].
        overlapping: As for `segments`. Defaults to False.

    Returns:
        float64 [windows, labels].
    """
    odds = _log_odds(probabilities)
    if overlapping:  # whether a label sounds is a question of its own
        odds = odds - _log_odds(np.asarray(least, np.float64))
    return odds - _DOUBT * quiet[:, None]


def background_level(levels: Floats) -> float:
    """Return below which level, in decibels, a window hardly stands out among others, float.

    Where all are about as loud, within 6 dB, nothing is known to be background: then it is minus infinity.
    """
    quietest = float(np.quantile(levels, _QUIET_SHARE))
    return -np.inf if levels.max() < quietest + 2 * _QUIET else quietest + _QUIET


class Course:
    """The most probable course of states, window by window: 0 for background, k + 1 for label k.

    Args:
        labels: How many there are, int.

    Attributes:
        state: What is most probable now, int, by all windows so far.

    Example:
        >>> course = Course(2)
        >>> for odds in ([-3, -3], [4.5, -4], [-1, -1], [2, -4]):
        ...     came = course.step(np.array(odds, np.float64))
        >>> course.state
        1
    """

    def __init__(self, labels: int) -> None:
        self._entry = np.where(np.arange(labels + 1) > 0, SWITCH, 0.0)
        self._best = np.where(np.arange(labels + 1) > 0, -np.inf, 0.0)

    @property
    def state(self) -> int:
        """What is most probable now, int."""
        return int(self._best.argmax())

    def step(self, odds: Floats) -> NDArray[np.intp]:
        """Take a window into account, and return from which state each is reached best, int [labels + 1].

        Args:
            odds: What it says for each label, float64 [labels].
        """
        top = int(self._best.argmax())
        entered = self._best[top] - self._entry
        moved = entered > self._best
        best = np.where(moved, entered, self._best) + np.concatenate([[0.0], odds])
        self._best = best - best.max()
        return np.where(moved, top, np.arange(len(best)))


def window_starts(count: int, step: float, length: float, seconds: float) -> Floats:
    """Return when each of the patches of a recording begins, in seconds; see `hearing.hear`.

    Args:
        count: How many there are, int.
        step: Seconds from one to the next, float.
        length: Seconds of one, float.
        seconds: Of the whole recording, float.

    Example:
        >>> window_starts(3, 0.48, 0.96, 1.8).round(2).tolist()
        [0.0, 0.48, 0.84]
    """
    starts: Floats = np.arange(count, dtype=np.float64) * step
    starts[-1:] = np.minimum(starts[-1:], max(0.0, seconds - length))
    return starts


def _log_odds(probabilities: Floats) -> Floats:
    p = np.clip(probabilities, _CERTAIN, 1 - _CERTAIN)
    odds: Floats = np.log(p / (1 - p))
    return odds


def _smoothed(probabilities: Floats, overlapping: bool) -> Floats:
    """Return each window's answer together with half of what its neighbours say."""
    around = np.pad(probabilities, ((1, 1), (0, 0)), mode="edge")
    triples = np.stack([around[1:-1], around[1:-1], around[:-2], around[2:]])
    return _pooled(triples, overlapping)


def _pooled(probabilities: Floats, overlapping: bool) -> Floats:
    """Return what several answers say together, as for the windows of an item: their logits' mean."""
    p = np.clip(probabilities, 1e-6, 1 - 1e-6)
    together: Floats = np.exp(np.log(p).mean(0))
    against = np.exp(np.log1p(-p).mean(0)) if overlapping else together.sum(-1, keepdims=True) - together
    pooled: Floats = together / (together + against)
    return pooled


def _course(odds: Floats) -> NDArray[np.int64]:
    """Return the best course of states by Viterbi's algorithm."""
    course = Course(odds.shape[1])
    came = [course.step(row) for row in odds]
    path = np.empty(len(odds), np.int64)
    path[-1] = course.state
    for number in range(len(odds) - 1, 0, -1):
        path[number - 1] = came[number][path[number]]
    return path


def _edges(starts: Floats, length: float, seconds: float) -> Floats:
    """Return the times at which one window's word ends and the next one's begins: midway between centres."""
    centres = starts + length / 2
    inner = (centres[:-1] + centres[1:]) / 2
    return np.concatenate([[0.0], np.minimum(inner, seconds), [seconds]])


def _runs(path: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Return (state, first window, window after the last) of each run of a label."""
    runs, first = [], 0
    for state, run in groupby(path.tolist()):
        last = first + sum(1 for _ in run)
        if state:
            runs.append((state, first, last))
        first = last
    return runs


def _joined(runs: list[tuple[int, int, int]], edges: Floats) -> list[tuple[int, int, int]]:
    """Join runs of one label with less than a second of background between them."""
    joined: list[tuple[int, int, int]] = []
    for state, first, last in runs:
        if joined and joined[-1][0] == state and edges[first] - edges[joined[-1][2]] < GAP:
            joined[-1] = (state, joined[-1][1], last)
        else:
            joined.append((state, first, last))
    return joined


def _rounded(segment: Segment) -> dict[str, Any]:
    return {key: round(x, 3) if isinstance(x, float) else x for key, x in asdict(segment).items()}
