"""Why a served model answers as it does, without torch: places, sentences, moments that count.

The answer is followed as one number, the log-odds of the label it gives (of a model for numbers, the number).
"""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.artefact.streaming import Asked, Rows
from headstart.artefact.timeline import Heard, Listener
from headstart.audio.hearing import sounding
from headstart.explain.explanation import PictureExplanation
from headstart.explain.following import Features, Followed
from headstart.explain.pictures import Looked, by_occlusion, by_place, is_linear
from headstart.explain.texts import by_leaving_out, explain_text, in_runs, read
from headstart.images.decode import decode as decode_picture
from headstart.serving.batching import Late
from headstart.serving.models import Answer, Served
from headstart.text.sentences import sentences

Parts = tuple[tuple[str, float], ...]
MOST_PASSES = 64
_SIDE = 480
"""Pixels of the longer side of a picture that is marked."""
_CHUNK = 8
"""Items that are asked at once, so that other requests are answered in between."""
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
        A JSON object: "prediction"; "method" in words, whether it is "exact", and in how many "passes".
        Of a picture "map", what each part brings, float [rows][columns]; "overlay", a PNG as base64 of the
        picture, orange where it speaks for the answer, blue where against it; the left, top, right and bottom
        of what the network has "seen" and of the "region" that speaks for the answer most, in pixels of the
        overlay; its "share" of all that speaks for it.
        Of a text "parts", its sentences, and "words", each {"text", "weight"}: all words where the model
        counts them, else those of the sentence that counts most.
        Of a sound "seconds"; "segments", each {"start", "end", "label", "confidence"}; "windows", {"length",
        "starts", "weights"}.

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

    def prepare(self, item: bytes | str) -> Asked:
        """Read a variant, while there is time."""
        if time.monotonic() > self._deadline:
            raise Late
        return self.served.prepare(item)

    def first(self, item: Asked) -> tuple[Answer, Followed]:
        """Ask about the item itself; its answer is the one that is followed."""
        if item.error is not None:
            raise item.error
        (answer,) = self._ask([item])
        return answer, Followed.of(self.served.model, answer.features)

    def ask(self, items: Sequence[Asked]) -> list[Features]:
        """Return what the networks make of variants."""
        return [
            answer.features
            for start in range(0, len(items), _CHUNK)
            for answer in self._ask(items[start : start + _CHUNK])
        ]

    def scores(self, followed: Followed, texts: Sequence[str]) -> Floats:
        """Return the followed number of some texts, float64 [n]."""
        asked = [self.prepare(each) for each in texts]
        return np.array([followed.score(features) for features in self.ask(asked)])

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

    def _ask(self, items: Sequence[Asked]) -> list[Answer]:
        self.passes += len(items)
        return self.served.ask(items, self._deadline, grid=self.served.has_grid, wanted=self._wanted)

    def told(self, answer: Answer, method: str, *, exact: bool, **more: Any) -> dict[str, Any]:
        """Return the explanation as a JSON object."""
        prediction = self.served.word(answer, "input 1").to_json()
        return {"prediction": prediction, "method": method, "exact": exact, "passes": self.passes, **more}


def _of_picture(asking: _Asking, item: bytes | str) -> dict[str, Any]:
    model = asking.served.model
    asked = asking.served.prepare(item)
    answer, followed = asking.first(asked)
    picture = decode_picture(item if isinstance(item, bytes) else b"", at_least=_SIDE)
    grids = [answer.grid, *(None for _ in model.members[1:])]
    looked = Looked.at(asked, picture, answer.features, grids)
    brought = by_place(followed, looked) if is_linear(model) else None
    method = "class-activation map: what each place brings to the answer"
    exact = brought is not None
    if brought is None:
        brought = by_occlusion(followed, looked, asking.ask)
        method = "occlusion: how the answer changes when parts are covered"
    confidence = followed.confidence(answer.features)
    why = PictureExplanation("", followed.label, confidence, method, exact, picture, brought, seen=looked.box)
    shown = why.shown(_SIDE)
    scale = shown.shape[1] / picture.shape[1]
    return asking.told(
        answer,
        method,
        exact=exact,
        map=[[round(float(value), 5) for value in row] for row in brought],
        overlay=_png(shown),
        seen=[round(edge * scale) for edge in why.box],
        region=[round(edge * scale) for edge in why.region()],
        share=round(why.share, 4),
    )


