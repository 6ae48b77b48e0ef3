"""What the filters of a network answer to: pictures that raise one channel each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from headstart.errors import OptionError
from headstart.images.decode import Pixels
from headstart.studio.fourier import FourierPictures
from headstart.studio.goal import total_variation
from headstart.studio.layers import Layers

_AT_ONCE = 16
_RATE = 0.05
_MARGIN = 1.2
_TURN, _NEARER, _SHIFT = math.radians(8), 0.1, 0.06
"""How far a picture is moved before each step: angle, share of its size, share of its side."""


@dataclass(frozen=True)
class FilterOptions:
    """How filters are drawn.

    Args:
        size: Side of a picture, int, in pixels. Defaults to 128.
        steps: int. Defaults to 96.
        smooth: Weight of the total variation, float. Defaults to 0.002.
        seed: Of the first waves and of the movements, int. Defaults to 0.

    Raises:
        OptionError: A value outside its range.
    """

    size: int = 128
    steps: int = 96
    smooth: float = 0.002
    seed: int = 0

    def __post_init__(self) -> None:
        if not (32 <= self.size <= 1024 and self.steps >= 1 and self.smooth >= 0):
            received = f"{self.size}, {self.steps}, {self.smooth}"
            wanted = "a size from 32 to 1024, steps from 1 on and a smoothness from 0 on"
            raise OptionError(wanted, received, "use --size 128 --steps 96")


@dataclass(frozen=True, eq=False)
class Filter:
    """One channel of a layer, and the picture that it answers to.

    Args:
        layer: Its name, str.
        channel: Which of its channels, int.
        picture: uint8 [size, size, 3].
        answer: The channel's mean over the picture, float.
        dead: Whether nothing was found that it answers to: it is above zero nowhere in its picture.
    """

    layer: str
    channel: int
    picture: Pixels
    answer: float
    dead: bool


def draw_filters(
    layers: Layers,
    layer: str,
    channels: Sequence[int],
    options: FilterOptions | None = None,
    *,
    see: Callable[[float], None] = lambda _share: None,
) -> list[Filter]:
    """Draw pictures that single channels of a layer answer to, several at once.

    Each picture climbs by its own gradient, normalised, in the space of its waves, and is turned, scaled and
    shifted at random before each step: what remains is what the channel looks for wherever it is.

    Args:
        layers: What computes the layer; with `linear=True` a silent filter can be woken.
        layer: Its name, str.
        channels: Which channels, ints from 0.
        options: How. Defaults to `FilterOptions()`.
        see: Told after every step which share of the work is done. Defaults to nobody.

    Returns:
        A Filter for each channel, in order.

    Raises:
        OptionError: There is no such channel, or the pictures are too small for the layer.

    References:
        Olah, Mordvintsev and Schubert, "Feature visualization", Distill 2017.
    """
    options = options or FilterOptions()
    count = channel_count(layers, layer, options.size)
    for channel in channels:
        if not 0 <= channel < count:
            raise OptionError(f"channels of {layer!r} from 0 to {count - 1}", str(channel), "name others")
    found: list[Filter] = []
    for start in range(0, len(channels), _AT_ONCE):
        some = channels[start : start + _AT_ONCE]
        found += _draw(layers, layer, some, options, _part(see, start, len(some), len(channels)))
    return found


def channel_count(layers: Layers, layer: str, size: int) -> int:
    """Return how many channels a layer has; raise `OptionError` where it cannot see pictures of that size."""
    try:
        with torch.no_grad():
            answer: Tensor = layers(torch.zeros(1, 3, size, size, device=layers.device))[layer]
    except (RuntimeError, ValueError, AssertionError) as error:  # as networks of others complain
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        received = f"{size} pixels ({reason})"
        raise OptionError(f"a size that {layer!r} can see", received, "use a larger --size") from error
    if answer.ndim != 4:
        fix = "choose a layer of convolutions, such as block3_conv1 of vgg16"
        raise OptionError("a layer with channels", f"{layer!r}, which gives tokens", fix)
    return answer.shape[1]


def _part(see: Callable[[float], None], start: int, some: int, all_of_them: int) -> Callable[[float], None]:
    return lambda share: see((start + some * share) / all_of_them)


def _draw(
    layers: Layers, layer: str, channels: Sequence[int], options: FilterOptions, see: Callable[[float], None]
) -> Iterator[Filter]:
    # Larger than what is looked at, so that what a network does at edges comes to lie beyond the picture's.
    whole = round(_MARGIN * options.size)
    picture_of = FourierPictures(len(channels), whole, seed=options.seed).to(layers.device)
    generator = torch.Generator().manual_seed(options.seed)
    optimiser = torch.optim.Adam(picture_of.parameters(), lr=_RATE)
    each = torch.arange(len(channels))

    def answers(pictures: Tensor) -> Tensor:
        seen: Tensor = layers(pictures)[layer]
        return seen[each, list(channels)].flatten(1)

    for step in range(options.steps):
        optimiser.zero_grad()
        pictures = picture_of()
        free = pictures.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(
            _wake(answers(moved(free, options.size, generator))).mean(1).sum(), free
        )
        # Each climbs at the same speed, however loudly its filter answers; roughness counts the same, too.
        gradient /= gradient.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-12)
        (rough,) = torch.autograd.grad(total_variation(free) * len(channels) * free[0].numel(), free)
        pictures.backward(options.smooth * rough - gradient)
        optimiser.step()
        see((step + 1) / options.steps)
    with torch.no_grad():
        edge = (whole - options.size) // 2
        pictures = picture_of()[..., edge : edge + options.size, edge : edge + options.size]
        last = answers(pictures)
    pixels = pictures.round().byte().permute(0, 2, 3, 1).cpu().numpy()
    for channel, picture, answer in zip(channels, pixels, last, strict=True):
        yield Filter(layer, channel, picture, float(answer.mean()), bool(answer.max() <= 0))


def _wake(answers: Tensor) -> Tensor:
    """Return answers of which those below zero count little.

    The mean of a plain convolution is the same for any pattern of the same colours: what is above zero has to
    count more. A filter that is silent everywhere still finds its way.
    """
    return torch.nn.functional.leaky_relu(answers, 0.05)


def moved(pictures: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Return the middle of each picture, turned, scaled and shifted a little, at random.

    Args:
        pictures: float [n, c, side, side].
        size: Side of what is returned, int, at most that of the pictures.
        generator: Where the random numbers come from.

    Returns:
        float [n, c, size, size]; beyond its edges a picture is mirrored. A gradient flows through.
    """
    count = len(pictures)

    def random(most: float, *shape: int) -> Tensor:
        return most * (2 * torch.rand(count, *shape, generator=generator) - 1)

    angle, nearer = random(_TURN), 1 + random(_NEARER)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    theta = torch.cat([turn * nearer.view(-1, 1, 1), random(2 * _SHIFT, 2, 1)], 2)
    theta *= size / pictures.shape[-1]
    grid = torch.nn.functional.affine_grid(
        theta.to(pictures.device), [*pictures.shape[:2], size, size], align_corners=False
    )
    return torch.nn.functional.grid_sample(
        pictures, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
