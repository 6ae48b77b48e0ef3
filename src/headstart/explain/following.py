"""Which of a model's answers is followed, as one number that evidence adds up to; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.members import combined
from headstart.errors import OptionError

if TYPE_CHECKING:
    from headstart.artefact.model import Model

Floats = NDArray[np.float64]
Features = Mapping[Path, NDArray[np.float32]]
"""What each member's network made of an item, float32 [rows, d] by the network's file."""

_STEP = 1e-3


@dataclass(frozen=True, eq=False)
class Followed:
    """One answer of a model as a number: the log-odds of a label, or the number itself.

    Evidence adds up in log-odds, as it does not in probabilities, which saturate.

    Args:
        model: The model.
        column: Which of its answers, int.
    """

    model: Model
    column: int

    @classmethod
    def of(cls, model: Model, features: Features, label: str | None = None) -> Followed:
        """Follow a label, or the most probable one of an item.

        Args:
            model: The model.
            features: Of the item.
            label: Which label. Defaults to None: the most probable one.

        Raises:
            OptionError: The model has no such label, or answers with numbers.
        """
        if label is None:
            return cls(model, int(model.answer_features(features).argmax()))
        if label not in model.labels:
            shown = ", ".join(map(repr, model.labels[:20])) + (", …" if len(model.labels) > 20 else "")
            raise OptionError(f"one of the model's labels {shown}", repr(label), "name one of them")
        return cls(model, model.labels.index(label))

    @property
    def label(self) -> str:
        """Its label; of a model for numbers "value"."""
        return "value" if self.model.target == "number" else self.model.labels[self.column]

    def confidence(self, features: Features) -> float:
        """Return the probability of the label, or the number."""
        return float(self.model.answer_features(features)[self.column])

    def score(self, features: Features) -> float:
        """Return the followed number of an item."""
        return self.of_logits(self._logits(features))

    def of_logits(self, logits: Floats) -> float:
        """Return the followed number.

        Args:
            logits: Of each member about the item, float64 [members, columns].
        """
        model = self.model
        together = np.asarray(combined(list(logits[:, None]), model.target, model.combine)[0], np.float64)
        together = together / getattr(model.calibration, "temperature", 1.0)
        others = np.delete(together, self.column) if model.target == "label" else np.zeros(1)
        rest = np.logaddexp.reduce(others) if model.target == "label" else 0.0
        return float(together[self.column] - rest)

    def slopes(self, features: Features) -> list[Floats]:
        """Return how the followed number depends on each member's features, float64 [rows, d] each."""
        logits = self._logits(features)
        found = []
        for number, member in enumerate(self.model.members):
            pull = np.zeros(logits.shape[1])
            for column in range(logits.shape[1]):
                shift = np.zeros_like(logits)
                shift[number, column] = _STEP
                pull[column] = self.of_logits(logits + shift) - self.of_logits(logits - shift)
            x = np.asarray(features[member.network], np.float64)
            before: list[NDArray[np.floating]] = [x]
            for depth, (weight, bias) in enumerate(member.head.layers):
                before.append((np.maximum(before[-1], 0) if depth else before[-1]) @ weight + bias)
            slope = np.tile(pull / (2 * _STEP) / len(x), (len(x), 1))
            for depth in reversed(range(len(member.head.layers))):
                slope = slope @ member.head.layers[depth][0].T.astype(np.float64)
                slope = slope * (before[depth] > 0) if depth else slope
            found.append(slope)
        return found

    def _logits(self, features: Features) -> Floats:
        rows = (member.head.logits(features[member.network]).mean(0) for member in self.model.members)
        return np.stack(list(rows)).astype(np.float64)
