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
from headstart.engines.openvino_engine import OpenVinoEngine
from headstart.engines.precision import Precision
from headstart.text.terms import TermsEngine
from headstart.transfer.heads import Combine, Head

Floats = NDArray[np.floating]


AnyEngine = OpenVinoEngine | TermsEngine


@dataclass(frozen=True, eq=False)
class Member:
    """One network with its head.

    Args:
        front_end: How an item becomes the network's input.
        backbone: Card of the weights inside the network.
        network: The .xml of an IR with the output "features" (and "grid"), or the .json of terms.
        head: What turns features into logits. In a model of several members the logits are calibrated: the
            member's own temperature is part of its head.
        weights: The network's tensors, a safetensors file, where training has changed them. Defaults to None:
            they are those that the card names.
        tokenizer: The tokenizer.json that the front end names. Defaults to None: it needs none.
    """

    front_end: FrontEnd
    backbone: Card
    network: Path
    head: Head
    weights: Path | None = None
    tokenizer: Path | None = None

    @property
    def is_ir(self) -> bool:
        """Whether OpenVINO runs the network; otherwise its terms are counted."""
        return self.network.suffix == ".xml"


def start_engine(member: Member, precision: Precision | None, threads: int | None = None) -> AnyEngine:
    """Start what runs a member's network.

    Args:
        member: The member.
        precision: What OpenVINO computes in; None for what this CPU does best.
        threads: How many inputs are computed at once, int. Defaults to None: as many as there are cores.
    """
    if not member.is_ir:
        return TermsEngine(member.network)
    return OpenVinoEngine(member.network, precision, threads)


def combined(logits: Sequence[Floats], target: Target, combine: Combine = "mean") -> Floats:
    """Return the logits of the members' common answer.

    Members of a stack were weighed against each other: their logits are summed. Of members that were made
    apart the mean of the probabilities is the answer. It is taken of probabilities, not of logits, for they
    are on one scale, whatever the backbones; each member is calibrated before, and the mean, which is less
    confident than they are, once more after.

    Args:
        logits: Of each member, float [n, columns].
        target: What the answers are: numbers are averaged as they are.
        combine: "mean" or "sum". Defaults to "mean".

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
    if combine == "sum":
        total: Floats = members.sum(0)
        return total
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
