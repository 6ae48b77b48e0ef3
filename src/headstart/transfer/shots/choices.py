"""What a head may be made by where items are few; which is best, cross-validation says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from headstart.data.items import Target
from headstart.transfer.heads import Head, Kind, Scaler, fit_head
from headstart.transfer.selection import Labelled
from headstart.transfer.shots.answers import SourceAnswers, SourceSpace
from headstart.transfer.shots.means import ClassMeans
from headstart.transfer.source_head import ZERO, SourceStart, start_choices

MEANS, ONE_SCALE, ANSWERS = "class means", "one scale", "source answers"
FEW = 20
"""Below so many items a class, on average, the methods for few items are tried, too."""


@dataclass(frozen=True)
class OneScale(Labelled):
    """Features with their items' classes, whose linear heads see all features on one scale.

    The spread of a feature over a handful of items is noise, and to divide by it is worse than not to.
    Ten monkeys, four pictures of each: 0.944 right, against 0.909 with features that are standardised.

    Args:
        features: Rows of the items, Features.
        y: Class of each item, int [items].
        classes: Number of classes, int.
    """

    target: ClassVar[Target] = "label"

    def fit(self, kind: Kind, strength: float, class_weight: str | None, seed: int) -> Head:
        """Fit a head on all rows."""
        rows, item = self.features.X, self.features.item
        middle = rows.mean(0, np.float64)
        length = max(float(np.linalg.norm(rows - middle, axis=1).mean()), 1e-12)
        scaler = Scaler(middle, np.full(rows.shape[1], 1 / length))
        fitted = fit_head(
            kind, scaler.apply(rows), self.y[item], self.classes, strength=strength,
            class_weight=class_weight, weight=self.weight_of(item), seed=seed, standardise=False,
        )  # fmt: skip
        first, *rest = fitted.layers
        return Head(kind, (scaler.fold(*first), *rest))

    def strengths(self, kind: Kind) -> tuple[float, ...]:
        """Return the strengths that are worth trying: rows have length one, so they are larger."""
        return (1.0, 10.0, 100.0) if kind == "linear" else tuple(super().strengths(kind))


def is_few(data: Labelled, few: int = FEW) -> bool:
    """Return whether a class has fewer than `few` items on average: then methods for few items are tried."""
    return data.target == "label" and len(data.y) < few * data.classes


def few_choices(
    data: Labelled, start: SourceStart | None, known: Labelled, space: SourceSpace | None = None
) -> dict[str, Labelled]:
    """Return what a linear head may be made by, by name, for `select_start`.

    The fewer there are, the better: over a handful of items losses are so noisy that every choice more costs.
    Where no class has two items, nothing can be held out of any, and what knows nothing before is left out.

    Args:
        data: All items.
        start: What the source classifier knows of the classes by their names, if anything.
        known: The items that are learned from.
        space: What the source classifier knows of features. Defaults to None: there is none.

    Returns:
        As `start_choices`; of few items logistic regression on one scale and what starts from the source
        classifier's answers or, without one, the class means.
    """
    choices = start_choices(data, start)
    if not is_few(known):
        return choices
    parts = (data.features, data.y, data.classes)
    few: dict[str, Labelled] = {ONE_SCALE: OneScale(*parts, weight=data.weight)}
    if space is None:
        few[MEANS] = ClassMeans(*parts, weight=data.weight)
    else:
        few[ANSWERS] = SourceAnswers(*parts, space, weight=data.weight)
        # That features vary alike is known of a network that classifies: to standardise them is worse.
        del choices[ZERO]
    if max(known.counts()) < 2:
        choices.pop(ZERO, None)
        del few[ONE_SCALE]
    return {**choices, **few}
