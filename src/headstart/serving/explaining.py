"""Why a served model answers as it does, without torch: places, sentences, moments that count.

The answer is followed as one number, the log-odds of the label it gives (of a model for numbers, the number).
"""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.artefact.members import combined
from headstart.artefact.model import Model
from headstart.artefact.schema import FrontEnd
from headstart.artefact.streaming import Asked, Rows
from headstart.artefact.timeline import Heard, Listener
from headstart.audio.hearing import sounding
from headstart.serving.batching import Late
from headstart.serving.models import Answer, Served
from headstart.text.decode import decode
from headstart.text.sentences import sentences

MOST_PASSES = 64
_SIDE = 7
"""Patches of a picture in each direction: 49 passes, and one of the whole."""
_CHUNK = 8
"""Items that are asked at once, so that other requests are answered in between."""
_FOR, _AGAINST = (230, 97, 1), (45, 100, 190)  # an orange and a blue that colour-blind people tell apart
_OPAQUE = 0.65
Floats = NDArray[np.float64]


def explain(
    served: Served, item: bytes | str, deadline: float, wanted: Callable[[], bool] = lambda: True
) -> dict[str, Any]:
    """Explain the answer to one item.

    Where the answer is linear in features that are the mean over places of the picture, what each place
    brings is exact, and comes with the answer itself (a class-activation map). Elsewhere parts of the item
    are left out, one after the other, in at most 64 passes.

    Args:
        served: The model.
        item: Encoded bytes; or a text, of a model for texts.
        deadline: Until when the explanation is of use, in seconds of `time.monotonic`, float.
        wanted: Whether someone still waits for it. Defaults to always.

    Returns:
        A JSON object: "prediction"; "method" in words, whether it is "exact", and in how many "passes"; of a
        picture "map", what each part brings, float [rows][columns], and "overlay", a PNG as base64 of what
        the network saw, orange where it speaks for the answer, blue where against it; of a text "parts",
        each {"text", "weight"}; of a sound "seconds", "segments", each {"start", "end", "label",
        "confidence"}, and "windows", {"length", "starts", "weights"}.

    Raises:
        DecodeError: The item cannot be read. OptionError: A model for sounds whose networks hear windows of
            different kinds. Busy, Late: As `Served.predict`.

    References:
        Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016, for the map; Zeiler
        and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, for leaving out parts.
    """
    explanation = {"text": _of_text, "audio": _of_sound}.get(served.model.modality, _of_picture)
    with served.batcher.places(_CHUNK):
        return explanation(_Asking(served, deadline, wanted), item)


