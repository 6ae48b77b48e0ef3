"""A network, its optimiser and its average, as they are kept between two runs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from headstart.errors import OptionError
from headstart.training.averaging import Average
from headstart.training.learner import check_options, learner_state, load_learner


def learner(seed: int) -> tuple[nn.Linear, torch.optim.Adam, Average]:
    torch.manual_seed(seed)
    network = nn.Linear(3, 2)
    return network, torch.optim.Adam(network.parameters(), lr=0.1), Average.of(network, 0.9)


def step(network: nn.Linear, optimiser: torch.optim.Adam, average: Average, place: int) -> None:
    optimiser.zero_grad()
    network(torch.full((4, 3), float(place))).square().sum().backward()
    optimiser.step()
    average.update()


def test_what_is_put_back_goes_on_alike() -> None:
    whole = learner(0)
    for place in range(4):
        step(*whole, place)
    half = learner(0)
    for place in range(2):
        step(*half, place)
    kept = {name: tensor.clone() for name, tensor in learner_state(*half).items()}
    other = learner(1)
    load_learner(kept, *other)
    for place in range(2, 4):
        step(*other, place)
    wanted, found = learner_state(*whole), learner_state(*other)
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


@pytest.mark.parametrize(
    ("found", "mine", "named"),
    [({"a": 1, "b": 2}, {"a": 1, "b": 3}, "another b"), ({"a": 1}, {"a": 2, "c": 0}, "another a, c")],
)
def test_other_options_are_named(found: dict[str, int], mine: dict[str, int], named: str) -> None:
    with pytest.raises(OptionError, match=named):
        check_options(found, mine)
