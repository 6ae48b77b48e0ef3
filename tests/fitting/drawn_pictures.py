"""Pictures whose labels and number are known: shapes on a noisy ground, and how many discs there are."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHARES = {"bar": 0.4, "disc": 0.5, "cross": 0.25}
_SIDE = 96


def shapes(root: Path, count: int) -> Path:
    """Write pictures with several shapes, or none, and a manifest of which; every fourth is for test."""
    rows = []
    for number in range(count):
        generator = np.random.default_rng(number)
        labels = [label for label, share in SHARES.items() if generator.random() < share]
        _write(root / f"s{number:03d}.jpg", labels, 32, generator)
        rows.append((f"s{number:03d}.jpg", "|".join(labels), "" if number % 4 else "test"))
    return _manifest(root / "shapes.csv", rows)


def discs(root: Path, count: int) -> Path:
    """Write pictures with 0 to 9 discs, and a manifest of 10 + 2.5 times how many; some are for test."""
    rows = []
    for number in range(count):
        generator = np.random.default_rng([number, 1])
        many = int(generator.integers(10))
        _write(root / f"d{number:03d}.jpg", ["disc"] * many, 16, generator)
        rows.append((f"d{number:03d}.jpg", f"{10 + 2.5 * many:.1f}", "" if number % 4 else "test"))
    return _manifest(root / "discs.csv", rows)


def _write(path: Path, labels: Sequence[str], size: int, generator: np.random.Generator) -> None:
    ground = generator.integers(60, 190, 3) + generator.normal(0, 12, (_SIDE, _SIDE, 3))
    picture = Image.fromarray(ground.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for label in labels:
        x, y = generator.integers(4, 90 - size, 2).tolist()
        colour = tuple(generator.integers(0, 255, 3).tolist())
        if label == "bar":
            draw.rectangle((0, y, _SIDE, y + 8), fill=colour)
        elif label == "disc":
            draw.ellipse((x, y, x + size, y + size), fill=colour)
        else:
            draw.line((x, y, x + size, y + size), fill=colour, width=6)
            draw.line((x, y + size, x + size, y), fill=colour, width=6)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, quality=92)


def _manifest(path: Path, rows: Sequence[tuple[str, str, str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split"), *rows])
    return path
