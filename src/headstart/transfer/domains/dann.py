"""DANN: hidden units that tell the classes apart, and do not tell the domains apart."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headstart.transfer.domains.domains import Domains, OnFeatures
from headstart.transfer.heads import Head

if TYPE_CHECKING:
    from torch import Tensor

    from headstart.transfer.domains.networks import Course, Step


@dataclass(frozen=True)
class Dann(OnFeatures):
    """Train a hidden layer against a classifier of domains, whose gradient it receives reversed.

    Args:
        weight: What the reversed gradient counts at the end, float. Defaults to 1.
        course: Sizes and rates, Course. Defaults to its own.

    References:
        Ganin et al., "Domain-adversarial training of neural networks", JMLR 2016.

    Example:
        >>> import numpy as np
        >>> from headstart.transfer.domains.networks import Course
        >>> from headstart.transfer.features import Features
        >>> from headstart.transfer.selection import Labelled
        >>> X, item = np.array([[-1], [1], [9], [13]], np.float32), np.arange(4)
        >>> data = Labelled(Features(X, item, item), np.array([0, 1, -1, -1]), 2)
        >>> domains = Domains(data, item[:2], item[2:])
        >>> domains.target_view.logits(Dann(course=Course(steps=60)).fit(domains, 1.0, 0)).argmax(1)
        array([0, 1])
    """

    name = "DANN"
    weight: float = 1.0
    course: Course | None = field(default=None)

    def fit_view(self, domains: Domains, strength: float, seed: int) -> Head:
        """Train; the strength has no meaning here. See `Method`."""
        import torch
        from torch.nn import functional as F

        from headstart.transfer.domains.networks import Course, perceptron, train

        del strength
        course = self.course or Course()
        critic = perceptron(course.hidden, course.hidden, seed + 1)
        domain = torch.cat([torch.zeros(course.batch), torch.ones(course.batch)])

        def confusion(step: Step) -> Tensor:
            said = critic(reverse(step.hidden, self.weight * schedule(step.progress)))
            return F.binary_cross_entropy_with_logits(said[:, 0], domain)

        return train(domains, course, seed, critic, confusion)


def schedule(progress: float) -> float:
    """Return what the reversed gradient counts: little while the critic knows nothing, then 1.

    Example:
        >>> schedule(0.0), round(schedule(0.5), 3), round(schedule(1.0), 3)
        (0.0, 0.987, 1.0)
    """
    return 2 / (1 + math.exp(-10 * progress)) - 1


def reverse(values: Tensor, weight: float) -> Tensor:
    """Return the values unchanged; their gradient is multiplied by −weight.

    Args:
        values: float, any shape.
        weight: At least 0, float.

    Example:
        >>> import torch
        >>> x = torch.tensor([2.0], requires_grad=True)
        >>> (reverse(x, 0.5) ** 2).backward()
        >>> x.grad
        tensor([-2.])
    """
    # x·(−w) + x·(1 + w) is x, and the second part is a constant to the gradient.
    return -weight * values + ((1 + weight) * values).detach()
