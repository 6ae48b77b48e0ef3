"""Several tasks on the same features: a shared trunk with one layer for each, weighted by uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.errors import DataError
from headstart.transfer.heads import HIDDEN, Head, Layer, Scaler
from headstart.transfer.threads import one_thread

UNKNOWN = -1
"""Stands for the class of an item that is not known for a task."""
_BATCH, _EPOCHS, _MOST_STEPS = 128, 60, 3_000
_RATE, _DECAY, _DROPOUT = 1e-3, 0.05, 0.5


def fit_shared(
    rows: NDArray[np.float32],
    y: NDArray[np.int64],
    classes: Sequence[int],
    *,
    hidden: int = HIDDEN,
    seed: int = 0,
) -> tuple[list[Head], list[float]]:
    """Fit one trunk for several tasks, and a layer on it for each.

    What is not known of an item does not count. How much a task counts is learned, too: less, the more
    uncertain its answers must stay.

    Args:
        rows: Features, float32 [n, d].
        y: Class of each row for each task, int [n, tasks]; −1 where it is not known.
        classes: Number of classes of each task, int.
        hidden: Width of the trunk, int. Defaults to 256.
        seed: Of the start and the batches, int. Defaults to 0.

    Returns:
        One head of kind "mlp" for each task, reading raw features, their first layers all the same; and how
        much each task counted at the end, the mean being 1.

    Raises:
        DataError: Nothing at all is known for a task.

    References:
        Caruana, "Multitask learning", Machine Learning 1997. Kendall, Gal and Cipolla, "Multi-task learning
        using uncertainty to weigh losses for scene geometry and semantics", CVPR 2018.

    Example:
        >>> rows = np.random.default_rng(0).normal(0, 1, (80, 6)).astype(np.float32)
        >>> y = np.stack([rows[:, 0] > 0, rows[:, 1] > 0], 1).astype(np.int64)
        >>> y[::4, 1] = -1
        >>> heads, weights = fit_shared(rows, y, [2, 2])
        >>> (heads[0].logits(rows).argmax(1) == y[:, 0]).mean() > 0.8
        np.True_
    """
    for task, column in enumerate(y.T):
        if (column == UNKNOWN).all():
            raise DataError("a task with known classes", f"task {task} without any", "leave it out")
    scaler = Scaler.of(rows)
    trunk, tasks, weights = _train(scaler.apply(rows), y, classes, hidden, seed)
    first = scaler.fold(*trunk)
    return [Head("mlp", (first, layer)) for layer in tasks], weights


def _train(
    x: NDArray[np.float32], y: NDArray[np.int64], classes: Sequence[int], hidden: int, seed: int
) -> tuple[Layer, list[Layer], list[float]]:
    """Return the trunk's layer, each task's, and the tasks' weights."""
    import torch
    from torch import nn
    from torch.nn import functional

    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(seed)
        trunk = nn.Sequential(nn.Linear(x.shape[1], hidden), nn.ReLU(), nn.Dropout(_DROPOUT))
        tasks = nn.ModuleList(nn.Linear(hidden, count) for count in classes)
        doubt = nn.Parameter(torch.zeros(len(classes)))  # log σ² of each task
        plain = [*trunk.parameters(), *tasks.parameters()]
        groups = [{"params": plain, "weight_decay": _DECAY}, {"params": [doubt], "weight_decay": 0.0}]
        batches = -(-len(x) // _BATCH)
        steps = min(_MOST_STEPS, _EPOCHS * batches)
        optimiser = torch.optim.AdamW(groups, lr=_RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        rows, answers = torch.from_numpy(x), torch.from_numpy(y)
        order = torch.empty(0, dtype=torch.int64)
        for _ in range(steps):
            if not len(order):
                order = torch.randperm(len(rows))
            batch, order = order[:_BATCH], order[_BATCH:]
            shared = trunk(rows[batch])
            total = torch.zeros(())
            for number, layer in enumerate(tasks):
                known = answers[batch, number] != UNKNOWN
                if known.any():
                    loss = functional.cross_entropy(layer(shared[known]), answers[batch[known], number])
                    total = total + torch.exp(-doubt[number]) * loss + doubt[number] / 2
            optimiser.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        share = torch.exp(-doubt.detach())
        weights: list[float] = (share / share.mean()).tolist()
    return _layer(trunk[0]), [_layer(each) for each in tasks], weights


def _layer(linear: Any) -> Layer:
    return linear.weight.detach().numpy().T.copy(), linear.bias.detach().numpy().copy()
