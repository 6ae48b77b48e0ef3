"""Distorting pictures at random: one interpolation, then colour; the same pixels whatever the batch.

Nothing here may depend on which pictures share a batch or on the number of threads. Parameters are drawn and
composed one picture at a time, and the arithmetic on pixels uses operations that round each value by itself
(no matrix products, reductions or fused multiply-adds, whose results depend on how work is divided).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor
from torch.nn import functional

from headstart.errors import OptionError
from headstart.images.augmentation import Augmentation

Matrix = NDArray[np.float64]
Operation = Callable[[Image.Image], Image.Image]
Key = tuple[int, int, int]

# One number for each, always all of them: switching one distortion off leaves the others as they were.
_DRAWN = (
    *("flip", "flip_vertical", "crop_area", "crop_ratio", "crop_x", "crop_y", "zoom", "rotation"),
    *("translate_x", "translate_y", "shear_x", "shear_y", "brightness", "contrast", "saturation", "hue"),
    *("erase", "erase_area", "erase_ratio", "erase_x", "erase_y"),
)
_RANDAUGMENT, _NOISE = 1, 2  # random streams of their own behind (seed, epoch, item)
_TOGETHER = 4  # pictures at a time: few enough to stay in the processor's cache
_CROP_RATIO = math.log(4 / 3)
_ERASED_AREA = (0.02, 1 / 3)
_ERASED_RATIO = math.log(10 / 3)
_LUMA = np.array([0.299, 0.587, 0.114])
# RGB to YIQ: brightness, and two axes of colour in whose plane a hue is an angle.
_YIQ = np.array([_LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_RGB = np.linalg.inv(_YIQ)


@dataclass(frozen=True)
class _View:
    """What happens to one picture."""

    place: Matrix  # from the view's pixels, counted from its centre, to the canvas's; [3, 3]
    colour: Matrix | None  # [3, 3]; None where the colours stay
    contrast: float
    operations: tuple[Operation, ...]
    erased: tuple[int, int, int, int] | None  # top, left, height, width


def augment(pixels: Tensor, augmentation: Augmentation, keys: Sequence[Key], size: int) -> Tensor:
    """Distort pictures at random, each as its key says.

    A picture's result depends on its canvas, its key and the augmentation alone: it is the same to the bit
    in whatever batch or order, and with any number of threads.

    Args:
        pixels: Canvases (`images.preprocess.prepare_canvas`), uint8 [n, side, side, 3], on the CPU.
        augmentation: What may happen.
        keys: (seed, epoch, item) of each picture, three ints of 0 or more.
        size: Side of what comes out, int, at most that of the canvas.

    Returns:
        The views, uint8 [n, size, size, 3]. `Augmentation()` gives the canvases' centres.

    Raises:
        OptionError: Another shape or type, a key for each picture is missing, or one is negative.

    Example:
        >>> from headstart.images.augmentation import STANDARD
        >>> canvases = torch.zeros(2, 256, 256, 3, dtype=torch.uint8)
        >>> augment(canvases, STANDARD, [(0, 0, 0), (0, 0, 1)], size=224).shape
        torch.Size([2, 224, 224, 3])
    """
    _check(pixels, keys, size)
    result = torch.empty(len(pixels), size, size, 3, dtype=torch.uint8)
    side = pixels.shape[1]
    for start in range(0, len(pixels), _TOGETHER):
        some = slice(start, start + _TOGETHER)
        views = [_draw(augmentation, key, side, size) for key in keys[some]]
        for index, picture in enumerate(_move(pixels[some], views, size), start):
            view = views[index - start]
            coloured = _colour(picture, view, pixels[index])
            done = coloured.clamp_(0, 255).round_().to(torch.uint8).permute(1, 2, 0)
            result[index] = _operate(done, view.operations)
            if view.erased is not None:
                _erase(result[index], view.erased, keys[index])
    return result


def _check(pixels: Tensor, keys: Sequence[Key], size: int) -> None:
    shape, fix = tuple(pixels.shape), "prepare the pictures with prepare_canvas"
    square = len(shape) == 4 and shape[1] == shape[2] and shape[3] == 3
    if pixels.dtype != torch.uint8 or not square or pixels.device.type != "cpu":
        received = f"{pixels.dtype} {list(shape)} on {pixels.device}"
        raise OptionError("canvases uint8 [n, side, side, 3] on the CPU", received, fix)
    if not 1 <= size <= shape[1]:
        raise OptionError(f"a size from 1 to the canvas's {shape[1]}", str(size), fix)
    if len(keys) != len(pixels) or any(len(key) != 3 or min(key) < 0 for key in keys):
        shown = str([tuple(key) for key in keys[:4]])
        expected = f"(seed, epoch, item), 0 or more, for each of {len(pixels)} pictures"
        raise OptionError(expected, f"{len(keys)}: {shown}", "give as many keys as pictures")


# What happens, drawn


def _draw(a: Augmentation, key: Key, side: int, size: int) -> _View:
    u = dict(zip(_DRAWN, np.random.default_rng(key).random(len(_DRAWN)).tolist(), strict=True))
    both = {name: 2 * value - 1 for name, value in u.items()}  # from -1 to 1
    edge = (side - size) // 2  # whole, or the middle would be blurred
    place = _crop(a.crop, u, side, size) if a.crop < 1 else _shift(edge, edge)
    place = place @ _shift(size / 2, size / 2)  # counted from the view's centre from here on
    place = place @ _scale((1 + a.zoom) ** -both["zoom"])
    place = place @ _rotate(a.rotation * both["rotation"])
    place = place @ _shear(*(math.tan(math.radians(a.shear * both[name])) for name in ("shear_x", "shear_y")))
    place = place @ _shift(*(-a.translation * size * both[name] for name in ("translate_x", "translate_y")))
    moved, operations = _randaugment(a, key, size)
    place = place @ moved
    place = place @ _scale(-1 if u["flip"] < a.flip else 1, -1 if u["flip_vertical"] < a.flip_vertical else 1)
    brightness, contrast, saturation = (
        1 + getattr(a, name) * both[name] for name in ("brightness", "contrast", "saturation")
    )
    colour = None
    if a.brightness or a.contrast or a.saturation or a.hue:
        colour = brightness * _saturate(saturation) @ _turn(a.hue * both["hue"])
    return _View(place, colour, contrast, operations, _rectangle(a, u, size))


def _scale(x: float, y: float | None = None) -> Matrix:
    return np.diag([x, x if y is None else y, 1.0])


def _shift(x: float, y: float) -> Matrix:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def _shear(x: float, y: float) -> Matrix:
    return np.array([[1, x, 0], [y, 1, 0], [0, 0, 1.0]])


def _rotate(degrees: float) -> Matrix:
    """Turn the picture counter-clockwise, as Pillow counts."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])


