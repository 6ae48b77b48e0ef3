"""First weights: variances as in the papers, bounds, and that only seed and name decide."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from headstart.training.initialisation import initialise
from headstart.training.plan import Initialisation

KINDS = get_args(Initialisation)


@settings(deadline=None, max_examples=30)
@given(
    kind=st.sampled_from(KINDS),
    fan=st.sampled_from([(300, 200), (64, 512), (128, 128)]),
    kernel=st.sampled_from([0, 1, 3]),
    seed=st.integers(0, 1000),
)
def test_variances_are_those_of_the_papers(kind: Any, fan: tuple[int, int], kernel: int, seed: int) -> None:
    inputs, outputs = fan
    layer: Any = nn.Linear(inputs, outputs) if kernel == 0 else nn.Conv2d(inputs, outputs, kernel)
    initialise(layer, kind, seed)
    places = max(1, kernel) ** 2
    fan_in, fan_out = inputs * places, outputs * places
    wanted = math.sqrt(2 / (fan_in + fan_out)) if kind.startswith("glorot") else math.sqrt(2 / fan_in)
    weight = layer.weight.detach()
    assert weight.std().item() == pytest.approx(wanted, rel=0.03)
    assert weight.mean().item() == pytest.approx(0, abs=5 * wanted / math.sqrt(weight.numel()))
    largest = weight.abs().max().item() / wanted
    assert largest <= math.sqrt(3) * (1 + 1e-6) if kind.endswith("uniform") else largest > 3


@pytest.mark.parametrize("kind", KINDS)
def test_variances_are_torchs(kind: Any) -> None:
    theirs = {
        "glorot_uniform": nn.init.xavier_uniform_,
        "glorot_normal": nn.init.xavier_normal_,
        "he_uniform": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"),
        "he_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    }[kind]
    layer, other = nn.Conv2d(40, 80, 3), nn.Conv2d(40, 80, 3)
    initialise(layer, kind, 0)
    theirs(other.weight)
    assert layer.weight.std().item() == pytest.approx(other.weight.std().item(), rel=0.03)


def test_a_depthwise_convolution_sees_one_channel() -> None:
    layer = nn.Conv2d(512, 512, 3, groups=512)
    initialise(layer, "glorot_normal", 0)
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / (9 + 9)), rel=0.05)


def test_he_keeps_the_size_of_a_signal_through_twenty_layers() -> None:
    deep = nn.Sequential(*(part for _ in range(20) for part in (nn.Linear(256, 256), nn.ReLU())))
    initialise(deep, "he_normal", 3)
    x = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert 0.3 < deep(x).square().mean().sqrt().item() < 3


class _Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.full((1, 1, 400), 7.0))
        self.gamma = nn.Parameter(torch.full((8,), 7.0))
        self.table = nn.Embedding(50, 8)
        self.norms = nn.ModuleList([nn.BatchNorm2d(8), nn.LayerNorm(8), nn.GroupNorm(2, 8)])


def test_norms_start_anew_and_tokens_are_small() -> None:
    network = _Odd()
    batch: Any = network.norms[0]
    batch(torch.randn(4, 8, 2, 2) * 9 + 5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(7)
    initialise(network, "he_normal", 0)
    for norm in network.norms:
        assert norm.weight.tolist() == [1] * 8
        assert norm.bias.tolist() == [0] * 8
    assert batch.running_mean.tolist() == [0] * 8
    assert batch.running_var.tolist() == [1] * 8
    assert batch.num_batches_tracked.item() == 0
    assert network.gamma.tolist() == [1] * 8
    assert network.token.std().item() == pytest.approx(0.02, rel=0.15)
    assert network.table.weight.std().item() == pytest.approx(0.02, rel=0.15)


def test_only_seed_and_name_decide() -> None:
    def made(*names: str) -> dict[str, torch.Tensor]:
        network = nn.ModuleDict({name: nn.Linear(6, 5) for name in names})
        initialise(network, "he_uniform", 5)
        return {name: tensor.clone() for name, tensor in network.state_dict().items()}

    forwards, backwards, more = made("a", "b"), made("b", "a"), made("a", "c", "b")
    torch.manual_seed(99)
    again = made("a", "b")
    for name, tensor in forwards.items():
        assert torch.equal(tensor, backwards[name])
        assert torch.equal(tensor, more[name])
        assert torch.equal(tensor, again[name])
    assert not torch.equal(forwards["a.weight"], forwards["b.weight"])
    other = nn.ModuleDict({"a": nn.Linear(6, 5)})
    initialise(other, "he_uniform", 6)
    assert not torch.equal(other.state_dict()["a.weight"], forwards["a.weight"])


def test_chance_elsewhere_is_left_alone() -> None:
    layer = nn.Conv2d(2, 2, 3)
    before = torch.get_rng_state()
    initialise(layer, "glorot_normal", 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_low_precision_weights_keep_their_type() -> None:
    layer = nn.Linear(64, 64).to(torch.bfloat16)
    initialise(layer, "he_normal", 0)
    assert layer.weight.dtype == torch.bfloat16
    assert layer.weight.requires_grad
