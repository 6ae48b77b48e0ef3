"""Photographs to learn colours from: which of them can be used, and views of them, grey and colour apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.data.items import Dataset, Item, Problem
from headstart.errors import DataError, DecodeError
from headstart.images.decode import Pixels, decode
from headstart.progress import track
from headstart.studio.colorize.lab import rgb_to_lab
from headstart.studio.colorize.networks import STRIDE
from headstart.studio.colorize.quantising import bins, encode

LEAST = 32
"""Pixels of the shorter side that a photograph must have."""
MOST_HELD_OUT = 300
_GREY = 3.0
"""Spread of a and b below which a photograph is grey, or one tint."""
_THUMB = 64
_ZOOM = 0.4
"""The smallest crop, as a share of a photograph's area."""
_STRETCH = 1.25
_GAMMA = 1.25

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Views:
    """Photographs as a network sees them, and the colours that it shall tell.

    Args:
        lightness: float32 [n, 1, size, size], 0 to 100.
        ab: float32 [n, size / 4, size / 4, 2].
    """

    lightness: Floats
    ab: Floats


@dataclass(frozen=True, eq=False)
class Usable:
    """What can be learned from.

    Args:
        train: Photographs to learn from.
        held_out: Photographs that decide when to stop.
        left_out: What cannot be used, and why.
        prior: Share of all pixels of the photographs to learn from that each bin has, float32 [bins].
    """

    train: tuple[Item, ...]
    held_out: tuple[Item, ...]
    left_out: tuple[Problem, ...]
    prior: Floats


def usable(dataset: Dataset, seed: int = 0) -> Usable:
    """Look at every photograph once: leave out what has no colours, and hold some out.

    Those of the split "val" are held out; where the data have no splits, a tenth is (300 at most), by seed.
    Those of the split "test" are not looked at.

    Args:
        dataset: Photographs; labels are not needed.
        seed: int. Defaults to 0.

    Returns:
        What can be used.

    Raises:
        DataError: These are no pictures, or fewer than two have colours.
    """
    if dataset.modality != "image":
        fix = "name a folder with photographs"
        raise DataError("photographs to learn from", f"items of the kind {dataset.modality!r}", fix)
    left_out = list(dataset.problems)
    good: list[Item] = []
    shares: list[Floats] = []
    for item in track([item for item in dataset.items if item.split != "test"], "looking at photographs"):
        found = _colours(item)
        if isinstance(found, Problem):
            left_out.append(found)
        else:
            good.append(item)
            shares.append(found)
    train, held_out = _divided(good, seed)
    if not len(train) or not len(held_out):
        first = f": {left_out[0].name}: {left_out[0].reason}" if left_out else ""
        received = f"{len(good)} of {len(dataset.items)}{first}"
        raise DataError("photographs with colours, some to be held out", received, "name other photographs")
    prior: Floats = np.stack([shares[number] for number in train]).mean(0)
    return Usable(
        tuple(good[number] for number in train),
        tuple(good[number] for number in held_out),
        tuple(left_out),
        prior,
    )


