"""Data regimes from very little to enough, from photographs like ImageNet's to pictures of sounds."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart import data
from headstart.data.items import Dataset, Item
from support.common import data_folder

TEST_SHARE = 1 / 3
"""Held out where the set names no test items."""
MOST_TEST = 600
"""So many test items are asked at most, evenly spread over the classes."""


@dataclass(frozen=True)
class Regime:
    """A set of data and a part of it to learn from.

    Args:
        name: What it is called.
        calibrates: Whether the planner's thresholds were set with it; otherwise it judges them.
        items: All items, with "test" as split where the set says so.
        share: Of the training items that is learned from, float.
    """

    name: str
    calibrates: bool
    items: Callable[[], Sequence[Item]]
    share: float = 1.0

    def open(self, seed: int, most: int) -> Dataset:
        """Return train and test items; the seed draws which, stratified by class.

        Args:
            seed: For the draws, int.
            most: Training items at most, int.
        """
        items = list(self.items())
        generator = np.random.default_rng([seed, len(items)])
        test = [item for item in items if item.split == "test"]
        if not test:
            test = draw(items, round(TEST_SHARE * len(items)), generator)
        names = {item.name for item in test}
        train = [item for item in items if item.name not in names]
        train = draw(train, min(most, round(self.share * len(train))), generator)
        test = draw(test, min(MOST_TEST, len(test)), generator)
        chosen = [replace(item, split="train") for item in train]
        chosen += [replace(item, split="test") for item in test]
        return Dataset(tuple(chosen), "image", None, ())


def draw(items: Sequence[Item], number: int, generator: np.random.Generator) -> list[Item]:
    """Return some of the items, of each class its share (at least one)."""
    if number >= len(items):
        return list(items)
    labels: dict[str, list[Item]] = {}
    for item in items:
        labels.setdefault(str(item.label), []).append(item)
    chosen: list[Item] = []
    for same in labels.values():
        wanted = max(1, round(number * len(same) / len(items)))
        order = generator.permutation(len(same))[:wanted]
        chosen += [same[place] for place in sorted(order)]
    return chosen


def _folder(name: str, *, test: str = "test") -> Callable[[], list[Item]]:
    """Read a set of folders; `test` is the split that is asked in the end."""

    def read() -> list[Item]:
        names = {test: "test"}
        return [
            replace(item, split=names.get(item.split or "train", "train"), group=None)
            for item in data.open(data_folder(name))
            if item.label is not None and (item.split != "test" or test == "test")
        ]

    return read


def _breeds() -> list[Item]:
    folder = data_folder("dog_breeds120")
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        labels = {row["id"]: row["breed"] for row in csv.DictReader(file)}
    found = sorted(folder.glob("*.jpg"))
    return [Item(path.name, path, labels[path.stem]) for path in found]


def _digits() -> list[Item]:
    """Spoken digits (FSDD), as pictures of their spectrograms."""
    folder = data_folder("").parent / "audio" / "fsdd"
    return [
        Item(path.name, spectrogram(*_read(path)), path.name.partition("_")[0])
        for path in sorted(folder.glob("*.flac"))
    ]


def _sounds() -> list[Item]:
    """Ten kinds of everyday sounds (ESC-10), as pictures of their spectrograms."""
    folder = data_folder("").parent / "audio" / "esc10"
    with (folder / "meta.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        Item(row["filename"], spectrogram(*_read(folder / "clips" / row["filename"])), row["category"],
             split="test" if row["fold"] in ("4", "5") else None)
        for row in rows
    ]  # fmt: skip


def _read(path: Path) -> tuple[NDArray[np.float32], int]:
    try:
        import soundfile
    except ImportError:
        sys.exit("The regimes made of sounds need the package soundfile: pip install soundfile")
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return samples.mean(1), rate


def spectrogram(samples: NDArray[np.float32], rate: int, side: int = 128) -> NDArray[np.uint8]:
    """Return a sound's log spectrogram as a grey picture, uint8 [side, side, 3]: time runs to the right."""
    from PIL import Image
    from scipy import signal

    window = min(512, max(64, len(samples) // 32))
    step = max(1, len(samples) // side)
    _, _, power = signal.spectrogram(samples, rate, nperseg=window, noverlap=max(0, window - step))
    decibel = 10 * np.log10(power + 1e-10)
    low, high = np.percentile(decibel, 5), decibel.max()
    grey = np.clip((decibel - low) / max(high - low, 1e-6), 0, 1)[::-1]
    image = Image.fromarray((255 * grey).astype(np.uint8)).resize((side, side), Image.Resampling.BILINEAR)
    return np.repeat(np.asarray(image)[..., None], 3, 2)


# Which regimes set the planner's thresholds and which judge it was fixed before any result was seen.
REGIMES = (
    Regime("dogs_vs_cats 10 %", True, _folder("dogs_vs_cats"), 0.10),
    Regime("cifar10 5 %", True, _folder("cifar10"), 0.05),
    Regime("hymenoptera", True, _folder("hymenoptera")),
    Regime("spoken digits", True, _digits),
    Regime("dogs_vs_cats 2 %", False, _folder("dogs_vs_cats"), 0.02),
    Regime("dogs_vs_cats", False, _folder("dogs_vs_cats")),
    Regime("monkeys10", False, _folder("monkeys10", test="val")),
    Regime("cifar10 20 %", False, _folder("cifar10"), 0.20),
    Regime("dog_breeds120", False, _breeds),
    Regime("everyday sounds", False, _sounds),
)


def standard_error(differences: Sequence[float]) -> float:
    """Return the standard error of a mean of paired differences; infinity for a single one."""
    if len(differences) < 2:
        return math.inf
    return float(np.std(differences, ddof=1) / math.sqrt(len(differences)))
