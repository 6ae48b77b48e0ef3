"""What a distorted view costs on one core, against the same distortions done with Pillow one after the other.

    python benchmarks/augment.py [--pictures 64] [--repeats 7]

Canvases of 256 px, views of 224 px, batches of 32; pictures are blurred noise, needs no data. The peer is
what a data loader on Pillow does for the preset "standard": crop, resize, mirror, affine map, brightness,
contrast, saturation, hue. CPU time, the repetitions of all interleaved.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from PIL import Image, ImageEnhance
from support.common import median, record, spread, table, timed, verdict

from headstart.images.augment import augment
from headstart.images.augmentation import PRESETS

SIDE, SIZE, BATCH = 256, 224, 32
TARGET = 1.0  # milliseconds, "standard"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    canvases = pictures(options.pictures)
    milliseconds: dict[str, list[float]] = {name: [] for name in (*PRESETS, "peer")}
    for repeat in range(-1, options.repeats):  # the first warms up
        for name, taken in milliseconds.items():
            spent = timed(lambda name=name, repeat=repeat: views(canvases, name, repeat + 1))
            if repeat >= 0:
                taken.append(1000 * spent.cpu / len(canvases))
    rows = [
        (
            name,
            median(taken),
            spread(taken),
            "" if name != "standard" else verdict(median(taken), TARGET, at_least=False),
        )
        for name, taken in milliseconds.items()
    ]
    table("A view of 224 px, ms of CPU time", [("", "median", "lowest–highest", "target 1 ms"), *rows])
    ratio = median(milliseconds["peer"]) / median(milliseconds["standard"])
    print(f"\nstandard: {ratio:.1f} times as fast as Pillow step by step")
    figures = {f"{name}_ms": median(taken) for name, taken in milliseconds.items()}
    record("augment", {**figures, "ratio": ratio}, packages=("torch", "pillow", "numpy"))


def pictures(count: int) -> torch.Tensor:
    """Return blurred noise, uint8 [count, side, side, 3]."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (count, 24, 24, 3), dtype=np.uint8)
    return torch.from_numpy(np.stack([np.asarray(Image.fromarray(n).resize((SIDE, SIDE))) for n in noise]))


def views(canvases: torch.Tensor, name: str, epoch: int) -> None:
    """Make one view of each picture."""
    for start in range(0, len(canvases), BATCH):
        batch = canvases[start : start + BATCH]
        if name == "peer":
            for number, canvas in enumerate(batch):
                step_by_step(canvas.numpy(), np.random.default_rng((0, epoch, start + number)))
        else:
            augment(batch, PRESETS[name], [(0, epoch, start + n) for n in range(len(batch))], SIZE)


def step_by_step(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The preset "standard", one Pillow operation after the other."""
    image = Image.fromarray(canvas)
    side = SIDE * rng.uniform(0.5, 1) ** 0.5
    left, top = rng.uniform(0, SIDE - side, 2)
    image = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    sine, shear = rng.uniform(-0.17, 0.17), rng.uniform(-0.08, 0.08)
    matrix = (1, sine + shear, -SIZE / 2 * (sine + shear), -sine, 1, SIZE / 2 * sine)
    image = image.transform((SIZE, SIZE), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(rng.uniform(0.8, 1.2))
    hue, saturation, value = image.convert("HSV").split()
    shifted = np.asarray(hue) + np.uint8(rng.integers(-5, 6) % 256)
    return np.asarray(Image.merge("HSV", (Image.fromarray(shifted), saturation, value)).convert("RGB"))


if __name__ == "__main__":
    main()
