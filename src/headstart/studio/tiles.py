"""Gradients of large pictures, in tiles whose borders lie elsewhere each time."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from headstart.errors import OptionError
from headstart.progress import Say

_SMALLEST = 64
_WORDS = ("can't allocate memory", "not enough memory", "bad_alloc", "out of memory")


class Tiling:
    """Climbs a function of pictures by its normalised gradient, so much of it at once as memory allows.

    Args:
        value: What is raised: the mean over the places of part of a picture, float [1, 3, h, w].
        side: Longest side of a tile, int, in pixels.
        least: Shortest side of which `value` can be had, int, in pixels.
        seed: Of the random shifts, int.
        say: Told when memory asks for smaller tiles.

    Example:
        >>> picture = torch.zeros(1, 3, 8, 8)
        >>> _ = Tiling(torch.sum, 64, 1, 0, print).climb(picture, 2.0)
        >>> picture.unique().tolist()
        [2.0]
    """

    def __init__(self, value: Callable[[Tensor], Tensor], side: int, least: int, seed: int, say: Say) -> None:
        self._value, self._side, self._least, self._say = value, side, least, say
        self._generator = torch.Generator().manual_seed(seed)

    def climb(self, picture: Tensor, rate: float) -> float:
        """Change a picture in place, by `rate` on the mean; return the value before.

        Args:
            picture: float [1, 3, h, w] from 0 to 255.
            rate: In grey levels, float.

        Raises:
            OptionError: Memory is short even for the smallest tiles.
        """
        down, across = (
            int(torch.randint(side, (), generator=self._generator)) for side in picture.shape[-2:]
        )
        # Round the edges: whatever a network does at borders happens in another place each time.
        gradient = picture.roll((down, across), (2, 3))
        total = self._fill(gradient)
        # One unit for the whole picture: where there is nothing to see, little is changed.
        gradient *= rate / max(float(gradient.abs().mean()), 1e-12)
        picture += gradient.roll((-down, -across), (2, 3))
        picture.clamp_(0, 255)
        return total / picture.numel()

    def _fill(self, part: Tensor) -> float:
        """Put its gradient in the place of part of a picture; return its value times its size."""
        return sum(
            self._tile(part[..., rows, columns])
            for rows in self._cuts(part, 2)
            for columns in self._cuts(part, 3)
        )

    def _cuts(self, part: Tensor, dimension: int) -> list[slice]:
        """Return as few tiles as need be along a side, all of about the same length."""
        length = part.shape[dimension]
        count = max(1, min(math.ceil(length / self._side), length // self._least))
        edges = [round(length * number / count) for number in range(count + 1)]
        return [slice(*pair) for pair in pairwise(edges)]

    def _tile(self, tile: Tensor) -> float:
        pixels = tile.clone().requires_grad_()
        try:
            value = self._value(pixels)
            (gradient,) = torch.autograd.grad(value, pixels)
        except (RuntimeError, MemoryError) as error:
            if not _is_memory(error):
                raise
            self._shrink(max(tile.shape[-2:]), error)
        else:
            # A mean over the tile becomes a sum, which does not depend on how the picture is cut.
            tile.copy_(gradient.mul_(tile.numel()))
            return float(value.detach()) * tile.numel()
        return self._fill(tile)

    def _shrink(self, side: int, error: Exception) -> None:
        """Make tiles half as long as one that memory was too short for."""
        self._side = min(self._side, side // 2)
        if self._side < max(_SMALLEST, self._least):
            fix = "close other programs, take a smaller picture (--size 512) or layers that are less deep"
            raise OptionError("memory for one small tile", str(error).splitlines()[0], fix) from error
        self._say(f"memory is short: going on in tiles of at most {self._side} pixels")


def _is_memory(error: Exception) -> bool:
    """Return whether memory was too short; torch says so in words only, on a processor."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in _WORDS)
