"""Gradients of large pictures, in tiles whose borders lie elsewhere each time."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from headstart.errors import OptionError
from headstart.progress import Say

_SMALLEST = 64
_WORDS = (
    "can't allocate memory", "not enough memory", "bad_alloc", "out of memory",
    "could not create a primitive", "could not create a memory object",  # oneDNN's
)  # fmt: skip


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
        height, width = picture.shape[-2:]
        # Round the edges: whatever a network does at borders happens in another place each time.
        rows, columns = (self._shifted(side) for side in (height, width))
        gradient = torch.empty_like(picture)
        total = self._fill(picture, gradient, rows, columns)
        # One unit for the whole picture: where there is nothing to see, little is changed.
        mean = float(torch.linalg.vector_norm(gradient, 1)) / gradient.numel()
        picture.add_(gradient, alpha=rate / max(mean, 1e-12)).clamp_(0, 255)
        return total / picture.numel()

    def _shifted(self, side: int) -> Tensor:
        """Return the numbers of all rows or columns, beginning with a random one."""
        return (torch.arange(side) + torch.randint(side, (), generator=self._generator)) % side

    def _fill(self, picture: Tensor, gradient: Tensor, rows: Tensor, columns: Tensor) -> float:
        """Write the gradient of some rows and columns, tile by tile; return their value times their size."""
        return sum(
            self._tile(picture, gradient, high, wide)
            for high in self._cuts(rows)
            for wide in self._cuts(columns)
        )

    def _cuts(self, numbers: Tensor) -> tuple[Tensor, ...]:
        """Return rows or columns in as few parts as need be, all of about the same length."""
        length = len(numbers)
        return numbers.tensor_split(max(1, min(math.ceil(length / self._side), length // self._least)))

    def _tile(self, picture: Tensor, gradient: Tensor, rows: Tensor, columns: Tensor) -> float:
        tile = picture[..., rows[:, None], columns].requires_grad_()
        try:
            value = self._value(tile)
            (found,) = torch.autograd.grad(value, tile)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self._shrink(max(len(rows), len(columns)), error)
        else:
            # A mean over the tile becomes a sum, which does not depend on how the picture is cut.
            gradient[..., rows[:, None], columns] = found * tile.numel()
            return float(value.detach()) * tile.numel()
        return self._fill(picture, gradient, rows, columns)

    def _shrink(self, side: int, error: Exception) -> None:
        """Make tiles half as long as one that memory was too short for."""
        self._side = min(self._side, side // 2)
        if self._side < max(_SMALLEST, self._least):
            fix = "close other programs, take a smaller picture (--size 512) or layers that are less deep"
            raise OptionError("memory for one small tile", str(error).splitlines()[0], fix) from error
        self._say(f"memory is short: going on in tiles of at most {self._side} pixels")


def is_out_of_memory(error: Exception) -> bool:
    """Return whether memory was too short; torch says so in words only, on a processor."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in _WORDS)
