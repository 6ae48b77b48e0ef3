"""A small stand-in for a card of the catalogue: real architecture, random weights, a wheel made here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from headstart.backbones import tensors
from headstart.backbones.card import Card, Wheel
from headstart.backbones.catalogue import CARDS
from headstart.networks.efficientnet_lite import EfficientNetLite, reference_names
from toy_wheels import make_wheel


@dataclass(frozen=True)
class Toy:
    """A card whose weights are random, the weights under our names, and the published file of them."""

    card: Card
    weights: dict[str, torch.Tensor]
    pth: Path
    wheel: Path


def make_toy(folder: Path) -> Toy:
    """EfficientNet-Lite0 with weights nobody published, in a wheel on no index."""
    torch.manual_seed(7)
    network = EfficientNetLite()
    names = reference_names(network)
    weights = {name: tensor for name, tensor in network.state_dict().items() if name in names}
    pth = folder / "toy.pth"
    torch.save({names[name]: tensor for name, tensor in weights.items()}, pth)
    wheel = folder / "links" / "headstart_toy_weights-1.0-py3-none-any.whl"
    make_wheel(wheel, "headstart_toy_weights", {"headstart_toy_weights/toy.pth": pth.read_bytes()})
    door = Wheel(
        "headstart_toy_weights",
        "1.0",
        hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "headstart_toy_weights/toy.pth",
        19,
    )
    card = replace(CARDS["efficientnet_lite0"], digest=tensors.digest(weights), doors=(door,))
    return Toy(card, weights, pth, wheel)
