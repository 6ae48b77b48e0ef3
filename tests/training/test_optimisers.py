"""Optimisers by name: one step of each against its formula, groups, weight decay; rates by block."""

from __future__ import annotations

import itertools
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import OptionError
from headstart.training import optimisers
from headstart.training.plan import Optimiser, Settings

NAMES = get_args(Optimiser)
GRADIENT = torch.tensor([0.5, -2.0])


def stepped(name: Any, steps: int = 1, **more: Any) -> torch.Tensor:
    """Where [1, 1] gets under a constant gradient, at the rate 0.1 and without decay."""
    weight = torch.nn.Parameter(torch.ones(2))
    chosen = Settings(optimiser=name, **{"weight_decay": 0.0, **more})
    optimiser = optimisers.build(chosen, [{"params": [weight], "lr": 0.1, "name": "head"}])
    for _ in range(steps):
        weight.grad = GRADIENT.clone()
        optimiser.step()
    return weight.detach()


@pytest.mark.parametrize("name", NAMES)
def test_every_optimiser_goes_down(name: Any) -> None:
    weight = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    optimiser = optimisers.build(Settings(optimiser=name), [{"params": [weight], "lr": 0.05, "name": "head"}])
    for _ in range(200):
        optimiser.zero_grad()
        (weight**2).sum().backward()
        optimiser.step()
    assert float((weight**2).sum().detach()) < 13 * 0.5


def test_sgd_with_momentum() -> None:
    expected = torch.ones(2) - 0.1 * GRADIENT - 0.1 * (1 + 0.9) * GRADIENT
    torch.testing.assert_close(stepped("sgd", steps=2), expected)


def test_nesterov_looks_ahead() -> None:
    expected = torch.ones(2) - 0.1 * (GRADIENT + 0.9 * GRADIENT)
    torch.testing.assert_close(stepped("nesterov"), expected)


def test_without_momentum_nesterov_is_plain_descent() -> None:
    torch.testing.assert_close(stepped("nesterov", momentum=0.0), torch.ones(2) - 0.1 * GRADIENT)


@pytest.mark.parametrize("name", ["adam", "adamw", "adagrad"])
def test_the_first_step_is_the_rate_whatever_the_gradient(name: Any) -> None:
    torch.testing.assert_close(stepped(name), torch.ones(2) - 0.1 * GRADIENT.sign())


def test_adam_is_the_papers_after_two_steps() -> None:
    first, second, weight = torch.zeros(2), torch.zeros(2), torch.ones(2)
    for step in (1, 2):
        first = 0.9 * first + 0.1 * GRADIENT
        second = 0.999 * second + 0.001 * GRADIENT**2
        weight = weight - 0.1 * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-7)
    torch.testing.assert_close(stepped("adam", steps=2), weight)


def test_adagrad_slows_down() -> None:
    torch.testing.assert_close(stepped("adagrad", 2), torch.ones(2) - 0.1 * GRADIENT.sign() * (1 + 2**-0.5))


def test_rmsprop_divides_by_the_running_size() -> None:
    expected = torch.ones(2) - 0.1 * GRADIENT / (0.1 * GRADIENT**2).sqrt()
    torch.testing.assert_close(stepped("rmsprop"), expected)


def test_adamw_shrinks_by_itself_and_the_others_through_the_gradient() -> None:
    for name, expected in (("adamw", 0.5 * (1 - 0.1 * 0.2)), ("sgd", 0.5 - 0.1 * 0.2 * 0.5)):
        weight = torch.nn.Parameter(torch.tensor([0.5]))
        chosen: Any = Settings(optimiser=name, weight_decay=0.2)  # type: ignore[arg-type]
        optimiser = optimisers.build(chosen, [{"params": [weight], "lr": 0.1, "name": "head"}])
        weight.grad = torch.zeros(1)
        optimiser.step()
        assert weight.item() == pytest.approx(expected)


@pytest.mark.parametrize("name", NAMES)
def test_groups_keep_their_names_rates_and_decay(name: Any) -> None:
    a, b = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1))
    groups = [
        {"params": [a], "lr": 1e-3, "name": "block5"},
        {"params": [b], "lr": 1e-2, "name": "head", "weight_decay": 0.0},
    ]
    optimiser = optimisers.build(Settings(optimiser=name, weight_decay=0.3), groups)
    kept = [(group["name"], group["lr"], group["weight_decay"]) for group in optimiser.param_groups]
    assert kept == [("block5", 1e-3, 0.3), ("head", 1e-2, 0.0)]
    assert groups[0].keys() == {"params", "lr", "name"}  # what was given is left alone


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_state_goes_on_bit_for_bit(name: Any) -> None:
    def made() -> tuple[torch.nn.Parameter, torch.optim.Optimizer]:
        weight = torch.nn.Parameter(torch.linspace(-1, 1, 7))
        return weight, optimisers.build(
            Settings(optimiser=name), [{"params": [weight], "lr": 0.05, "name": "head"}]
        )

    def run(weight: torch.nn.Parameter, optimiser: torch.optim.Optimizer, steps: int) -> None:
        for _ in range(steps):
            weight.grad = torch.sin(weight.detach() * 3)
            optimiser.step()

    whole, optimiser = made()
    run(whole, optimiser, 6)
    first, optimiser = made()
    run(first, optimiser, 3)
    second, other = made()
    second.data.copy_(first.data)
    other.load_state_dict(optimiser.state_dict())
    run(second, other, 3)
    assert torch.equal(whole, second)


@pytest.mark.parametrize("groups", [[], [{"params": [], "lr": 0.1, "name": "head"}]])
def test_nothing_to_train_is_an_error(groups: list[dict[str, Any]]) -> None:
    with pytest.raises(OptionError, match="at least one weight"):
        optimisers.build(Settings(), groups)


@settings(deadline=None, max_examples=30)
@given(
    peak=st.floats(1e-6, 1),
    decay=st.floats(0.05, 1),
    names=st.lists(st.text(min_size=1), min_size=1, unique=True),
)
def test_rates_fall_towards_the_input(peak: float, decay: float, names: list[str]) -> None:
    rates = optimisers.discriminative(peak, names, decay)
    values = list(rates.values())
    assert list(rates) == names
    assert values[-1] == peak
    assert all(early == pytest.approx(late * decay) for early, late in itertools.pairwise(values))


@pytest.mark.parametrize(
    ("peak", "decay"), [(0.0, 0.5), (-1.0, 0.5), (float("nan"), 0.5), (1.0, 0.0), (1.0, 1.5)]
)
def test_rates_outside_the_range(peak: float, decay: float) -> None:
    with pytest.raises(OptionError):
        optimisers.discriminative(peak, ["head"], decay)
