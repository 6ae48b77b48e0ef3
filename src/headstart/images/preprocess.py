"""From pixels to a network's input: one specification, two kernels that agree within a grey level."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.backbones.card import Preprocess
from headstart.data.items import Source
from headstart.errors import OptionError
from headstart.images.decode import Pixels, decode

Kernel = Literal["pillow", "torch"]
_PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def prepare(source: Source, spec: Preprocess, kernel: Kernel = "pillow") -> Pixels:
    """Decode a picture and bring it to a network's input size.

    The crop is cut out of the source before resizing: the same field of view as resizing first, fewer
    pixels to compute, and both kernels see the same whole-pixel region.

    Args:
        source: A Path, encoded bytes or an array, see `decode`.
        spec: What the network wants: side, crop, interpolation.
        kernel: "pillow" (serving: needs no torch) or "torch" (training: 3 to 6 times faster). Both
            antialias; tests hold them within one grey level, two at
            a number in ten thousand at most. Defaults to "pillow".

    Returns:
        The input, uint8 [side, side, 3], RGB; mean and standard deviation are the network's business.

    Raises:
        DecodeError: The picture cannot be read.

    Example:
        >>> import numpy as np
        >>> from headstart.backbones import card
        >>> prepare(np.zeros((300, 400, 3), np.uint8), card("efficientnet_lite0").preprocess).shape
        (224, 224, 3)
    """
    return resize(field_of_view(decode(source, at_least=needed_side(spec)), spec), spec, kernel)


def prepare_canvas(source: Source, spec: Preprocess) -> Pixels:
    """Decode a picture and bring it to the canvas that augmentation works on.

    The middle is, pixel for pixel, what `prepare` gives (torch's kernel); around it lies the rest of the
    picture at the same scale and place, and where it ends, its mirror image.

    Args:
        source: A Path, encoded bytes or an array, see `decode`.
        spec: What the network wants.

    Returns:
        The canvas, uint8 [side, side, 3] with side = `needed_side(spec)`.

    Raises:
        DecodeError: The picture cannot be read.

    Example:
        >>> import numpy as np
        >>> prepare_canvas(np.zeros((300, 400, 3), np.uint8), Preprocess(size=224, crop=0.875)).shape
        (256, 256, 3)
    """
    pixels = decode(source, at_least=needed_side(spec))
    middle = resize(field_of_view(pixels, spec), spec, "torch")
    room = needed_side(spec) - spec.size
    if not room:
        return middle
    top, left, side = _centre(pixels, spec)
    step = side / spec.size  # source pixels for each pixel of the canvas
    height, width = pixels.shape[:2]
    wanted = (room // 2, room - room // 2)
    up, down = (min(n, int(r / step)) for n, r in zip(wanted, (top, height - side - top), strict=True))
    west, east = (min(n, int(r / step)) for n, r in zip(wanted, (left, width - side - left), strict=True))
    box = (
        max(0.0, left - west * step),
        max(0.0, top - up * step),
        min(float(width), left + side + east * step),
        min(float(height), top + side + down * step),
    )
    # Pillow resizes from a box with fractional corners, which torch's kernel cannot.
    image = Image.fromarray(np.ascontiguousarray(pixels))
    size = (spec.size + west + east, spec.size + up + down)
    there = np.asarray(image.resize(size, _PILLOW[spec.interpolation], box=box))
    absent = ((wanted[0] - up, wanted[1] - down), (wanted[0] - west, wanted[1] - east), (0, 0))
    canvas = np.pad(there, absent, mode="symmetric")
    inside = slice(wanted[0], wanted[0] + spec.size)
    canvas[inside, inside] = middle
    return canvas


def needed_side(spec: Preprocess) -> int:
    """Return the short side, in pixels, below which a picture would have to be enlarged."""
    return spec.size if spec.resize == "squash" else round(spec.size / spec.crop)


def field_of_view(pixels: Pixels, spec: Preprocess) -> Pixels:
    """Return the part of a picture that the network will see: the centre square, or all of it."""
    if spec.resize == "squash":
        return pixels
    top, left, side = _centre(pixels, spec)
    return pixels[top : top + side, left : left + side]


def seen_box(pixels: Pixels, spec: Preprocess) -> tuple[int, int, int, int]:
    """Return the part of a picture that the network will see: left, top, right, bottom in pixels.

    Example:
        >>> seen_box(np.zeros((300, 400, 3), np.uint8), Preprocess(size=224, crop=1.0))
        (50, 0, 350, 300)
    """
    if spec.resize == "squash":
        return 0, 0, pixels.shape[1], pixels.shape[0]
    top, left, side = _centre(pixels, spec)
    return left, top, left + side, top + side


def _centre(pixels: Pixels, spec: Preprocess) -> tuple[int, int, int]:
    """Return top, left and side of the centre square."""
    height, width = pixels.shape[:2]
    side = max(1, round(min(height, width) * spec.crop))
    return (height - side) // 2, (width - side) // 2, side


def resize(pixels: Pixels, spec: Preprocess, kernel: Kernel) -> Pixels:
    """Resize to the network's side with antialiasing, by one of the two kernels."""
    if kernel == "pillow":
        image = Image.fromarray(np.ascontiguousarray(pixels))
        return np.asarray(image.resize((spec.size, spec.size), _PILLOW[spec.interpolation]))
    if kernel == "torch":
        return _resize_torch(pixels, spec)
    raise OptionError("the kernel 'pillow' or 'torch'", repr(kernel), "name one of the two")


def _resize_torch(pixels: Pixels, spec: Preprocess) -> Pixels:
    import torch
    from torch.nn import functional

    # A view of the array that is channels_last in torch's eyes: its uint8 kernel is vectorised for that.
    # Torch warns of arrays that it may not write to, which is how Pillow's arrive.
    image = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).permute(2, 0, 1)[None]
    size = (spec.size, spec.size)
    out = functional.interpolate(image, size, mode=spec.interpolation, antialias=True, align_corners=False)
    result: NDArray[np.uint8] = out[0].permute(1, 2, 0).contiguous().numpy()
    return result
