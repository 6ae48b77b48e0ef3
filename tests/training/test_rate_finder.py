"""The learning-rate finder: it finds a rate that learns, and leaves no trace."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_network import drawn_pictures, tiny_network

from headstart.errors import OptionError
from headstart.training import losses, optimisers
from headstart.training.plan import Settings
from headstart.training.rate_finder import RateCurve, find

pytestmark = pytest.mark.usefixtures("one_thread")


def batches(count: int = 6) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [drawn_pictures(12, seed=seed) for seed in range(count)]


def trained_loss(rate: float, settings: Settings) -> float:
    network = tiny_network().train()
    optimiser = optimisers.build(settings, [{"params": [*network.parameters()], "lr": rate, "name": "all"}])
    criterion = losses.loss(settings)
    value = math.inf
    for x, y in batches() * 4:
        optimiser.zero_grad()
        loss = criterion(network(x), y)
        loss.backward()
        optimiser.step()
        value = loss.item()
    return value if math.isfinite(value) else math.inf


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_the_suggestion_learns(name: Any) -> None:
    settings = Settings(optimiser=name, clip=0)
    curve = find(tiny_network().train(), settings, batches(), lowest=1e-5, highest=30.0)
    found = trained_loss(curve.suggestion, settings)
    assert found < 0.8 * math.log(3)
    assert found < trained_loss(curve.suggestion / 300, settings)  # not timid
    assert list(curve.rates) == sorted(curve.rates)
    assert len(curve.rates) == len(curve.losses)
    assert curve.rates[0] <= curve.suggestion < curve.rates[-1]


def test_the_network_and_all_chance_are_left_as_they_were() -> None:
    network = tiny_network()
    network.freeze({"three", "new-head"})
    modes = [part.training for part in network.modules()]
    x, y = drawn_pictures(12)
    losses.cross_entropy(network(x), y).backward()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    gradients = [None if p.grad is None else p.grad.clone() for p in network.parameters()]
    state = torch.get_rng_state()
    find(network, Settings(), batches(), highest=100.0)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert [part.training for part in network.modules()] == modes
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        assert (parameter.grad is None) == (gradient is None)
        assert gradient is None or torch.equal(parameter.grad, gradient)


def test_the_same_chance_gives_the_same_curve() -> None:
    curves = []
    for _ in range(2):
        network = tiny_network().train()
        torch.manual_seed(5)
        curves.append(find(network, Settings(), batches(), steps=30))
    assert curves[0] == curves[1]


def test_it_stops_where_the_loss_blows_up() -> None:
    curve = find(tiny_network().train(), Settings(optimiser="sgd", clip=0), batches(), highest=1e6)
    assert len(curve.rates) < 100
    assert curve.rates[-1] < 1e6
    assert all(math.isfinite(loss) for loss in curve.losses)
    assert max(curve.losses[5:]) <= 4 * min(curve.losses)


def test_groups_keep_their_proportions() -> None:
    network = tiny_network().train()
    body = list(network.backbone.blocks.parameters())
    groups = [
        {"params": body, "lr": 1e-5, "name": "body"},
        {"params": list(network.head.parameters()), "lr": 1e-3, "name": "head"},
    ]
    seen: list[list[float]] = []
    original = torch.optim.AdamW.step

    def watched(self: torch.optim.AdamW, *arguments: Any) -> Any:
        seen.append([group["lr"] for group in self.param_groups])
        return original(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", watched)
        curve = find(network, Settings(), batches(), groups=groups, steps=20)
    assert [head for _, head in seen] == pytest.approx(list(curve.rates)[: len(seen)])
    assert all(body == pytest.approx(head / 100) for body, head in seen)
    assert groups[0]["lr"] == 1e-5


def test_from_a_block_on() -> None:
    network = tiny_network().train()
    x, y = drawn_pictures(12)
    with torch.no_grad():
        middle = network.backbone.run_blocks(network.backbone.normalise(x), stop="one")
    assert find(network, Settings(), [(middle, y)], start="two", steps=10).rates


def test_one_batch_is_enough_and_a_generator_will_do() -> None:
    network = tiny_network().train()
    assert len(find(network, replace(Settings(), clip=1.0), iter(batches(1)), steps=7).rates) == 7


@pytest.mark.parametrize(
    "wrong", [{"lowest": 0.0}, {"lowest": 2.0}, {"steps": 1}, {"highest": -1.0}], ids=str
)
def test_rates_outside_the_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="rising"):
        find(tiny_network(), Settings(), batches(), **wrong)


def test_nothing_to_learn_from() -> None:
    network = tiny_network().train()
    with pytest.raises(OptionError, match="finite loss"):
        find(network, Settings(), [])
    x, y = drawn_pictures(6)
    with torch.no_grad():
        network.head[1].weight.fill_(float("nan"))
    with pytest.raises(OptionError, match="finite loss"):
        find(network, Settings(), [(x, y)])
    assert network.head[1].weight.isnan().all()


def test_the_picture_has_its_numbers_behind_it() -> None:
    page = RateCurve((1e-4, 1e-3, 1e-2), (1.0, 0.5, 2.0), 1e-4).picture()
    assert "<svg" in page
    assert "1.0e-04" in page
    assert page.count("<tr>") == 4
