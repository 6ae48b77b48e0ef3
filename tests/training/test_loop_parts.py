"""Small parts of the loop: the clock, precision, validation, random numbers."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from toy_training import LATE, Pictures, toy_network, toy_pictures, toy_plan

from headstart.training import precision
from headstart.training.clock import Clock
from headstart.training.losses import loss
from headstart.training.network import bind
from headstart.training.plan import Settings
from headstart.training.precision import mixed
from headstart.training.reproducible import reproducible, seed_torch
from headstart.training.validation import answers, ready, scores

PLAIN = loss(Settings())


@settings(deadline=None, max_examples=60)
@given(
    left=st.floats(-5, 50),
    steps=st.lists(st.floats(0, 5), max_size=12),
    validation=st.none() | st.floats(0, 20),
    saving=st.floats(0, 3),
    share=st.floats(0, 10),
)
def test_the_clock_allows_a_step_only_if_all_that_follows_fits(
    left: float, steps: list[float], validation: float | None, saving: float, share: float
) -> None:
    now = 100.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now)
        clock = Clock(now + left, share)
        for seconds in steps:
            clock.step(seconds)
        if validation is not None:
            clock.validated(validation)
        clock.saving = saving
        slowest = max(steps[-8:], default=0.0)
        needed = slowest + (validation if validation is not None else slowest * share) + saving
        if clock.fits():
            assert needed <= left
        else:
            assert needed * 1.2 >= left - 1e-9
        assert clock.fits() or not clock.fits(2)


def test_without_a_deadline_everything_fits() -> None:
    clock = Clock(None, 1e9)
    clock.step(1e9)
    assert clock.fits(99)


class Depthwise(nn.Module):
    """A pointwise convolution, and depthwise ones with small and large kernels and with a stride."""

    def __init__(self) -> None:
        super().__init__()
        self.point = nn.Conv2d(4, 8, 1)
        self.small = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.large = nn.Conv2d(8, 8, 5, padding=2, groups=8)
        self.strided = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        point = self.point(x)
        small = self.small(point)
        large = self.large(small)
        return [point, small, large, self.strided(large)]


@pytest.mark.parametrize(
    ("wanted", "hardware", "kinds"),
    [
        ("bf16", True, [torch.bfloat16] * 2 + [torch.float32] * 2),
        ("bf16", False, [torch.float32] * 4),
        ("fp32", True, [torch.float32] * 4),
    ],
)
def test_each_layer_computes_in_what_is_faster(
    monkeypatch: pytest.MonkeyPatch, wanted: str, hardware: bool, kinds: list[torch.dtype]
) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda: hardware)
    network = Depthwise()
    before = {name: type(part) for name, part in network.named_modules()}
    x = torch.rand(2, 4, 9, 9)
    plain = network(x)[-1]
    with mixed(network, wanted) as autocast:  # type: ignore[arg-type]
        with autocast():
            outputs = network(x)
        copied = copy.deepcopy(network.state_dict())
        outputs[-1].sum().backward()
    assert [output.dtype for output in outputs] == kinds
    torch.testing.assert_close(outputs[-1].float(), plain, atol=0.05, rtol=0.05)
    assert {name: type(part) for name, part in network.named_modules()} == before
    assert all(weight.dtype == torch.float32 for weight in copied.values())
    assert all(weight.grad.dtype == torch.float32 for weight in network.parameters())  # type: ignore[union-attr]


def test_a_network_is_put_back_even_after_an_error() -> None:
    network = Depthwise()
    with pytest.raises(ZeroDivisionError), mixed(network, "bf16"):
        raise ZeroDivisionError
    assert type(network.large) is nn.Conv2d


@pytest.mark.parametrize(
    ("make", "kind", "last"),
    [
        (lambda: torch.zeros(2, 8, 8, 3, dtype=torch.uint8), torch.uint8, False),
        (lambda: torch.zeros(2, 5, 8, 8, dtype=torch.float16), torch.float32, True),
        (lambda: torch.zeros(2, 7, 5), torch.float32, False),
        (lambda: torch.zeros(2, 7), torch.float32, False),
    ],
)
def test_batches_are_made_ready(make: Callable[[], torch.Tensor], kind: torch.dtype, last: bool) -> None:
    x = ready(make(), torch.device("cpu"))
    assert x.dtype == kind
    assert x.shape == make().shape
    if last:
        assert x.is_contiguous(memory_format=torch.channels_last)


def test_answers_are_plain_and_do_not_depend_on_the_batch() -> None:
    plan = toy_plan(LATE)
    network = toy_network(plan)
    bind(network, plan, LATE)
    before = copy.deepcopy(network.state_dict())
    pixels, _ = toy_pictures(20)
    inputs, items = Pictures(pixels, 0), np.array([7, 3, 11, 19, 0])
    found = []
    with mixed(network, "fp32") as autocast:
        for batch in (1, 2, 5, 64):
            found.append(answers(network, inputs, items, batch, autocast, torch.device("cpu")))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0])
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert {epoch for _, epoch in inputs.asked} == {None}
    assert not found[0].requires_grad


def test_scores_of_each_kind_of_target() -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 1.0], [3.0, -3.0]])
    classes = torch.tensor([0, 1, 1])
    assert scores(PLAIN, logits, classes, binary=False)["val_accuracy"] == pytest.approx(2 / 3)
    soft = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2]])
    assert scores(PLAIN, logits, soft, binary=False)["val_accuracy"] == pytest.approx(2 / 3)
    binary = loss(Settings(loss="binary"))
    labels = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    assert scores(binary, logits, labels, binary=True)["val_accuracy"] == pytest.approx(4 / 6)
    assert scores(binary, logits, classes, binary=True)["val_accuracy"] == pytest.approx(2 / 3)
    numbers = scores(
        loss(Settings(loss="mae")), torch.tensor([[1.0], [5.0]]), torch.tensor([1.0, 1.0]), False
    )
    assert numbers == {"val_loss": 2.0, "val_rmse": pytest.approx(8**0.5)}


def test_random_numbers_start_at_a_place_of_their_own() -> None:
    with torch.random.fork_rng():
        found = set()
        for key in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (-2, 0, 0)):
            seed_torch(key)
            found.add(torch.rand(1).item())
        assert len(found) == 5


def test_settings_of_torch_are_put_back_after_an_error() -> None:
    def fail() -> None:
        with reproducible(torch.device("cpu")):
            torch.rand(3)
            assert torch.are_deterministic_algorithms_enabled()
            raise ZeroDivisionError

    torch.use_deterministic_algorithms(False)
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError):
        fail()
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_that_is_too_sure_but_right_more_often_is_the_better_one() -> None:
    truth = torch.tensor([0, 1] * 10)
    sure = torch.nn.functional.one_hot(truth, 2) * 20.0
    sure[:2] = sure[:2].flip(1)  # two of twenty wrong, as surely as the others are right
    modest = torch.nn.functional.one_hot(truth, 2) * 1.0
    modest[:5] = modest[:5].flip(1)
    assert PLAIN(sure, truth) > PLAIN(modest, truth)
    assert scores(PLAIN, sure, truth, False)["val_loss"] < scores(PLAIN, modest, truth, False)["val_loss"]
    # Never made surer than it is: a few items that are all right would otherwise cost nothing.
    right = torch.nn.functional.one_hot(truth, 2) * 1.0
    assert scores(PLAIN, right, truth, False)["val_loss"] == pytest.approx(float(PLAIN(right, truth)))