def _crop(least: float, u: dict[str, float], side: int, size: int) -> Matrix:
    """Place the view over a random part of the canvas."""
    area = least + (1 - least) * u["crop_area"]
    ratio = math.exp(_CROP_RATIO * (2 * u["crop_ratio"] - 1))
    width, height = (min(side, side * math.sqrt(area * r)) for r in (ratio, 1 / ratio))
    corner = _shift(u["crop_x"] * (side - width), u["crop_y"] * (side - height))
    return corner @ _scale(width / size, height / size)


def _saturate(factor: float) -> Matrix:
    return factor * np.eye(3) + (1 - factor) * np.tile(_LUMA, (3, 1))


def _turn(turns: float) -> Matrix:
    """Turn the hue, keeping the brightness."""
    cos, sin = math.cos(2 * math.pi * turns), math.sin(2 * math.pi * turns)
    turned: Matrix = _RGB @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ _YIQ
    return turned


def _rectangle(a: Augmentation, u: dict[str, float], size: int) -> tuple[int, int, int, int] | None:
    if u["erase"] >= a.erasing:
        return None
    low, high = _ERASED_AREA
    area = size * size * (low + (high - low) * u["erase_area"])
    ratio = math.exp(_ERASED_RATIO * (2 * u["erase_ratio"] - 1))
    height, width = (max(1, min(size, round(math.sqrt(area * r)))) for r in (ratio, 1 / ratio))
    top, left = int(u["erase_y"] * (size - height + 1)), int(u["erase_x"] * (size - width + 1))
    return top, left, height, width


# RandAugment: what moves joins the one interpolation, what colours is Pillow's

