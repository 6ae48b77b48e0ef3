"""DeepDream: a picture is changed until a network sees more of what it began to see in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from headstart.errors import OptionError
from headstart.images.decode import Pixels
from headstart.images.resizing import shrunk
from headstart.progress import Say, quiet
from headstart.studio.layers import Layers
from headstart.studio.tiles import Tiling

LAYERS = {"block4_conv3": 1.0, "block5_conv1": 1.0}
_PROBE = 256
"""Side of the picture that tells how far apart a layer's places are."""
_PLACES = 2
"""What a layer must at least see of the smallest octave, in each direction."""
_COMPARED = 1 << 24
"""Pairs of places, of a picture and its guide, that are compared at once."""
_ZOOM = 1.03
"""How much nearer each frame of a zoom is."""


@dataclass(frozen=True)
class DreamOptions:
    """How a picture is dreamt.

    Args:
        layers: Layer → how much it counts. Defaults to block4_conv3 and block5_conv1 of VGG16, the same.
        octaves: In how many sizes, from small to whole, int. Defaults to 4.
        scale: How much larger each is than the one before, float. Defaults to 1.4.
        steps: Steps in each of them, int. Defaults to 20.
        rate: Mean change of a value in one step, float, in grey levels. Defaults to 1.
        size: Longer side that a larger picture is shrunk to, int, in pixels. Defaults to 0: it stays whole.
        tile: Longest side of what is computed at once, int, in pixels. Defaults to 512.
        seed: Of the random shifts, int. Defaults to 0.

    Raises:
        OptionError: A value outside its range.
    """

    layers: Mapping[str, float] = field(default_factory=lambda: dict(LAYERS))
    octaves: int = 4
    scale: float = 1.4
    steps: int = 20
    rate: float = 1.0
    size: int = 0
    tile: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("octaves", self.octaves, 1, 20),
            ("scale", self.scale, 1.01, 4),
            ("steps", self.steps, 1, 1e6),
            ("rate", self.rate, 1e-6, 255),
            ("size", self.size, 0, 1e6),
            ("tile", self.tile, 64, 1e6),
        ):
            if not least <= value <= most:
                usual = type(self).__dataclass_fields__[name].default
                raise OptionError(f"{name} from {least:g} to {most:g}", f"{value:g}", f"use {name} {usual}")
        if not any(self.layers.values()) or not all(map(math.isfinite, self.layers.values())):
            raise OptionError("a layer that counts", str(dict(self.layers)), "such as block4_conv3=1")


@dataclass(frozen=True, eq=False)
class Dreamt:
    """How far a dream is.

    Args:
        step: Steps so far, int.
        steps: Of how many, int.
        share: Of the work, float from 0 to 1; later octaves take longer.
        excitement: What is raised: how strongly the layers answer, as a multiple of what they answered to the
            picture as it was, float.
        tensor: The picture as it is now, float [1, 3, h, w]; it goes on changing.
    """

    step: int
    steps: int
    share: float
    excitement: float
    tensor: Tensor

    @property
    def picture(self) -> Pixels:
        """The picture as it is now, uint8 [h, w, 3]."""
        return _pixels(self.tensor)


See = Callable[[Dreamt], None]


def dream(
    content: Pixels,
    layers: Callable[[Sequence[str]], Layers],
    options: DreamOptions | None = None,
    *,
    guide: Pixels | None = None,
    see: See = lambda _dreamt: None,
    say: Say = quiet,
) -> Pixels:
    """Raise what layers of a network answer to a picture, from coarse to fine.

    What each octave has added is enlarged and laid on the next larger version of the picture itself: no
    detail of it is lost. Steps are the gradient over its mean size, so that they mean the same for any layer.
    The picture is shifted at random before each step, and computed in tiles: their borders never show.

    Args:
        content: The picture, uint8 [h, w, 3].
        layers: From names to what computes those layers.
        options: How. Defaults to `DreamOptions()`.
        guide: Another picture, whose features are looked for in this one, uint8 [h, w, 3]. Defaults to None.
        see: Told after every step. Defaults to nobody.
        say: Told when something has to give way: memory, octaves. Defaults to nobody.

    Returns:
        The dream, uint8 of the picture's shape, or as small as `options.size` says.

    Raises:
        OptionError: There is no such layer, or the picture is too small for it.

    References:
        Mordvintsev, Olah and Tyka, "Inceptionism: going deeper into neural networks", 2015; the guided dream
        is that of their notebook.
    """
    options = options or DreamOptions()
    content = shrunk(content, options.size)
    goal = _Goal(layers(tuple(options.layers)), content, options.layers, guide)
    return _Dreamer(goal, content.shape[:2], options, say).dream(content, see)


