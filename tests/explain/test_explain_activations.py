"""Activation maps: the numbers are the network's, the sheet shows what it says it shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headstart.backbones.backbone import Backbone, ClassToken
from headstart.backbones.card import Card, Preprocess
from headstart.errors import DecodeError, OptionError
from headstart.explain.activations import activation_maps, contact_sheet, layer_names
from headstart.networks.vgg import VGG16, convolution_names

pytestmark = pytest.mark.usefixtures("one_thread")


def backbone(blocks: dict[str, nn.Module], features: int, pool: nn.Module | None = None) -> Backbone:
    spec = Preprocess(size=32, mean=(110.0, 110.0, 110.0), std=(60.0, 60.0, 60.0))
    card = Card("toy", "toy", "here", "CC0-1.0", "nothing", spec, features, tuple(blocks), 1, "")
    return Backbone(card, blocks, pool)


@pytest.fixture(scope="module")
def vgg() -> Backbone:
    """VGG16's trunk with random weights."""
    torch.manual_seed(0)
    return backbone(dict(VGG16().blocks.items()), 512)


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)


def test_every_convolution_and_block_of_vgg16(vgg: Backbone, picture: NDArray[np.uint8]) -> None:
    names = layer_names(vgg)
    assert set(convolution_names()) < set(names)
    assert names[:3] == ("block1_conv1", "block1_conv2", "block1")
    shapes = {name: activation_maps(vgg, picture, name)[0].shape for name in names}
    assert shapes["block1_conv2"] == (64, 32, 32)
    assert shapes["block1"] == (64, 16, 16)
    assert shapes["block5_conv3"] == (512, 2, 2)


def test_the_values_are_those_behind_the_relu(vgg: Backbone, picture: NDArray[np.uint8]) -> None:
    maps, seen = activation_maps(vgg, picture, "block1_conv2")
    block = vgg.blocks["block1"]
    with torch.no_grad():
        x = vgg.normalise(torch.from_numpy(seen.copy())[None])
        for module in list(block.children())[:4]:
            x = module(x)
    assert np.array_equal(maps, x[0].numpy())
    assert maps.min() == 0
    assert not any(module._forward_hooks for module in vgg.modules())


class Tokens(nn.Module):
    """A class token and sixteen patches of eight pixels, each saying how bright it is."""

    def forward(self, x: Tensor) -> Tensor:
        patches = x.unfold(2, 8, 8).unfold(3, 8, 8).mean((1, 4, 5)).flatten(1)[..., None]
        return torch.cat([torch.zeros(len(x), 1, 1), patches], 1)


def test_tokens_go_back_to_their_places() -> None:
    tokens = backbone({"embeddings": Tokens()}, 1, ClassToken(4))
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[8:16, 24:] = 255
    maps, _ = activation_maps(tokens, picture, "embeddings")
    assert maps.shape == (1, 4, 4)
    assert np.unravel_index(maps[0].argmax(), (4, 4)) == (1, 3)


def test_convolutions_inside_of_other_blocks_are_named_by_their_path() -> None:
    inner = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.GELU())
    nested = backbone({"stem": nn.Sequential(inner)}, 4)
    assert layer_names(nested) == ("stem.0.0", "stem")
    maps, _ = activation_maps(nested, np.zeros((32, 32, 3), np.uint8), "stem.0.0")
    assert maps.shape == (4, 32, 32)


def test_what_there_is_not(vgg: Backbone, picture: NDArray[np.uint8]) -> None:
    with pytest.raises(
        OptionError, match=r"block9_conv1.*choose one of block1_conv1, block1_conv2, block1, "
    ):
        activation_maps(vgg, picture, "block9_conv1")
    with pytest.raises(DecodeError):
        activation_maps(vgg, b"no picture", "block1")
    flat = backbone({"flat": nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4))}, 4)
    with pytest.raises(OptionError, match="one map for each channel"):
        activation_maps(flat, picture, "flat")


def test_a_sheet_shows_the_strongest_first() -> None:
    maps = np.zeros((5, 4, 4), np.float32)
    maps[3], maps[1] = 9, 4
    maps[3, 0, 0] = maps[1, 3, 3] = 0  # each tile says which channel it is
    seen = np.full((8, 8, 3), 200, np.uint8)
    plain = contact_sheet(maps, seen, "toy")
    sorted_ = contact_sheet(maps, seen, "toy", strongest=True)
    assert plain.shape == sorted_.shape
    assert not np.array_equal(plain, sorted_)
    first_tile = (slice(176, 304), slice(8, 136))
    assert len(np.unique(plain[first_tile].reshape(-1, 3), axis=0)) == 1  # channel 0 is silent
    shown = sorted_[first_tile]
    dark, bright = shown[8, 8], shown[100, 100]
    assert dark.sum() < bright.sum()
    few = contact_sheet(maps, seen, "toy", channels=1)
    assert few.shape[0] < plain.shape[0]
    with pytest.raises(OptionError, match="at least one channel"):
        contact_sheet(maps, seen, "toy", channels=0)
