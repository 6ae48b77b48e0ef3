"""Neural style transfer: the content of one picture, painted as another one is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from headstart.errors import OptionError
from headstart.images.decode import Pixels
from headstart.studio.goal import Goal, Weights
from headstart.studio.kept import Kept
from headstart.studio.layers import Layers
from headstart.studio.painter import Painter

STYLE_LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1")
CONTENT_LAYER = "block4_conv2"
_LEAST = 16
"""Pixels that the fourth pooling still leaves one of."""


@dataclass(frozen=True)
class StyleOptions:
    """How a picture is painted.

    Args:
        size: Longer side of the result, int, in pixels. Defaults to 512.
        steps: Evaluations of the loss, int. Defaults to 400.
        content_weight: How much the content counts, float. Defaults to 3000.
        style_weight: How much the style does, float. Defaults to 1.
        smooth: Weight of the total variation, float. Defaults to 0.001.
        content_layer: Where content is compared, str. Defaults to "block4_conv2".
        style_layers: Layer → its share of the style. Defaults to five, a fifth each.
        colours: Whether the content keeps its own colours. Defaults to False.
        coarse: Share of the steps that are made at half the size first, from 0 to 1. Defaults to 0.5.
        optimiser: "lbfgs" or "adam". Defaults to "lbfgs".
        tile: Side of the tiles that are computed one after the other, int, in pixels: less memory, a third
            more work, the same painting. Defaults to None: the picture at once.

    Raises:
        OptionError: A value outside its range.
    """

    size: int = 512
    steps: int = 400
    content_weight: float = 3000.0
    style_weight: float = 1.0
    smooth: float = 1e-3
    content_layer: str = CONTENT_LAYER
    style_layers: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(STYLE_LAYERS, 0.2))
    colours: bool = False
    coarse: float = 0.5
    optimiser: str = "lbfgs"
    tile: int | None = None

    def __post_init__(self) -> None:
        if self.size < 32 or self.steps < 1 or not 0 <= self.coarse <= 1:
            received = f"{self.size}, {self.steps}, {self.coarse}"
            fix = "use --size 512 --steps 400"
            raise OptionError("a size from 32 on, steps from 1 on, a coarse share from 0 to 1", received, fix)
        if self.optimiser not in ("lbfgs", "adam"):
            raise OptionError("the optimiser lbfgs or adam", repr(self.optimiser), "choose one of the two")

    @property
    def weights(self) -> Weights:
        """How much each part of the loss counts."""
        return Weights(
            self.content_weight, self.style_weight, self.smooth, self.content_layer, self.style_layers
        )

    def stages(self, pictures: Sequence[Pixels] = ()) -> list[tuple[int, int]]:
        """Return the sizes at which is painted, each with its number of evaluations.

        Args:
            pictures: What has to fit: where one is too narrow at half the size, the whole is painted at once.

        Example:
            >>> StyleOptions(size=512, steps=400).stages()
            [(256, 200), (512, 200)]
        """
        narrow = any(_narrow(each, self.size // 2) for each in pictures)
        coarse = 0 if narrow else round(self.steps * self.coarse)
        found = [(self.size // 2, coarse), (self.size, self.steps - coarse)]
        return [(size, steps) for size, steps in found if steps > 0]


@dataclass(frozen=True, eq=False)
class Seen:
    """How far a picture is.

    Args:
        picture: As it is now, uint8 [h, w, 3].
        step: Evaluations so far, int.
        loss: float.
    """

    picture: Pixels
    step: int
    loss: float


def stylize(
    content: Pixels,
    styles: Sequence[tuple[Pixels, float]],
    layers: Callable[[Sequence[str]], Layers],
    options: StyleOptions | None = None,
    *,
    mask: NDArray[np.float32] | None = None,
    see: Callable[[Seen], None] = lambda _seen: None,
    kept: Kept | None = None,
) -> Pixels:
    """Paint a picture in the style of others.

    Args:
        content: What is painted, uint8 [h, w, 3].
        styles: Pictures and how much each counts; weights need not sum to one.
        layers: From names to what computes those layers.
        options: How. Defaults to `StyleOptions()`.
        mask: Where to paint, float [h, w] from 0 to 1 of the content's shape. Defaults to None: everywhere.
        see: Told how far it is, every 20 evaluations. Defaults to nobody.
        kept: Where the state is kept for going on after an interruption; what it holds already is gone on
            with. Defaults to None: nowhere.

    Returns:
        The painting, uint8 [h', w', 3], its longer side `options.size`.

    Raises:
        OptionError: There is no such layer, or a picture is too narrow.

    References:
        Gatys et al., CVPR 2016; "Controlling perceptual factors in neural style transfer", CVPR 2017, for the
        colours and for coarse before fine.
    """
    options = options or StyleOptions()
    network = layers([*options.style_layers, options.content_layer])
    found = kept.read() if kept else None
    content = _fit(content, options.size)
    done, picture = 0, _tensor(content, network)
    for stage, (size, steps) in enumerate(options.stages([content, *(each for each, _ in styles)])):
        if found is None or found.stage <= stage:
            painter = _painter(network, content, styles, mask, picture, size, options)
            made = 0
            if found is not None and found.stage == stage:
                painter.go_on(found.tensors, found.numbers)
                made = found.made
            while made < steps and (more := painter.step()):
                made += more
                see(Seen(_pixels(painter.picture), done + made, painter.loss))
                if kept:
                    kept.write(stage, made, painter)
            picture = painter.picture
        done += steps
    painted = _pixels(picture)
    return _with_colours(painted, content) if options.colours else painted


def _painter(
    network: Layers,
    content: Pixels,
    styles: Sequence[tuple[Pixels, float]],
    mask: NDArray[np.float32] | None,
    picture: Tensor,
    size: int,
    options: StyleOptions,
) -> Painter:
    """Return who paints at one size, on from a picture of any."""
    scene = _tensor(_fit(content, size), network)
    fitted = [(_tensor(_fit(each, size), network), weight) for each, weight in styles]
    goal = Goal(network, scene, fitted, options.weights, options.tile)
    where = None
    if mask is not None:
        where = _resized(torch.from_numpy(mask)[None, None].to(network.device), scene.shape[-2:])
    return Painter(goal, _resized(picture, scene.shape[-2:]), options.optimiser, where)


def _fit(picture: Pixels, size: int) -> Pixels:
    """Return a picture whose longer side has so many pixels."""
    height, width = picture.shape[:2]
    scale = size / max(height, width)
    if _narrow(picture, size):
        received = f"one of {width} × {height}, which becomes {scale * min(height, width):.0f} pixels narrow"
        fix = "cut it, or name a larger --size"
        raise OptionError(f"a picture of at least {_LEAST} pixels on the shorter side", received, fix)
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(picture).resize(shape, Image.Resampling.LANCZOS))


def _narrow(picture: Pixels, size: int) -> bool:
    """Return whether too little would be left of a picture's shorter side."""
    height, width = picture.shape[:2]
    return bool(size * min(height, width) < _LEAST * max(height, width))


def _tensor(picture: Pixels, network: Layers) -> Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float().to(network.device)


def _pixels(picture: Tensor) -> Pixels:
    found: Pixels = picture[0].clamp(0, 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return found


def _resized(picture: Tensor, shape: Sequence[int]) -> Tensor:
    return torch.nn.functional.interpolate(picture, tuple(shape), mode="bicubic", antialias=True)


def _with_colours(painted: Pixels, content: Pixels) -> Pixels:
    """Return the painting's brightness in the content's colours."""
    bright, _, _ = Image.fromarray(painted).convert("YCbCr").split()
    _, blue, red = Image.fromarray(content).convert("YCbCr").split()
    return np.asarray(Image.merge("YCbCr", (bright, blue, red)).convert("RGB"))
