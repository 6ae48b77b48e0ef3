"""What a fitted model keeps, so that traffic can be compared with what it learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.model import Model
from headstart.evaluation.drift import FEWEST, KEPT, Reference
from headstart.fitting.views import Answers
from headstart.transfer.stacking import Stacked

if TYPE_CHECKING:
    from headstart.fitting.strategies import Candidate
    from headstart.transfer.selection import Labelled


def reference_of(made: Candidate, model: Model) -> Reference | None:
    """Return embeddings and answers that the model gives about items as if they were new.

    Answers are out-of-fold ones, or of validation items where a network was trained: about what it has
    learned from, a model is surer than about traffic.

    Args:
        made: What the model was made of.
        model: The model.

    Returns:
        The reference; None where there are too few items.
    """
    items, logits = made.arrangement.refit, made.fitted.selection.logits
    if made.tuned is not None:
        items, logits = made.arrangement.val, made.tuned.logits["validation"]
    if len(items) < FEWEST:
        return None
    chosen = np.unique(np.linspace(0, len(items) - 1, min(KEPT, len(items))).round().astype(int))
    answers = made.fitted.calibration.answers(logits[chosen])
    return Reference.of(_embeddings(made, model, items[chosen]), answers)


def _embeddings(made: Candidate, model: Model, items: NDArray[np.int64]) -> NDArray[np.float32]:
    view = _first(made.fitted.view or made.arrangement.data)
    if made.tuned is not None or isinstance(view, Answers):
        return model.embed(made.gathered.dataset.items[n].source for n in items)
    if view.features.X.shape[1] != model.backbone.features:
        # What is fitted from the start knows these items: its features would be unlike those of traffic.
        return np.zeros((len(items), 0), np.float32)
    part = view.features.take(items)
    return part.pool(np.asarray(part.X, np.float32))


def _first(view: Labelled) -> Labelled:
    """Return the view that the model's first member sees."""
    if not isinstance(view, Stacked):
        return view
    used = (each for each, weight in zip(view.views, view.weights, strict=True) if weight > 0)
    return _first(next(used, view.views[0]))
