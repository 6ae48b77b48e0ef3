"""The classic recipe, plainly in torch: a frozen network in the loop, augmentation, RMSprop, ten epochs.

This is the peer in time_to_model.py. It does what tutorials and books do: every epoch reads every photograph
again, distorts it at random, runs the whole frozen network on it, and takes a gradient step of the layers on
top. Finished epochs are kept in a file, so a killed run goes on where it stopped.
"""

from __future__ import annotations

import math
import random
import time
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from headstart import backbones

BATCH = 32
WORKERS = 2
RATE = 1e-4


class Photographs(Dataset[tuple[Tensor, int]]):
    """A folder for each class, decoded and resized by Pillow, distorted at random where asked."""

    def __init__(self, folder: Path, side: int, augment: bool) -> None:
        self.side, self.augment = side, augment
        classes = sorted(path for path in folder.iterdir() if path.is_dir())
        self.items = [(file, y) for y, label in enumerate(classes) for file in sorted(label.iterdir())]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, y = self.items[index]
        with Image.open(path) as file:
            image = file.convert("RGB").resize((self.side, self.side), Image.Resampling.BILINEAR)
        if self.augment:
            image = distort(image)
        pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
        return pixels.reshape(self.side, self.side, 3), y


def distort(image: Image.Image) -> Image.Image:
    """Rotate by up to 40°, shift, shear and zoom by up to a fifth, mirror half of the pictures."""
    angle = math.radians(random.uniform(-40, 40))
    zoom, shear = random.uniform(0.8, 1.2), random.uniform(-0.2, 0.2)
    side = image.width
    dx, dy = random.uniform(-0.2, 0.2) * side, random.uniform(-0.2, 0.2) * side
    a, b = math.cos(angle) * zoom, (math.sin(angle) + shear) * zoom
    d, e = -math.sin(angle) * zoom, math.cos(angle) * zoom
    centre = side / 2
    c, f = centre - a * centre - b * centre + dx, centre - d * centre - e * centre + dy
    if random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.transform(image.size, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR)


class Frozen(nn.Module):
    """A backbone that is not trained, and the layers on top of it that are."""

    def __init__(self, name: str, side: int) -> None:
        super().__init__()
        self.backbone = backbones.load(name).requires_grad_(False)
        # VGG16's grid is flattened, as the recipe has it; a network that pools gives its pooled features.
        self.flat = name == "vgg16"
        with torch.no_grad():
            width = self.output(torch.zeros(1, side, side, 3, dtype=torch.uint8)).shape[1]
        self.top = nn.Sequential(nn.Linear(width, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, 1))

    def output(self, pixels: Tensor) -> Tensor:
        grid, features = self.backbone(pixels)
        return (grid.flatten(1) if self.flat else features).float()

    def forward(self, pixels: Tensor) -> Tensor:
        with torch.no_grad():
            below = self.output(pixels)
        result: Tensor = self.top(below)[:, 0]
        return result


def run(data: Path, name: str, side: int, epochs: int, state: Path, seed: int = 0) -> dict[str, float]:
    """Train, and return {"seconds": epochs times the fastest, with validation, "test": accuracy}.

    Args:
        data: A folder with train, val and test.
        name: A backbone of headstart: the weights are the same.
        side: Pixels.
        epochs: How many.
        state: File that holds the finished epochs.
        seed: Defaults to 0.
    """
    torch.manual_seed(seed)
    network = Frozen(name, side)
    optimiser = torch.optim.RMSprop(network.top.parameters(), lr=RATE)
    done = torch.load(state, weights_only=True) if state.exists() else {"epoch": 0, "wall": [], "val": []}
    if done["epoch"]:
        network.top.load_state_dict(done["top"])
        optimiser.load_state_dict(done["optimiser"])
    train, val, test = (
        DataLoader(
            Photographs(data / split, side, augment=split == "train"),
            batch_size=BATCH,
            shuffle=split == "train",
            num_workers=WORKERS,
        )
        for split in ("train", "val", "test")
    )
    for epoch in range(done["epoch"], epochs):
        torch.manual_seed(seed + epoch)  # DataLoader seeds its workers from this, and they Python's random
        started = time.perf_counter()
        network.top.train()
        for pixels, y in train:
            loss = nn.functional.binary_cross_entropy_with_logits(network(pixels), y.float())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        accuracy = score(network, val)
        wall = time.perf_counter() - started
        print(
            f"{name} at {side} px, epoch {epoch + 1} of {epochs}: {wall:.0f} s, val {accuracy:.3f}",
            flush=True,
        )
        done = {
            "epoch": epoch + 1,
            "wall": [*done["wall"], wall],
            "val": [*done["val"], accuracy],
            "top": network.top.state_dict(),
            "optimiser": optimiser.state_dict(),
        }
        torch.save(done, state)
    # As if all were like the fastest epoch: other work on the machine is not held against the recipe.
    return {"seconds": len(done["wall"]) * min(done["wall"]), "test": score(network, test)}


@torch.no_grad()
def score(network: Frozen, loader: DataLoader[tuple[Tensor, int]]) -> float:
    """Return the accuracy."""
    network.eval()
    right = sum(int(((network(pixels) > 0) == (y == 1)).sum()) for pixels, y in loader)
    return right / len(loader.dataset)  # type: ignore[arg-type]
