"""A contact sheet: what a network will see of some pictures while it learns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from headstart.backbones.card import Preprocess
from headstart.data.items import Dataset, Item
from headstart.errors import DataError, DecodeError
from headstart.images.augmentation import Augmentation
from headstart.images.decode import Pixels
from headstart.images.preprocess import prepare_canvas

_ROWS = 8
_EPOCHS = 7
_GAP = 4
_TEXT = 12


def contact_sheet(
    dataset: Dataset, augmentation: Augmentation, spec: Preprocess, *, seed: int = 0, rows: int = _ROWS
) -> Image.Image:
    """Draw some pictures of a data set, plain and as the first seven epochs distort them.

    Args:
        dataset: The pictures; some of each class are shown, unreadable ones are passed over.
        augmentation: What may happen to them.
        spec: What the network wants.
        seed: Of the distortions, int; training with the same seed sees the same. Defaults to 0.
        rows: Most pictures to show, int. Defaults to 8.

    Returns:
        The sheet: a row for each picture, the plain view and seven others at the network's size.

    Raises:
        DataError: Not one picture can be read.
    """
    import torch

    from headstart.images.augment import augment

    strips, names = [], []
    for position, item in _spread(dataset.items):
        try:
            canvas = prepare_canvas(item.source, spec)
        except DecodeError:
            continue
        edge = (len(canvas) - spec.size) // 2
        plain = canvas[edge : edge + spec.size, edge : edge + spec.size]
        keys = [(seed, epoch, position) for epoch in range(_EPOCHS)]
        repeated = torch.from_numpy(canvas).expand(_EPOCHS, *canvas.shape)
        strips.append([plain, *augment(repeated, augmentation, keys, spec.size).numpy()])
        names.append(item.name if item.label is None else f"{item.label}: {item.name}")
        if len(strips) == rows:
            break
    if not strips:
        fix = "see `headstart inspect` for the reasons"
        raise DataError("a picture to show", "none that can be read", fix)
    return _drawn(strips, names)


def _spread(items: Sequence[Item]) -> Iterable[tuple[int, Item]]:
    """Yield positions and items, the classes by turns."""
    turns: dict[str | None, int] = {}
    order = []
    for position, item in enumerate(items):
        turns[item.label] = turns.get(item.label, -1) + 1
        order.append((turns[item.label], position))
    return ((position, items[position]) for _, position in sorted(order))


def _drawn(strips: list[list[Pixels]], names: list[str]) -> Image.Image:
    side = len(strips[0][0])
    step, down = side + _GAP, side + _GAP + _TEXT + 4
    width, height = _GAP + step * (1 + _EPOCHS), _TEXT + 8 + down * len(strips)
    sheet = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT)
    for column, title in enumerate(["plain", *(f"epoch {epoch}" for epoch in range(_EPOCHS))]):
        draw.text((_GAP + column * step, 2), title, "black", font)
    for row, (strip, name) in enumerate(zip(strips, names, strict=True)):
        top = _TEXT + 8 + row * down
        for column, pixels in enumerate(strip):
            sheet.paste(Image.fromarray(np.ascontiguousarray(pixels)), (_GAP + column * step, top))
        draw.text((_GAP, top + side + 1), name, "dimgray", font)
    return sheet
