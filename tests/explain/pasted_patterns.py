"""Photographs with a pattern pasted in at a known place, and a model that tells the patterns apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import headstart as hs

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]
LABELS = ("checks", "rings", "stripes")
SIDE, PATTERN = 256, 96


@dataclass(frozen=True)
class Pasted:
    """A photograph with a pattern in it.

    Args:
        picture: uint8 [256, 256, 3].
        label: Which pattern.
        box: Where it is: left, top, right, bottom.
    """

    picture: Pixels
    label: str
    box: Box


@dataclass(frozen=True)
class Known:
    """A model of the patterns, and pictures that it has not learned from and is sure about."""

    model: hs.Model
    pictures: tuple[Pasted, ...]


def paste(photo: Pixels, label: str, number: int) -> Pasted:
    """Paste a pattern into a random part of a photograph, inside the middle that networks see."""
    generator = np.random.default_rng([number, *label.encode()])
    top, left = (int(generator.integers(0, side - SIDE)) for side in photo.shape[:2])
    picture = np.array(photo[top : top + SIDE, left : left + SIDE])
    y, x = generator.integers(SIDE // 16, SIDE - SIDE // 16 - PATTERN, 2).tolist()
    picture[y : y + PATTERN, x : x + PATTERN] = _pattern(label, generator)
    return Pasted(picture, label, (x, y, x + PATTERN, y + PATTERN))


def _pattern(label: str, generator: np.random.Generator) -> Pixels:
    """Draw checks, rings or stripes of random colours."""
    period = int(generator.integers(7, 11))
    x, y = np.meshgrid(np.arange(PATTERN), np.arange(PATTERN))
    away = np.hypot(x - PATTERN / 2, y - PATTERN / 2).astype(int)
    light = {"checks": x // period + y // period, "rings": away // period, "stripes": y // period}[label] % 2
    colours = np.stack([generator.integers(0, 90, 3), generator.integers(150, 255, 3)])
    return np.asarray(colours[light], np.uint8)


def make_known(photos: dict[str, Pixels], folder: Path) -> Known:
    """Fit a model on parts of three photographs, and keep other parts with other patterns."""
    for label in LABELS:
        (folder / label).mkdir(parents=True)
        for number in range(15):
            photo = photos[("coffee", "china", "chelsea")[number % 3]]
            Image.fromarray(paste(photo, label, number).picture).save(folder / label / f"{number:02d}.png")
    model = hs.fit(folder)
    names = ("chelsea", "china", "coffee", "chelsea", "china")
    others = [paste(photos[name], label, 100 + n) for n, name in enumerate(names) for label in LABELS]
    answers = model.predict([each.picture for each in others])
    sure = [each for each, said in zip(others, answers, strict=True) if said.probabilities[each.label] > 0.8]
    return Known(model, tuple(sure))
