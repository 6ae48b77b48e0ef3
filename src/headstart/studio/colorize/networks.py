"""What tells colours from lightness: a frozen backbone that looks, and two networks that learn to colour."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from headstart.backbones.backbone import Backbone
from headstart.errors import BackboneError

STRIDE = 4
"""How many times smaller colours are than the picture they are told for."""
_SPREAD = 110.0
"""a and b of every colour lie within this of zero."""


class Encoder(nn.Module):
    """A pretrained backbone that is shown a grey photograph: what it sees at each scale.

    Args:
        backbone: For pictures, with blocks of different scales; shared, not trained.
        size: Side of the pictures, int, in pixels. Defaults to 224.

    Raises:
        BackboneError: None of its blocks has a grid of a quarter of the picture or less.

    Example:
        >>> from headstart.backbones.card import Card, Preprocess
        >>> card = Card("toy", "toy", "here", "CC0-1.0", "nothing", Preprocess(size=8), 4, ("stem",), 112, "")
        >>> toy = Backbone(card, {"stem": nn.Conv2d(3, 4, 3, stride=4, padding=1)})
        >>> [tuple(grid.shape) for grid in Encoder(toy, 32)(torch.zeros(1, 1, 32, 32))]
        [(1, 1, 8, 8), (1, 4, 8, 8)]
    """

    def __init__(self, backbone: Backbone, size: int = 224) -> None:
        super().__init__()
        self.backbone, self.size = backbone, size
        backbone.requires_grad_(False)
        self.shapes: list[tuple[int, int]] = [(1, size // STRIDE)]
        """Channels and side of what it gives, from fine to coarse; first the lightness itself."""
        self._last: list[str] = []
        self._look()

    def forward(self, lightness: Tensor) -> tuple[Tensor, ...]:
        """Return the lightness a quarter as large, and the grid of the deepest block at each scale.

        Args:
            lightness: float [n, 1, size, size], 0 to 100.
        """
        found = [nn.functional.avg_pool2d(lightness, STRIDE) / 50 - 1]
        x = (grey_levels(lightness).expand(-1, 3, -1, -1) - self.backbone.mean) / self.backbone.std
        for name, block in self.backbone.blocks.items():
            x = block(x)
            if name in self._last:
                found.append(x)
        return tuple(found)

    @torch.no_grad()
    def _look(self) -> None:
        """Find the deepest block of each scale, and what it gives."""
        x = torch.zeros(1, 3, self.size, self.size)
        deepest: dict[int, tuple[str, int]] = {}
        for name, block in self.backbone.blocks.items():
            x = block(x)
            if x.ndim == 4 and x.shape[2] == x.shape[3] <= self.size // STRIDE:
                deepest[x.shape[2]] = (name, x.shape[1])
        if not deepest:
            fix = "use efficientnet_lite0"
            raise BackboneError("a backbone with grids of several scales", self.backbone.card.name, fix)
        self.shapes += [(channels, side) for side, (_, channels) in deepest.items()]
        self._last = [name for name, _ in deepest.values()]


def grey_levels(lightness: Tensor) -> Tensor:
    """Return the grey levels, 0 to 255, of lightness, 0 to 100."""
    root = (lightness + 16) / 116
    light = torch.where(root > 6 / 29, root**3, (root - 4 / 29) * (108 / 841))
    level = torch.where(light > 0.0031308, 1.055 * light.clamp(min=1e-6) ** (1 / 2.4) - 0.055, light * 12.92)
    return 255 * level


class UNet(nn.Module):
    """From what the backbone sees, coarse to fine, to how likely each colour is at each place.

    The embedding of the whole photograph is added to the coarsest grid; each finer one is added to what has
    been understood so far. Papers: Ronneberger, Fischer and Brox, "U-Net", MICCAI 2015; Zhang, Isola and
    Efros, "Colorful Image Colorization", ECCV 2016.

    Args:
        shapes: Channels and side of the grids, as `Encoder.shapes`.
        colours: Number of bins, int.
        widths: Channels at each scale, the finest first, the last one for all that are coarser.
        dropout: Share of the coarsest channels that are left out in training, float. Defaults to 0.3.

    Example:
        >>> network = UNet([(1, 8), (4, 8), (6, 4)], colours=5, widths=(8, 16))
        >>> grids = (torch.zeros(2, 1, 8, 8), torch.zeros(2, 4, 8, 8), torch.zeros(2, 6, 4, 4))
        >>> network(grids).shape
        torch.Size([2, 5, 8, 8])
    """

    def __init__(
        self,
        shapes: list[tuple[int, int]],
        colours: int,
        widths: tuple[int, ...] = (48, 96, 128),
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.side = shapes[0][1]
        grids = shapes[1:]
        wide = [widths[min(place, len(widths) - 1)] for place in range(len(grids))]
        deepest = grids[-1][0]
        self.whole = nn.Linear(deepest, wide[-1])
        self.coarse = nn.Conv2d(deepest, wide[-1], 1, bias=False)
        self.coarse_norm = nn.BatchNorm2d(wide[-1])
        self.dropout = nn.Dropout2d(dropout)
        self.steps = nn.ModuleList(
            _Finer(wide[place + 1], grids[place], wide[place], lightness=place == 0)
            for place in reversed(range(len(grids) - 1))
        )
        self.colours = nn.Conv2d(wide[0], colours, 1)

    def forward(self, seen: tuple[Tensor, ...]) -> Tensor:
        """Return logits, float [n, colours, side, side], of what an `Encoder` gives."""
        return cast(Tensor, self.colours(self.understood(seen)))

    def understood(self, seen: tuple[Tensor, ...]) -> Tensor:
        """Return what the logits are a linear function of, float [n, channels, side, side]."""
        lightness, *grids = seen
        deepest = self.dropout(grids[-1])
        x = self.coarse(deepest) + self.whole(deepest.mean((2, 3)))[:, :, None, None]
        x = nn.functional.relu(self.coarse_norm(x))
        for step, grid in zip(self.steps, reversed(grids[:-1]), strict=True):
            x = step(x, grid, lightness)
        return _resized(x, self.side)


class _Finer(nn.Module):
    """What has been understood, at the next finer scale, with what the backbone sees there.

    Args:
        channels: Of what has been understood, int.
        grid: Channels and side of the finer grid.
        width: Channels of what comes out, int.
        lightness: Whether the lightness joins in.
    """

    def __init__(self, channels: int, grid: tuple[int, int], width: int, *, lightness: bool) -> None:
        super().__init__()
        self.side, self.lightness = grid[1], lightness
        self.known = nn.Conv2d(channels, width, 1, bias=False)
        self.seen = nn.Conv2d(grid[0] + lightness, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.mix = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )

    def forward(self, x: Tensor, grid: Tensor, lightness: Tensor) -> Tensor:
        """Return float [n, width, side, side]."""
        if self.lightness:
            grid = torch.cat([grid, _resized(lightness, self.side)], 1)
        x = _resized(self.known(x), self.side) + self.seen(grid)
        return cast(Tensor, self.mix(nn.functional.relu(self.norm(x))))


class Classic(nn.Module):
    """Encoder, fusion and decoder: the colours themselves, learned by least squares.

    The encoder learns from the lightness alone; at every place the backbone's embedding of the whole
    photograph is fused with what it found. It is given half the size, has a quarter of the paper's width, and
    tells colours at a quarter of the size, so that it learns within minutes on a CPU. Paper: Baldassarre,
    González Morín and Rodés-Guirao, "Deep Koalarization", 2017.

    Args:
        embedding: Length of the backbone's embedding, int.
        width: Channels of the first convolution, int; the paper has 64. Defaults to 16.
        dropout: Share of the embedding that is left out in training, float. Defaults to 0.3.

    Example:
        >>> Classic(6, width=2)((torch.zeros(2, 1, 16, 16), torch.zeros(2, 6))).shape
        torch.Size([2, 2, 8, 8])
    """

    def __init__(self, embedding: int, width: int = 16, dropout: float = 0.3) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *_classic(1, width, stride=2),
            *_classic(width, 2 * width),
            *_classic(2 * width, 2 * width, stride=2),
            *_classic(2 * width, 4 * width),
            *_classic(4 * width, 4 * width),
            *_classic(4 * width, 8 * width),
            *_classic(8 * width, 8 * width),
            *_classic(8 * width, 4 * width),
        )
        self.embedding = nn.Sequential(nn.Dropout(dropout), nn.Linear(embedding, 4 * width))
        self.fusion = nn.Conv2d(8 * width, 4 * width, 1)
        self.decoder = nn.Sequential(
            *_classic(4 * width, 2 * width),
            nn.Upsample(scale_factor=2),
            *_classic(2 * width, width),
            *_classic(width, width),
            nn.Conv2d(width, 2, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, seen: tuple[Tensor, Tensor]) -> Tensor:
        """Return ab, float [n, 2, h / 2, w / 2], of lightness [n, 1, h, w] from -1 to 1 and embeddings."""
        lightness, embedding = seen
        local = self.encoder(lightness)
        whole = self.embedding(embedding)[:, :, None, None].expand(-1, -1, *local.shape[2:])
        fused = torch.relu(self.fusion(torch.cat([local, whole], 1)))
        return cast(Tensor, self.decoder(fused)) * _SPREAD


class ClassicEncoder(nn.Module):
    """What the classic network is given: the lightness, half as large, and the backbone's embedding.

    Args:
        encoder: What looks at the whole photograph.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder, self.size = encoder, encoder.size

    def forward(self, lightness: Tensor) -> tuple[Tensor, Tensor]:
        """Return float [n, 1, size / 2, size / 2], -1 to 1, and [n, d], of lightness [n, 1, size, size]."""
        return nn.functional.avg_pool2d(lightness, 2) / 50 - 1, self.encoder(lightness)[-1].mean((2, 3))


class Whole(nn.Module):
    """From lightness to colours, all in one: what is kept.

    Args:
        encoder: An `Encoder` or a `ClassicEncoder`.
        network: The `UNet` or `Classic` that learned from it.
    """

    def __init__(self, encoder: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.encoder, self.network = encoder, network

    def forward(self, lightness: Tensor) -> Tensor:
        """Return logits or ab of lightness, float [n, 1, size, size], 0 to 100."""
        return cast(Tensor, self.network(self.encoder(lightness)))


def _classic(channels: int, out: int, stride: int = 1) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
    return convolution, nn.BatchNorm2d(out), nn.ReLU()


def _resized(x: Tensor, side: int) -> Tensor:
    if x.shape[2] == side:
        return x
    return nn.functional.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