class Photographs:
    """Photographs and views of them, cropped, mirrored, lighter or darker: a function of the seed alone.

    Args:
        items: Photographs.
        size: Side of a view, int.
        seed: int.
    """

    def __init__(self, items: Sequence[Item], size: int, seed: int) -> None:
        self._items, self._size, self._seed = items, size, seed

    def __len__(self) -> int:
        return len(self._items)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return in which order an epoch sees them."""
        return _shuffled(self._seed, epoch, len(self))

    def view(self, photograph: int, number: int) -> tuple[Floats, Floats]:
        """Return one of a photograph's views, as `view_of`.

        Args:
            photograph: Which one, int; where it cannot be read any more, it is the next one.
            number: Which of its views, int.

        Raises:
            DataError: No photograph can be read any more.
        """
        picture = self._read(int(photograph))
        draw = np.random.default_rng([self._seed, number, photograph])
        lightness, ab = view_of(picture, self._size, _crop(draw, picture.shape[:2]))
        if (number + draw.integers(2)) % 2:
            lightness, ab = lightness[..., ::-1], ab[:, ::-1]
        # Another exposure of the same colours: prints fade, and scanners differ.
        gamma = np.float32(_GAMMA ** draw.uniform(-1, 1))
        return np.asarray(100 * (lightness.clip(0) / 100) ** gamma, np.float32), ab

    def _read(self, number: int) -> Pixels:
        """Return a photograph, or the next one that can be read."""
        reason = ""
        for offset in range(len(self._items)):
            item = self._items[(number + offset) % len(self._items)]
            try:
                return decode(item.source, at_least=round(1.6 * self._size))
            except DecodeError as error:
                reason = f"{item.name}: {error}"
        raise DataError("at least one photograph that can be read", reason, "name other photographs")


def view_of(
    picture: Pixels, size: int, box: tuple[float, float, float, float] | None = None
) -> tuple[Floats, Floats]:
    """Return lightness and colours of a photograph, or of a box in it, made square.

    Args:
        picture: uint8 [h, w, 3].
        size: Side of the square, int, a multiple of 4.
        box: Left, top, right and bottom, float, in pixels. Defaults to None, all of it.

    Returns:
        lightness: float32 [1, size, size], 0 to 100.
        ab: float32 [size / 4, size / 4, 2], each the mean of its 16 pixels.

    Example:
        >>> grey, colours = view_of(np.full((50, 60, 3), 119, np.uint8), 32)
        >>> grey.shape, colours.shape, bool(abs(colours).max() < 0.02)
        ((1, 32, 32), (8, 8, 2), True)
    """
    square = Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC, box=box)
    lab = rgb_to_lab(np.asarray(square))
    side = size // STRIDE
    return lab[None, ..., 0], lab[..., 1:].reshape(side, STRIDE, side, STRIDE, 2).mean((1, 3))


def stacked(views: Sequence[tuple[Floats, Floats]]) -> Views:
    """Return single views as a batch."""
    return Views(np.stack([light for light, _ in views]), np.stack([colours for _, colours in views]))


def _colours(item: Item) -> Floats | Problem:
    """Return the share of a photograph that each bin has; why not, where it has no colours."""
    try:
        picture = decode(item.source, at_least=_THUMB)
    except DecodeError as error:
        return Problem(item.name, str(error))
    height, width = picture.shape[:2]
    if min(height, width) < LEAST:
        return Problem(item.name, f"too small, {width} × {height} pixels; {LEAST} are needed")
    small = Image.fromarray(picture).resize((_THUMB, _THUMB), Image.Resampling.BOX)
    ab = rgb_to_lab(np.asarray(small))[..., 1:].reshape(-1, 2)
    if ab.std(0).max() < _GREY:
        return Problem(item.name, "grey, or of one tint: there are no colours to learn")
    places, shares = encode(ab)
    counts = np.bincount(places.ravel(), shares.ravel(), minlength=len(bins()))
    return np.asarray(counts / len(ab), np.float32)


def _divided(items: list[Item], seed: int) -> tuple[list[int], list[int]]:
    """Return the positions of what is learned from, and of what is held out."""
    if any(item.split == "val" for item in items):
        held_out = [number for number, item in enumerate(items) if item.split == "val"]
        return [number for number, item in enumerate(items) if item.split != "val"], held_out
    count = min(MOST_HELD_OUT, -(-len(items) // 10))
    order = np.random.default_rng(seed).permutation(len(items)).tolist()
    return sorted(order[count:]), sorted(order[:count])


@lru_cache(2)
def _shuffled(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(count)


def _crop(draw: np.random.Generator, shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    """Return a random box in a picture: its area and its proportions vary."""
    height, width = shape[:2]
    share, stretch = draw.uniform(_ZOOM, 1) ** 0.5, _STRETCH ** draw.uniform(-0.5, 0.5)
    wide, high = min(1.0, share * stretch) * width, min(1.0, share / stretch) * height
    left, top = draw.uniform(0, width - wide), draw.uniform(0, height - high)
    return left, top, left + wide, top + high