def zoom(
    dreamt: Pixels,
    layers: Callable[[Sequence[str]], Layers],
    options: DreamOptions | None = None,
    *,
    frames: int = 60,
    guide: Pixels | None = None,
    say: Say = quiet,
) -> Iterator[Pixels]:
    """Fly into a dream: each frame is the middle of the one before, dreamt a little further.

    Args:
        dreamt: The first frame, uint8 [h, w, 3], such as `dream` returns.
        layers: From names to what computes those layers.
        options: As of the dream; two octaves of an eighth of the steps follow on each frame. Defaults to
            `DreamOptions()`.
        frames: How many, int. Defaults to 60.
        guide: As of the dream. Defaults to None.
        say: Told when something has to give way. Defaults to nobody.

    Yields:
        The frames, uint8 [h, w, 3], all of the first one's shape.

    Raises:
        OptionError: As `dream`.
    """
    options = options or DreamOptions()
    goal = _Goal(layers(tuple(options.layers)), dreamt, options.layers, guide)
    few = replace(options, octaves=min(2, options.octaves), steps=max(1, options.steps // 8))
    height, width = dreamt.shape[:2]
    dreamer = _Dreamer(goal, (height, width), few, say)
    aside = ((1 - 1 / _ZOOM) * width / 2, (1 - 1 / _ZOOM) * height / 2)
    middle = (*aside, width - aside[0], height - aside[1])
    for number in range(frames):
        if number:
            near = Image.fromarray(dreamt).resize((width, height), Image.Resampling.BICUBIC, middle)
            dreamt = dreamer.dream(np.asarray(near))
        yield dreamt


class _Goal:
    """What is raised, and on which scale.

    Layers differ a thousandfold in what they answer; each counts in multiples of its answer to the picture
    as it was, so that weights are shares.
    """

    def __init__(
        self, network: Layers, content: Pixels, weights: Mapping[str, float], guide: Pixels | None
    ) -> None:
        self._network, self._weights = network, dict(weights)
        self.least = _PLACES * _stride(network)
        """The shortest side at which the layers see anything, in pixels."""
        height, width = content.shape[:2]
        if min(height, width) < self.least:
            received = f"one of {width} × {height}"
            wanted = f"a picture of at least {self.least} pixels on the shorter side for these layers"
            raise OptionError(wanted, received, "take a larger picture, or layers that are less deep")
        self._guide = None if guide is None else self._features(guide)
        with torch.no_grad():
            scene = self._answers(self.tensor(self._fit(content)))
        self._units = {name: max(abs(float(value)), 1e-6) for name, value in scene.items()}

    def excitement(self, part: Tensor) -> Tensor:
        """Return how strongly the layers answer to part of a picture, float [1, 3, h, w]."""
        answers = self._answers(part)
        total = sum(map(abs, self._weights.values()))
        parts = [weight / total / self._units[name] * answers[name] for name, weight in self._weights.items()]
        return torch.stack(parts).sum()

    def tensor(self, picture: Pixels) -> Tensor:
        """Return a picture as uint8 [1, 3, h, w], where the network is."""
        return torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()).to(self._network.device)

    def _answers(self, part: Tensor) -> dict[str, Tensor]:
        found = self._network(part)
        if self._guide is None:
            return {name: activation.square().mean() for name, activation in found.items()}
        return {name: _likeness(activation, self._guide[name]) for name, activation in found.items()}

    def _features(self, guide: Pixels) -> dict[str, Tensor]:
        with torch.no_grad():
            found: dict[str, Tensor] = self._network(self.tensor(self._fit(guide)))
        return found

    def _fit(self, picture: Pixels) -> Pixels:
        """Return a picture of moderate size, at which the layers still see something."""
        height, width = picture.shape[:2]
        if max(height, width) > _PROBE:
            picture = shrunk(
                picture, max(_PROBE, math.ceil(self.least * max(height, width) / min(height, width)))
            )
        if min(picture.shape[:2]) < self.least:
            raise OptionError(
                f"a guide of at least {self.least} pixels on the shorter side",
                f"one of {width} × {height}",
                "take a larger guide",
            )
        return picture


def _likeness(activation: Tensor, guide: Tensor) -> Tensor:
    """Return how alike each place is to the place of the guide that it is most alike to, the mean."""
    places, known = activation.flatten(2)[0], guide.flatten(2)[0]
    with torch.no_grad():
        # A part of the places at a time: all pairs with the guide's can be more than memory holds.
        few = max(1, _COMPARED // known.shape[1])
        best = torch.cat([(part.T @ known).argmax(1) for part in torch.split(places, few, 1)])
    return (places * known[:, best]).sum(0).mean()


def _stride(network: Layers) -> int:
    """Return how many pixels lie between two places of the coarsest layer."""
    try:
        with torch.no_grad():
            found: dict[str, Tensor] = network(torch.zeros(1, 3, _PROBE, _PROBE, device=network.device))
    except (RuntimeError, ValueError, AssertionError) as error:  # as networks of others complain
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        fix = "choose a network of convolutions, such as vgg16"
        raise OptionError(
            "a network that sees pictures of any size", f"one that does not ({reason})", fix
        ) from error
    for name, activation in found.items():
        if activation.ndim != 4:
            fix = "choose a layer of convolutions, such as block4_conv3 of vgg16"
            raise OptionError("layers whose answers have places", f"{name!r}, which gives tokens", fix)
    return max(math.ceil(_PROBE / min(activation.shape[2:])) for activation in found.values())


class _Dreamer:
    """Climbs: octave by octave, step by step."""

    def __init__(self, goal: _Goal, shape: tuple[int, ...], options: DreamOptions, say: Say) -> None:
        self._goal, self._options = goal, options
        self._tiling = Tiling(goal.excitement, options.tile, goal.least, options.seed, say)
        height, width = shape
        shares = [options.scale**-power for power in reversed(range(options.octaves))]
        sizes = [(round(height * share), round(width * share)) for share in shares]
        self._sizes = [size for size in sizes if min(size) >= goal.least]
        if (few := len(sizes) - len(self._sizes)) > 0:
            say(f"{few} of {len(sizes)} octaves are too small for these layers: left out")

    def dream(self, content: Pixels, see: See = lambda _dreamt: None) -> Pixels:
        sizes, options = self._sizes, self._options
        work = options.steps * sum(height * width for height, width in sizes)
        step, done = 0, 0
        base = self._goal.tensor(_resized(content, sizes[0]))
        picture = base.float()
        for size in sizes:
            if size != picture.shape[-2:]:
                # In place, for a large picture is the largest thing in memory.
                picture = _enlarged(picture.sub_(base), size)
                base = self._goal.tensor(_resized(content, size))
                picture.add_(base).clamp_(0, 255)
            for _ in range(options.steps):
                excitement = self._tiling.climb(picture, options.rate)
                step, done = step + 1, done + size[0] * size[1]
                see(Dreamt(step, options.steps * len(sizes), done / work, excitement, picture))
        return _pixels(picture)


def _pixels(picture: Tensor) -> Pixels:
    found: Pixels = torch.stack([channel.round().byte() for channel in picture[0]], -1).cpu().numpy()
    return found


def _resized(picture: Pixels, shape: tuple[int, int]) -> Pixels:
    if picture.shape[:2] == shape:
        return picture
    return np.asarray(Image.fromarray(picture).resize(shape[::-1], Image.Resampling.LANCZOS))


def _enlarged(picture: Tensor, shape: tuple[int, int]) -> Tensor:
    return torch.nn.functional.interpolate(picture, shape, mode="bicubic", align_corners=False)
