"""A backbone's blocks run in order, can be run in parts, and convert to OpenVINO unchanged."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from toy_weights import Toy

from headstart import backbones
from headstart.backbones import Preprocess, builtin
from headstart.backbones.backbone import AveragePool, Backbone, ClassToken, Depths, MiddlePool
from headstart.backbones.catalogue import CARDS
from headstart.errors import BackboneError, OptionError


@pytest.fixture(scope="module")
def lite() -> Backbone:
    return backbones.load("efficientnet_lite0")


def random_pixels(n: int, side: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, side, side, 3), dtype=torch.uint8, generator=generator)


PICTURES = [name for name, card in backbones.cards().items() if card.modality == "image"]


@pytest.mark.parametrize("name", PICTURES)
def test_a_loaded_backbone_is_what_its_card_says(name: str) -> None:
    backbone = backbones.load(name)
    card = backbone.card
    assert not any(module.training for module in backbone.modules())
    assert sum(parameter.numel() for parameter in backbone.parameters()) == card.parameters
    assert tuple(backbone.blocks) == card.blocks
    with torch.no_grad():
        grid, features = backbone(random_pixels(2, card.preprocess.size))
    assert features.shape == (2, card.features)
    assert grid.shape[:2] == (2, card.features)
    torch.testing.assert_close(features, grid.mean((2, 3)))
    assert (card.labels is None) == (backbone.classifier is None)
    if backbone.classifier is not None:
        assert backbone.logits(features).shape == (2, 1000)


def test_a_row_does_not_depend_on_its_neighbours(lite: Backbone) -> None:
    pixels = random_pixels(3, 64)
    with torch.no_grad():
        together = lite(pixels)[1]
        alone = torch.cat([lite(pixels[i : i + 1])[1] for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@settings(deadline=None, max_examples=10)
@given(cut=st.integers(0, 7))
def test_prefix_then_suffix_is_the_whole(lite: Backbone, cut: int) -> None:
    names = lite.card.blocks
    with torch.no_grad():
        x = lite.normalise(random_pixels(1, 64, seed=cut))
        boundary = lite.run_blocks(x, stop=names[cut])
        assert torch.equal(lite.run_blocks(boundary, start=names[cut + 1]), lite.run_blocks(x))


def test_one_block_alone(lite: Backbone) -> None:
    x = torch.randn(1, 32, 8, 8)
    with torch.no_grad():
        assert torch.equal(lite.run_blocks(x, "stage1", "stage1"), lite.blocks["stage1"](x))


def test_blocks_that_are_not_there(lite: Backbone) -> None:
    x = torch.zeros(1, 3, 32, 32)
    with pytest.raises(OptionError, match="choose one of stem, stage1"):
        lite.run_blocks(x, stop="layer4")
    with pytest.raises(OptionError, match="the order is stem"):
        lite.run_blocks(x, start="stage4", stop="stage2")


def test_normalise_is_the_arithmetic_of_the_card(lite: Backbone) -> None:
    pixels = random_pixels(2, 5)
    expected = (pixels.numpy().astype(np.float32).transpose(0, 3, 1, 2) - 127) / 128
    np.testing.assert_array_equal(lite.normalise(pixels).numpy(), expected)


def test_normalise_turns_colours_round_for_bgr() -> None:
    vgg = backbones.load("vgg16")
    red = torch.zeros(1, 1, 1, 3, dtype=torch.uint8)
    red[..., 0] = 255
    expected = [0 - 103.939, 0 - 116.779, 255 - 123.68]
    np.testing.assert_allclose(vgg.normalise(red).flatten().numpy(), expected, rtol=1e-6)


def test_normalise_follows_the_precision_of_the_module(lite: Backbone, toy: Toy) -> None:
    half = builtin.build(toy.card, toy.weights).to(torch.bfloat16)
    assert half.normalise(random_pixels(1, 4)).dtype == torch.bfloat16
    with torch.no_grad():
        assert half(random_pixels(1, 32))[1].dtype == torch.bfloat16


def test_a_backbone_without_classifier_says_so() -> None:
    with pytest.raises(BackboneError, match="source classifier"):
        backbones.load("vgg16").logits(torch.zeros(1, 512))


def test_the_card_and_the_blocks_must_agree(toy: Toy) -> None:
    card = replace(toy.card, blocks=("a", "b"))
    with pytest.raises(BackboneError, match="the blocks"):
        Backbone(card, {"b": nn.Identity(), "a": nn.Identity()})


def test_mean_and_std_are_no_weights(lite: Backbone) -> None:
    assert not {"mean", "std"} & set(lite.state_dict())


def test_pooling_with_a_norm_and_by_class_token() -> None:
    x = torch.randn(2, 4, 3, 3)
    grid, features = AveragePool(nn.LayerNorm(4))(x)
    assert grid is x
    torch.testing.assert_close(features.mean(1), torch.zeros(2), atol=1e-6, rtol=0)

    tokens = torch.arange(2 * 10 * 4.0).reshape(2, 10, 4)  # one class token, nine patches
    grid, features = ClassToken(3)(tokens)
    assert torch.equal(features, tokens[:, 0])
    assert torch.equal(grid[1, :, 2, 1], tokens[1, 1 + 2 * 3 + 1])


def assert_openvino_agrees(backbone: Backbone) -> None:
    import openvino

    size = backbone.card.preprocess.size
    with warnings.catch_warnings():
        # OpenVINO still traces, which torch deprecates; models of others test shapes in Python.
        warnings.filterwarnings("ignore", r".*torch\.jit\.", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        example = torch.zeros(1, size, size, 3, dtype=torch.uint8)
        model = openvino.convert_model(backbone, example_input=example, input=[-1, size, size, 3])
    run = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    pixels = random_pixels(2, size)
    with torch.no_grad():
        expected = backbone(pixels)
    received = run(pixels.numpy())
    for index, tensor in enumerate(expected):
        scale = float(tensor.abs().max())
        np.testing.assert_allclose(received[index], tensor.numpy(), atol=1e-3 * scale, rtol=0)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "vgg16"])
def test_openvino_agrees(name: str) -> None:
    assert_openvino_agrees(backbones.load(name))


@pytest.mark.parametrize("side", [65, 98])
def test_openvino_agrees_at_other_sizes(side: int, toy: Toy) -> None:
    """The padding depends on the side's parity; a conversion at one size must not freeze another's."""
    card = replace(toy.card, preprocess=Preprocess(size=side, mean=(127.0,) * 3, std=(128.0,) * 3))
    assert_openvino_agrees(builtin.build(card, toy.weights))


@pytest.mark.parametrize("stop", ["stem", "stage4", "stage7"])
def test_a_cut_backbone_is_the_prefix(lite: Backbone, stop: str) -> None:
    short = lite.cut(stop)
    assert short.card.blocks[-1] == stop
    assert (short.card.name, short.card.digest, short.card.labels) == (lite.card.name, lite.card.digest, None)
    assert short.blocks[stop] is lite.blocks[stop]
    pixels = random_pixels(2, 64)
    with torch.no_grad():
        boundary = lite.run_blocks(lite.normalise(pixels), stop=stop)
        grid, features = short(pixels)
        assert torch.equal(grid, boundary)
        assert torch.equal(features, lite.pooled(stop, boundary))
    assert features.shape == (2, short.card.features)
    with pytest.raises(BackboneError, match="source classifier"):
        short.logits(features)


def test_cutting_at_the_last_block_changes_nothing(lite: Backbone) -> None:
    assert lite.cut("head") is lite
    assert lite.at(224) is lite


def test_cutting_at_no_block(lite: Backbone) -> None:
    with pytest.raises(OptionError, match="choose one of stem"):
        lite.cut("layer3")


def test_the_last_block_is_pooled_as_the_backbone_does() -> None:
    card = replace(CARDS["vgg16"], blocks=("a", "b"), features=4)
    norm = nn.LayerNorm(4)
    nn.init.normal_(norm.weight)
    network = Backbone(card, {"a": nn.Conv2d(3, 4, 3), "b": nn.Conv2d(4, 4, 3)}, AveragePool(norm))
    with torch.no_grad():
        x = network.run_blocks(network.normalise(random_pixels(2, 16)))
        assert torch.equal(network.pooled("b", x), network.pool(x)[1])
        assert torch.equal(network.pooled("a", x), x.mean((2, 3)))


@settings(deadline=None, max_examples=5)
@given(side=st.integers(32, 160))
def test_another_size_shares_the_weights(lite: Backbone, side: int) -> None:
    other = lite.at(side)
    assert other.card.preprocess == replace(lite.card.preprocess, size=side)
    assert other.card.digest == lite.card.digest
    assert other.blocks["stem"] is lite.blocks["stem"]
    with torch.no_grad():
        pixels = random_pixels(1, side)
        assert torch.equal(other(pixels)[1], lite(pixels)[1])


def test_sizes_that_a_network_cannot_see() -> None:
    with pytest.raises(BackboneError, match=r"pictures of 16 pixels.*use its own size, 224"):
        backbones.load("vgg16").at(16)  # five poolings leave nothing


class Positions(nn.Module):
    """The front of a transformer: patches of 8 pixels, a class token, embeddings for 17 positions."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 4, 8, 8)
        self.places = nn.Parameter(torch.randn(1, 17, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        return torch.cat([torch.zeros(len(x), 1, 4), tokens], 1) + self.places


def tokens_backbone() -> Backbone:
    card = replace(CARDS["vgg16"], blocks=("front", "layer"), features=4, preprocess=Preprocess(size=32))
    return Backbone(card, {"front": Positions(), "layer": nn.Linear(4, 4)}, ClassToken(4))


def test_tokens_are_cut_with_their_class_token() -> None:
    network = tokens_backbone()
    short = network.cut("front")
    pixels = random_pixels(2, 32)
    with torch.no_grad():
        tokens = network.run_blocks(network.normalise(pixels), stop="front")
        grid, features = short(pixels)
    assert torch.equal(features, tokens[:, 0])
    assert grid.shape == (2, 4, 4, 4)
    assert torch.equal(grid[0, :, 1, 2], tokens[0, 1 + 4 + 2])


def test_a_network_with_positions_of_a_fixed_number_has_one_size() -> None:
    with pytest.raises(BackboneError, match="use its own size, 32"):
        tokens_backbone().at(64)


def test_grids_with_channels_last_are_understood() -> None:
    x = torch.randn(2, 3, 3, 5)
    grid, features = MiddlePool()(x)
    assert grid.shape == (2, 5, 3, 3)
    torch.testing.assert_close(features, x.mean((1, 2)))
    grid, features = MiddlePool()(x.permute(0, 3, 1, 2))
    torch.testing.assert_close(features, x.mean((1, 2)))


def test_all_depths_at_once(lite: Backbone) -> None:
    depths = Depths(lite)
    assert list(depths.columns) == list(lite.card.blocks)
    pixels = random_pixels(2, 64)
    with torch.no_grad():
        rows = depths(pixels)
        assert rows.shape == (2, depths.width)
        assert torch.equal(rows[:, depths.columns["head"]], lite(pixels)[1])
        for name in ("stem", "stage3"):
            assert torch.equal(rows[:, depths.columns[name]], lite.cut(name)(pixels)[1])
    assert depths.columns["stage1"] == slice(32, 48)


def test_looking_for_widths_leaves_a_network_in_training_as_it_is() -> None:
    card = replace(CARDS["vgg16"], blocks=("front", "norm"), features=4, preprocess=Preprocess(size=8))
    backbone = Backbone(card, {"front": nn.Conv2d(3, 4, 3), "norm": nn.BatchNorm2d(4)})
    backbone.blocks["norm"].train()
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    backbone.cut("front")
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())
    assert [backbone.blocks[name].training for name in ("front", "norm")] == [False, True]
