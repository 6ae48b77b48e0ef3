"""Activation maps: what each channel of a layer answers to a picture, on one contact sheet."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from headstart.backbones.backbone import MiddlePool
from headstart.backbones.card import Preprocess
from headstart.data.items import Source
from headstart.errors import OptionError
from headstart.images.decode import Pixels
from headstart.images.preprocess import prepare

if TYPE_CHECKING:
    from headstart.backbones.backbone import Backbone

Maps = NDArray[np.float32]
"""One map for each channel, float32 [channels, rows, columns]."""
_TILE, _GAP, _LINE, _HEAD = 128, 8, 20, 150
_MOST_COLUMNS = 10


def layer_names(backbone: Backbone) -> tuple[str, ...]:
    """Return the layers whose activations can be shown: each block, and in it each convolution, in order.

    Example:
        >>> import headstart as hs
        >>> layer_names(hs.backbones.load("vgg16"))[:3]  # doctest: +SKIP
        ('block1_conv1', 'block1_conv2', 'block1')
    """
    return tuple(_layers(backbone))


def activation_maps(backbone: Backbone, picture: Source, layer: str) -> tuple[Maps, Pixels]:
    """Return what each channel of a layer answers to a picture.

    A convolution that a ReLU follows is shown behind it, as in the published networks. A transformer's
    tokens are put back to where their patches are.

    Args:
        backbone: The network.
        picture: A Path, encoded bytes or an array uint8 [h, w, 3].
        layer: One of `layer_names`.

    Returns:
        maps: float32 [channels, rows, columns].
        seen: The picture as the network gets it, uint8 [side, side, 3].

    Raises:
        DecodeError: The picture cannot be read.
        OptionError: There is no such layer, it gives no maps, or the network sees no pictures.

    Example:
        >>> from headstart.backbones.card import Card
        >>> card = Card("toy", "toy", "here", "CC0-1.0", "nothing", Preprocess(size=8), 4, ("stem",), 112, "")
        >>> from headstart.backbones.backbone import Backbone
        >>> backbone = Backbone(card, {"stem": nn.Conv2d(3, 4, 3, stride=2, padding=1)})
        >>> activation_maps(backbone, np.zeros((9, 9, 3), np.uint8), "stem")[0].shape
        (4, 4, 4)
    """
    spec = backbone.card.preprocess
    if not isinstance(spec, Preprocess):
        fix = "name a network for pictures"
        raise OptionError("a network that sees pictures", f"{backbone.card.name!r}, which does not", fix)
    layers = _layers(backbone)
    if layer not in layers:
        fix = f"choose one of {', '.join(layers)}"
        raise OptionError(f"a layer of {backbone.card.name!r}", repr(layer), fix)
    seen = prepare(picture, spec)
    block, module = layers[layer]
    kept: list[Tensor] = []
    handle = module.register_forward_hook(lambda _module, _given, out: kept.append(out))
    try:
        with torch.no_grad():
            backbone.run_blocks(backbone.normalise(torch.from_numpy(np.array(seen))[None]), stop=block)
    finally:
        handle.remove()
    if not kept or not isinstance(kept[0], Tensor) or kept[0].ndim not in (3, 4):
        raise OptionError("a layer that gives one map for each channel", repr(layer), "choose a block")
    grid = MiddlePool(getattr(backbone.pool, "prefix", 0))(kept[0])[0]
    return np.asarray(grid[0].float().numpy()), seen


def contact_sheet(
    maps: Maps, seen: Pixels, title: str, *, channels: int = 64, strongest: bool = False
) -> Pixels:
    """Draw activation maps side by side, each with the number of its channel and its largest value.

    Every map has colours of its own, from its smallest value to its largest: the numbers tell which are
    strong.

    Args:
        maps: float32 [channels, rows, columns].
        seen: The picture, which is drawn above them.
        title: What is shown, str.
        channels: Most maps to show, int. Defaults to 64.
        strongest: Whether the maps with the largest mean come first. Defaults to False: by number.

    Returns:
        The sheet, uint8 [h, w, 3].

    Raises:
        OptionError: No channel is asked for.

    Example:
        >>> contact_sheet(np.zeros((4, 2, 2), np.float32), np.zeros((8, 8, 3), np.uint8), "toy").shape
        (326, 560, 3)
    """
    if channels < 1:
        raise OptionError("at least one channel to show", str(channels), "ask for 1 or more")
    order = np.argsort(-np.abs(maps).mean((1, 2)), kind="stable") if strongest else np.arange(len(maps))
    shown = order[:channels]
    columns = min(_MOST_COLUMNS, max(4, math.isqrt(len(shown) - 1) + 1))
    rows = -(-len(shown) // columns)
    step, down = _TILE + _GAP, _TILE + _LINE + _GAP
    width = max(_GAP + columns * step, 560)
    sheet = Image.new("RGB", (width, _HEAD + _GAP + 4 + rows * down + _GAP), "white")
    draw, small, large = ImageDraw.Draw(sheet), ImageFont.load_default(13), ImageFont.load_default(18)
    sheet.paste(_tile(Image.fromarray(seen)), (_GAP, _GAP))
    some = f"{len(shown):,} of {len(maps):,}" if len(shown) < len(maps) else f"all {len(maps):,}"
    first = "strongest first" if strongest else "by number"
    lines = [f"{some} channels, {first}", f"{maps.shape[2]} by {maps.shape[1]} places each"]
    lines += ["Dark: its smallest value; bright: its largest, the number"]
    draw.text((_GAP + step + 6, 26), title, "black", large)
    for number, line in enumerate(lines):
        draw.text((_GAP + step + 6, 58 + number * 22), line, "#444444", small)
    viridis = colormaps["viridis"]
    for place, channel in enumerate(shown):
        left, top = _GAP + place % columns * step, _HEAD + _GAP + place // columns * down
        low, high = float(maps[channel].min()), float(maps[channel].max())
        coloured = viridis((maps[channel] - low) / max(high - low, 1e-12), bytes=True)[..., :3]
        draw.text((left, top), f"{channel}", "black", small)
        draw.text((left + _TILE, top), _short(high), "#666666", small, anchor="ra")
        sheet.paste(_tile(Image.fromarray(coloured)), (left, top + _LINE - 2))
    return np.asarray(sheet)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _tile(image: Image.Image) -> Image.Image:
    # Few places stay squares: what is interpolated between them is not there.
    smooth = max(image.size) > _TILE
    return image.resize((_TILE, _TILE), Image.Resampling.BOX if smooth else Image.Resampling.NEAREST)


def _layers(backbone: Backbone) -> dict[str, tuple[str, nn.Module]]:
    """Return {name: (its block, the module whose output is shown)}, in order."""
    found: dict[str, tuple[str, nn.Module]] = {}
    for block, module in backbone.blocks.items():
        plain = isinstance(module, nn.Sequential) and any(isinstance(part, nn.ReLU) for part in module)
        shown = None
        if plain:
            for name, part in module.named_children():
                if isinstance(part, nn.Conv2d):
                    shown = name
                elif isinstance(part, nn.ReLU) and shown:
                    found[shown], shown = (block, part), None
        else:
            inside = module.named_modules()
            convolutions = [(path, part) for path, part in inside if path and isinstance(part, nn.Conv2d)]
            found |= {f"{block}.{path}": (block, part) for path, part in convolutions}
        found[block] = (block, module)
    return found
