"""MCC: answers for the target that do not confuse one class with another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headstart.transfer.domains.domains import Domains, OnFeatures
from headstart.transfer.heads import Head

if TYPE_CHECKING:
    from torch import Tensor

    from headstart.transfer.domains.networks import Course, Step


@dataclass(frozen=True)
class Mcc(OnFeatures):
    """Train on the source's labels and against confusion between classes on the target.

    Args:
        weight: What the confusion counts, float. Defaults to 1.
        temperature: The target's logits are divided by it, float. Defaults to 2.5, as in the paper.
        course: Sizes and rates, Course. Defaults to its own.

    References:
        Jin, Wang, Long and Wang, "Minimum class confusion for versatile domain adaptation", ECCV 2020.

    Example:
        >>> import numpy as np
        >>> from headstart.transfer.domains.networks import Course
        >>> from headstart.transfer.features import Features
        >>> from headstart.transfer.selection import Labelled
        >>> X, item = np.array([[-1], [1], [9], [13]], np.float32), np.arange(4)
        >>> data = Labelled(Features(X, item, item), np.array([0, 1, -1, -1]), 2)
        >>> domains = Domains(data, item[:2], item[2:])
        >>> domains.target_view.logits(Mcc(course=Course(steps=60)).fit(domains, 1.0, 0)).argmax(1)
        array([0, 1])
    """

    name = "MCC"
    weight: float = 1.0
    temperature: float = 2.5
    course: Course | None = field(default=None)

    def fit_view(self, domains: Domains, strength: float, seed: int) -> Head:
        """Train; the strength has no meaning here. See `Method`."""
        from torch import nn

        from headstart.transfer.domains.networks import Course, train

        del strength
        course = self.course or Course()

        def loss(step: Step) -> Tensor:
            return self.weight * confusion(step.logits[course.batch :], self.temperature)

        return train(domains, course, seed, nn.Identity(), loss)


def confusion(logits: Tensor, temperature: float) -> Tensor:
    """Return how much answers confuse classes: 0 where every item is surely of one class.

    Args:
        logits: float [n, classes].
        temperature: As for `Mcc`.

    Returns:
        One number.

    Example:
        >>> import torch
        >>> sure, unsure = 100 * torch.eye(3), torch.zeros(3, 3)
        >>> [round(float(confusion(each, 2.5)), 3) for each in (sure, unsure)]
        [0.0, 0.667]
    """
    from torch.nn import functional as F

    logs = F.log_softmax(logits / temperature, 1)
    said = logs.exp()
    sure = 1 + (said * logs).sum(1).exp().detach()  # 1 + e^(−entropy)
    together = said.T @ (said * (len(sure) * sure / sure.sum())[:, None])
    shares = together / together.sum(1, keepdim=True)
    return 1 - shares.trace() / len(shares)
