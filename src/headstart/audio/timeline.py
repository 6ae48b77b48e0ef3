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
_CERTAIN = 1e-4
"""No window is surer than this: a single one must not outvote all that are around it."""


@dataclass(frozen=True)
class Segment:
    """What sounds from when to when.

    Args:
        start: In seconds from the beginning, float.
        end: Likewise.
        label: What it is, str.
        confidence: The mean of the label's probability over its windows, float.
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
        probabilities: The answers to the windows, float64 [windows, labels].
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
    least: float | Sequence[float],
    *,
    overlapping: bool = False,
    switch: float = SWITCH,
    gap: float = GAP,
) -> tuple[Segment, ...]:
    """Find what sounds from when to when: the most probable course of labels and background.

    A window speaks for a label with logit(probability) − logit(least), and for background with 0: below
    `least` it names nothing. To begin a segment costs `switch`, so that a single unsure window neither makes
    one nor cuts one in two. Then sounds of one label that are less than `gap` apart are joined.

    Args:
        starts: When each window begins, in seconds, float64 [windows], ascending.
        length: How long a window is, in seconds, float.
        seconds: How long the recording is, float.
        probabilities: The answers to the windows, float64 [windows, labels].
        labels: What the columns are called.
        least: The probability from which on a label is named, float; or one for each label.
        overlapping: Whether several labels may sound at once; otherwise one at a time. Defaults to False.
        switch: Defaults to 4.
        gap: In seconds, float. Defaults to 1.

    Returns:
        The segments, in order of their beginnings.

    References:
        Viterbi, "Error bounds for convolutional codes and an asymptotically optimum decoding algorithm",
        IEEE Transactions on Information Theory 1967.

    Example:
        >>> heard = np.array([[0.1], [0.2], [0.99], [0.97], [0.98], [0.1]])
        >>> segments(np.arange(6) * 0.5, 1.0, 3.5, heard, ["rooster"], 0.5)
        (Segment(start=1.25, end=2.75, label='rooster', confidence=0.98),)
    """
    thresholds = np.broadcast_to(np.asarray(least, np.float64), (len(labels),))
    if len(starts) != len(probabilities) or not ((thresholds > 0) & (thresholds < 1)).all():
        raise OptionError(
            "a start for each window and thresholds between 0 and 1",
            f"{len(starts)} starts, {len(probabilities)} windows, thresholds {thresholds.tolist()}"[:200],
            "give what timeline() gives",
        )
    if not len(starts):
        return ()
    evidence = _logit(np.clip(probabilities, _CERTAIN, 1 - _CERTAIN)) - _logit(thresholds)
    columns = [[k] for k in range(len(labels))] if overlapping else [list(range(len(labels)))]
    edges = _edges(np.asarray(starts, np.float64), length, seconds)
    found: list[Segment] = []
    for group in columns:
        path = _course(evidence[:, group], switch)
        for label, first, last in _joined(_runs(path), edges, gap):
            column = group[label]
            sure = float(probabilities[first:last, column][path[first:last] == label + 1].mean())
            found.append(Segment(float(edges[first]), float(edges[last]), labels[column], sure))
    return tuple(sorted(found, key=lambda segment: (segment.start, segment.end, segment.label)))


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


def _logit(probabilities: Floats) -> Floats:
    return np.log(probabilities / (1 - probabilities))


def _course(evidence: Floats, switch: float) -> NDArray[np.int64]:
    """Return the best course of states by Viterbi's algorithm: 0 for background, k + 1 for column k."""
    score = np.pad(evidence, ((0, 0), (1, 0)))
    entry = np.where(np.arange(score.shape[1]) > 0, switch, 0.0)
    came = np.zeros(score.shape, np.int32)
    stay = np.arange(score.shape[1])
    best = score[0] - entry
    for number in range(1, len(score)):
        top = int(best.argmax())
        entered = best[top] - entry
        moved = entered > best
        came[number] = np.where(moved, top, stay)
        best = np.where(moved, entered, best) + score[number]
    path = np.empty(len(score), np.int64)
    path[-1] = best.argmax()
    for number in range(len(score) - 1, 0, -1):
        path[number - 1] = came[number, path[number]]
    return path


def _edges(starts: Floats, length: float, seconds: float) -> Floats:
    """Return the times at which one window's word ends and the next one's begins: midway between centres."""
    centres = starts + length / 2
    inner = (centres[:-1] + centres[1:]) / 2
    return np.concatenate([[0.0], np.minimum(inner, seconds), [seconds]])


def _runs(path: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Return (column, first window, window after the last) of each run of a label."""
    runs, first = [], 0
    for state, run in groupby(path.tolist()):
        last = first + sum(1 for _ in run)
        if state:
            runs.append((state - 1, first, last))
        first = last
    return runs


def _joined(runs: list[tuple[int, int, int]], edges: Floats, gap: float) -> list[tuple[int, int, int]]:
    """Join runs of one label with less than `gap` seconds of background between them."""
    joined: list[tuple[int, int, int]] = []
    for label, first, last in runs:
        if joined and joined[-1][0] == label and edges[first] - edges[joined[-1][2]] < gap:
            joined[-1] = (label, joined[-1][1], last)
        else:
            joined.append((label, first, last))
    return joined


def _rounded(segment: Segment) -> dict[str, Any]:
    return {key: round(x, 3) if isinstance(x, float) else x for key, x in asdict(segment).items()}
