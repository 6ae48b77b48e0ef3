"""The cost of a plan: measured without a trace, and larger for whoever does more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_backbone import BLOCKS, toy_backbone

from headstart.data.items import Dataset, Item
from headstart.engines.torch_engine import TorchEngine
from headstart.errors import DataError
from headstart.images.augmentation import LIGHT
from headstart.training.plan import HEAD, Phase, Plan
from headstart.transfer.cost import SAMPLE, Cost, measure

COST = Cost(
    size=224,
    decode=1e-3,
    augment=1e-3,
    infer=4e-3,
    forward={"first": 2e-3, "second": 2e-3, "third": 4e-3},
    train={"first": 8e-3, "second": 8e-3, "third": 16e-3},
    probe=1e-4,
)


def tuned(*blocks: str, epochs: int = 8, views: int = 0, size: int = 224) -> Plan:
    rates = dict.fromkeys((*blocks, HEAD), 1e-3)
    return Plan("fine-tune-late", "toy", "third", size, (Phase("p", epochs, rates, LIGHT, views),))


def test_a_probe_costs_a_pass_and_a_head() -> None:
    seconds = 60 * COST.minutes(Plan("freeze-all", "toy", "third", 224), 1000)
    assert seconds == pytest.approx(15 + 1000 * 5.1e-3)


def test_everything_in_the_loop_by_hand() -> None:
    """In an epoch: items are distorted and trained on, val is looked at."""
    seconds = 60 * COST.minutes(tuned(*BLOCKS, epochs=3), 1000, val=100)
    probe = 15 + 1100 * 5.1e-3
    epochs = 3 * (1000 * (32e-3 + 1e-3) * 1.1 + 100 * 8e-3)
    assert seconds == pytest.approx(probe + 1100 * 1e-3 + epochs)


@settings(deadline=None, max_examples=40)
@given(
    items=st.integers(10, 10_000),
    epochs=st.integers(2, 30),
    size=st.sampled_from([64, 96, 128, 160, 192]),
    blocks=st.integers(1, 2),
)
def test_more_work_takes_longer(items: int, epochs: int, size: int, blocks: int) -> None:
    plan = tuned(*BLOCKS[-blocks:], epochs=epochs, size=size)
    minutes = COST.minutes(plan, items)
    assert minutes > COST.minutes(Plan("freeze-all", "toy", "third", size), items)
    assert minutes > COST.minutes(plan, items - 1)
    assert minutes < COST.minutes(tuned(*BLOCKS[-blocks:], epochs=epochs + 1, size=size), items)
    assert minutes < COST.minutes(plan.replace(size=size + 32), items)
    assert minutes < COST.minutes(tuned(*BLOCKS[-blocks - 1 :], epochs=epochs, size=size), items)


def test_cached_views_pay_where_they_are_seen_again() -> None:
    def minutes(views: int) -> float:
        return COST.minutes(tuned("third", epochs=10, views=views), 5000)

    assert minutes(2) < minutes(5) < minutes(0)


def test_cutting_early_costs_a_second_pass() -> None:
    whole, early = Plan("freeze-all", "toy", "third", 224), Plan("cut-early", "toy", "first", 224)
    assert COST.minutes(whole, 1000) < COST.minutes(early, 1000) < 2 * COST.minutes(whole, 1000)


def dataset(n: int) -> Dataset:
    generator = np.random.default_rng(0)
    sources = generator.integers(0, 256, (n, 40, 50, 3), dtype=np.uint8)
    return Dataset(tuple(Item(str(i), source) for i, source in enumerate(sources)), "image")


def test_measuring_leaves_the_network_as_it_was() -> None:
    backbone = toy_backbone()
    backbone.blocks["first"].requires_grad_(False)
    state = {name: value.clone() for name, value in backbone.state_dict().items()}
    cost, pixels = measure(dataset(40), backbone, lambda: TorchEngine(backbone, "fp32", "cpu"))
    assert pixels.shape == (SAMPLE, 32, 32, 3)
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert not any(module.training for module in backbone.modules())
    learning = {name for name, p in backbone.named_parameters() if p.requires_grad}
    assert learning == {name for name, _ in backbone.named_parameters() if "first" not in name}
    assert all(parameter.grad is None for parameter in backbone.parameters())
    assert set(cost.train) == set(cost.forward) == set(BLOCKS)
    figures = (cost.decode, cost.augment, cost.infer, *cost.train.values(), *cost.forward.values())
    assert all(0 < seconds < 1 for seconds in figures)
    shown = cost.to_json()
    assert shown["infer"] == pytest.approx(1000 * cost.infer, abs=1e-3)


def test_few_or_broken_items() -> None:
    backbone = toy_backbone()
    engine = lambda: TorchEngine(backbone, "fp32", "cpu")  # noqa: E731
    some = dataset(3)
    mixed = replace(some, items=(Item("broken", b"none"), *some.items))
    assert len(measure(mixed, backbone, engine)[1]) == 3
    with pytest.raises(DataError, match="readable"):
        measure(replace(some, items=(Item("broken", b"none"),)), backbone, engine)
