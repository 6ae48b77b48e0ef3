"""The running average: its formula, warm-up, swapping in and out, storing."""

from __future__ import annotations

import contextlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from headstart.errors import OptionError
from headstart.training.averaging import Average


@settings(deadline=None, max_examples=30)
@given(values=st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=30), decay=st.floats(0, 0.999))
def test_it_is_the_formula_with_a_decay_that_warms_up(values: list[float], decay: float) -> None:
    live = torch.zeros(2)
    average = Average({"w": live}, decay)
    expected = 0.0
    for n, value in enumerate(values):
        live.fill_(value)
        average.update()
        kept = min(decay, (1 + n) / (10 + n))
        expected = kept * expected + (1 - kept) * value
    assert average.state()["average.w"].tolist() == pytest.approx([expected] * 2, abs=1e-4)
    assert min(0.0, *values) - 1e-4 <= expected <= max(0.0, *values) + 1e-4


def test_it_soon_forgets_the_first_weights() -> None:
    live = torch.full((1,), 100.0)
    average = Average({"w": live}, 0.999)
    live.zero_()
    for _ in range(30):
        average.update()
    assert average.state()["average.w"].item() < 1  # a decay of 0.999 from the start would leave 97


def test_what_does_not_move_is_its_own_average() -> None:
    live = torch.randn(100)
    average = Average({"w": live}, 0.9)
    for _ in range(20):
        average.update()
    assert torch.equal(average.state()["average.w"], live)


def test_only_what_is_trained_is_averaged() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
    network.train()
    for frozen in network[:2]:
        frozen.requires_grad_(False).eval()
    kept = {name.removeprefix("average.") for name in Average.of(network, 0.9).state()} - {"updates"}
    assert kept == {"2.weight", "2.bias", "3.weight", "3.bias", "3.running_mean", "3.running_var"}


def test_it_is_swapped_in_and_out_bit_for_bit() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).train()
    average = Average.of(network, 0.5)
    x = torch.randn(8, 3)
    for _ in range(3):
        network(x)
        with torch.no_grad():
            network[0].weight.mul_(2)
        average.update()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with average.applied():
        assert torch.equal(network[0].weight, average.state()["average.0.weight"])
        assert not torch.equal(network[0].weight, before["0.weight"])
        assert not torch.equal(network[1].running_mean, before["1.running_mean"])
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    with contextlib.suppress(ZeroDivisionError), average.applied():
        _ = 1 / 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert network[0].weight.requires_grad


def test_a_stored_average_goes_on_bit_for_bit() -> None:
    def steps(live: torch.Tensor, average: Average, count: int) -> None:
        for _ in range(count):
            live.mul_(0.9).add_(0.3)
            average.update()

    whole = torch.ones(5)
    expected = Average({"w": whole}, 0.99)
    steps(whole, expected, 9)
    first = torch.ones(5)
    average = Average({"w": first}, 0.99)
    steps(first, average, 4)
    second = first.clone()
    resumed = Average({"w": second}, 0.99)
    resumed.load_state({name: tensor.clone() for name, tensor in average.state().items()})
    steps(second, resumed, 5)
    assert torch.equal(resumed.state()["average.w"], expected.state()["average.w"])
    assert resumed.updates == 9


def test_the_average_of_other_weights_is_refused() -> None:
    state = Average({"a": torch.ones(1)}, 0.9).state()
    with pytest.raises(OptionError, match="same weights"):
        Average({"b": torch.ones(1)}, 0.9).load_state(state)


def test_it_follows_noise_less_than_the_weights_do() -> None:
    generator = torch.Generator().manual_seed(0)
    live = torch.zeros(500)
    average = Average({"w": live}, 0.95)
    for _ in range(200):
        live.copy_(torch.randn(500, generator=generator))
        average.update()
    assert average.state()["average.w"].std() < 0.25
