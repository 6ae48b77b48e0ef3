"""What a painting is judged by: content, styles and smoothness, at once or tile by tile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from headstart.studio.layers import Layers

_ALIGNED = 16
"""Pixels that a place of the deepest style layer stands for: tiles begin at multiples of it."""
_MARGIN = 80
"""Pixels beyond a tile that the deepest style layer of VGG16 still sees, a multiple of 16."""


def gram(activation: Tensor) -> Tensor:
    """Return the Gram matrices of an activation: which channels answer together, wherever.

    Args:
        activation: float [n, channels, h, w].

    Returns:
        float [n, channels, channels], sums over the places.

    References:
        Gatys, Ecker and Bethge, "Image style transfer using convolutional neural networks", CVPR 2016.

    Example:
        >>> gram(torch.ones(1, 2, 3, 4)).tolist()
        [[[12.0, 12.0], [12.0, 12.0]]]
    """
    flat = activation.flatten(2)
    return flat @ flat.transpose(1, 2)


def gram_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Return a layer's contribution to the style: squared distance of Gram matrices over 4 N².

    Args:
        found, wanted: Gram matrices per place (divided by their number M), float [1, N, N]; with sums over
            places instead, the published loss divides by M², too.
    """
    return (found - wanted).square().sum() / (4 * found.shape[1] ** 2)


def style_loss(activation: Tensor, wanted: Tensor) -> Tensor:
    """Return a layer's contribution of an activation, float [1, N, h, w]; see `gram_loss`."""
    return gram_loss(gram(activation) / _places(activation), wanted)


def content_loss(activation: Tensor, wanted: Tensor) -> Tensor:
    """Return half the squared distance of two activations, per value: it means the same at any size."""
    return (activation - wanted).square().mean() / 2


def total_variation(pixels: Tensor) -> Tensor:
    """Return the mean of squared differences of neighbours, as Mahendran and Vedaldi measure roughness."""
    down = (pixels[..., 1:, :] - pixels[..., :-1, :]).square().mean()
    across = (pixels[..., 1:] - pixels[..., :-1]).square().mean()
    return down + across


@dataclass(frozen=True)
class Weights:
    """How much each part of the loss counts.

    Args:
        content: Of the content, float.
        style: Of the style, float.
        smooth: Of the total variation, float.
        content_layer: Where content is compared, str.
        style_layers: Layer → its share of the style.
    """

    content: float
    style: float
    smooth: float
    content_layer: str
    style_layers: Mapping[str, float]