_MOVES: dict[str, Callable[[float, int], Matrix]] = {
    "rotate": lambda level, _: _rotate(30 * level),
    "shear_x": lambda level, _: _shear(0.3 * level, 0),
    "shear_y": lambda level, _: _shear(0, 0.3 * level),
    "translate_x": lambda level, size: _shift(0.45 * level * size, 0),
    "translate_y": lambda level, size: _shift(0, 0.45 * level * size),
}
_COLOURS: dict[str, Callable[[float], Operation]] = {
    "brightness": lambda level: lambda image: ImageEnhance.Brightness(image).enhance(1 + 0.9 * level),
    "contrast": lambda level: lambda image: ImageEnhance.Contrast(image).enhance(1 + 0.9 * level),
    "saturation": lambda level: lambda image: ImageEnhance.Color(image).enhance(1 + 0.9 * level),
    "sharpness": lambda level: lambda image: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * level),
    "posterize": lambda level: lambda image: ImageOps.posterize(image, 8 - round(4 * abs(level))),
    "solarize": lambda level: lambda image: ImageOps.solarize(image, round(256 * (1 - abs(level)))),
    "autocontrast": lambda _: ImageOps.autocontrast,
    "equalize": lambda _: ImageOps.equalize,
}
_OPERATIONS = ("identity", *_MOVES, *_COLOURS)


def _randaugment(a: Augmentation, key: Key, size: int) -> tuple[Matrix, tuple[Operation, ...]]:
    """Draw the operations: the moves as one matrix, the others in order."""
    place, operations = np.eye(3), []
    if a.randaugment:
        rng = np.random.default_rng((*key, _RANDAUGMENT))
        for _ in range(a.randaugment):
            name = _OPERATIONS[int(rng.integers(len(_OPERATIONS)))]
            level = a.magnitude / 10 * (1 if rng.random() < 0.5 else -1)
            if name in _MOVES:
                place = place @ _MOVES[name](level, size)
            elif name in _COLOURS:
                operations.append(_COLOURS[name](level))
    return place, tuple(operations)


# What happens, done


def _move(canvases: Tensor, views: Sequence[_View], size: int) -> Tensor:
    """Interpolate all views, float32 [n, 3, size, size]; beyond its edge the canvas is mirrored."""
    side = canvases.shape[1]
    at = np.arange(size) + 0.5 - size / 2
    # grid_sample's coordinates run from -1 to 1; a row's part and a column's part are added in float32.
    places = np.stack([view.place[:2] for view in views]) * (2 / side)
    along = places[:, :, 0, None] * at
    across = places[:, :, 1, None] * at + (places[:, :, 2, None] - 1)
    columns, rows = (torch.from_numpy(part.astype(np.float32)) for part in (along, across))
    grid = (columns[:, :, None, :] + rows[:, :, :, None]).permute(0, 2, 3, 1)
    floats = canvases.permute(0, 3, 1, 2).to(torch.float32)
    return functional.grid_sample(
        floats, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def _colour(picture: Tensor, view: _View, canvas: Tensor) -> Tensor:
    """Multiply the colours by the matrix, then draw them to the mean grey or away from it."""
    if view.colour is None:
        return picture
    # A sum of integers is exact, so the mean does not depend on how it is divided among threads.
    sample = canvas[::4, ::4].reshape(-1, 3)
    mean = sample.sum(0, dtype=torch.int64).numpy() / len(sample)
    grey = float(_LUMA @ (view.colour @ mean))
    by = torch.from_numpy((view.contrast * view.colour).astype(np.float32))[:, :, None, None]
    coloured = picture[0] * by[:, 0]
    coloured += picture[1] * by[:, 1]
    coloured += picture[2] * by[:, 2]
    coloured += (1 - view.contrast) * grey
    return coloured


def _operate(pixels: Tensor, operations: tuple[Operation, ...]) -> Tensor:
    if not operations:
        return pixels
    image = Image.fromarray(pixels.contiguous().numpy())
    for operation in operations:
        image = operation(image)
    return torch.from_numpy(np.array(image))


def _erase(picture: Tensor, rectangle: tuple[int, int, int, int], key: Key) -> None:
    top, left, height, width = rectangle
    noise = np.random.default_rng((*key, _NOISE)).integers(0, 256, (height, width, 3), np.uint8)
    picture[top : top + height, left : left + width] = torch.from_numpy(noise)
