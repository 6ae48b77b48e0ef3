"""Why a model made its worst errors: explanations by the model, and neighbours among what it learned from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from headstart.artefact.model import Model
from headstart.data.items import Dataset, Source, in_words
from headstart.errors import HeadstartError
from headstart.evaluation.label_metrics import LabelMistake
from headstart.evaluation.number_metrics import NumberMistake
from headstart.evaluation.reasons import Neighbour, Reason
from headstart.evaluation.results import Loss
from headstart.explain.explaining import explain
from headstart.explain.explanation import Explanation, PictureExplanation, SoundExplanation, TextExplanation
from headstart.explain.overlay import overlay
from headstart.images.saving import jpeg
from headstart.retrieval.neighbours import unit

if TYPE_CHECKING:
    from headstart.fitting.strategies import Candidate

MOST = 12
"""So many of the worst errors are explained: more would take longer than anyone looks."""
_SECONDS = 3.0
"""So long explanations are looked for; errors whose turn comes later go without."""
_NEAR = 3
_SIDE = 200
_WIDE = (320, 200)
_LONG = ("input", "evidence", "parts", "sentences")

Mistake = Loss | LabelMistake | NumberMistake


@dataclass(frozen=True, eq=False)
class Learned:
    """Items that a model learned from, to look for neighbours among.

    Args:
        dataset: The items.
        vectors: The features of each, of unit length, float32 [n, d].

    Example:
        >>> from headstart.data.items import Item
        >>> items = Item("a", np.zeros(1), "cat"), Item("b", np.zeros(1), "dog")
        >>> known = Learned(Dataset(items, "image"), np.eye(2, dtype=np.float32))
        >>> mistake = Loss("c", "cat", "dog", confidence=0.9, true_probability=0.1, loss=2.3)
        >>> [near.name for near in known.near(mistake, np.array([1, 0.5], np.float32))]
        ['b', 'a']
    """

    dataset: Dataset
    vectors: NDArray[np.float32]

    def near(
        self, mistake: Mistake, vector: NDArray[np.float32], allowed: NDArray[np.bool_] | None = None
    ) -> tuple[Neighbour, ...]:
        """Return the items most like one that was answered wrongly.

        Args:
            mistake: The answer. One class: the three most similar items of the answered class, and one of the
                true class. Otherwise the four most similar of all.
            vector: The item's features, float32 [d].
            allowed: Which items had been learned from at that time, bool [n]. Defaults to None: all.
        """
        allowed = np.ones(len(self.dataset), np.bool_) if allowed is None else allowed
        if not isinstance(mistake, Loss):
            return self._nearest(vector, allowed, _NEAR + 1)
        labels = np.array([in_words(item.answer) for item in self.dataset])
        found = self._nearest(vector, allowed & (labels == mistake.answer), _NEAR)
        if mistake.true == mistake.answer:
            return found
        return found + self._nearest(vector, allowed & (labels == mistake.true), 1)

    def _nearest(
        self, vector: NDArray[np.float32], allowed: NDArray[np.bool_], count: int
    ) -> tuple[Neighbour, ...]:
        cosines = np.where(allowed, self.vectors @ unit(vector[None])[0], -np.inf)
        nearest = np.argsort(-cosines, kind="stable")[: min(count, int(allowed.sum()))]
        items = [self.dataset.items[n] for n in nearest]
        return tuple(
            Neighbour(item.name, in_words(item.answer), round(float(cosines[n]), 4))
            for n, item in zip(nearest, items, strict=True)
        )


def neighbours(made: Candidate) -> list[tuple[Neighbour, ...]]:
    """Return for each of a fit's worst errors what had been learned from by then that is most like it.

    Args:
        made: What was made. Its first evaluation is the one whose errors are looked at.
    """
    arrangement, dataset, fitted = made.arrangement, made.gathered.dataset, made.fitted
    split, evaluation = next(iter(fitted.evaluations.items()))
    mistakes = evaluation.losses[:MOST]
    features = made.gathered.features
    if features.X.shape[1] == 0:  # fitted from the start: no pretrained network says what is alike
        return [() for _ in mistakes]
    learned = arrangement.train if split == "validation" or made.tuned is not None else arrangement.refit
    vectors = features.pool(np.asarray(features.X, np.float32))
    known = Learned(dataset.take(learned.tolist()), unit(vectors[learned]))
    position = {item.name: n for n, item in enumerate(dataset)}
    folds = np.full(len(dataset), -1)
    if split == "cross-validation":  # each item was answered by what had learned from the other folds
        folds[learned] = fitted.selection.folds
    found = []
    for mistake in mistakes:
        own = position[mistake.name]
        allowed = (learned != own) & ((folds[own] < 0) | (folds[learned] != folds[own]))
        found.append(known.near(mistake, vectors[own], allowed))
    return found


def reasons(
    model: Model,
    dataset: Dataset,
    mistakes: Sequence[Mistake],
    near: Sequence[tuple[Neighbour, ...]] = (),
    seconds: float = _SECONDS,
) -> Callable[[], Sequence[Reason]]:
    """Return what finds the reasons of the worst errors, once, when it is first asked.

    Args:
        model: The model, which is asked what counted.
        dataset: Has the items.
        mistakes: The worst first.
        near: What had been learned from that is like each of the first of them. Defaults to (): not known.
        seconds: How long explanations are looked for, float. Defaults to 3.
    """
    sources = {item.name: item.source for item in dataset}

    @cache
    def find() -> Sequence[Reason]:
        until = time.monotonic() + seconds
        found = []
        for number, mistake in enumerate(mistakes[:MOST]):
            reason = Reason(near[number] if near else ())
            if time.monotonic() < until and mistake.name in sources:
                reason = _explained(reason, model, sources[mistake.name], mistake)
            found.append(reason)
        return found

    return find


def _explained(reason: Reason, model: Model, source: Source, mistake: Mistake) -> Reason:
    """Add what counted for the answer; a model or an item that cannot be explained is left as it is."""
    # Gradients would load torch, and for a dozen texts take longer than the whole fit.
    encoded = model.modality == "text" and any(member.is_ir for member in model.members)
    method = "occlusion" if encoded else "auto"
    label, name = _asked(mistake), mistake.name
    try:
        found = explain(model, source, method=method, label=label, name=name, offline=True)
    except HeadstartError:
        return reason
    shown, says = _shown(found)
    return replace(reason, shown=shown, says=says, about=_about(found))


def _asked(mistake: Mistake) -> str | None:
    """Return the label whose evidence is looked for."""
    if isinstance(mistake, Loss):
        return mistake.answer
    if isinstance(mistake, NumberMistake):
        return None
    # Of several labels it is the one that was wrongly named that surprises, or the one that was missed.
    return next(iter((*mistake.added, *mistake.missed, *mistake.true)), None)


def _shown(found: Explanation) -> tuple[bytes | Markup | None, str]:
    """Return what shows an explanation beside others, and its words."""
    what = "the number" if found.label == "value" else found.label
    if isinstance(found, PictureExplanation):
        said = f"what counts for {what}: {found.share:.0%} of it in one place" if found.share else ""
        return _small_jpeg(Image.fromarray(found.overlay(_SIDE))), said
    if isinstance(found, SoundExplanation):
        return _small_jpeg(_spectrogram(found)), f"what counts for {what}: {found.place}"
    if isinstance(found, TextExplanation):
        return found.marked(), f"what counts for {what}"
    return None, ""


def _spectrogram(found: SoundExplanation) -> Image.Image:
    """Return a sound with what counted laid over it; low pitches are at the bottom."""
    heard = found.spectrogram.T[::-1]
    low, high = np.quantile(heard, (0.02, 0.995))
    loud = np.clip((heard - low) / max(float(high - low), 1e-9), 0, 1)
    grey = Image.fromarray((245 - 155 * loud).astype(np.uint8)).resize(_WIDE).convert("RGB")
    return Image.fromarray(overlay(np.asarray(grey), found.evidence.T[::-1]))


def _about(found: Explanation) -> Mapping[str, Any]:
    """Return an explanation as JSON, without what is long: the maps and the whole text."""
    return {key: value for key, value in found.to_json().items() if key not in _LONG}


def _small_jpeg(image: Image.Image) -> bytes:
    image.thumbnail((2 * _SIDE, _SIDE))
    return jpeg(image, 80)
