"""Dreams: layers answer more and more, no detail is lost, no tile shows, the same seed dreams the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn
from vgg_like import vgg_like

from headstart import backbones
from headstart.backbones.backbone import Backbone
from headstart.backbones.card import Card, Preprocess
from headstart.errors import OptionError
from headstart.images.decode import Pixels
from headstart.images.resizing import shrunk
from headstart.studio.dream import DreamOptions, Dreamt, dream, zoom
from headstart.studio.layers import Layers
from headstart.studio.tiles import Tiling

DEEP = {"block2_conv1": 1.0}
Of = Callable[[Sequence[str]], Layers]


@pytest.fixture(scope="module")
def of() -> Of:
    network = vgg_like(8, 16)
    return lambda names: Layers(network, names, fast=False)


@pytest.fixture(scope="module")
def vgg16() -> Of:
    network = backbones.load("vgg16")
    return lambda names: Layers(network, names)


def scene(height: int = 48, width: int = 64, seed: int = 0) -> Pixels:
    coarse = np.random.default_rng(seed).integers(40, 210, (6, 8, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((-(-height // 6), -(-width // 8), 1), np.uint8))[:height, :width]


def answer(of: Of, picture: Pixels, layer: str) -> float:
    with torch.no_grad():
        pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float()
        return float(of([layer])(pixels)[layer].square().mean())


def test_the_layers_answer_more_and_more(of: Of) -> None:
    told: list[Dreamt] = []
    options = DreamOptions(layers=DEEP, steps=8, octaves=3)
    dreamt = dream(scene(), of, options, see=told.append)
    assert dreamt.shape == (48, 64, 3)
    assert answer(of, dreamt, "block2_conv1") > 2 * answer(of, scene(), "block2_conv1")
    assert [each.step for each in told] == list(range(1, 25))
    assert all(each.steps == 24 for each in told)
    assert told[-1].share == pytest.approx(1)
    assert told[0].picture.shape == (24, 33, 3)
    for octave in range(3):
        climbed = [each.excitement for each in told[8 * octave : 8 * octave + 8]]
        assert climbed[-1] > climbed[0]


def test_excitement_is_a_multiple_of_what_the_picture_brings_by_itself(of: Of) -> None:
    told: list[Dreamt] = []
    both = {"block1_conv1": 1.0, "block2_conv1": 3.0}
    dream(scene(), of, DreamOptions(layers=both, steps=1, octaves=1), see=told.append)
    # Only the borders differ: the picture was shifted round its edges.
    assert told[0].excitement == pytest.approx(1, abs=0.2)


def test_the_same_seed_dreams_the_same(of: Of) -> None:
    options = DreamOptions(layers=DEEP, steps=3, octaves=2)
    first = dream(scene(), of, options)
    torch.manual_seed(77)
    np.testing.assert_array_equal(first, dream(scene(), of, options))
    other = dream(scene(), of, DreamOptions(layers=DEEP, steps=3, octaves=2, seed=1))
    assert (first != other).any()


def test_vgg16_dreams_deterministically_with_the_defaults(vgg16: Of) -> None:
    options = DreamOptions(steps=2, octaves=2)
    picture = scene(64, 96)
    first = dream(picture, vgg16, options)
    np.testing.assert_array_equal(first, dream(picture, vgg16, options))
    for layer in options.layers:
        assert answer(vgg16, first, layer) > 1.5 * answer(vgg16, picture, layer)


def test_a_guide_pulls_towards_itself(of: Of) -> None:
    lines = (np.arange(48) // 2 % 2 * 255).astype(np.uint8)
    across = np.repeat(np.tile(lines[:, None], (1, 48))[..., None], 3, 2)
    options = DreamOptions(layers=DEEP, steps=12, octaves=1, rate=3)
    guided = [dream(scene(), of, options, guide=each) for each in (across, across.transpose(1, 0, 2))]

    def roughness(picture: Pixels, axis: int) -> float:
        return float(np.abs(np.diff(picture.astype(float), axis=axis)).mean())

    # Lines across vary downwards; lines along vary from side to side.
    assert roughness(guided[0], 0) / roughness(guided[0], 1) > roughness(guided[1], 0) / roughness(
        guided[1], 1
    )


def test_no_detail_is_lost(of: Of) -> None:
    """With steps that change next to nothing the picture comes back, although it was made small first."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 255, (48, 64, 3), dtype=np.uint8)
    dreamt = dream(noise, of, DreamOptions(layers=DEEP, steps=1, rate=1e-4))
    np.testing.assert_allclose(dreamt.astype(int), noise, atol=1)


