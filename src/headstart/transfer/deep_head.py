"""A head of several hidden layers: the classic classifier on bottleneck features."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from headstart.transfer.heads import Head, Scaler
from headstart.transfer.threads import one_thread

HIDDEN = (1024, 512, 256, 128)
_BATCH, _EPOCHS = 128, 25
_RATE, _DECAY, _DROPOUT = 1e-3, 0.05, 0.4


def fit_deep_head(
    rows: NDArray[np.float32],
    y: NDArray[np.int64],
    classes: int,
    *,
    hidden: tuple[int, ...] = HIDDEN,
    epochs: int = _EPOCHS,
    seed: int = 0,
) -> Head:
    """Fit a network of fully connected layers with dropout on feature rows.

    Args:
        rows: Features, float32 [n, d].
        y: Class of each row, int [n], 0 to classes − 1.
        classes: Number of classes, int.
        hidden: Width of each hidden layer, int. Defaults to (1024, 512, 256, 128).
        epochs: How often each row is seen, int. Defaults to 25.
        seed: Of the start, the batches and the dropout, int. Defaults to 0.

    Returns:
        The Head; it reads raw features and needs no torch.

    References:
        Sarkar, Bali and Ghosh, "Hands-On Transfer Learning with Python", 2018, chapter 8, for four hidden
        layers on the bottleneck features of VGG16.

    Example:
        >>> rows = np.random.default_rng(0).normal(0, 1, (80, 6)).astype(np.float32)
        >>> head = fit_deep_head(rows, (rows[:, 0] > 0).astype(np.int64), 2, hidden=(32, 16))
        >>> len(head.layers)
        3
    """
    import torch
    from torch import nn
    from torch.nn import functional

    scaler = Scaler.of(rows)
    widths = (rows.shape[1], *hidden, classes)
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(seed)
        linear = [nn.Linear(a, b) for a, b in pairwise(widths)]
        parts = [part for each in linear[:-1] for part in (each, nn.ReLU(), nn.Dropout(_DROPOUT))]
        network = nn.Sequential(*parts, linear[-1])
        x, answers = torch.from_numpy(scaler.apply(rows)), torch.from_numpy(y)
        steps = epochs * -(-len(x) // _BATCH)
        optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, max(steps, 2))
        for _ in range(epochs):
            for batch in torch.split(torch.randperm(len(x)), _BATCH):
                loss = functional.cross_entropy(network(x[batch]), answers[batch])
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
    layers = [(each.weight.detach().numpy().T.copy(), each.bias.detach().numpy().copy()) for each in linear]
    return Head("mlp", (scaler.fold(*layers[0]), *layers[1:]))
