"""Filters: pictures that raise the channel that they are made for, and no other; dead ones are called so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from headstart import backbones
from headstart.backbones.backbone import Backbone
from headstart.backbones.card import Card, Preprocess
from headstart.cli.filters import _channels
from headstart.errors import BackboneError, OptionError
from headstart.studio.drawing import CLASSES, draw_network
from headstart.studio.features import Filter, FilterOptions, channel_count, draw_filters, moved
from headstart.studio.filter_sheets import caption, filter_sheet, gallery
from headstart.studio.layers import Layers, layer_names

QUICK = FilterOptions(size=32, steps=30)


def detectors() -> Backbone:
    """A network of four known filters: edges across, edges along, red against blue, and one that is dead."""
    convolution = nn.Conv2d(3, 4, 3, padding=1)
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.weight[0, :, 0], convolution.weight[0, :, 2] = -1, 1
        convolution.weight[1, :, :, 0], convolution.weight[1, :, :, 2] = -1, 1
        convolution.weight[2, 0, 1, 1], convolution.weight[2, 2, 1, 1] = 1, -1
        convolution.bias.copy_(torch.tensor([0.0, 0.0, 0.0, -1.0]))
    block = nn.Sequential()
    block.add_module("block1_conv1", convolution)
    block.add_module("block1_relu1", nn.ReLU())
    block.add_module("block1_pool", nn.MaxPool2d(2))
    spec = Preprocess(size=32, mean=(127.5, 127.5, 127.5), std=(64.0, 64.0, 64.0))
    card = Card("toy", "four detectors", "here", "CC0-1.0", "nothing", spec, 4, ("block1",), 1, "")
    return Backbone(card, {"block1": block})


@pytest.fixture(scope="module")
def network() -> Backbone:
    return detectors()


def of(network: Backbone, linear: bool = False) -> Layers:
    return Layers(network, ["block1_conv1"], fast=False, linear=linear)


@pytest.fixture(scope="module")
def drawn(network: Backbone) -> list[Filter]:
    return draw_filters(of(network), "block1_conv1", range(4), QUICK)


def test_each_picture_raises_its_own_channel_most(network: Backbone, drawn: list[Filter]) -> None:
    pictures = torch.from_numpy(np.stack([each.picture for each in drawn])).permute(0, 3, 1, 2).float()
    answers = of(network)(pictures)["block1_conv1"].mean((2, 3))  # [picture, channel]
    for channel in range(3):
        assert int(answers[:, channel].argmax()) == channel
        assert drawn[channel].answer == pytest.approx(float(answers[channel, channel]), rel=0.05)


def test_pictures_show_what_filters_look_for(drawn: list[Filter]) -> None:
    def roughness(picture: np.ndarray, axis: int) -> float:
        return float(np.abs(np.diff(picture.astype(float).mean(2), axis=axis)).mean())

    def redness(picture: np.ndarray) -> float:
        return float(picture[..., 0].mean() - picture[..., 2].mean())

    across, along, red = (each.picture for each in drawn[:3])
    assert roughness(across, 0) > 1.5 * roughness(across, 1)
    assert roughness(along, 1) > 1.5 * roughness(along, 0)
    assert redness(red) > 5 + max(redness(across), redness(along))


def test_a_dead_filter_is_called_dead(network: Backbone, drawn: list[Filter]) -> None:
    assert [each.dead for each in drawn] == [False, False, False, True]
    assert caption(drawn[3]) == "3: dead"
    woken = draw_filters(of(network, linear=True), "block1_conv1", [3], QUICK)
    assert woken[0].dead  # its weights are 0: nothing can wake it


def test_a_filter_that_only_sleeps_is_woken() -> None:
    """One that is silent on grey has no gradient behind its ReLU; before it, it has."""
    network = detectors()
    with torch.no_grad():
        network.blocks["block1"].block1_conv1.bias[0] = -6
    slept, woken = (
        draw_filters(of(network, linear), "block1_conv1", [0], QUICK)[0] for linear in (False, True)
    )
    assert slept.dead
    assert not woken.dead


def test_several_at_once_are_what_each_is_alone(network: Backbone, drawn: list[Filter]) -> None:
    """Not to the bit, for movements are random; but each climbs by its own gradient."""
    alone = draw_filters(of(network), "block1_conv1", [1], QUICK)[0]
    assert alone.answer == pytest.approx(drawn[1].answer, rel=0.3)
    many = draw_filters(of(network), "block1_conv1", [0, 1, 2] * 7, FilterOptions(size=32, steps=2))
    assert [each.channel for each in many] == [0, 1, 2] * 7


def test_the_same_seed_draws_the_same(network: Backbone, drawn: list[Filter]) -> None:
    again = draw_filters(of(network), "block1_conv1", range(4), QUICK)
    for a, b in zip(drawn, again, strict=True):
        np.testing.assert_array_equal(a.picture, b.picture)


def test_progress_goes_from_nothing_to_all(network: Backbone) -> None:
    told: list[float] = []
    few = FilterOptions(size=32, steps=2)
    draw_filters(of(network), "block1_conv1", [0] * 20, few, see=told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)


@settings(deadline=None, max_examples=15)
@given(size=st.integers(8, 40), count=st.integers(1, 3), seed=st.integers(0, 99))
def test_movements_are_small_and_invent_nothing(size: int, count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    ramp = torch.linspace(0, 255, size).expand(count, 3, size, size)
    turned = moved(ramp, size, generator)
    assert turned.shape == ramp.shape
    assert float(turned.min()) >= 0
    assert float(turned.max()) <= 255.01
    assert float((turned - ramp).abs().mean()) < 60
    assert not torch.equal(turned[0], ramp[0])
    middle = moved(ramp, size // 2, generator)
    assert middle.shape == (count, 3, size // 2, size // 2)
    assert float(middle.max() - middle.min()) < float(ramp.max() - ramp.min())


def test_filters_of_vgg16_are_smooth_and_distinct() -> None:
    layers = Layers(backbones.load("vgg16"), ["block2_conv1"], linear=True)
    found = draw_filters(layers, "block2_conv1", [1, 2], FilterOptions(size=48, steps=24))
    for each in found:
        picture = each.picture.astype(float)
        assert not each.dead
        assert picture.std() > 15
        # Neighbours are alike: no noise of single pixels.
        assert np.corrcoef(picture[:, 1:].ravel(), picture[:, :-1].ravel())[0, 1] > 0.5
    assert np.corrcoef(found[0].picture.ravel(), found[1].picture.ravel())[0, 1] < 0.8


# Sheets and pages


def test_a_sheet_shows_every_filter(drawn: list[Filter]) -> None:
    sheet = filter_sheet(drawn, "toy, block1_conv1")
    for each in drawn[:3]:
        windows = np.lib.stride_tricks.sliding_window_view(sheet, each.picture.shape)[..., 0, :, :, :]
        assert (windows == each.picture).all((-1, -2, -3)).any()


def test_a_page_tells_of_every_layer(drawn: list[Filter], network: Backbone) -> None:
    html = gallery(
        network.card, [("block1_conv1", 4, drawn), (CLASSES, 2, drawn[:2])], {CLASSES: ("a<b", "c")}
    )
    assert html.count("data:image/jpeg") == 6
    assert "4 of 4 channels; 1 answer to nothing" in html
    assert "a&lt;b" in html
    assert "a<b" not in html


# From a name to files


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, network: Backbone) -> Callable[..., Backbone]:
    def load(_name: str, **_: object) -> Backbone:
        return network

    monkeypatch.setattr(backbones, "load", load)
    return load


@pytest.mark.usefixtures("small")
def test_a_sheet_and_what_is_on_it_are_written(tmp_path: Path) -> None:
    said: list[str] = []
    out = tmp_path / "sheet.png"
    draw_network("toy", out, layer="block1_conv1", channels=[0, 3], size=32, steps=10, say=said.append)
    with Image.open(out) as sheet:
        assert sheet.width > 64
    told = json.loads((tmp_path / "sheet.json").read_text())["layers"]["block1_conv1"]
    assert [(each["channel"], each["dead"]) for each in told] == [(0, False), (3, True)]
    assert said


@pytest.mark.usefixtures("small")
def test_a_page_has_all_layers_that_learned(tmp_path: Path) -> None:
    made = draw_network("toy", tmp_path / "page.html", size=32, steps=2)
    assert list(made["layers"]) == ["block1_conv1"]
    assert "block1_conv1" in (tmp_path / "page.html").read_text()


@pytest.mark.usefixtures("small")
def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    with pytest.raises(OptionError, match=r"--layer: block1_conv1"):
        draw_network("toy", out)
    with pytest.raises(OptionError, match="choose one of block1_conv1"):
        draw_network("toy", out, layer="block9_conv1")
    with pytest.raises(OptionError, match="from 0 to 3"):
        draw_network("toy", out, layer="block1_conv1", channels=[4], size=32)
    with pytest.raises(OptionError, match="ending"):
        draw_network("toy", tmp_path / "sheet.txt", layer="block1_conv1")
    with pytest.raises(OptionError, match="size from 32"):
        draw_network("toy", out, layer="block1_conv1", size=8)
    assert not out.exists()


def test_a_layer_that_cannot_see_so_small_a_picture() -> None:
    network = detectors()
    deep = nn.Sequential(*network.blocks["block1"], nn.MaxPool2d(64))
    card = Card("deep", "toy", "here", "CC0-1.0", "nothing", network.card.preprocess, 4, ("block1",), 1, "")
    with pytest.raises(OptionError, match="larger --size"):
        channel_count(Layers(Backbone(card, {"block1": nn.Sequential(deep)}), ["block1"]), "block1", 32)


def test_an_unknown_network(tmp_path: Path) -> None:
    with pytest.raises(BackboneError):
        draw_network("no_such_network", tmp_path / "a.html", offline=True)


def test_classes_of_imagenet(tmp_path: Path) -> None:
    made = draw_network(
        "efficientnet_lite0", tmp_path / "fish.png", layer=CLASSES, channels=[0], size=64, steps=2
    )
    assert [each["channel"] for each in made["layers"][CLASSES]] == [0]


@pytest.mark.slow
def test_classes_of_a_fitted_model(tmp_path: Path, pattern_pictures: Path) -> None:
    import headstart as hs

    folder = hs.fit(hs.data.open(pattern_pictures)).save(tmp_path / "patterns.headstart")
    made = draw_network(str(folder), tmp_path / "patterns.png", layer=CLASSES, size=96, steps=16)
    told = made["layers"][CLASSES]
    assert len(told) == 3
    assert not any(each["dead"] for each in told)


def test_layers_that_learned_are_those_with_weights(network: Backbone) -> None:
    assert layer_names(network) == ("block1_conv1", "block1_pool")
    assert layer_names(network, learned=True) == ("block1_conv1",)


@pytest.mark.parametrize(("given", "read"), [("3", [3]), ("0-2,7", [0, 1, 2, 7]), (None, None)])
def test_channels_as_people_write_them(given: str | None, read: list[int] | None) -> None:
    assert _channels(given) == read


@pytest.mark.parametrize("given", ["", "a", "5-2", "1;2", "-"])
def test_channels_that_cannot_be_read(given: str) -> None:
    with pytest.raises(OptionError, match="channels such as"):
        _channels(given)