@settings(deadline=None, max_examples=15)
@given(
    height=st.integers(16, 70),
    width=st.integers(16, 70),
    octaves=st.integers(1, 4),
    scale=st.floats(1.1, 2.0),
    seed=st.integers(0, 9),
)
def test_a_dream_has_the_shape_of_its_picture(
    of: Of, height: int, width: int, octaves: int, scale: float, seed: int
) -> None:
    options = DreamOptions(layers=DEEP, steps=1, octaves=octaves, scale=scale, seed=seed)
    dreamt = dream(scene(height, width), of, options)
    assert dreamt.shape == (height, width, 3)
    assert dreamt.dtype == np.uint8


def test_a_larger_picture_is_shrunk_where_asked(of: Of) -> None:
    assert dream(scene(60, 90), of, DreamOptions(layers=DEEP, steps=1, size=45)).shape == (30, 45, 3)
    assert shrunk(scene(60, 90), 200).shape == (60, 90, 3)


# Tiles


def profile(dreamt: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return how much neighbouring columns (or rows) differ, a number for each border between two."""
    return np.abs(np.diff(dreamt, axis=axis)).mean(axis=tuple({0, 1, 2} - {axis}))


def seam(dreamt: NDArray[np.float64], side: int) -> float:
    """Return how much larger steps are at multiples of a side than elsewhere, in the worse direction."""
    worst = 0.0
    for axis in (0, 1):
        steps = profile(dreamt, axis)
        borders = np.arange(side, dreamt.shape[axis], side) - 1
        worst = max(worst, float(steps[borders].mean() / np.delete(steps, borders).mean()))
    return worst


@pytest.mark.parametrize("shifted", [True, False])
def test_borders_of_tiles_do_not_show(of: Of, monkeypatch: pytest.MonkeyPatch, shifted: bool) -> None:
    y, x = np.mgrid[0:192, 0:192] / 192
    # Bright, so that the darkness round each tile, which is a network's padding, would show.
    smooth = np.stack([180 + 40 * x, 180 + 40 * y, 220 - 40 * x * y], 2).astype(np.uint8)
    if not shifted:
        monkeypatch.setattr(torch, "randint", lambda *_args, **_named: torch.zeros((), dtype=torch.long))
    options = DreamOptions(layers=DEEP, steps=10, octaves=1, rate=1.0, tile=64)
    added = dream(smooth, of, options).astype(float) - smooth
    found = seam(added, 64)
    # Without the shifts they do: the test sees what it looks for.
    assert found < 1.15 if shifted else found > 2


def test_no_tile_is_longer_than_allowed_and_all_is_covered(of: Of) -> None:
    seen: list[tuple[int, int]] = []

    def value(part: Tensor) -> Tensor:
        seen.append((part.shape[2], part.shape[3]))
        return part.mean()

    picture = torch.zeros(1, 3, 100, 2000)
    assert Tiling(value, 256, 8, 0, print).climb(picture, 2.0) == 0
    assert max(map(max, seen)) <= 256
    assert min(width for _, width in seen) >= 249  # as long as each other
    assert sum(height * width for height, width in seen) == 100 * 2000
    # The mean has the same gradient everywhere, however it is cut.
    torch.testing.assert_close(picture, torch.full_like(picture, 2.0))


@settings(deadline=None, max_examples=20)
@given(
    height=st.integers(8, 200), width=st.integers(8, 200), side=st.integers(64, 128), seed=st.integers(0, 9)
)
def test_tiles_leave_the_gradient_of_single_pixels_as_it_is(
    height: int, width: int, side: int, seed: int
) -> None:
    """What does not look at neighbours gives the same in tiles of any size."""
    picture = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 100 + 50
    whole = picture.clone()
    values = [
        Tiling(lambda part: part.square().mean(), limit, 8, seed, print).climb(each, 2.0)
        for limit, each in ((side, picture), (10_000, whole))
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-4)
    torch.testing.assert_close(picture, whole, rtol=1e-4, atol=1e-3)


def test_too_little_memory_means_smaller_tiles(of: Of) -> None:
    said: list[str] = []
    sizes: list[int] = []

    def value(part: Tensor) -> Tensor:
        sizes.append(max(part.shape[-2:]))
        if part.numel() > 3 * 130 * 130:
            raise RuntimeError(
                "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"
            )
        return part.square().mean()

    picture = torch.rand(1, 3, 300, 300, generator=torch.Generator().manual_seed(0)) * 100
    calm = picture.clone()
    tiling = Tiling(value, 512, 8, 0, said.append)
    tiling.climb(picture, 2.0)
    Tiling(lambda part: part.square().mean(), 512, 8, 0, print).climb(calm, 2.0)
    torch.testing.assert_close(picture, calm, rtol=1e-4, atol=1e-3)
    assert any("smaller" in line or "at most" in line for line in said)
    sizes.clear()
    tiling.climb(picture, 2.0)
    assert max(sizes) <= 130  # it has learned


def test_other_failures_are_not_taken_for_memory() -> None:
    def broken(_part: Tensor) -> Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        Tiling(broken, 64, 8, 0, print).climb(torch.zeros(1, 3, 64, 64), 1.0)


def test_no_memory_at_all_is_said() -> None:
    def full(_part: Tensor) -> Tensor:
        raise MemoryError("std::bad_alloc")

    with pytest.raises(OptionError, match="memory for one small tile"):
        Tiling(full, 512, 8, 0, lambda _line: None).climb(torch.zeros(1, 3, 600, 600), 1.0)


# Zoom


def test_a_zoom_goes_on_from_the_dream(of: Of) -> None:
    start = scene()
    frames = list(zoom(start, of, DreamOptions(layers=DEEP, steps=8), frames=4))
    assert len(frames) == 4
    np.testing.assert_array_equal(frames[0], start)
    assert all(frame.shape == start.shape for frame in frames)
    assert all((a != b).any() for a, b in pairwise(frames))


# What cannot be dreamt


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (3, 3)])
def test_too_small_a_picture(vgg16: Of, shape: tuple[int, int]) -> None:
    with pytest.raises(OptionError, match="at least 32 pixels"):
        dream(np.zeros((*shape, 3), np.uint8), vgg16)
    with pytest.raises(OptionError, match="a guide of at least"):
        dream(scene(), vgg16, guide=np.zeros((*shape, 3), np.uint8))


def test_a_panorama(vgg16: Of) -> None:
    said: list[str] = []
    panorama = scene(40, 800)
    dreamt = dream(panorama, vgg16, DreamOptions(steps=1), say=said.append)
    assert dreamt.shape == panorama.shape
    assert any("octaves are too small" in line for line in said)


def test_a_picture_without_anything_in_it(of: Of) -> None:
    for grey in (0, 255):
        flat = np.full((40, 40, 3), grey, np.uint8)
        assert dream(flat, of, DreamOptions(layers=DEEP, steps=2)).shape == flat.shape


def test_an_unknown_layer_is_told_which_there_are(of: Of) -> None:
    with pytest.raises(OptionError, match="choose one of block1_conv1, block1_pool, block2_conv1"):
        dream(scene(), of, DreamOptions(layers={"mixed4": 1.0}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"octaves": 0}, {"scale": 1.0}, {"steps": 0}, {"rate": 0.0}, {"rate": float("nan")}, {"size": -1},
        {"tile": 8}, {"layers": {}}, {"layers": {"block4_conv3": 0.0}}, {"layers": {"a": float("nan")}},
    ],
)  # fmt: skip
def test_options_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        DreamOptions(**wrong)  # type: ignore[arg-type]


def test_a_network_of_tokens_cannot_dream() -> None:
    class Tokens(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(2).transpose(1, 2)

    class OneSize(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if x.shape[-1] != 32:
                raise AssertionError("Input height (256) doesn't match model (32).")
            return x

    for block, words in ((Tokens(), "gives tokens"), (OneSize(), "any size")):
        card = Card("toy", "toy", "here", "CC0-1.0", "none", Preprocess(size=32), 3, ("block",), 1, "")
        network = Backbone(card, {"block": block})
        with pytest.raises(OptionError, match=words):
            dream(scene(), lambda names, net=network: Layers(net, names), DreamOptions(layers={"block": 1.0}))


def test_any_backbone_dreams() -> None:
    network = backbones.load("efficientnet_lite0")
    options = DreamOptions(layers={"stage4": 1.0}, steps=2, octaves=2)
    dreamt = dream(scene(64, 96), lambda names: Layers(network, names), options)
    assert dreamt.shape == (64, 96, 3)
    assert (dreamt != scene(64, 96)).mean() > 0.5


@pytest.mark.parametrize(
    ("option", "value", "usual"),
    [
        ("octaves", 100, 4),
        ("scale", 1.0, 1.4),
        ("steps", 0, 20),
        ("rate", float("nan"), 1.0),
        ("size", -5, 0),
    ],
)
def test_the_option_that_is_wrong_is_named(option: str, value: float, usual: float) -> None:
    with pytest.raises(
        OptionError, match=f"expected {option} from .* received {value:g}, .* {option} {usual}"
    ):
        DreamOptions(**{option: value})  # type: ignore[arg-type]
