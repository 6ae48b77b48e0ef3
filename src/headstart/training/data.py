"""What the training loop is given, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.errors import DataError, OptionError
from headstart.progress import Say
from headstart.training.inputs import Inputs
from headstart.training.plan import Phase, Plan
from headstart.training.sampling import Items


@dataclass(frozen=True)
class TrainingData:
    """What is learned from.

    Args:
        inputs: Gives the batches of a phase.
        y: Targets of all items: classes int64 [n], several labels or soft targets float32 [n, k], or numbers
            float32 [n].
        train: Positions of the items that are trained on, int64.
        val: Positions of the items that decide when to stop, int64.
        classes: Number of logits, int.
        digest: Of the data, str: a checkpoint continues only with the same.
        labels: What the logits stand for, str each. Defaults to none.
    """

    inputs: Callable[[Phase], Inputs]
    y: NDArray[Any]
    train: Items
    val: Items
    classes: int
    digest: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trained:
    """How a training went; the network that was trained holds its best weights.

    Args:
        phase: Name of the phase of the best epoch, str.
        epoch: Its number, counted through all phases from 1, int.
        val_loss: Its validation loss, float.
        val_accuracy: Its accuracy, float; None for numbers.
        val_rmse: Its root mean squared error, float; None for anything but numbers.
        val_logits: Its logits of the validation items, float32 [len(val), classes].
        history: A dictionary for each epoch, as in history.jsonl.
        stopped: Why it ended, str: "done", or a sentence.
    """

    phase: str
    epoch: int
    val_loss: float
    val_accuracy: float | None
    val_rmse: float | None
    val_logits: NDArray[np.float32]
    history: list[dict[str, Any]]
    stopped: str


def check(data: TrainingData, plan: Plan, say: Say) -> None:
    """Make sure that a plan can be followed with this data; what is only worth knowing is said.

    Raises:
        DataError: No items to train or to validate on, or targets that do not fit.
        OptionError: The plan has no phases.
    """
    for what, items in (("train", data.train), ("validate", data.val)):
        if not len(items):
            raise DataError(f"items to {what} on", "none", "add some, or change the split")
    _check_targets(data, plan)
    if not plan.phases:
        raise OptionError(
            "a plan with phases", f"{plan.strategy} without any", "fit a head on cached features"
        )
    if plan.settings.batch > len(data.train):
        say(f"A batch of {plan.settings.batch} is more than there is: all {len(data.train)} items make one.")
    if data.y.ndim == 1 and np.issubdtype(data.y.dtype, np.integer):
        seen, checked = set(data.y[data.train].tolist()), set(data.y[data.val].tolist())
        names = data.labels or tuple(str(number) for number in range(data.classes))
        for missing, where in ((seen - checked, "validation"), (checked - seen, "training")):
            if missing:
                say(f"Not among the {where} items: {', '.join(names[c] for c in sorted(missing))}.")


def _check_targets(data: TrainingData, plan: Plan) -> None:
    y, needed = data.y, int(max(data.train.max(), data.val.max())) + 1
    fix = "make the targets anew from the data"
    if len(y) < needed:
        raise DataError("a target for each item", f"{len(y)} for {needed} items", fix)
    # A distillation's targets are what a teacher says, and maybe the labels behind it.
    parts = (1, 2) if plan.settings.loss == "distillation" else (1,)
    if y.ndim == 2 and y.shape[1] not in [part * data.classes for part in parts]:
        raise DataError(f"targets with {data.classes} columns", f"the shape {y.shape}", fix)
    if y.ndim == 1 and np.issubdtype(y.dtype, np.integer) and y.max() >= max(2, data.classes):
        raise DataError(f"classes from 0 to below {data.classes}", str(y.max()), fix)


def class_weights(data: TrainingData) -> Tensor:
    """Return weights that make up for rare classes.

    Args:
        data: Its training items are counted.

    Returns:
        float32 [classes]: for classes n / (classes × count), so that their mean over the items is 1; for
        several labels the number of items without a label over the number with it.
    """
    y = data.y[data.train]
    if y.ndim == 1 and np.issubdtype(y.dtype, np.integer):
        counts = np.bincount(y, minlength=data.classes)
        weights = len(y) / (np.count_nonzero(counts) * counts.clip(1))
    else:
        positive = y.reshape(len(y), -1).sum(0).clip(1)
        weights = (len(y) - positive).clip(1) / positive
    return torch.tensor(weights, dtype=torch.float32)
