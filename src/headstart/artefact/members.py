"""Members: what a model is made of, and how the answers of several become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.schema import FrontEnd
from headstart.backbones.card import Card
from headstart.data.items import Target
from headstart.transfer.heads import Head

Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Member:
    """One network with its head.

    Args:
        front_end: How an item becomes the network's input.
        backbone: Card of the weights inside the network.
        network: The .xml of an IR with the outputs "grid" and "features".
        head: What turns features into logits. In a model of several members the logits are calibrated: the
            member's own temperature is part of its head.
        weights: The network's tensors, a safetensors file, where training has changed them. Defaults to None:
            they are those that the card names.
    """

    front_end: FrontEnd
    backbone: Card
    network: Path
    head: Head
    weights: Path | None = None


def combined(logits: Sequence[Floats], target: Target) -> Floats:
    """Return the logits whose probabilities are the mean of the members' probabilities.

    The mean is taken of probabilities and not of logits, for they are on one scale, whatever the backbones;
    each member is calibrated before, and the mean, which is less confident than they are, once more after.

    Args:
        logits: Of each member, float [n, columns].
        target: What the answers are: numbers are averaged as they are.

    Returns:
        float [n, columns]; a single member's logits are returned unchanged.

    References:
        Lakshminarayanan, Pritzel and Blundell, "Simple and Scalable Predictive Uncertainty Estimation using
        Deep Ensembles", NeurIPS 2017, for the mean of probabilities. Rahaman and Thiery, "Uncertainty
        Quantification and Deep Ensembles", NeurIPS 2021, for the calibration after it.

    Example:
        >>> sure, unsure = np.array([[9.0, 0.0]]), np.array([[0.0, 0.0]])
        >>> np.exp(combined([sure, unsure], "label")).round(2)
        array([[0.75, 0.25]])
    """
    if len(logits) == 1:
        return logits[0]
    members = np.stack(logits).astype(np.float64)
    if target == "number":
        mean: Floats = members.mean(0)
        return mean
    if target == "labels":
        yes, no = -np.logaddexp(0, -members), -np.logaddexp(0, members)
        odds: Floats = np.logaddexp.reduce(yes) - np.logaddexp.reduce(no)
        return odds
    each = members - np.logaddexp.reduce(members, axis=2, keepdims=True)
    mixed: Floats = np.logaddexp.reduce(each) - np.log(len(logits))
    return mixed