def _png(pixels: NDArray[np.uint8]) -> str:
    """Return a picture as a PNG in base64."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _of_text(asking: _Asking, item: bytes | str) -> dict[str, Any]:
    model = asking.served.model
    answer, followed = asking.first(asking.served.prepare(item))
    if not any(member.is_ir for member in model.members):  # its terms are weighed: nothing is left out
        why = explain_text(model, item)
        parts = why.sentences if len(why.sentences) > 1 else why.parts
        words = why.parts if len(why.sentences) > 1 else ()
        exact, method = why.exact, why.method
        return asking.told(answer, method, exact=exact, parts=_told(parts), words=_told(words))
    found, noun = sentences(read(model, item)), "sentence"
    if len(found) < 2:
        found, noun = " ".join(found).split(), "word"
    found = in_runs(found, (MOST_PASSES - 2) // (2 if noun == "sentence" else 1), " ")
    weights = by_leaving_out(found, partial(asking.scores, followed), " ")
    words = ()
    if noun == "sentence" and weights.max() > 0:
        words = _words_of(asking, followed, found, int(weights.argmax()))
    parts = tuple(zip(found, weights.tolist(), strict=True))
    method = f"leaving out each {noun}, one after the other"
    return asking.told(answer, method, exact=False, parts=_told(parts), words=_told(words))


def _words_of(asking: _Asking, followed: Followed, found: Sequence[str], best: int) -> Parts:
    """Return what each word of one sentence brings: how much the answer falls without it."""
    words = in_runs(found[best].split(), MOST_PASSES // 2 - 1, " ")
    before, after = " ".join(found[:best]), " ".join(found[best + 1 :])

    def scores(texts: Sequence[str]) -> Floats:
        return asking.scores(followed, [f"{before} {text} {after}".strip() for text in texts])

    return tuple(zip(words, by_leaving_out(words, scores, " ").tolist(), strict=True))


def _told(parts: Parts) -> list[dict[str, Any]]:
    return [{"text": text.strip(), "weight": round(weight, 5)} for text, weight in parts]


def _of_sound(asking: _Asking, item: bytes | str) -> dict[str, Any]:
    model = asking.served.model
    listener = Listener(model)
    content = item if isinstance(item, bytes) else b""
    asking.served.check_length(content)
    windows, heard = asking.listen(listener, content)
    found = listener.timeline(content, heard, "input 1")
    sounds = sounding(content, listener.spec)  # the answer is made from these alone
    answer = Answer({path: rows[sounds] for path, rows in windows.features.items()})
    followed = Followed.of(model, answer.features)
    weights = np.zeros(len(sounds))
    weights[sounds] = followed.score(answer.features) - _without_each(followed, answer)
    about = {"length": round(found.length, 3), "starts": found.starts.round(3).tolist()}
    return asking.told(
        answer,
        "leaving out each window of the sound, one after the other",
        exact=True,
        seconds=round(found.seconds, 3),
        segments=found.to_json()["segments"],
        windows={**about, "weights": weights.round(5).tolist()},
    )


def _without_each(followed: Followed, answer: Answer) -> Floats:
    """Return the followed number without each window, float64 [windows].

    The answer comes from logits that are averaged over windows, so nothing has to be computed again.
    """
    members = followed.model.members
    logits = np.stack([each.head.logits(answer.features[each.network]) for each in members])
    rest = (logits.sum(1, keepdims=True) - logits) / max(1, logits.shape[1] - 1)
    if logits.shape[1] == 1:  # without its only window nothing is left to answer about
        rest = logits
    return np.array([followed.of_logits(each.astype(np.float64)) for each in rest.swapaxes(0, 1)])