class Goal:
    """The loss of a picture against one content and some styles, their answers computed once.

    Args:
        network: Computes the layers that the weights name.
        content: The content, float [1, 3, h, w], in grey levels.
        styles: Pictures of any shape and how much each counts.
        weights: Of the loss's parts.
        tile: Side of the tiles that are computed one after the other, int, in pixels: less memory, about a
            third more work, and the same result. Defaults to None: the picture at once.
    """

    def __init__(
        self,
        network: Layers,
        content: Tensor,
        styles: Sequence[tuple[Tensor, float]],
        weights: Weights,
        tile: int | None = None,
    ) -> None:
        self.network, self.weights, self.content, self._tile = network, weights, content, tile
        total = sum(weight for _, weight in styles)
        with torch.no_grad():
            self._wanted: dict[str, Tensor] = {}
            for picture, weight in styles:
                for name, matrix in self._grams(picture).items():
                    self._wanted[name] = self._wanted.get(name, 0.0) + matrix * (weight / total)
            self._answers = [
                part[weights.content_layer] for part in (self._seen(t, content) for t in self._tiles(content))
            ]

    def descend(self, picture: Tensor) -> float:
        """Return the loss of a picture, float [1, 3, h, w], and let its gradient flow back through it."""
        smooth = self.weights.smooth * total_variation(picture)
        if self._tile is None:
            loss = self._loss(self.network(picture)) + smooth
            loss.backward()  # type: ignore[no-untyped-call]
            return float(loss.detach())
        pixels = picture.detach().requires_grad_()
        loss = self._descend_by_tile(pixels)
        slope = torch.zeros_like(picture) if pixels.grad is None else pixels.grad
        ((picture * slope).sum() + smooth).backward()  # type: ignore[no-untyped-call]
        return float(loss + smooth.detach())

    def _loss(self, seen: Mapping[str, Tensor]) -> Tensor:
        weights = self.weights
        total = weights.content * content_loss(seen[weights.content_layer], self._answers[0])
        for name, share in weights.style_layers.items():
            total = total + weights.style * share * style_loss(seen[name], self._wanted[name])
        return total

    def _descend_by_tile(self, pixels: Tensor) -> Tensor:
        """Add the gradient of each tile to the pixels', and return the loss.

        The style's gradient needs the Gram matrices of the whole picture: they are summed up in a first
        round, and the second follows what each tile adds to them.
        """
        weights, total = self.weights, torch.zeros((), device=pixels.device)
        with torch.no_grad():
            found, places = self._gram_sums(pixels)
        slopes: dict[str, Tensor] = {}
        for name, share in weights.style_layers.items():
            matrix = (found[name] / places[name]).requires_grad_()
            loss = weights.style * share * gram_loss(matrix, self._wanted[name])
            slopes[name] = torch.autograd.grad(loss, matrix)[0] / places[name]
            total = total + loss.detach()
        values = sum(answer.numel() for answer in self._answers)
        for tile, answer in zip(self._tiles(pixels), self._answers, strict=True):
            seen = self._seen(tile, pixels)
            content = weights.content * (seen[weights.content_layer] - answer).square().sum() / (2 * values)
            style = sum((slopes[name] * gram(seen[name])).sum() for name in slopes)
            (content + style).backward()  # type: ignore[no-untyped-call]
            total = total + content.detach()
        return total

    def _grams(self, picture: Tensor) -> dict[str, Tensor]:
        """Return the Gram matrices per place."""
        sums, places = self._gram_sums(picture)
        return {name: matrix / places[name] for name, matrix in sums.items()}

    def _gram_sums(self, picture: Tensor) -> tuple[dict[str, Tensor], dict[str, int]]:
        sums: dict[str, Tensor] = {}
        places: dict[str, int] = {}
        for tile in self._tiles(picture):
            seen = self._seen(tile, picture)
            for name in self.weights.style_layers:
                sums[name] = sums.get(name, 0.0) + gram(seen[name])
                places[name] = places.get(name, 0) + _places(seen[name])
        return sums, places

    def _tiles(self, picture: Tensor) -> Iterator[_Tile]:
        height, width = picture.shape[-2:]
        if self._tile is None:
            yield _Tile(slice(0, height), slice(0, width), height, width)
            return
        side = max(_ALIGNED, self._tile // _ALIGNED * _ALIGNED)
        for rows in _spans(height, side):
            for columns in _spans(width, side):
                yield _Tile(rows, columns, height, width)

    def _seen(self, tile: _Tile, picture: Tensor) -> dict[str, Tensor]:
        """Return what the layers say of a tile, without its margin."""
        rows, columns = tile.around()
        piece = picture[..., rows, columns]
        return {name: tile.inner(answer, piece) for name, answer in self.network(piece).items()}


@dataclass(frozen=True)
class _Tile:
    """A part of a picture of height × width pixels."""

    rows: slice
    columns: slice
    height: int
    width: int

    def around(self) -> tuple[slice, slice]:
        """Return the part with what its deepest places see beyond it."""
        return _wider(self.rows, self.height), _wider(self.columns, self.width)

    def inner(self, answer: Tensor, piece: Tensor) -> Tensor:
        """Return the places of an answer to the wider piece that belong to the part itself."""
        rows, columns = self.around()
        down, across = piece.shape[-2] // answer.shape[-2], piece.shape[-1] // answer.shape[-1]
        top, left = (self.rows.start - rows.start) // down, (self.columns.start - columns.start) // across
        # At the picture's end all places that are left belong to the part.
        bottom = None if self.rows.stop == self.height else top + (self.rows.stop - self.rows.start) // down
        right = (
            None
            if self.columns.stop == self.width
            else left + (self.columns.stop - self.columns.start) // across
        )
        return answer[..., top:bottom, left:right]


def _wider(part: slice, whole: int) -> slice:
    return slice(max(0, part.start - _MARGIN), min(whole, part.stop + _MARGIN))


def _spans(length: int, side: int) -> list[slice]:
    """Cut a length into parts of one side; the last is up to half longer, or at least half as long.

    Example:
        >>> _spans(100, 32)
        [slice(0, 32, None), slice(32, 64, None), slice(64, 100, None)]
    """
    count = max(1, int(length / side + 0.5))
    return [slice(n * side, length if n == count - 1 else (n + 1) * side) for n in range(count)]


def _places(activation: Tensor) -> int:
    return activation.shape[2] * activation.shape[3]
