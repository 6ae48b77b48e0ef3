"""Style transfer: the published losses, and paintings that keep the scene and take the style."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from vgg_like import vgg_like

from headstart.backbones.backbone import Backbone
from headstart.backbones.card import Card, Preprocess
from headstart.errors import OptionError
from headstart.images.decode import Pixels
from headstart.studio.goal import content_loss, gram, style_loss, total_variation
from headstart.studio.layers import Layers, layer_names
from headstart.studio.style import Seen, StyleOptions, stylize


@pytest.fixture(scope="module")
def network() -> Backbone:
    return vgg_like(8, 16)


TOY = {"content_layer": "block2_conv1", "style_layers": {"block1_conv1": 0.5, "block2_conv1": 0.5}}


def scene(side: int = 48) -> Pixels:
    ramp = np.linspace(0, 255, side).astype(np.uint8)
    return np.stack(
        [np.tile(ramp, (side, 1)), np.tile(ramp[:, None], (1, side)), np.full((side, side), 90)], 2
    ).astype(np.uint8)


def stripes(side: int = 48) -> Pixels:
    lines = (np.arange(side) // 3 % 2 * 255).astype(np.uint8)
    return np.repeat(np.tile(lines, (side, 1))[..., None], 3, 2)


@settings(deadline=None, max_examples=20)
@given(channels=st.integers(1, 5), height=st.integers(1, 6), width=st.integers(1, 6), seed=st.integers(0, 99))
def test_the_losses_are_the_published_ones(channels: int, height: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(1, channels, height, width, generator=generator, dtype=torch.float64)
    b = torch.randn(1, channels, height, width, generator=generator, dtype=torch.float64)
    places = height * width
    ours = a[0].reshape(channels, places)
    theirs = b[0].reshape(channels, places)
    matrix = torch.zeros(channels, channels, dtype=torch.float64)
    for i in range(channels):
        for j in range(channels):
            matrix[i, j] = sum(ours[i, k] * ours[j, k] for k in range(places))
    torch.testing.assert_close(gram(a)[0], matrix)
    other = theirs @ theirs.T
    published = (matrix - other).square().sum() / (4 * channels**2 * places**2)
    torch.testing.assert_close(style_loss(a, gram(b) / places), published)
    half = (ours - theirs).square().sum() / 2
    torch.testing.assert_close(content_loss(a, b) * channels * places, half)


def test_smooth_pictures_vary_less() -> None:
    flat = torch.full((1, 3, 8, 8), 7.0)
    assert total_variation(flat) == 0
    assert total_variation(torch.rand(1, 3, 8, 8)) > 0


def test_layers_are_what_hooks_see(network: Backbone) -> None:
    assert layer_names(network) == ("block1_conv1", "block1_pool", "block2_conv1", "block2_pool")
    pixels = torch.rand(1, 3, 16, 16) * 255
    found = Layers(network, ["block1_conv1", "block2_conv1"], fast=False)(pixels)
    seen: list[torch.Tensor] = []
    hook = network.blocks["block2"].block2_relu1.register_forward_hook(lambda _m, _i, out: seen.append(out))
    with torch.no_grad():
        network(pixels.permute(0, 2, 3, 1))
    hook.remove()
    torch.testing.assert_close(found["block2_conv1"], seen[0], rtol=1e-4, atol=1e-4)
    assert found["block1_conv1"].shape == (1, 8, 16, 16)


def test_layers_with_numbers_have_the_names_that_vgg_has() -> None:
    # As torchvision and timm build VGG16 and VGG19.
    parts = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()]
    parts += [nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=1), nn.ReLU()]
    card = Card("toy", "toy", "here", "CC0-1.0", "nothing", Preprocess(size=32), 6, ("features",), 1, "")
    numbered = Backbone(card, {"features": nn.Sequential(*parts)})
    assert layer_names(numbered) == ("block1_conv1", "block1_conv2", "block1_pool", "block2_conv1")
    assert Layers(numbered, ["block2_conv1"])(torch.zeros(1, 3, 8, 8))["block2_conv1"].shape == (1, 6, 4, 4)


def test_what_is_deeper_than_needed_is_not_computed(network: Backbone) -> None:
    ran: list[int] = []
    hook = network.blocks["block2"].block2_conv1.register_forward_hook(lambda *_: ran.append(1))
    Layers(network, ["block1_conv1"])(torch.zeros(1, 3, 16, 16))
    hook.remove()
    assert ran == []


def test_a_layer_that_is_none_is_told_which_there_are(network: Backbone) -> None:
    with pytest.raises(OptionError, match="block1_conv1, block1_pool"):
        Layers(network, ["mixed4"])


@pytest.mark.parametrize("optimiser", ["lbfgs", "adam"])
@pytest.mark.parametrize("coarse", [0.0, 0.5])
def test_a_painting_comes_nearer_to_the_style(network: Backbone, optimiser: str, coarse: float) -> None:
    told: list[Seen] = []
    options = StyleOptions(
        size=48,
        steps=80,
        optimiser=optimiser,
        coarse=coarse,
        content_weight=1.0,
        style_weight=1e4,
        **TOY,  # type: ignore[arg-type]
    )
    painted = stylize(
        scene(), [(stripes(), 1.0)], lambda names: Layers(network, names), options, see=told.append
    )
    assert painted.shape == (48, 48, 3)
    layers = Layers(network, ["block1_conv1"], fast=False)

    def distance(picture: Pixels) -> float:
        def matrix(each: Pixels) -> torch.Tensor:
            return gram(layers(torch.from_numpy(each.copy()).permute(2, 0, 1)[None].float())["block1_conv1"])

        return float((matrix(picture) - matrix(stripes())).square().sum())

    assert distance(painted) < 0.5 * distance(scene())
    at_full = [seen.loss for seen in told if seen.picture.shape[0] == 48]
    assert at_full[-1] < at_full[0]
    assert [seen.step for seen in told] == sorted(seen.step for seen in told)


def test_more_content_keeps_more_of_the_scene(network: Backbone) -> None:
    def off(weight: float) -> float:
        options = StyleOptions(size=48, steps=60, coarse=0, content_weight=weight, style_weight=1e4, **TOY)  # type: ignore[arg-type]
        painted = stylize(scene(), [(stripes(), 1.0)], lambda names: Layers(network, names), options)
        return float(np.abs(painted.astype(float) - scene()).mean())

    assert off(1e6) < off(1.0)


def test_styles_blend_and_the_same_call_gives_the_same_painting(network: Backbone) -> None:
    options = StyleOptions(size=48, steps=40, content_weight=1.0, style_weight=1e4, **TOY)  # type: ignore[arg-type]

    def paint(*weights: float) -> Pixels:
        pictures = [stripes(), 255 - scene()]
        styles = list(zip(pictures, weights, strict=True))
        return stylize(scene(), styles, lambda names: Layers(network, names), options)

    np.testing.assert_array_equal(paint(1, 0), paint(2, 0))
    assert np.abs(paint(1, 0).astype(int) - paint(1, 1)).mean() > 1


def test_what_the_mask_leaves_out_stays(network: Backbone) -> None:
    mask = np.zeros((48, 48), np.float32)
    mask[:, :24] = 1
    options = StyleOptions(size=48, steps=40, coarse=0, content_weight=1.0, style_weight=1e4, **TOY)  # type: ignore[arg-type]
    painted = stylize(
        scene(), [(stripes(), 1.0)], lambda names: Layers(network, names), options, mask=mask
    ).astype(int)
    assert np.abs(painted - scene())[:, 30:].max() <= 1
    assert np.abs(painted - scene())[:, :20].mean() > 3


def test_the_content_may_keep_its_colours(network: Backbone) -> None:
    options = StyleOptions(size=48, steps=40, colours=True, content_weight=1.0, style_weight=1e4, **TOY)  # type: ignore[arg-type]
    painted = stylize(scene(), [(stripes(), 1.0)], lambda names: Layers(network, names), options)
    from PIL import Image

    wanted, found = (
        np.asarray(Image.fromarray(p).convert("YCbCr"), int)[..., 1:] for p in (scene(), painted)
    )
    assert np.median(np.abs(wanted - found)) <= 3


@pytest.mark.parametrize("shape", [(1, 1), (30, 100)])
def test_pictures_of_any_shape(network: Backbone, shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
    options = StyleOptions(size=64, steps=2, coarse=0, **TOY)  # type: ignore[arg-type]
    painted = stylize(picture, [(picture, 1.0)], lambda names: Layers(network, names), options)
    assert max(painted.shape[:2]) == 64


def test_a_picture_that_would_be_a_line(network: Backbone) -> None:
    options = StyleOptions(size=64, steps=2, **TOY)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="narrow"):
        stylize(scene()[:2], [(stripes(), 1.0)], lambda names: Layers(network, names), options)


@pytest.mark.parametrize("bad", [{"size": 8}, {"steps": 0}, {"coarse": 2.0}, {"optimiser": "sgd"}])
def test_options_outside_their_range(bad: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        StyleOptions(**bad)  # type: ignore[arg-type]


def test_a_panorama_is_painted_at_its_full_size_only(network: Backbone) -> None:
    wide = np.random.default_rng(0).integers(0, 255, (20, 400, 3), dtype=np.uint8)
    options = StyleOptions(size=400, steps=20, **TOY)
    assert options.stages([wide]) == [(400, 20)]
    painted = stylize(wide, [(stripes(), 1.0)], lambda names: Layers(network, names), options)
    assert painted.shape == (20, 400, 3)
    with pytest.raises(OptionError, match="larger --size"):
        stylize(wide, [(stripes(), 1.0)], lambda names: Layers(network, names), StyleOptions(size=300, **TOY))
