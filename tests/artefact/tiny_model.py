"""A real but tiny model for the artefact's tests: random weights, 16-pixel inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.artefact.model import Model
from headstart.artefact.schema import FrontEnd
from headstart.backbones.backbone import Backbone
from headstart.backbones.card import Card, Preprocess, Wheel
from headstart.engines.conversion import convert, save_ir
from headstart.transfer.calibration import Abstention, Calibration, Conformal
from headstart.transfer.heads import Head

LABELS = ("class 2", "class 10", "b/ä <&> 🌸")
FEATURES = 6


@dataclass(frozen=True)
class Tiny:
    """The parts that models are made of.

    Args:
        backbone: A torch backbone with random weights.
        network: Its IR.
        pictures: Nine pictures, three of each colour, uint8 [h, w, 3].
    """

    backbone: Backbone
    network: Path
    pictures: tuple[NDArray[np.uint8], ...]

    def model(self, *, golden: bool = True, **changes: Any) -> Model:
        """Make a model; changes replace its arguments."""
        parts: dict[str, Any] = {
            "labels": LABELS,
            "modality": "image",
            "front_end": FrontEnd(self.backbone.card.preprocess),
            "backbone": self.backbone.card,
            "network": self.network,
            "head": self.head(),
            "calibration": Calibration(0.7, Conformal(0.9, 0.2), Abstention(0.99, 0.6, 0.8)),
            "plan": {"head": "linear", "strength": np.float32(0.5), "folds": None},
            "metrics": {"test": {"accuracy": 0.5, "auc": float("nan"), "accuracy_interval": (0.4, 0.6)}},
            "data": {"digest": "ab" * 32, "items": np.int64(9), "counts": {"train": {"class_2": 3}}},
            **changes,
        }
        model = Model(**parts)
        if golden:
            model.record_golden(self.pictures[::3])
        return model

    def head(self) -> Head:
        """Return a linear head that tells the three colours apart with confidence."""
        with torch.inference_mode():
            pixels = torch.from_numpy(np.stack([picture[:16, :16] for picture in self.pictures]))
            rows = self.backbone(pixels)[1].numpy()
        wanted = 8 * np.repeat(np.eye(3), 3, 0)
        solved, *_ = np.linalg.lstsq(np.hstack([rows, np.ones((9, 1))]), wanted, rcond=None)
        return Head("linear", ((solved[:-1].astype(np.float32), solved[-1].astype(np.float32)),))


def make_tiny(folder: Path) -> Tiny:
    """Make the parts in a folder."""
    generator = np.random.default_rng(0)
    spec = Preprocess(size=16, crop=1.0, mean=(127.0, 127.0, 127.0), std=(64.0, 64.0, 64.0))
    wheel = Wheel("toy", "1.0", "ab" * 32, "toy/weights.pth", 1)
    card = Card(
        "tiny",
        "toy",
        "these tests",
        "CC0-1.0",
        "nothing",
        spec,
        FEATURES,
        ("stem",),
        168,
        "cd" * 32,
        doors=(wheel,),
    )
    torch.manual_seed(0)
    backbone = Backbone(card, {"stem": nn.Sequential(nn.Conv2d(3, FEATURES, 3, 2, 1), nn.ReLU())})
    network = folder / "tiny.xml"
    save_ir(convert(backbone, backbone.card), network)
    base = np.repeat(np.array([[220, 40, 40], [40, 220, 40], [40, 40, 220]]), 3, 0)
    noise = generator.integers(-30, 30, (9, 20, 24, 3))
    pictures = np.clip(base[:, None, None] + noise, 0, 255).astype(np.uint8)
    return Tiny(backbone, network, tuple(pictures))
