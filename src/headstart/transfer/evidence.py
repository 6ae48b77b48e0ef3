"""Evidence: what was measured on the data with a backbone, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headstart.data.items import Target
from headstart.transfer.depths import Depth

# The thresholds: first values, from single runs on the calibrating regimes of benchmarks/planner.py and from
# judgement. The whole benchmark has not confirmed them yet.
SIMILAR = 0.04
"""Nats of `source_distances` in the first half of the blocks: photographs like ImageNet's are at 0.01 to
0.02, enlarged thumbnails and spectrograms at 0.09 and more."""
ENOUGH_ITEMS = 300
"""Fewer training items teach the blocks of a network less than they make them forget."""
ENOUGH_EACH = 12
"""The same for the items of a class."""


@dataclass(frozen=True)
class Evidence:
    """What was measured on the data with a backbone.

    Args:
        backbone: Its name, str.
        blocks: All its blocks, in order.
        size: Side of the pictures that it was measured at, int, in pixels; length of passages, in tokens.
        items: Training items, int.
        classes: Number of classes, int.
        each: Training items of a class, the median over the classes, float.
        imbalance: Items of the largest class by those of the smallest, float.
        depths: Probes, in order; the last is the whole network.
        measured_on: Items that the depths were measured on, int.
        distances: Of each block, {name: nats}; empty where the network keeps no statistics.
        leep: Of the source classifier's answers, float. Defaults to None: it has no classifier.
        side: Short side of the pictures, the median, int, in pixels. Defaults to None (unknown).
        row_bytes: What a stored output of each block takes, {name: int}. Defaults to none known.
        val: Items that are set aside for validation, int. Defaults to 0.
        mirrored: How many more answers of a probe are wrong about mirror images, a share, float. Defaults to
            None (not measured).
        tokens: Of most texts (three quarters), int. Defaults to None: the items are no texts.
        patches: Of a sound, the mean, float. Defaults to None: the items are no sounds.
        longest: Most tokens in a passage that the network can read, int. Defaults to None (unknown).
        target: What is to be learned about the items. Defaults to "label".
    """

    backbone: str
    blocks: tuple[str, ...]
    size: int
    items: int
    classes: int
    each: float
    imbalance: float
    depths: Sequence[Depth]
    measured_on: int
    distances: dict[str, float]
    leep: float | None = None
    side: int | None = None
    row_bytes: dict[str, int] | None = None
    val: int = 0
    mirrored: float | None = None
    tokens: int | None = None
    patches: float | None = None
    longest: int | None = None
    target: Target = "label"

    def scored(self, accuracy: float) -> str:
        """Return a probe's score in the words for what it learned, see `Depth`."""
        if self.target == "number":
            return f"an R² of {accuracy:.2f}"
        return f"{accuracy:.1%} {'right' if self.target == 'label' else 'of the mistakes avoided'}"

    @property
    def modality(self) -> str:
        """What the network sees, "image", "text" or "audio"."""
        if self.patches is not None:
            return "audio"
        return "image" if self.tokens is None else "text"

    @property
    def best(self) -> Depth:
        """The depth at which the probe does best; of equals (within a standard error) the last."""
        top = max(self.depths, key=lambda depth: depth.accuracy)
        return [depth for depth in self.depths if depth.accuracy >= top.accuracy - top.error][-1]

    @property
    def distance(self) -> float | None:
        """How unlike the source the data look to the first half of the blocks, nats; None: not measurable."""
        early = self.blocks[: max(1, len(self.blocks) // 2)]
        known = [self.distances[name] for name in early if name in self.distances]
        return sum(known) / len(known) if known else None

    @property
    def similar(self) -> bool:
        """Whether the data are like what the network knows."""
        if self.distance is not None:
            return self.distance < SIMILAR
        return self.best is self.depths[-1]

    @property
    def large(self) -> bool:
        """Whether there are enough items to train blocks with."""
        return self.items >= ENOUGH_ITEMS and self.each >= ENOUGH_EACH

    @property
    def missing(self) -> float:
        """Share of wrong answers of the best probe."""
        return 1 - max(depth.accuracy for depth in self.depths)

    def to_json(self) -> dict[str, Any]:
        """Return what was measured as a JSON object."""
        return {
            "target": self.target,
            "items": self.items,
            "classes": self.classes,
            "items_per_class": self.each,
            "measured_on": self.measured_on,
            "measured_at": self.size,
            "depths": [depth.to_json() for depth in self.depths],
            "distance": None if self.distance is None else round(self.distance, 4),
            "similar": self.similar,
            "large": self.large,
            "leep": None if self.leep is None else round(self.leep, 4),
            "picture_side": self.side,
            "lost_when_mirrored": None if self.mirrored is None else round(self.mirrored, 4),
            "text_tokens": self.tokens,
            "sound_patches": None if self.patches is None else round(self.patches, 2),
        }