class _Asking:
    """Asks one model about variants of one item, and counts how often."""

    def __init__(self, served: Served, deadline: float, wanted: Callable[[], bool]) -> None:
        self.served = served
        self.passes = 0
        self._deadline = deadline
        self._wanted = wanted
        self._column = 0

    def prepare(self, item: bytes | str) -> Asked:
        """Read a variant, while there is time."""
        if time.monotonic() > self._deadline:
            raise Late
        return self.served.prepare(item)

    def first(self, item: Asked) -> Answer:
        """Ask about the item itself; its answer is the one that is followed."""
        if item.error is not None:
            raise item.error
        (answer,) = self._ask([item])
        self.follow(answer)
        return answer

    def follow(self, answer: Answer) -> None:
        """Let an answer be the one that is followed."""
        self._column = int(self.served.model.answer_features(answer.features).argmax())

    def scores(self, items: Sequence[Asked]) -> Floats:
        """Return the followed number for some items, float64 [n]."""
        answers = [
            answer
            for start in range(0, len(items), _CHUNK)
            for answer in self._ask(items[start : start + _CHUNK])
        ]
        return np.array([self.score(answer) for answer in answers])

    def score(self, answer: Answer) -> float:
        """Return the followed number of one answer."""
        return float(self.followed(self.served.model.answer_features(answer.features)))

    def followed(self, answers: Floats) -> Floats:
        """Return the followed number of answers, float64 [..., columns] → [...]."""
        values = answers[..., self._column]
        if self.served.model.target == "number":
            return np.asarray(values)
        values = values.clip(1e-9, 1 - 1e-9)
        return np.asarray(np.log(values / (1 - values)))

    def listen(self, listener: Listener, content: bytes) -> tuple[Answer, list[Heard]]:
        """Ask about all windows of a sound, as they come.

        Returns:
            The answer about each of them, and what is known of the windows, some at a time.
        """
        features: list[dict[Path, Rows]] = []
        heard: list[Heard] = []
        for item in listener.windows(content):
            if time.monotonic() > self._deadline:
                raise Late
            (answer,) = self._ask([item])
            features.append(answer.features)
            heard.append(listener.heard(item, answer.features))
        self.passes = 1
        return Answer(
            {path: np.concatenate([each[path] for each in features]) for path in features[0]}
        ), heard

    def slope(self, answer: Answer) -> Floats | None:
        """Return how the followed number depends on the features, float64 [d]; None where it is not linear.

        The log-odds of a label of several are compared with the others as probable as they are.
        """
        model = self.served.model
        if len(model.members) > 1 or len(model.head.layers) > 1 or not self.served.has_grid:
            return None
        weight = model.head.layers[0][0] / np.float64(getattr(model.calibration, "temperature", 1.0))
        if model.target != "label":
            return np.asarray(weight[:, self._column])
        others = np.delete(model.answer_features(answer.features), self._column)
        total = others.sum()
        share = others / total if total > 0 else np.full(len(others), 1 / len(others))
        return np.asarray(weight[:, self._column] - np.delete(weight, self._column, 1) @ share)

    def _ask(self, items: Sequence[Asked]) -> list[Answer]:
        self.passes += len(items)
        return self.served.ask(items, self._deadline, grid=self.served.has_grid, wanted=self._wanted)

    def told(self, answer: Answer, method: str, *, exact: bool, **more: Any) -> dict[str, Any]:
        """Return the explanation as a JSON object."""
        prediction = self.served.word(answer, "input 1").to_json()
        return {"prediction": prediction, "method": method, "exact": exact, "passes": self.passes, **more}


def _of_picture(asking: _Asking, item: bytes | str) -> dict[str, Any]:
    asked = asking.served.prepare(item)
    answer = asking.first(asked)
    pixels = np.asarray(asked.inputs[asking.served.model.front_end][0])
    brought = _by_place(asking, answer)
    method = "class-activation map: what each place brings to the answer"
    exact = brought is not None
    if brought is None:
        brought = _by_leaving_out(asking, asked, asking.score(answer))
        method = f"occlusion: how the answer changes when one of {_SIDE} × {_SIDE} parts is covered"
    shown = [[round(float(value), 5) for value in row] for row in brought]
    return asking.told(answer, method, exact=exact, map=shown, overlay=_overlay(pixels, brought))


def _by_place(asking: _Asking, answer: Answer) -> Floats | None:
    """Return what each place brings, float64 [h, w]; None where features are not the mean over places."""
    slope = asking.slope(answer)
    if slope is None or answer.grid is None or answer.grid.ndim != 3:
        return None
    features = asking.served.embedding(answer)
    grid = answer.grid.astype(np.float64)
    if grid.shape[0] == len(features) and grid.shape[2] != len(features):
        grid = grid.transpose(1, 2, 0)
    if grid.shape[2] != len(features):
        return None
    off = np.abs(grid.mean((0, 1)) - features).max()
    if off > 0.02 * max(float(np.abs(features).max()), 1e-6):
        return None
    return np.asarray(grid @ slope / (grid.shape[0] * grid.shape[1]))


def _by_leaving_out(asking: _Asking, asked: Asked, score: float) -> Floats:
    """Return by how much the answer falls when each part of the picture is covered, float64 [7, 7]."""
    variants: list[Asked] = []
    for row, column in np.ndindex(_SIDE, _SIDE):
        inputs: dict[FrontEnd, Sequence[NDArray[Any]]] = {
            front: [_covered(rows[0], row, column)] for front, rows in asked.inputs.items()
        }
        variants.append(Asked(asked.name, inputs))
    return (score - asking.scores(variants)).reshape(_SIDE, _SIDE)


