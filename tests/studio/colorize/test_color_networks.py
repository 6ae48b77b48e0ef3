"""The networks: grey is shown as grey, every grid counts, and what is exported is what was trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from vgg_like import vgg_like

from headstart.backbones.backbone import Backbone
from headstart.backbones.card import Card, Preprocess
from headstart.errors import BackboneError
from headstart.studio.colorize.lab import lightness
from headstart.studio.colorize.networks import Classic, ClassicEncoder, Encoder, UNet, grey_levels


def test_lightness_becomes_the_grey_level_that_has_it() -> None:
    levels = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
    found = grey_levels(torch.from_numpy(lightness(levels)))
    np.testing.assert_allclose(found, np.arange(256), atol=0.05)


def test_the_encoder_shows_the_backbone_a_grey_photograph() -> None:
    backbone = vgg_like(4, 6, 8)
    encoder = Encoder(backbone, 32)
    assert encoder.shapes == [(1, 8), (6, 8), (8, 4)]
    grey = np.repeat(np.random.default_rng(0).integers(0, 256, (32, 32, 1), np.uint8), 3, 2)
    with torch.no_grad():
        small, *grids = encoder(torch.from_numpy(lightness(grey))[None, None])
        expected = backbone.run_blocks(backbone.normalise(torch.from_numpy(grey)[None]))
    torch.testing.assert_close(grids[-1], expected, rtol=0.01, atol=0.01)
    assert small.shape == (1, 1, 8, 8)
    assert float(small.abs().max()) <= 1
    assert not any(weight.requires_grad for weight in encoder.parameters())


def test_a_backbone_without_coarse_grids_is_refused() -> None:
    card = Card("flat", "toy", "here", "CC0-1.0", "nothing", Preprocess(size=8), 4, ("stem",), 1, "")
    with pytest.raises(BackboneError, match="several scales"):
        Encoder(Backbone(card, {"stem": nn.Conv2d(3, 4, 3, padding=1)}), 32)


def test_every_grid_changes_what_the_unet_tells() -> None:
    shapes = [(1, 8), (6, 8), (8, 4), (9, 2)]
    network = UNet(shapes, 5, (8, 12)).eval()
    seen = [torch.rand(1, channels, side, side) for channels, side in shapes]
    before = network(tuple(seen))
    assert before.shape == (1, 5, 8, 8)
    for place in range(len(seen)):
        other = [grid + 1 if number == place else grid for number, grid in enumerate(seen)]
        assert float((network(tuple(other)) - before).abs().max().detach()) > 1e-4
    torch.testing.assert_close(network.colours(network.understood(tuple(seen))), before)


def test_the_classic_fuses_the_embedding_everywhere_and_stays_in_bounds() -> None:
    encoder = ClassicEncoder(Encoder(vgg_like(4, 6, 8), 32))
    light, embedding = encoder(torch.full((2, 1, 32, 32), 50.0))
    assert (light.shape, embedding.shape) == ((2, 1, 16, 16), (2, 8))
    assert float(light.abs().max()) == 0
    network = Classic(8, width=4).eval()
    before, after = network((light, embedding)), network((light, embedding + 1))
    assert before.shape == (2, 2, 8, 8)
    assert float((before - after).abs().amin().detach()) > 0
    assert float(network((light, 1e6 * embedding)).abs().max().detach()) <= 110
