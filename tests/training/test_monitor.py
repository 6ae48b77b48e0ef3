"""What is measured in training: norms, ratios, dead units and curvature against what they are defined as."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_network import drawn_pictures, tiny_network
from torch import nn

from headstart.training import losses, monitor, optimisers
from headstart.training.plan import HEAD, Settings


def optimiser_of(**parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    groups = [{"params": each, "lr": 0.1, "name": name} for name, each in parameters.items()]
    return optimisers.build(Settings(optimiser="sgd", weight_decay=0.0, momentum=0.0), groups)


def test_gradient_norms_are_by_name() -> None:
    a, b, c, idle = (nn.Parameter(torch.zeros(2)) for _ in range(4))
    optimiser = optimiser_of(one=[a, idle], two=[c])
    optimiser.add_param_group({"params": [b], "lr": 0.1, "name": "one"})  # its norms and biases
    a.grad, b.grad, c.grad = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0]), torch.tensor([0.6, 0.8])
    assert monitor.gradient_norms(optimiser) == pytest.approx({"one": 5.0, "two": 1.0})


def test_update_ratios_are_the_change_over_the_weights() -> None:
    a, b = nn.Parameter(torch.tensor([3.0, 4.0])), nn.Parameter(torch.tensor([10.0]))
    optimiser = optimiser_of(one=[a], two=[b])
    a.grad, b.grad = torch.tensor([1.0, 0.0]), torch.zeros(1)
    before = monitor.before_step(optimiser)
    optimiser.step()
    assert monitor.update_ratios(optimiser, before) == pytest.approx({"one": 0.1 / 5, "two": 0.0})


def test_weights_that_are_all_zero_have_a_finite_ratio() -> None:
    weight = nn.Parameter(torch.zeros(3))
    optimiser = optimiser_of(one=[weight])
    before = monitor.before_step(optimiser)
    assert monitor.update_ratios(optimiser, before) == {"one": 0.0}


def test_a_relu_that_is_never_active_is_dead() -> None:
    network = tiny_network().eval()
    x, _ = drawn_pictures(8)
    conv = network.backbone.blocks["three"][0]  # type: ignore[index]
    with torch.no_grad():
        conv.bias.fill_(5)  # all alive
        conv.bias[:4] = -1e4  # but for a quarter
    found = monitor.dead_units(network, x)
    assert found["three"] == 0.25
    assert found.keys() == {"one", "two", "three"}
    assert found["one"] < 0.5


def test_a_relu6_that_is_always_full_is_dead_too() -> None:
    network = tiny_network().eval()
    network.backbone.blocks["three"][1] = nn.ReLU6()  # type: ignore[index]
    conv = network.backbone.blocks["three"][0]  # type: ignore[index]
    with torch.no_grad():
        conv.bias.fill_(1.0)
        conv.weight.mul_(0.1)
        conv.bias[:8] = 1e4
    assert monitor.dead_units(network, drawn_pictures(8)[0])["three"] == 0.5


def test_blocks_without_activations_are_judged_by_their_output() -> None:
    network = tiny_network().eval()
    block: Any = nn.Conv2d(12, 16, 1)
    with torch.no_grad():
        block.weight[:2] = 0
    network.backbone.blocks["three"] = block
    assert monitor.dead_units(network, drawn_pictures(4)[0])["three"] == 2 / 16


def test_tokens_have_their_channels_last() -> None:
    tokens = torch.randn(3, 5, 8)
    tokens[..., :2] = 1.5
    assert monitor._constant(tokens).tolist() == [True] * 2 + [False] * 6


def test_an_mlp_head_has_units_and_a_linear_one_has_none() -> None:
    network = tiny_network().eval()
    assert HEAD not in monitor.dead_units(network, drawn_pictures(4)[0])
    hidden = nn.Linear(16, 10)
    network.head = nn.Sequential(hidden, nn.ReLU(), nn.Linear(10, 3))
    with torch.no_grad():
        hidden.bias[:5], hidden.bias[5:] = -1e4, 10
    assert monitor.dead_units(network, drawn_pictures(4)[0])[HEAD] == 0.5


def test_only_blocks_that_run_are_looked_at() -> None:
    network = tiny_network().eval()
    x, _ = drawn_pictures(4)
    with torch.no_grad():
        middle = network.backbone.run_blocks(network.backbone.normalise(x), stop="one")
    assert monitor.dead_units(network, middle, "two").keys() == {"two", "three"}


@settings(deadline=None, max_examples=20)
@given(values=st.lists(st.floats(-3, 3), min_size=2, max_size=6), seed=st.integers(0, 99))
def test_curvature_of_a_quadratic_is_known(values: list[float], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    n = len(values)
    half = torch.randn(n, n, generator=generator, dtype=torch.float64)
    hessian = half + half.T
    weight = nn.Parameter(torch.tensor(values, dtype=torch.float64))
    squared, curvature = monitor.conditioning(lambda: weight @ hessian @ weight / 2, [weight])
    gradient = (hessian @ weight).detach()
    assert squared == pytest.approx(float(gradient @ gradient), rel=1e-9, abs=1e-12)
    assert curvature == pytest.approx(float(gradient @ hessian @ gradient), rel=1e-9, abs=1e-9)


def test_curvature_of_a_network_is_that_of_finite_differences() -> None:
    network = tiny_network().double().eval()
    network.freeze({"three", HEAD})
    network.eval()
    x, y = drawn_pictures(6)
    trained = monitor.trained(network)

    def gradient() -> list[torch.Tensor]:
        return list(torch.autograd.grad(nn.functional.cross_entropy(network(x), y), trained))

    squared, curvature = monitor.conditioning(lambda: nn.functional.cross_entropy(network(x), y), trained)
    base = gradient()
    step = 1e-5
    with torch.no_grad():
        for parameter, each in zip(trained, base, strict=True):
            parameter += step * each
    moved = gradient()
    expected = sum(float((g * (m - g)).sum()) for g, m in zip(base, moved, strict=True)) / step
    assert squared == pytest.approx(sum(float((g**2).sum()) for g in base))
    assert curvature == pytest.approx(expected, rel=1e-3)


def test_a_loss_that_is_linear_has_no_curvature() -> None:
    weight = nn.Parameter(torch.ones(2))
    assert monitor.conditioning(lambda: (weight * torch.tensor([3.0, 4.0])).sum(), [weight]) == (25.0, 0.0)


def test_attention_has_a_second_derivative() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = torch.randn(2, 3, 8)
    squared, curvature = monitor.conditioning(lambda: layer(x).pow(3).mean(), list(layer.parameters()))
    assert squared > 0
    assert curvature != 0


def test_measuring_leaves_no_trace() -> None:
    network = tiny_network()
    network.freeze({"three", HEAD})
    x, y = drawn_pictures(8)
    losses.cross_entropy(network(x), y).backward()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    gradients = [None if p.grad is None else p.grad.clone() for p in network.parameters()]
    modes = [part.training for part in network.modules()]
    state = torch.get_rng_state()
    found = monitor.measure(network, losses.loss(Settings()), x, y)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        assert (parameter.grad is None) == (gradient is None)
        assert gradient is None or torch.equal(parameter.grad, gradient)
    assert [part.training for part in network.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(part._forward_hooks for part in network.modules())
    assert json.loads(json.dumps(found)).keys() == {"dead", "squared_gradient", "curvature"}
    assert found == monitor.measure(network, losses.loss(Settings()), x, y)
