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
from headstart.studio.layers import Layers

Pixels = NDArray[np.uint8]
STYLE_LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1")
CONTENT_LAYER = "block4_conv2"
_HISTORY = 20
_LEAST = 16
"""Pixels that the fourth pooling still leaves one of."""
_A_STEP = 20
"""Evaluations between two looks at the picture."""


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

    def __post_init__(self) -> None:
        if self.size < 32 or self.steps < 1 or not 0 <= self.coarse <= 1:
            received = f"{self.size}, {self.steps}, {self.coarse}"
            fix = "use --size 512 --steps 400"
            raise OptionError("a size from 32 on, steps from 1 on, a coarse share from 0 to 1", received, fix)
        if self.optimiser not in ("lbfgs", "adam"):
            raise OptionError("the optimiser lbfgs or adam", repr(self.optimiser), "choose one of the two")


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


def style_loss(activation: Tensor, wanted: Tensor) -> Tensor:
    """Return a layer's contribution: squared distance of Gram matrices over 4 N² M².

    Args:
        activation: Of the picture, float [1, N, h, w]; M = h × w.
        wanted: The style's Gram matrix per place, float [1, N, N].
    """
    channels, places = activation.shape[1], activation.shape[2] * activation.shape[3]
    return (gram(activation) / places - wanted).square().sum() / (4 * channels**2)


def content_loss(activation: Tensor, wanted: Tensor) -> Tensor:
    """Return half the squared distance of two activations, per value: it means the same at any size."""
    return (activation - wanted).square().mean() / 2


def total_variation(pixels: Tensor) -> Tensor:
    """Return the mean of squared differences of neighbours, as Mahendran and Vedaldi measure roughness."""
    down = (pixels[..., 1:, :] - pixels[..., :-1, :]).square().mean()
    across = (pixels[..., 1:] - pixels[..., :-1]).square().mean()
    return down + across


