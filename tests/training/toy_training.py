"""A training that takes milliseconds and has everything in it: norms, dropout, chance in its inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headstart.backbones import Card, Preprocess
from headstart.backbones.backbone import Backbone
from headstart.training.data import TrainingData
from headstart.training.network import Network, make_head
from headstart.training.plan import HEAD, Phase, Plan, Settings

BLOCKS = ("one", "two", "head")  # the last is called as in EfficientNet-Lite
CLASSES = 3
SIDE = 16

ONLY_HEAD = Phase("the head", 2, {HEAD: 0.02})
LATE = Phase("late", 3, {"head": 0.005, HEAD: 0.01})
ALL = Phase("all", 2, {"one": 0.001, "two": 0.002, "head": 0.002, HEAD: 0.005})


def toy_backbone(seed: int = 0) -> Backbone:
    """Three blocks with norms, the last with dropout."""
    spec = Preprocess(size=SIDE, mean=(127.5,) * 3, std=(64.0,) * 3)
    card = Card("toy", "toy", "here", "CC0-1.0", "nothing", spec, 8, BLOCKS, 0, "digest of the toy")
    widths = {"one": (3, 4), "two": (4, 6), "head": (6, 8)}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        blocks = {
            name: nn.Sequential(
                nn.Conv2d(width, out, 3, 2, 1, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(),
                nn.Dropout(0.1 if name == "head" else 0.0),
            )
            for name, (width, out) in widths.items()
        }
    return Backbone(card, blocks)


def toy_plan(*phases: Phase, seed: int = 3, **settings: object) -> Plan:
    """A plan for the toy, in float32 with batches of 8 unless the settings say otherwise."""
    chosen = Settings(**{"batch": 8, "precision": "fp32", **settings})  # type: ignore[arg-type]
    return Plan(
        "fine-tune-late", "toy", "head", SIDE, phases or (ONLY_HEAD, LATE, ALL), settings=chosen, seed=seed
    )


def toy_network(plan: Plan, classes: int = CLASSES) -> Network:
    return Network(toy_backbone(), make_head(plan, 8, classes))


def toy_pictures(count: int) -> tuple[Tensor, NDArray[np.int64]]:
    """Noise with one brighter colour, which is the class: uint8 [n, side, side, 3], int64 [n]."""
    chance = np.random.default_rng(0)
    y = np.arange(count) % CLASSES
    pixels = chance.integers(0, 170, (count, SIDE, SIDE, 3))
    pixels[np.arange(count), :, :, y] += 60
    return torch.from_numpy(pixels.astype(np.uint8)), y


class Pictures:
    """Gives pixels, for each epoch with other noise, as augmentation would."""

    start: str | None = None

    def __init__(self, pixels: Tensor, seed: int) -> None:
        self.pixels, self.seed = pixels, seed
        self.asked: list[tuple[list[int], int | None]] = []

    def batch(self, items: NDArray[np.int64], epoch: int | None) -> Tensor:
        self.asked.append((items.tolist(), epoch))
        found = self.pixels[items]
        if epoch is None:
            return found
        shifts = [np.random.default_rng([self.seed, epoch, item]).integers(-9, 9) for item in items.tolist()]
        moved = found.int() + torch.tensor(shifts).view(-1, 1, 1, 1)
        return moved.clamp(0, 255).to(torch.uint8)


class Behind(Pictures):
    """Gives what comes out of the frozen blocks, before block `start` (or the features, for the head)."""

    def __init__(self, pixels: Tensor, seed: int, backbone: Backbone, start: str) -> None:
        super().__init__(pixels, seed)
        self.backbone, self.start = backbone, start

    @torch.no_grad()
    def batch(self, items: NDArray[np.int64], epoch: int | None) -> Tensor:
        x = super().batch(items, epoch)
        if self.start == HEAD:
            return self.backbone(x)[1]
        names = self.backbone.card.blocks
        before = names[names.index(str(self.start)) - 1]
        return self.backbone.run_blocks(self.backbone.normalise(x), stop=before)


def toy_data(plan: Plan, count: int = 60) -> TrainingData:
    """The pictures; what is frozen in a phase has been computed before. A sixth is for validation."""
    pixels, y = toy_pictures(count)

    def inputs(phase: Phase) -> Pictures:
        start = (*phase.trainable, HEAD)[0]
        if start == BLOCKS[0]:
            return Pictures(pixels, plan.seed)
        return Behind(pixels, plan.seed, toy_backbone(), start)

    items = np.arange(count)
    edge = count - count // 6
    return TrainingData(inputs, y, items[:edge], items[edge:], CLASSES, "the toy's data", ("r", "g", "b"))


def with_other(data: TrainingData, **changes: object) -> TrainingData:
    return replace(data, **changes)  # type: ignore[arg-type]
