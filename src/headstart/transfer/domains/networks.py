"""A network of two layers that sees both domains while it learns: what DANN and MCC share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from headstart.transfer.domains.domains import Domains, OwnScales, reading
from headstart.transfer.heads import Head
from headstart.transfer.threads import one_thread


@dataclass(frozen=True)
class Step:
    """What a loss on both domains may look at.

    Args:
        hidden: The hidden units of the source's rows and then of as many target rows, float [2n, hidden].
        logits: Of the same rows, float [2n, classes].
        progress: Of the training, float from 0 to 1.
    """

    hidden: Tensor
    logits: Tensor
    progress: float


@dataclass(frozen=True)
class Course:
    """How such a network is trained.

    The rate falls as in the paper on DANN, 0.01 / (1 + 10 p)^0.75 with p the progress, under SGD with
    momentum.

    Args:
        hidden: Hidden units, int. Defaults to 256.
        steps: How many batches, int. Defaults to 600.
        batch: Rows of each domain in a batch, int. Defaults to 64.
        rate: The learning rate at the start, float. Defaults to 0.01.
        decay: Weight decay, float. Defaults to 0.001.
    """

    hidden: int = 256
    steps: int = 600
    batch: int = 64
    rate: float = 0.01
    decay: float = 1e-3


def train(
    domains: Domains, course: Course, seed: int, extra: nn.Module, loss: Callable[[Step], Tensor]
) -> Head:
    """Train with the labels' cross-entropy plus another loss, and return the head on raw target features.

    On one thread: a batch is too small to be shared.

    Args:
        domains: Both domains, with features.
        course: How to train.
        seed: Of the start and the batches, int.
        extra: What the other loss learns, beside the network.
        loss: The other loss of a step.

    Returns:
        The head, of kind "mlp".
    """
    its = OwnScales.of(domains)
    with one_thread():
        return _trained(its, domains.data.classes, course, seed, extra, loss)


def _trained(
    its: OwnScales, classes: int, course: Course, seed: int, extra: nn.Module, loss: Callable[[Step], Tensor]
) -> Head:
    generator = torch.Generator().manual_seed(seed)
    body = _layer(its.rows.shape[1], course.hidden, generator)
    last = _layer(course.hidden, classes, generator)
    modules = nn.ModuleList([body, last, extra])
    optimiser = torch.optim.SGD(
        modules.parameters(), course.rate, momentum=0.9, weight_decay=course.decay, nesterov=True
    )
    x, labels = torch.from_numpy(its.rows), torch.from_numpy(its.y.astype(np.int64))
    z = torch.from_numpy(its.target)
    for step in range(course.steps):
        progress = step / course.steps
        for group in optimiser.param_groups:
            group["lr"] = course.rate / (1 + 10 * progress) ** 0.75
        ours = torch.randint(len(x), (course.batch,), generator=generator)
        other = torch.randint(len(z), (course.batch,), generator=generator)
        hidden = F.relu(body(torch.cat([x[ours], z[other]])))
        logits = last(hidden)
        total = F.cross_entropy(logits[: course.batch], labels[ours]) + loss(Step(hidden, logits, progress))
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return reading(Head("mlp", (_numbers(body), _numbers(last))), its.scaler)


def _layer(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """Return a layer whose start depends on the generator alone."""
    layer = nn.Linear(inputs, outputs)
    with torch.no_grad():
        layer.weight.normal_(0, 1 / math.sqrt(inputs), generator=generator)
        layer.bias.zero_()
    return layer


def perceptron(inputs: int, hidden: int, seed: int) -> nn.Module:
    """Return a network with one hidden layer and one output, whose start depends on the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    return nn.Sequential(_layer(inputs, hidden, generator), nn.ReLU(), _layer(hidden, 1, generator))


def _numbers(layer: nn.Linear) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    return np.ascontiguousarray(weight.T, np.float32), np.asarray(bias, np.float32)