def _covered(pixels: NDArray[Any], row: int, column: int) -> NDArray[Any]:
    """Return a picture one part of which has the picture's mean colour."""
    height, width = pixels.shape[:2]
    found = np.array(pixels)
    rows = slice(row * height // _SIDE, (row + 1) * height // _SIDE)
    columns = slice(column * width // _SIDE, (column + 1) * width // _SIDE)
    found[rows, columns] = pixels.mean((0, 1)).round().astype(pixels.dtype)
    return found


def _overlay(pixels: NDArray[np.uint8], brought: Floats) -> str:
    """Return a PNG as base64: the picture with what speaks for and against the answer laid over it."""
    height, width = pixels.shape[:2]
    small = Image.fromarray(brought.astype(np.float32))
    heat = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), np.float64)
    heat = heat / max(float(np.abs(heat).max()), 1e-12)
    colour = np.where(heat[..., None] > 0, np.array(_FOR), np.array(_AGAINST))
    alpha = _OPAQUE * np.abs(heat)[..., None]
    grey = pixels.mean(2, keepdims=True)  # colours of the picture and of the map would mix
    mixed = (1 - alpha) * (0.5 * pixels + 0.5 * grey) + alpha * colour
    buffer = io.BytesIO()
    Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _of_text(asking: _Asking, item: bytes | str) -> dict[str, Any]:
    served = asking.served
    asked = served.prepare(item)
    answer = asking.first(asked)
    text = item if isinstance(item, str) else decode(item)
    parts, noun = sentences(text), "sentence"
    if len(parts) < 2:
        parts, noun = text.split(), "word"
    parts = _in_runs(parts, MOST_PASSES - 1)
    weights = np.zeros(len(parts))
    if len(parts) > 1:
        whole = asking.score(answer)
        rest = [" ".join(parts[:place] + parts[place + 1 :]) for place in range(len(parts))]
        weights = whole - asking.scores([asking.prepare(each) for each in rest])
    shown = [
        {"text": part, "weight": round(float(weight), 5)} for part, weight in zip(parts, weights, strict=True)
    ]
    return asking.told(answer, f"leaving out each {noun}, one after the other", exact=False, parts=shown)


def _in_runs(parts: list[str], most: int) -> list[str]:
    """Join neighbours so that there are at most so many.

    Example:
        >>> _in_runs(["a", "b", "c"], 2)
        ['a b', 'c']
    """
    size = -(-len(parts) // most) if parts else 1
    return [" ".join(parts[start : start + size]) for start in range(0, len(parts), size)]


def _of_sound(asking: _Asking, item: bytes | str) -> dict[str, Any]:
    model = asking.served.model
    listener = Listener(model)
    content = item if isinstance(item, bytes) else b""
    asking.served.check_length(content)
    windows, heard = asking.listen(listener, content)
    found = listener.timeline(content, heard, "input 1")
    sounds = sounding(content, listener.spec)  # the answer is made from these alone
    answer = Answer({path: rows[sounds] for path, rows in windows.features.items()})
    asking.follow(answer)
    weights = np.zeros(len(sounds))
    weights[sounds] = asking.score(answer) - asking.followed(_without_each(model, answer))
    about = {"length": round(found.length, 3), "starts": found.starts.round(3).tolist()}
    return asking.told(
        answer,
        "leaving out each window of the sound, one after the other",
        exact=True,
        seconds=round(found.seconds, 3),
        segments=found.to_json()["segments"],
        windows={**about, "weights": weights.round(5).tolist()},
    )


def _without_each(model: Model, answer: Answer) -> Floats:
    """Return the answers without each window, float64 [windows, columns].

    The answer comes from logits that are averaged over windows, so nothing has to be computed again.
    """
    logits = [member.head.logits(answer.features[member.network]) for member in model.members]
    rest = [(each.sum(0) - each) / max(1, len(each) - 1) for each in logits]
    if len(rest[0]) == 1:  # without its only window nothing is left to answer about
        rest = logits
    return np.asarray(model.calibration.answers(combined(rest, model.target, model.combine)))
