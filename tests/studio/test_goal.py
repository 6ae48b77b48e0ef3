"""The loss of a painting: at once and tile by tile it is the same."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vgg_like import vgg_like

from headstart.backbones.backbone import Backbone
from headstart.studio.goal import Goal, Weights
from headstart.studio.layers import Layers

LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1")


@pytest.fixture(scope="module")
def network() -> Backbone:
    return vgg_like(6, 8, 10)


def slope(goal: Goal, picture: torch.Tensor) -> tuple[float, torch.Tensor]:
    free = picture.clone().requires_grad_()
    loss = goal.descend(free * 1.0)  # not a leaf, as the picture of a painter is
    assert free.grad is not None
    return loss, free.grad


@settings(deadline=None, max_examples=8)
@given(
    height=st.integers(32, 330),
    width=st.integers(32, 330),
    side=st.sampled_from([32, 100, 128]),
    seed=st.integers(0, 99),
)
def test_tiles_give_the_same_loss_and_gradient(
    network: Backbone, height: int, width: int, side: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    content, picture = (torch.rand(1, 3, height, width, generator=generator) * 255 for _ in range(2))
    styles = [
        (torch.rand(1, 3, 70, 90, generator=generator) * 255, 2.0),
        (torch.zeros(1, 3, 40, 200), 1.0),
    ]
    weights = Weights(30.0, 1.0, 0.01, "block2_conv1", dict.fromkeys(LAYERS, 0.3))
    layers = Layers(network, [*LAYERS, "block2_conv1"], fast=False)
    whole, wanted = slope(Goal(layers, content, styles, weights), picture)
    tiled, found = slope(Goal(layers, content, styles, weights, side), picture)
    assert tiled == pytest.approx(whole, rel=1e-4)
    torch.testing.assert_close(found, wanted, rtol=1e-2, atol=float(wanted.abs().max()) * 1e-3)


def test_tiles_are_computed_one_at_a_time(network: Backbone) -> None:
    seen: list[int] = []
    hook = network.blocks["block1"].block1_conv1.register_forward_hook(
        lambda _m, inputs, _o: seen.append(inputs[0].shape[-1])
    )
    layers = Layers(network, ["block1_conv1"], fast=False)
    weights = Weights(1.0, 1.0, 0.0, "block1_conv1", {"block1_conv1": 1.0})
    Goal(layers, torch.zeros(1, 3, 32, 1024), [(torch.zeros(1, 3, 32, 32), 1.0)], weights, 128)
    hook.remove()
    assert max(seen) == 128 + 2 * 80  # a tile and what its deepest places see beside it
    assert len(seen) == 8 + 1


def test_the_loss_falls_along_its_gradient(network: Backbone) -> None:
    weights = Weights(10.0, 1.0, 0.01, "block2_conv1", {"block1_conv1": 1.0})
    layers = Layers(network, ["block1_conv1", "block2_conv1"], fast=False)
    goal = Goal(layers, torch.rand(1, 3, 48, 48) * 255, [(torch.rand(1, 3, 48, 48) * 255, 1.0)], weights)
    picture = torch.rand(1, 3, 48, 48) * 255
    before, found = slope(goal, picture)
    after, _ = slope(goal, picture - 0.5 * found / found.abs().max())
    assert after < before