def stylize(
    content: Pixels,
    styles: Sequence[tuple[Pixels, float]],
    layers: Callable[[Sequence[str]], Layers],
    options: StyleOptions | None = None,
    *,
    mask: NDArray[np.float32] | None = None,
    see: Callable[[Seen], None] = lambda _seen: None,
) -> Pixels:
    """Paint a picture in the style of others.

    Args:
        content: What is painted, uint8 [h, w, 3].
        styles: Pictures and how much each counts; weights need not sum to one.
        layers: From names to what computes those layers.
        options: How. Defaults to `StyleOptions()`.
        mask: Where to paint, float [h, w] from 0 to 1 of the content's shape. Defaults to None: everywhere.
        see: Told how far it is, every 20 evaluations. Defaults to nobody.

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
    sizes = [options.size] if options.coarse == 0 else [options.size // 2, options.size]
    shares = [1.0] if options.coarse == 0 else [options.coarse, 1 - options.coarse]
    done, picture = 0, None
    for size, share in zip(sizes, shares, strict=True):
        scene = _tensor(_fit(content, size))
        start = scene if picture is None else _resized(picture, scene.shape[-2:])
        goal = _Goal(
            network, scene, [(_tensor(_fit(each, size)), weight) for each, weight in styles], options
        )
        where = None if mask is None else _resized(torch.from_numpy(mask)[None, None], scene.shape[-2:])
        picture = _paint(goal, start, where, round(options.steps * share), done, see)
        done += round(options.steps * share)
    if picture is None:
        raise OptionError("at least one step", "none", "use --steps 400")
    painted = _pixels(picture)
    return _with_colours(painted, _fit(content, options.size)) if options.colours else painted


class _Goal:
    """The loss of a picture, its targets computed once."""

    def __init__(
        self, network: Layers, scene: Tensor, styles: Sequence[tuple[Tensor, float]], options: StyleOptions
    ) -> None:
        self.network, self.options, self.scene = network, options, scene
        total = sum(weight for _, weight in styles)
        with torch.no_grad():
            self._content = network(scene)[options.content_layer]
            self._style: dict[str, Tensor] = {}
            for picture, weight in styles:
                seen = network(picture)
                for name in options.style_layers:
                    places = seen[name].shape[2] * seen[name].shape[3]
                    part = gram(seen[name]) / places * (weight / total)
                    self._style[name] = self._style.get(name, torch.zeros(())) + part

    def loss(self, picture: Tensor) -> Tensor:
        seen, options = self.network(picture), self.options
        total = options.content_weight * content_loss(seen[options.content_layer], self._content)
        for name, share in options.style_layers.items():
            total = total + options.style_weight * share * style_loss(seen[name], self._style[name])
        return total + options.smooth * total_variation(picture)


def _paint(
    goal: _Goal, start: Tensor, mask: Tensor | None, steps: int, before: int, see: Callable[[Seen], None]
) -> Tensor:
    """Return the picture after so many evaluations."""
    lbfgs = goal.options.optimiser == "lbfgs"
    # torch's L-BFGS begins with a step whose absolute values sum to 1: in this unit, a grey level per value.
    unit = float(start.numel()) if lbfgs else 1.0
    # It works on flat, contiguous numbers: the picture stays so, the network converts it.
    free = (start / unit).contiguous().requires_grad_()
    evaluations, latest = 0, float("nan")

    def shown() -> Tensor:
        # Not clamped between steps: that would make the curvature wrong which L-BFGS remembers.
        picture = (free * unit).clamp(0, 255)
        return picture if mask is None else goal.scene + mask * (picture - goal.scene)

    def closure() -> Tensor:
        nonlocal evaluations, latest
        optimiser.zero_grad()
        loss = goal.loss(shown())
        loss.backward()  # type: ignore[no-untyped-call]
        evaluations, latest = evaluations + 1, float(loss.detach())
        return loss

    optimiser: torch.optim.Optimizer
    if lbfgs:
        optimiser = torch.optim.LBFGS(
            [free], max_iter=_A_STEP, max_eval=_A_STEP, history_size=_HISTORY,
            tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe",
        )  # fmt: skip
    else:
        optimiser = torch.optim.Adam([free], lr=5.0)
    while evaluations < steps:
        if not lbfgs:
            for _ in range(_A_STEP - 1):
                optimiser.step(closure)  # type: ignore[no-untyped-call]
        at = evaluations
        optimiser.step(closure)  # type: ignore[no-untyped-call]
        see(Seen(_pixels(shown().detach()), before + evaluations, latest))
        if evaluations == at:
            break
    return shown().detach()


def _fit(picture: Pixels, size: int) -> Pixels:
    """Return a picture whose longer side has so many pixels."""
    height, width = picture.shape[:2]
    scale = size / max(height, width)
    if min(height, width) * scale < _LEAST:
        received = f"one of {width} × {height}, which becomes {scale * min(height, width):.0f} pixels narrow"
        fix = "cut it, or name a larger --size"
        raise OptionError(f"a picture of at least {_LEAST} pixels on the shorter side", received, fix)
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(picture).resize(shape, Image.Resampling.LANCZOS))


def _tensor(picture: Pixels) -> Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float()


def _pixels(picture: Tensor) -> Pixels:
    found: Pixels = picture[0].clamp(0, 255).round().byte().permute(1, 2, 0).numpy()
    return found


def _resized(picture: Tensor, shape: Sequence[int]) -> Tensor:
    return torch.nn.functional.interpolate(picture, tuple(shape), mode="bicubic", antialias=True)


def _with_colours(painted: Pixels, content: Pixels) -> Pixels:
    """Return the painting's brightness in the content's colours."""
    bright, _, _ = Image.fromarray(painted).convert("YCbCr").split()
    _, blue, red = Image.fromarray(content).convert("YCbCr").split()
    return np.asarray(Image.merge("YCbCr", (bright, blue, red)).convert("RGB"))
