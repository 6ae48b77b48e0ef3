"""Texts behind the frozen blocks: what is stored is what the loop would compute, passage by passage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from headstart import backbones
from headstart.backbones.text_backbone import TextBackbone
from headstart.data.items import Dataset, Item
from headstart.engines.torch_engine import TorchEngine
from headstart.training.data import TrainingData
from headstart.training.loop import train
from headstart.training.network import Network, make_head
from headstart.training.plan import HEAD, Phase, Plan, Settings
from headstart.training.tokens import Passages, TokenInputs
from headstart.transfer.boundary import BoundaryInputs, boundary_inputs, row_bytes
from headstart.transfer.cost import measure
from headstart.transfer.store import FeatureStore
from toy_texts import NAME, ToyText, written

SIZE, EPOCHS, PLAIN = 32, 4, 3
TRAIN, VAL = np.arange(0, 24, 2), np.arange(1, 24, 2)
IN_TORCH = {"engine": "torch", "precision": "fp32", "progress": False}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeatureStore]:
    with FeatureStore(tmp_path / "store") as opened:
        yield opened


def texts() -> Dataset:
    items = [Item(f"{n}.txt", written(("good", "bad")[n // 2 % 2], n, 1 + 4 * (n % 3))) for n in range(24)]
    return Dataset(tuple(items), "text")


def toy() -> TextBackbone:
    found = backbones.load(NAME, offline=True).at(SIZE)
    assert isinstance(found, TextBackbone)
    return found


def trained(store: FeatureStore | None, storage: str = "float32") -> tuple[Network, list[float]]:
    """Train the last two layers on token numbers, or on what is stored behind the first."""
    phase = Phase("late", EPOCHS, {"layer2": 2e-3, "layer3": 2e-3, HEAD: 1e-2})
    settings = Settings(batch=5, precision="fp32")
    plan = Plan("fine-tune-late", NAME, "layer3", SIZE, (phase,), settings=settings, seed=2, modality="text")
    network = Network(toy(), make_head(plan, 16, 2))
    passages = Passages(texts().items, network.backbone.card.preprocess)  # type: ignore[arg-type]

    def inputs(phase: Phase) -> TokenInputs | BoundaryInputs:
        if store is None:
            return TokenInputs(passages, plan.seed, PLAIN)
        return boundary_inputs(
            texts(), store, network.backbone, "layer1", train=TRAIN, val=VAL, views=EPOCHS, plain=PLAIN,
            seed=plan.seed, storage=storage, **IN_TORCH,
        )  # fmt: skip

    y = np.arange(24) // 2 % 2
    found = train(network, plan, TrainingData(inputs, y, TRAIN, VAL, 2, "texts"), progress=False)
    return network, [line["val_loss"] for line in found.history if "val_loss" in line]


@pytest.mark.parametrize(("storage", "tolerance"), [("float32", 1e-4), ("float16", 5e-2)])
def test_training_on_stored_passages_is_training_in_the_loop(
    toy_text: ToyText, store: FeatureStore, storage: str, tolerance: float
) -> None:
    expected, losses = trained(None)
    found, stored = trained(store, storage)
    np.testing.assert_allclose(stored, losses, rtol=tolerance)
    before = toy().state_dict()
    moved, apart = 0.0, 0.0
    for name, tensor in expected.backbone.state_dict().items():
        moved = max(moved, float((tensor - before[name]).abs().max()))
        apart = max(apart, float((tensor - found.backbone.state_dict()[name]).abs().max()))
    assert apart < tolerance * 10 * moved, "the weights differ"
    assert moved > 1e-3, "nothing was learned"


def test_rows_are_as_long_as_the_longest_passage(toy_text: ToyText, store: FeatureStore) -> None:
    network = toy()
    found = boundary_inputs(
        texts(), store, network, "layer1", train=TRAIN, val=VAL, views=2, plain=2, **IN_TORCH
    )
    assert found.start == "layer2"
    assert found.shape == (SIZE, 17)
    short = np.array([n for n in TRAIN if n % 3 == 0])
    assert found.batch(short, 0).shape == (len(short), 16, 17)
    assert found.batch(TRAIN, 0).shape == (len(TRAIN), SIZE, 17)
    assert found.batch(VAL, None).shape == (2 * len(VAL), SIZE, 17)
    assert torch.equal(found.batch(TRAIN, 0), found.batch(TRAIN, 2))
    assert row_bytes(network, "layer1") == 2 * SIZE * 17
    ids = TokenInputs(Passages(texts().items, network.spec), 0).batch(short, 1)
    with torch.inference_mode():
        expected = network.run_blocks(ids.long(), stop="layer1")
    torch.testing.assert_close(found.batch(short, 1), expected, atol=2e-3, rtol=1e-2)


def test_openvino_stores_the_same(toy_text: ToyText, store: FeatureStore) -> None:
    options = {"train": TRAIN, "val": VAL, "views": 1, "precision": "fp32", "progress": False}
    for stop in ("embeddings", "layer2", "layer3"):
        a, b = (
            boundary_inputs(texts(), store, toy(), stop, engine=engine, **options)
            for engine in ("torch", "openvino")
        )
        torch.testing.assert_close(a.batch(TRAIN, 0), b.batch(TRAIN, 0), atol=2e-3, rtol=1e-2)


def test_behind_the_last_block_are_features_of_passages(toy_text: ToyText, store: FeatureStore) -> None:
    found = boundary_inputs(
        texts(), store, toy(), "layer3", train=TRAIN, val=VAL, views=1, plain=2, **IN_TORCH
    )
    assert (found.start, found.shape) == (HEAD, (16,))
    assert found.batch(VAL, None).shape == (2 * len(VAL), 16)


def test_costs_are_of_passages(toy_text: ToyText) -> None:
    network = toy()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    cost, inputs = measure(texts(), network, lambda: TorchEngine(network, "fp32", "cpu"))
    assert inputs.ndim == 2
    assert cost.passages is not None
    assert 1 < cost.passages < 4
    assert set(cost.train) == set(network.card.blocks)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    plan = Plan("fine-tune-all", NAME, "layer3", SIZE, (Phase("all", 4, {"layer3": 1e-4, HEAD: 1e-3}),))
    assert (
        cost.minutes(plan, 1000)
        < cost.minutes(plan, 1000, 500)
        < cost.minutes(plan.replace(size=64), 1000, 500)
    )
    # A passage twice as long costs twice as much, a text in such passages the same.
    twice = replace(cost, size=16)
    assert twice.minutes(plan, 1000) > cost.minutes(plan, 1000)
