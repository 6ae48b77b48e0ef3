"""Texts in the training loop: a passage in each epoch, several where it is checked, stopped and resumed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from headstart import backbones
from headstart.backbones.text_backbone import TextBackbone
from headstart.data.items import Item
from headstart.errors import DecodeError, OptionError
from headstart.training.data import Trained, TrainingData
from headstart.training.loop import train
from headstart.training.network import Network, make_head
from headstart.training.plan import HEAD, Phase, Plan, Settings
from headstart.training.tokens import Passages, TokenInputs
from headstart.training.validation import answers
from toy_texts import NAME, ToyText, written

SIZE = 16
COUNT = 24
LATE = Phase("late", 2, {"layer3": 0.002, HEAD: 0.01})
ALL = Phase("all", 3, {"embeddings": 1e-3, "layer1": 1e-3, "layer2": 1e-3, "layer3": 2e-3, HEAD: 5e-3})


def texts() -> list[Item]:
    """Of one to three passages."""
    return [
        Item(f"{n}.txt", written(("good", "bad")[n % 2], n, sentences=1 + 2 * (n % 3)), None)
        for n in range(COUNT)
    ]


def toy(size: int = SIZE) -> TextBackbone:
    found = backbones.load(NAME, offline=True).at(size)
    assert isinstance(found, TextBackbone)
    return found


@pytest.fixture
def passages(toy_text: ToyText) -> Passages:
    return Passages(texts(), toy().spec)


def test_an_epoch_shows_a_passage_of_each_text(passages: Passages) -> None:
    inputs = TokenInputs(passages, seed=4)
    items = np.arange(COUNT)
    assert passages.most(items) > 2
    for item in items[:6]:
        own = {tuple(row.tolist()) for row in passages[item]}
        one = np.array([item])
        seen = [tuple(inputs.batch(one, epoch)[0].tolist()) for epoch in range(len(own))]
        assert set(seen) == own
    whole = inputs.batch(items, 7)
    assert whole.dtype == torch.int32
    assert whole.shape == (COUNT, SIZE)


def test_a_view_does_not_depend_on_the_batch(passages: Passages) -> None:
    inputs, again = TokenInputs(passages, seed=4), TokenInputs(Passages(texts(), toy().spec), seed=4)
    items = np.array([5, 2, 11])
    for epoch in (0, 3, None):
        batch = inputs.batch(items, epoch)
        rows = len(batch) // 3
        alone = torch.cat([_filled(again.batch(items[n : n + 1], epoch), batch.shape[1]) for n in range(3)])
        assert torch.equal(batch, alone)
        assert rows == (4 if epoch is None else 1)
    assert not torch.equal(
        TokenInputs(passages, 4).batch(np.arange(COUNT), 0),
        TokenInputs(passages, 5).batch(np.arange(COUNT), 0),
    )


def _filled(rows: Tensor, length: int) -> Tensor:
    return torch.nn.functional.pad(rows, (0, length - rows.shape[1]))


def test_checking_averages_the_passages_of_each_text(passages: Passages) -> None:
    network = Network(toy(), torch.nn.Linear(16, 2)).eval()
    items = np.arange(5)
    inputs = TokenInputs(passages, plain=passages.most(items))
    plain = torch.autocast("cpu", enabled=False)
    found = answers(network, inputs, items, 2, lambda: plain, torch.device("cpu"))
    with torch.inference_mode():
        for item in items:
            rows = [network(torch.from_numpy(row)[None]) for row in passages[item]]
            number = passages.most(items)
            if number % len(rows) == 0:  # each passage is met equally often
                torch.testing.assert_close(found[item], torch.cat(rows).mean(0), atol=1e-5, rtol=1e-4)


def test_what_cannot_be_read_is_named(toy_text: ToyText) -> None:
    broken = Passages([Item("empty.txt", b"", None)], toy().spec)
    with pytest.raises(DecodeError, match=r"empty\.txt"):
        TokenInputs(broken).batch(np.array([0]), 0)
    with pytest.raises(OptionError, match="seed"):
        TokenInputs(broken, seed=-1)


def run(folder: Path | None, *, stop: int = 0, resume: bool = False) -> tuple[Trained, dict[str, Tensor]]:
    """Train the toy in two phases; after `stop` epochs its caller has seen enough."""
    settings = Settings(batch=6, precision="fp32")
    plan = Plan(
        "fine-tune-all", NAME, "layer3", SIZE, (LATE, ALL), settings=settings, seed=3, modality="text"
    )
    network = Network(toy(), make_head(plan, 16, 2))
    passages = Passages(texts(), toy().spec)
    items = np.arange(COUNT)
    data = TrainingData(
        lambda _phase: TokenInputs(passages, plan.seed, 3), items % 2, items[:18], items[18:], 2, "toy texts"
    )
    done = train(
        network, plan, data, run=folder, resume=resume, progress=False, every=0,
        on_epoch=lambda line: line["epoch"] != stop,
    )  # fmt: skip
    return done, {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("stop", [1, 2, 4])
def test_stopped_and_resumed_it_ends_the_same_to_the_bit(
    toy_text: ToyText, tmp_path: Path, stop: int
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        expected, weights = run(tmp_path / "whole")
        stopped, _ = run(tmp_path / "run", stop=stop)
        assert stopped.stopped == "its caller had seen enough"
        found, resumed = run(tmp_path / "run", resume=True)
    finally:
        torch.set_num_threads(threads)
    assert found.stopped == expected.stopped == "done"
    assert all(torch.equal(resumed[name], weights[name]) for name in weights)
    losses = [line["train_loss"] for line in expected.history if "train_loss" in line]
    assert len(losses) == 5
    np.testing.assert_array_equal(found.val_logits, expected.val_logits)
    changed = toy().state_dict()
    assert any(not torch.equal(weights[f"backbone.{name}"], tensor) for name, tensor in changed.items())
